//! Tests of the pure part: objects as the API server returns them, Secrets as they were read, and a time.

mod output;
mod states;

use super::exposure::{Exposure, SecretId};
use super::row::{ClusterData, Row};
use super::stored::Stored;
use jiff::Timestamp;
use portolan_certificate::LeafCertificate;
use serde_json::{Value, json};

/// Time of the tests.
const NOW: &str = "2027-01-10T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A number of days from now, as in status.
fn in_days(days: i64) -> String {
    at(days).to_string()
}

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(now().as_second() + days * 86_400).unwrap()
}

/// A fingerprint of this digit.
fn fingerprint(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// The certificate with this digit, for these names, until so many days from now.
fn leaf(digit: char, names: &[&str], days: i64) -> Stored {
    Stored::Certificate(LeafCertificate {
        fingerprint: fingerprint(digit),
        not_before: at(-60),
        not_after: at(days),
        dns_names: names.iter().collect(),
    })
}

/// Certificate in status.
struct Reported {
    /// Namespace and name.
    secret: (&'static str, &'static str),
    issuer: &'static str,
    served: Option<(char, i64)>,
    renews: Option<i64>,
}

impl Reported {
    /// Issued by cert-manager into this Secret, and presented by proxies.
    fn issued(namespace: &'static str, name: &'static str, digit: char, days: i64) -> Self {
        Self {
            secret: (namespace, name),
            issuer: "ClusterIssuer/letsencrypt",
            served: Some((digit, days)),
            renews: Some(days - 30),
        }
    }

    fn value(&self) -> Value {
        let (namespace, name) = self.secret;
        let mut value = json!({
            "secretName": name, "secretNamespace": namespace, "issuer": self.issuer,
        });
        if let Some((digit, days)) = self.served {
            value["servedFingerprint"] = json!(fingerprint(digit));
            value["notAfter"] = json!(in_days(days));
        }
        if let Some(days) = self.renews {
            value["renewalTime"] = json!(in_days(days));
        }
        value
    }
}

/// Status of a reserved hostname with a certificate.
fn host(name: &str, reported: &Reported) -> Value {
    json!({
        "name": name, "url": format!("https://{name}"), "ready": true,
        "heldSince": in_days(-90), "certificate": reported.value(),
    })
}

/// An ExposedPort whose status is current.
fn exposed(namespace: &str, name: &str, tls: Value, hosts: &[Value]) -> Exposure {
    let names: Vec<_> = hosts.iter().map(|host| host["name"].clone()).collect();
    let status = json!({"observedGeneration": 1, "className": "public", "hostnames": hosts});
    read(
        namespace,
        name,
        json!({"hostnames": names, "tls": tls}),
        status,
    )
}

fn read(namespace: &str, name: &str, spec: Value, status: Value) -> Exposure {
    Exposure::read(json!({
        "metadata": {"namespace": namespace, "name": name, "generation": 1},
        "spec": spec, "status": status,
    }))
    .unwrap()
}

fn data(exposures: Vec<Exposure>, secrets: &[(&str, &str, Stored)]) -> ClusterData {
    let secrets = secrets
        .iter()
        .map(|(namespace, name, stored)| (SecretId::new(*namespace, *name), stored.clone()));
    ClusterData {
        exposures,
        secrets: secrets.collect(),
    }
}

/// The only row of an object with one hostname and one Secret `x` in its namespace.
fn only(reported: &Reported, stored: Stored) -> Row {
    let shop = exposed("team-a", "shop", json!({}), &[host(SHOP, reported)]);
    let rows = data(vec![shop], &[("team-a", "x", stored)]).rows(now());
    assert_eq!(rows.len(), 1);
    rows.into_iter().next().unwrap()
}

const SHOP: &str = "shop.example.com";

/// Namespaces with an object in each state.
fn everything() -> ClusterData {
    let shop = [
        host(SHOP, &Reported::issued("team-a", "shop-1", 'a', 83)),
        host(
            "new.example.com",
            &Reported {
                served: None,
                renews: None,
                ..Reported::issued("team-a", "new-1", '0', 0)
            },
        ),
        host(
            "old.example.com",
            &Reported::issued("team-a", "old-1", 'b', -3),
        ),
    ];
    let own = json!({"secret": {"name": "wildcard", "namespace": "bought"}});
    let reported = |digit, days| Reported {
        secret: ("bought", "wildcard"),
        issuer: "",
        served: Some((digit, days)),
        renews: None,
    };
    let api = [
        host("*.api.example.com", &reported('c', 20)),
        host("v1.api.example.com", &reported('d', 4)),
    ];
    let shared = Reported {
        secret: ("certs", "star"),
        issuer: "",
        served: Some(('e', 40)),
        renews: None,
    };
    let plain =
        json!({"name": "plain.example.com", "url": "http://plain.example.com", "ready": true});
    let held = json!({"name": "lost.example.com", "ready": false, "heldBy": "team-b"});
    let rejected = json!({"observedGeneration": 1, "description": "spec.tls: Invalid value"});
    let expired = json!({"observedGeneration": 1, "summary": {"status": "Expired"}});
    let hidden = host(
        "hidden.example.com",
        &Reported::issued("team-b", "hidden-1", 'f', 12),
    );
    let exposures = vec![
        exposed("team-a", "shop", json!({}), &shop),
        exposed("team-a", "api", own, &api),
        exposed(
            "team-b",
            "blog",
            json!({}),
            &[host("blog.apps.test", &shared)],
        ),
        exposed("team-b", "front", json!({}), &[plain, held]),
        exposed("team-b", "hidden", json!({}), &[hidden]),
        read(
            "team-c",
            "fresh",
            json!({"hostnames": ["fresh.*"]}),
            json!({}),
        ),
        read(
            "team-c",
            "wrong",
            json!({"hostnames": ["wrong.example.com"]}),
            rejected,
        ),
        read(
            "team-c",
            "over",
            json!({"hostnames": ["over.example.com"]}),
            expired,
        ),
        read(
            "team-c",
            "child",
            json!({"allowedParents": [{"name": "front", "namespace": "team-b"}]}),
            json!({}),
        ),
    ];
    data(
        exposures,
        &[
            ("team-a", "shop-1", leaf('a', &[SHOP], 83)),
            ("team-a", "new-1", Stored::NotFound),
            ("team-a", "old-1", leaf('b', &["old.example.com"], -3)),
            ("bought", "wildcard", leaf('c', &["*.api.example.com"], 20)),
            ("certs", "star", leaf('e', &["*.apps.test"], 40)),
            ("team-b", "hidden-1", Stored::Forbidden),
        ],
    )
}
