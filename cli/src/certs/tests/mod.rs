//! Every case is shown to the pure part: objects as the API server gives them, Secrets as they were read, and a
//! time.

mod shown;
mod states;

use super::exposure::{Exposure, SecretId};
use super::row::{Row, World};
use super::source::Class;
use super::stored::{Leaf, Stored};
use jiff::Timestamp;
use serde_json::{Value, json};

/// When the tests happen.
const NOW: &str = "2027-01-10T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// So many days from now, as it stands in a status.
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
    Stored::Certificate(Leaf {
        fingerprint: fingerprint(digit),
        not_before: at(-60),
        not_after: at(days),
        dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
    })
}

/// What status says of a certificate.
struct Says {
    secret: &'static str,
    issuer: &'static str,
    served: Option<(char, i64)>,
    renews: Option<i64>,
}

impl Says {
    /// Of one that cert-manager put into a Secret, and that proxies present.
    fn issued(secret: &'static str, digit: char, days: i64) -> Self {
        Self {
            secret,
            issuer: "ClusterIssuer/letsencrypt",
            served: Some((digit, days)),
            renews: Some(days - 30),
        }
    }

    fn value(&self) -> Value {
        let mut value = json!({"secretName": self.secret, "issuer": self.issuer});
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

/// Status of a hostname that is held and has a certificate.
fn host(name: &str, says: &Says) -> Value {
    json!({
        "name": name, "url": format!("https://{name}"), "ready": true,
        "heldSince": in_days(-90), "certificate": says.value(),
    })
}

/// An ExposedPort whose status speaks of it.
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

fn world(exposures: Vec<Exposure>, secrets: &[(&str, &str, Stored)]) -> World {
    let secrets = secrets
        .iter()
        .map(|(namespace, name, stored)| (SecretId::new(*namespace, *name), stored.clone()));
    World {
        exposures,
        secrets: secrets.collect(),
        ..World::default()
    }
}

/// The only row of an object with one hostname and one Secret `x` in its namespace.
fn only(says: &Says, stored: Stored) -> Row {
    let shop = exposed("team-a", "shop", json!({}), &[host(SHOP, says)]);
    let rows = world(vec![shop], &[("team-a", "x", stored)]).rows(now());
    assert_eq!(rows.len(), 1);
    rows.into_iter().next().unwrap()
}

const SHOP: &str = "shop.example.com";

/// A namespace with one of everything, and its neighbours.
fn everything() -> World {
    let shop = [
        host(SHOP, &Says::issued("shop-1", 'a', 83)),
        host(
            "new.example.com",
            &Says {
                served: None,
                renews: None,
                ..Says::issued("new-1", '0', 0)
            },
        ),
        host("old.example.com", &Says::issued("old-1", 'b', -3)),
    ];
    let own = json!({"secret": {"name": "wildcard", "namespace": "bought"}});
    let says = |digit, days| Says {
        secret: "wildcard",
        issuer: "",
        served: Some((digit, days)),
        renews: None,
    };
    let api = [
        host("*.api.example.com", &says('c', 20)),
        host("v1.api.example.com", &says('d', 4)),
    ];
    let shared = Says {
        secret: "star",
        issuer: "",
        served: Some(('e', 40)),
        renews: None,
    };
    let plain =
        json!({"name": "plain.example.com", "url": "http://plain.example.com", "ready": true});
    let lost = json!({"name": "lost.example.com", "ready": false, "heldBy": "team-b"});
    let rejected = json!({"observedGeneration": 1, "description": "spec.tls: wrong; put it right"});
    let over = json!({"observedGeneration": 1, "summary": {"status": "Expired"}});
    let hidden = host("hidden.example.com", &Says::issued("hidden-1", 'f', 12));
    let exposures = vec![
        exposed("team-a", "shop", json!({}), &shop),
        exposed("team-a", "api", own, &api),
        exposed(
            "team-b",
            "blog",
            json!({}),
            &[host("blog.apps.test", &shared)],
        ),
        exposed("team-b", "front", json!({}), &[plain, lost]),
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
            over,
        ),
        read(
            "team-c",
            "child",
            json!({"allowedParents": [{"name": "front", "namespace": "team-b"}]}),
            json!({}),
        ),
    ];
    let mut world = world(
        exposures,
        &[
            ("team-a", "shop-1", leaf('a', &[SHOP], 83)),
            ("team-a", "new-1", Stored::NotFound),
            ("team-a", "old-1", leaf('b', &["old.example.com"], -3)),
            ("bought", "wildcard", leaf('c', &["*.api.example.com"], 20)),
            ("certs", "star", leaf('e', &["*.apps.test"], 40)),
            ("team-b", "hidden-1", Stored::Forbidden),
        ],
    );
    let shared =
        json!([{"secret": {"namespace": "certs", "name": "star"}, "hostnames": ["*.apps.test"]}]);
    let class = Class::Known(serde_json::from_value(shared).unwrap());
    world.classes.insert("public".into(), class);
    world
}
