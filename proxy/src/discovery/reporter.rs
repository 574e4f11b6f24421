//! Reports of readiness and presented certificates to one operator, as differences to the previous report.

use portolan_discovery::session::{PresentedCertificate, ProxyReport};
use std::collections::BTreeMap;

/// So many server names go into one report, which then stays far below the limit of a message.
const NAMES: usize = 2_000;

/// State last reported to one operator.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    ready: Option<bool>,
    served: BTreeMap<String, PresentedCertificate>,
}

impl Reporter {
    /// Returns the reports that are due: none when nothing changed, readiness at least the first time.
    pub(super) fn reports(
        &mut self,
        ready: bool,
        served: &[PresentedCertificate],
    ) -> Vec<ProxyReport> {
        let now: BTreeMap<String, PresentedCertificate> = served
            .iter()
            .map(|certificate| (certificate.server_name.clone(), certificate.clone()))
            .collect();
        let changed = now
            .iter()
            .filter(|(name, certificate)| self.served.get(*name) != Some(certificate));
        let changed: Vec<PresentedCertificate> = changed
            .map(|(_, certificate)| certificate.clone())
            .collect();
        let gone = self.served.keys().filter(|name| !now.contains_key(*name));
        let gone: Vec<String> = gone.cloned().collect();
        let mut reports: Vec<ProxyReport> = changed
            .chunks(NAMES)
            .map(|served| ProxyReport {
                ready,
                served: served.to_vec(),
                unserved: Vec::new(),
            })
            .chain(gone.chunks(NAMES).map(|unserved| ProxyReport {
                ready,
                served: Vec::new(),
                unserved: unserved.to_vec(),
            }))
            .collect();
        if reports.is_empty() && self.ready != Some(ready) {
            reports.push(ProxyReport {
                ready,
                ..ProxyReport::default()
            });
        }
        self.ready = Some(ready);
        self.served = now;
        reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table::{Kind, ResourceName};

    fn served(name: &str, fingerprint: &str) -> PresentedCertificate {
        PresentedCertificate {
            server_name: name.into(),
            certificate: ResourceName {
                kind: Kind::Certificate,
                name: "team/a".into(),
            },
            fingerprint: fingerprint.into(),
            not_after_unix: 1,
        }
    }

    #[test]
    fn reports_only_differences() {
        let mut reporter = Reporter::default();
        let first = reporter.reports(false, &[]);
        assert_eq!(first, [ProxyReport::default()]);
        assert_eq!(reporter.reports(false, &[]), []);
        let (a, b) = (served("a", "1"), served("b", "1"));
        let both = reporter.reports(true, &[a.clone(), b.clone()]);
        assert_eq!(both[0].served, [a.clone(), b.clone()]);
        assert!(both[0].ready);
        let renewed = served("b", "2");
        let changed = reporter.reports(true, std::slice::from_ref(&renewed));
        assert_eq!(changed[0].served, std::slice::from_ref(&renewed));
        assert_eq!(changed[1].unserved, ["a"]);
        assert_eq!(reporter.reports(true, &[renewed]), []);
    }

    #[test]
    fn splits_many_names_into_several_reports() {
        let many: Vec<_> = (0..NAMES + 1)
            .map(|number| served(&number.to_string(), "1"))
            .collect();
        let reports = Reporter::default().reports(true, &many);
        let sizes: Vec<usize> = reports.iter().map(|report| report.served.len()).collect();
        assert_eq!(sizes, [NAMES, 1]);
    }
}
