//! Where the certificate of a hostname is stored. Status names the Secret; its namespace follows from who
//! brought it: an issuer (that of the object), the spec, an older object of the namespace under the same
//! hostname, or the class.

use super::exposure::{Exposure, HostTls, SecretId, Told};
use portolan_crds::SharedCertificate;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a class has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The certificates that its objects share.
    Known(Vec<SharedCertificate>),
    /// This user may not read it, or reading it failed.
    Unknown,
}

/// Classes by name.
pub(crate) type Classes = BTreeMap<String, Class>;

/// An ExposeClass, as far as it is read.
#[derive(Deserialize)]
pub(crate) struct StoredClass {
    #[serde(default)]
    spec: ClassSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClassSpec {
    certificates: ClassCertificates,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClassCertificates {
    shared: Vec<SharedCertificate>,
}

impl From<StoredClass> for Class {
    fn from(class: StoredClass) -> Self {
        Self::Known(class.spec.certificates.shared)
    }
}

/// The classes without which it is not known where some certificate is stored.
pub(crate) fn classes_needed(exposures: &[Exposure]) -> BTreeSet<String> {
    let hosts = exposures.iter().flat_map(|exposure| {
        let certified = exposure.hosts.iter().filter_map(|host| match &host.tls {
            HostTls::Certified(told) => Some((host.name.as_str(), told)),
            HostTls::Disabled | HostTls::HeldBy(_) | HostTls::Pending => None,
        });
        certified.map(move |(host, told)| (exposure, host, told))
    });
    let open = hosts.filter(|(exposure, host, told)| {
        brought(exposures, exposure, host, told).is_none() && !exposure.class.is_empty()
    });
    open.map(|(exposure, ..)| exposure.class.clone()).collect()
}

/// The Secrets of a hostname, the one that status names first; `None`: that needs a class which is unknown.
pub(crate) fn secrets(
    exposures: &[Exposure],
    classes: &Classes,
    exposure: &Exposure,
    host: &str,
    told: &Told,
) -> Option<Vec<SecretId>> {
    if let Some(brought) = brought(exposures, exposure, host, told) {
        return Some(brought);
    }
    let shared = match classes.get(&exposure.class) {
        Some(Class::Known(shared)) => shared.as_slice(),
        Some(Class::Unknown) => return None,
        None => &[],
    };
    let named = || shared.iter().filter(|it| it.secret.name == told.secret);
    // Two namespaces of a class may have Secrets of one name.
    let meant = named().find(|it| it.hostnames.iter().any(|name| covers(name, host)));
    let secret = match meant.or_else(|| named().next()) {
        Some(shared) => SecretId::new(&shared.secret.namespace, &shared.secret.name),
        None => SecretId::new(&exposure.namespace, &told.secret),
    };
    Some(vec![secret])
}

/// Those that do not come from the class.
fn brought(
    exposures: &[Exposure],
    exposure: &Exposure,
    host: &str,
    told: &Told,
) -> Option<Vec<SecretId>> {
    if !told.issuer.is_empty() {
        return Some(vec![SecretId::new(&exposure.namespace, &told.secret)]);
    }
    let brings = |it: &&Exposure| it.own.first().is_some_and(|own| own.name == told.secret);
    let others = exposures.iter().filter(|other| {
        other.namespace == exposure.namespace && other.hosts.iter().any(|it| it.name == host)
    });
    let bringer = std::iter::once(exposure).chain(others).find(brings)?;
    Some(bringer.own.clone())
}

/// Whether a hostname of a class is, or stands for, that of an object.
fn covers(name: &str, host: &str) -> bool {
    let above = host.split_once('.').filter(|(label, _)| *label != "*");
    let stands = |(_, domain): (&str, &str)| {
        let own = name.strip_prefix("*.");
        own.is_some_and(|own| own.eq_ignore_ascii_case(domain))
    };
    name.eq_ignore_ascii_case(host) || above.is_some_and(stands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::exposure::Host;
    use portolan_crds::NamespacedSecretRef;

    fn told(secret: &str, issuer: &str) -> Told {
        Told {
            secret: secret.into(),
            issuer: issuer.into(),
            ..Told::default()
        }
    }

    fn exposure(name: &str, own: &[SecretId], told: &Told) -> Exposure {
        Exposure {
            namespace: "team-a".into(),
            name: name.into(),
            class: "public".into(),
            own: own.to_vec(),
            hosts: vec![Host {
                name: HOST.into(),
                message: String::new(),
                tls: HostTls::Certified(told.clone()),
            }],
            ..Exposure::default()
        }
    }

    fn shared(namespace: &str, name: &str, hostname: &str) -> SharedCertificate {
        SharedCertificate {
            secret: NamespacedSecretRef {
                namespace: namespace.into(),
                name: name.into(),
            },
            hostnames: vec![hostname.into()],
        }
    }

    const HOST: &str = "shop.example.com";

    #[test]
    fn an_issued_one_is_where_the_object_is() {
        let told = told("x", "ClusterIssuer/a");
        // Even while the spec already names another one.
        let all = [exposure("shop", &[SecretId::new("bought", "x")], &told)];
        assert!(classes_needed(&all).is_empty());
        let found = secrets(&all, &Classes::new(), &all[0], HOST, &told);
        assert_eq!(found, Some(vec![SecretId::new("team-a", "x")]));
    }

    #[test]
    fn ones_own_may_be_several_and_in_another_namespace() {
        let told = told("pair", "");
        let own = [
            SecretId::new("bought", "pair"),
            SecretId::new("team-a", "rsa"),
        ];
        let all = [exposure("shop", &own, &told)];
        assert!(classes_needed(&all).is_empty());
        let found = secrets(&all, &Classes::new(), &all[0], HOST, &told);
        assert_eq!(found, Some(own.to_vec()));
    }

    #[test]
    fn the_oldest_object_of_a_hostname_brings_it_for_the_others() {
        let told = told("pair", "");
        let own = [SecretId::new("bought", "pair")];
        let all = [
            exposure("younger", &[], &told),
            exposure("older", &own, &told),
        ];
        let found = secrets(&all, &Classes::new(), &all[0], HOST, &told);
        assert_eq!(found, Some(own.to_vec()));
        let mut stranger = exposure("older", &own, &told);
        stranger.namespace = "team-b".into();
        let all = [exposure("younger", &[], &told), stranger];
        assert_eq!(classes_needed(&all), BTreeSet::from(["public".to_owned()]));
    }

    #[test]
    fn a_shared_one_is_where_the_class_says() {
        let told = told("wildcard", "");
        let all = [exposure("shop", &[], &told)];
        assert_eq!(classes_needed(&all), BTreeSet::from(["public".to_owned()]));
        let find = |class| {
            let classes = Classes::from([("public".to_owned(), class)]);
            secrets(&all, &classes, &all[0], HOST, &told)
        };
        let certificates = vec![
            shared("elsewhere", "wildcard", "*.other.com"),
            shared("certs", "wildcard", "*.Example.com"),
        ];
        let found = find(Class::Known(certificates));
        assert_eq!(found, Some(vec![SecretId::new("certs", "wildcard")]));
        assert_eq!(find(Class::Unknown), None);
        // A class that says nothing of it (any longer): no better guess is there.
        let found = find(Class::Known(Vec::new()));
        assert_eq!(found, Some(vec![SecretId::new("team-a", "wildcard")]));
    }
}
