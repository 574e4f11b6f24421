//! An ExposedPort as far as its certificates go, and the door at which the stored form becomes that one.
//!
//! Only the fields that are needed are read, and words of a later version are taken as they are: an
//! old plugin goes on with a newer cluster.

use crate::cluster::{Object, Trouble};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use portolan_crds::{CertificateStatus, HostnameStatus, SecretRef};
use serde::Deserialize;
use serde_json::Value;

/// What was asked for, and what became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exposure {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Of the class that was chosen; empty: none yet.
    pub(crate) class: String,
    /// As they stand in the spec, `shop.*` included.
    pub(crate) wanted: Vec<String>,
    /// Certificates that the object brings itself, in the order of the spec.
    pub(crate) own: Vec<SecretId>,
    /// Whether status speaks of this spec.
    pub(crate) is_judged: bool,
    /// Whether its time is over, so that nothing should be served.
    pub(crate) is_over: bool,
    /// One sentence on the whole of it.
    pub(crate) description: String,
    pub(crate) hosts: Vec<Host>,
}

/// What became of one hostname.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// Why it is not ready, in a sentence; empty when it is.
    pub(crate) message: String,
    pub(crate) tls: HostTls,
}

/// What there is to say of a hostname's certificate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HostTls {
    /// It is to have one.
    Certified(Told),
    /// Plain HTTP, on purpose.
    Disabled,
    /// A namespace, or another object of this one, holds the hostname.
    HeldBy(String),
    /// The operator is about to hold the hostname.
    Pending,
}

/// What status says of a certificate.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) secret: String,
    /// `kind/name`; empty: it is not issued for this object.
    pub(crate) issuer: String,
    pub(crate) renewal_time: Option<Timestamp>,
    /// What every proxy presents; absent: not all of them present the same.
    pub(crate) served: Option<Served>,
}

/// A certificate that proxies present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// SHA-256 of the leaf, in lower-case hex.
    pub(crate) fingerprint: String,
    pub(crate) not_after: Option<Timestamp>,
}

/// Namespace and name of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SecretId {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl SecretId {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    #[serde(default)]
    metadata: ObjectMeta,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    hostnames: Vec<String>,
    #[serde(default)]
    tls: Tls,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tls {
    secret: Option<SecretRef>,
    additional_secrets: Vec<SecretRef>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: Option<i64>,
    class_name: Option<String>,
    summary: Summary,
    description: String,
    hostnames: Vec<HostnameStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    status: String,
}

/// The word of `status.summary.status` for an object whose time is over.
const OVER: &str = "Expired";

impl Exposure {
    /// Reads one as the API server gave it.
    ///
    /// # Errors
    /// When it has another form than any version of this API.
    pub(crate) fn read(value: Value) -> Result<Self, Trouble> {
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
        let [namespace, name] = ["/metadata/namespace", "/metadata/name"]
            .map(|pointer| text(pointer).unwrap_or_default().to_owned());
        let stored: Stored = serde_json::from_value(value).map_err(|error| {
            let object = Object::exposed_port(&namespace, &name);
            Trouble::garbled(&object.to_string(), &error)
        })?;
        let Stored {
            metadata,
            spec,
            status,
        } = stored;
        let named = spec.tls.secret.into_iter();
        let own = named.chain(spec.tls.additional_secrets).map(|secret| {
            let namespace = secret.namespace.unwrap_or_else(|| namespace.clone());
            SecretId::new(namespace, secret.name)
        });
        Ok(Self {
            own: own.collect(),
            class: status.class_name.unwrap_or_default(),
            wanted: spec.hostnames,
            is_judged: status.observed_generation.is_some()
                && status.observed_generation == metadata.generation,
            is_over: status.summary.status == OVER,
            description: status.description,
            hosts: status.hostnames.into_iter().map(Host::read).collect(),
            namespace,
            name,
        })
    }

    /// The hostnames of the spec of which status says nothing (yet).
    pub(crate) fn untold(&self) -> impl Iterator<Item = &str> {
        let told = |wanted: &str| {
            let wanted = wanted.strip_suffix('.').unwrap_or(wanted);
            self.hosts
                .iter()
                .any(|host| match wanted.strip_suffix('*') {
                    // The domain of the class stands for the star.
                    Some(label) => host.name.starts_with(&label.to_ascii_lowercase()),
                    None => host.name.eq_ignore_ascii_case(wanted),
                })
        };
        let wanted = self.wanted.iter().map(String::as_str);
        wanted.filter(move |wanted| !told(wanted))
    }
}

