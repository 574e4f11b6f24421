//! The parts of an ExposedPort that concern its certificates, parsed from the stored object.
//!
//! Only the needed fields are read, and unknown values of a later version are accepted: an old plugin
//! works with a newer cluster.

use crate::cluster::{Error, Object};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use portolan_crds::{CertificateStatus, HostnameStatus, SecretRef};
use serde::Deserialize;
use serde_json::Value;

/// Spec and status of one ExposedPort.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exposure {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Name of the class; empty if none is chosen yet.
    pub(crate) class: String,
    /// Hostnames of the spec, including `shop.*`.
    pub(crate) requested: Vec<String>,
    /// Secrets of `spec.tls`, in order.
    pub(crate) own: Vec<SecretId>,
    /// True if status is of this generation.
    pub(crate) is_observed: bool,
    /// True if the object has expired, so that nothing is served.
    pub(crate) is_expired: bool,
    /// `status.description`.
    pub(crate) description: String,
    pub(crate) hosts: Vec<Host>,
}

/// Status of one hostname.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// Reason why it is not ready; empty if it is.
    pub(crate) message: String,
    pub(crate) tls: HostTls,
}

/// TLS of a hostname.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HostTls {
    /// TLS is terminated with a certificate.
    Terminated(ReportedStatus),
    /// Plain HTTP, as configured.
    Disabled,
    /// The hostname is in use by another namespace, or another object of this one.
    HeldBy(String),
    /// The hostname is not reserved yet.
    Pending,
}

/// Certificate as reported in status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ReportedStatus {
    pub(crate) secret: SecretId,
    /// `kind/name`; empty if it is not issued for this object.
    pub(crate) issuer: String,
    pub(crate) renewal_time: Option<Timestamp>,
    /// Certificate that every proxy presents; absent if they differ.
    pub(crate) served: Option<ServedCertificate>,
}

/// Certificate that proxies present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServedCertificate {
    /// SHA-256 of the leaf, in lower-case hex.
    pub(crate) fingerprint: String,
    pub(crate) not_after: Option<Timestamp>,
}

/// Namespace and name of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

/// Value of `status.summary.status` for an expired object.
const EXPIRED: &str = "Expired";

impl Exposure {
    /// Parses an object of the API server.
    ///
    /// # Errors
    /// It is not an ExposedPort of any version of this API.
    pub(crate) fn read(value: Value) -> Result<Self, Error> {
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
        let [namespace, name] = ["/metadata/namespace", "/metadata/name"]
            .map(|pointer| text(pointer).unwrap_or_default().to_owned());
        let stored: Stored = serde_json::from_value(value).map_err(|error| {
            let object = Object::exposed_port(&namespace, &name);
            Error::malformed(&object, &error)
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
            requested: spec.hostnames,
            is_observed: status.observed_generation.is_some()
                && status.observed_generation == metadata.generation,
            is_expired: status.summary.status == EXPIRED,
            description: status.description,
            hosts: {
                let hosts = status.hostnames.into_iter();
                hosts.map(|host| Host::read(host, &namespace)).collect()
            },
            namespace,
            name,
        })
    }

    /// Returns the hostnames of the spec that are not in status (yet).
    pub(crate) fn unreported(&self) -> impl Iterator<Item = &str> {
        let is_reported = |hostname: &str| {
            let hostname = hostname.strip_suffix('.').unwrap_or(hostname);
            self.hosts
                .iter()
                .any(|host| match hostname.strip_suffix('*') {
                    // The star is replaced by the domain of the class.
                    Some(label) => host.name.starts_with(&label.to_ascii_lowercase()),
                    None => host.name.eq_ignore_ascii_case(hostname),
                })
        };
        let hostname = self.requested.iter().map(String::as_str);
        hostname.filter(move |hostname| !is_reported(hostname))
    }
}

