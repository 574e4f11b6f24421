//! What the proxy sees of itself, told to one operator as differences to what it was told before.

use portolan_discovery::session::{PresentedCertificate, ProxyReport};
use std::collections::BTreeMap;

/// So many server names go into one report, which then stays far below the limit of a message.
const NAMES: usize = 2_000;

/// What one operator was told.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    ready: Option<bool>,
    served: BTreeMap<String, PresentedCertificate>,
}

impl Reporter {
    /// What has to be said now: nothing when nothing changed, readiness at least the first time.
    pub(super) fn reports(
        &mut self,
        ready: bool,
        served: &[PresentedCertificate],
    ) -> Vec<ProxyReport> {
        let now: BTreeMap<String, PresentedCertificate> = served
            .iter()
            .map(|it| (it.server_name.clone(), it.clone()))
            .collect();
        let changed = now
            .iter()
            .filter(|(name, it)| self.served.get(*name) != Some(it));
        let changed: Vec<PresentedCertificate> = changed.map(|(_, it)| it.clone()).collect();
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
    fn only_differences_are_told() {
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
    fn many_names_are_told_in_several_messages() {
        let many: Vec<_> = (0..NAMES + 1)
            .map(|number| served(&number.to_string(), "1"))
            .collect();
        let reports = Reporter::default().reports(true, &many);
        let sizes: Vec<usize> = reports.iter().map(|it| it.served.len()).collect();
        assert_eq!(sizes, [NAMES, 1]);
    }
}