impl Host {
    fn read(status: HostnameStatus) -> Self {
        // The operator gives no certificate where it terminates no TLS, and to nobody who does not hold the name.
        let tls = match status.certificate {
            Some(certificate) => HostTls::Certified(certificate.into()),
            None if !status.held_by.is_empty() => HostTls::HeldBy(status.held_by),
            None if status.url.starts_with("http://") => HostTls::Disabled,
            // A wildcard has no URL.
            None if status.url.is_empty() && status.held_since.is_some() => HostTls::Disabled,
            None => HostTls::Pending,
        };
        Self {
            name: status.name,
            message: status.message,
            tls,
        }
    }
}

impl From<CertificateStatus> for Told {
    fn from(status: CertificateStatus) -> Self {
        let not_after = status.not_after.map(|Time(at)| at);
        let fingerprint = status.served_fingerprint.to_ascii_lowercase();
        Self {
            secret: status.secret_name,
            issuer: status.issuer,
            renewal_time: status.renewal_time.map(|Time(at)| at),
            served: (!fingerprint.is_empty()).then_some(Served {
                fingerprint,
                not_after,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_stored_becomes_what_is_meant() {
        let exposure = Exposure::read(json!({
            "metadata": {"namespace": "team-a", "name": "shop", "generation": 2},
            "spec": {
                "hostnames": ["shop.example.com", "hello.*", "New.example.com"],
                "tls": {
                    "mode": "AWordOfALaterVersion",
                    "secret": {"name": "pair", "namespace": "bought"},
                    "additionalSecrets": [{"name": "rsa"}],
                },
            },
            "status": {
                "observedGeneration": 1, "className": "public", "aFieldOfALaterVersion": {},
                "hostnames": [
                    {"name": "shop.example.com", "url": "https://shop.example.com", "ready": true, "certificate": {
                        "secretName": "pair", "servedFingerprint": "AB", "notAfter": "2030-01-01T00:00:00Z"}},
                    {"name": "hello.apps.test", "url": "http://hello.apps.test", "ready": true},
                    {"name": "*.lost.test", "ready": false, "heldBy": "team-b", "message": "held"},
                    {"name": "*.plain.test", "ready": true, "heldSince": "2029-01-01T00:00:00Z"},
                    {"name": "soon.test", "url": "https://soon.test", "ready": false},
                ],
            },
        }))
        .unwrap();
        assert!(!exposure.is_judged && !exposure.is_over);
        let own = [
            SecretId::new("bought", "pair"),
            SecretId::new("team-a", "rsa"),
        ];
        assert_eq!(exposure.own, own);
        assert_eq!(exposure.untold().collect::<Vec<_>>(), ["New.example.com"]);
        let tls: Vec<_> = exposure.hosts.iter().map(|host| &host.tls).collect();
        let not_after = Some("2030-01-01T00:00:00Z".parse().unwrap());
        let told = Told {
            secret: "pair".into(),
            served: Some(Served {
                fingerprint: "ab".into(),
                not_after,
            }),
            ..Told::default()
        };
        let lost = HostTls::HeldBy("team-b".into());
        let (disabled, pending) = (HostTls::Disabled, HostTls::Pending);
        let meant = [
            &HostTls::Certified(told),
            &disabled,
            &lost,
            &disabled,
            &pending,
        ];
        assert_eq!(tls, meant);
    }

    #[test]
    fn an_object_that_no_operator_has_seen_is_not_judged() {
        let new = json!({
            "metadata": {"namespace": "team-a", "name": "shop", "generation": 1},
            "spec": {"hostnames": ["shop.example.com"]},
        });
        let exposure = Exposure::read(new).unwrap();
        assert!(!exposure.is_judged);
        assert_eq!(exposure.untold().count(), 1);
    }

    #[test]
    fn an_object_without_spec_is_told_by_its_name() {
        let broken = json!({"metadata": {"namespace": "team-a", "name": "shop"}});
        let refused = Exposure::read(broken).unwrap_err().to_string();
        assert!(
            refused.starts_with("ExposedPort team-a/shop: "),
            "{refused}"
        );
    }
}