impl Host {
    fn read(status: HostnameStatus, namespace: &str) -> Self {
        // There is no certificate without TLS termination, or without the reservation of the hostname.
        let tls = match status.certificate {
            Some(certificate) => HostTls::Terminated(ReportedStatus::read(certificate, namespace)),
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

impl ReportedStatus {
    /// `namespace` is that of the object, for a status of an older operator without `secretNamespace`.
    fn read(status: CertificateStatus, namespace: &str) -> Self {
        let not_after = status.not_after.map(|Time(at)| at);
        let secret_namespace = if status.secret_namespace.is_empty() {
            namespace.to_owned()
        } else {
            status.secret_namespace
        };
        let fingerprint = status.served_fingerprint.to_ascii_lowercase();
        Self {
            secret: SecretId::new(secret_namespace, status.secret_name),
            issuer: status.issuer,
            renewal_time: status.renewal_time.map(|Time(at)| at),
            served: (!fingerprint.is_empty()).then_some(ServedCertificate {
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
    fn parses_spec_and_status() {
        let exposure = Exposure::read(json!({
            "metadata": {"namespace": "team-a", "name": "shop", "generation": 2},
            "spec": {
                "hostnames": ["shop.example.com", "hello.*", "New.example.com"],
                "tls": {
                    "mode": "ValueOfALaterVersion",
                    "secret": {"name": "pair", "namespace": "bought"},
                    "additionalSecrets": [{"name": "rsa"}],
                },
            },
            "status": {
                "observedGeneration": 1, "className": "public", "fieldOfALaterVersion": {},
                "hostnames": [
                    {"name": "shop.example.com", "url": "https://shop.example.com", "ready": true, "certificate": {
                        "secretName": "pair", "secretNamespace": "bought", "servedFingerprint": "AB", "notAfter": "2030-01-01T00:00:00Z"}},
                    {"name": "hello.apps.test", "url": "http://hello.apps.test", "ready": true},
                    {"name": "*.lost.test", "ready": false, "heldBy": "team-b", "message": "held"},
                    {"name": "*.plain.test", "ready": true, "heldSince": "2029-01-01T00:00:00Z"},
                    {"name": "soon.test", "url": "https://soon.test", "ready": false},
                ],
            },
        }))
        .unwrap();
        assert!(!exposure.is_observed && !exposure.is_expired);
        let own = [
            SecretId::new("bought", "pair"),
            SecretId::new("team-a", "rsa"),
        ];
        assert_eq!(exposure.own, own);
        assert_eq!(
            exposure.unreported().collect::<Vec<_>>(),
            ["New.example.com"]
        );
        let tls: Vec<_> = exposure.hosts.iter().map(|host| &host.tls).collect();
        let not_after = Some("2030-01-01T00:00:00Z".parse().unwrap());
        let reported = ReportedStatus {
            secret: SecretId::new("bought", "pair"),
            served: Some(ServedCertificate {
                fingerprint: "ab".into(),
                not_after,
            }),
            ..ReportedStatus::default()
        };
        let held = HostTls::HeldBy("team-b".into());
        let (disabled, pending) = (HostTls::Disabled, HostTls::Pending);
        let expected = [
            &HostTls::Terminated(reported),
            &disabled,
            &held,
            &disabled,
            &pending,
        ];
        assert_eq!(tls, expected);
    }

    #[test]
    fn a_new_object_is_not_observed() {
        let new = json!({
            "metadata": {"namespace": "team-a", "name": "shop", "generation": 1},
            "spec": {"hostnames": ["shop.example.com"]},
        });
        let exposure = Exposure::read(new).unwrap();
        assert!(!exposure.is_observed);
        assert_eq!(exposure.unreported().count(), 1);
    }

    #[test]
    fn an_object_without_spec_is_named_in_the_error() {
        let broken = json!({"metadata": {"namespace": "team-a", "name": "shop"}});
        let message = Exposure::read(broken).unwrap_err().to_string();
        assert!(
            message.starts_with("ExposedPort team-a/shop: "),
            "{message}"
        );
    }
}
