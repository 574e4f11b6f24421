//! Finds the Secrets of a hostname. Status names one; where the object that brings it also has
//! additional Secrets, proxies may present any of them.

use super::exposure::{Exposure, ReportedStatus, SecretId};

/// Returns the Secrets of a hostname, the one that status names first.
pub(crate) fn secrets(
    exposures: &[Exposure],
    exposure: &Exposure,
    host: &str,
    status: &ReportedStatus,
) -> Vec<SecretId> {
    let named = vec![status.secret.clone()];
    if !status.issuer.is_empty() {
        return named;
    }
    let brings = |exposure: &&Exposure| exposure.own.first() == Some(&status.secret);
    // An older object of the namespace may bring the certificate of a shared hostname.
    let others = exposures.iter().filter(|other| {
        other.namespace == exposure.namespace
            && other.hosts.iter().any(|shared| shared.name == host)
    });
    let owner = std::iter::once(exposure).chain(others).find(brings);
    owner.map_or(named, |owner| owner.own.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::exposure::{Host, HostTls};

    fn status(namespace: &str, secret: &str, issuer: &str) -> ReportedStatus {
        ReportedStatus {
            secret: SecretId::new(namespace, secret),
            issuer: issuer.into(),
            ..ReportedStatus::default()
        }
    }

    fn exposure(name: &str, own: &[SecretId], status: &ReportedStatus) -> Exposure {
        Exposure {
            namespace: "team-a".into(),
            name: name.into(),
            class: "public".into(),
            own: own.to_vec(),
            hosts: vec![Host {
                name: HOST.into(),
                message: String::new(),
                tls: HostTls::Terminated(status.clone()),
            }],
            ..Exposure::default()
        }
    }

    const HOST: &str = "shop.example.com";

    #[test]
    fn an_issued_certificate_has_one_secret() {
        let status = status("team-a", "x", "ClusterIssuer/a");
        // Even if the spec already names Secrets.
        let own = [SecretId::new("team-a", "x"), SecretId::new("team-a", "rsa")];
        let all = [exposure("shop", &own, &status)];
        let found = secrets(&all, &all[0], HOST, &status);
        assert_eq!(found, [SecretId::new("team-a", "x")]);
    }

    #[test]
    fn additional_secrets_follow_the_first() {
        let status = status("bought", "pair", "");
        let own = [
            SecretId::new("bought", "pair"),
            SecretId::new("team-a", "rsa"),
        ];
        let all = [exposure("shop", &own, &status)];
        assert_eq!(secrets(&all, &all[0], HOST, &status), own);
    }

    #[test]
    fn an_older_object_may_bring_the_certificate() {
        let status = status("bought", "pair", "");
        let own = [
            SecretId::new("bought", "pair"),
            SecretId::new("team-a", "rsa"),
        ];
        let younger = exposure("younger", &[], &status);
        let all = [younger.clone(), exposure("older", &own, &status)];
        assert_eq!(secrets(&all, &all[0], HOST, &status), own);
        let mut other_namespace = exposure("older", &own, &status);
        other_namespace.namespace = "team-b".into();
        let all = [younger, other_namespace];
        assert_eq!(secrets(&all, &all[0], HOST, &status), own[..1]);
    }

    #[test]
    fn a_shared_certificate_is_where_status_says() {
        let status = status("certs", "wildcard", "");
        let all = [exposure("shop", &[], &status)];
        let found = secrets(&all, &all[0], HOST, &status);
        assert_eq!(found, [SecretId::new("certs", "wildcard")]);
    }
}
