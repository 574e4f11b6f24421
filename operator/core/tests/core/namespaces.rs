//! A class speaks of namespaces by their labels: what is let in, and what a change of labels touches.

use crate::fixture::*;
use portolan_core::{Affected, Event, Reason};
use serde_json::{Value, json};

fn class(fixture: &mut Fixture, mut spec: Value) {
    spec["default"] = true.into();
    fixture.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))));
}

fn label(fixture: &mut Fixture, name: &str, tier: &str) -> Affected {
    let labels = json!({"tier": tier});
    fixture.apply(Event::Namespace(applied(namespace(name, labels))))
}

fn accepted(fixture: &Fixture) -> String {
    condition(&fixture.status(), "Accepted").1
}

/// Every place in which a class can say which namespaces are meant, and the message for others.
fn places() -> [(Value, Reason); 4] {
    let gold = json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold"]}]});
    [
        (
            json!({"rootNamespaceSelector": gold}),
            Reason::RootNamespaceDenied,
        ),
        (
            json!({"hostnames": [{"domains": ["com"], "namespaceSelector": gold}]}),
            Reason::HostnameNotAllowed,
        ),
        (
            json!({"tls": {"allowedIssuers": [{"name": "ca", "namespaceSelector": gold}]}}),
            Reason::IssuerNotAllowed,
        ),
        (
            json!({"tls": {"allowOwnSecrets": {"namespaceSelector": gold}}}),
            Reason::OwnSecretNotAllowed,
        ),
    ]
}

fn shop(reason: Reason) -> Value {
    let tls = match reason {
        Reason::IssuerNotAllowed => json!({"issuerRef": {"name": "ca"}}),
        _ => json!({"secret": {"name": "own"}}),
    };
    json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": tls})
}

#[test]
fn a_label_lets_a_namespace_in_wherever_a_name_does() {
    for (spec, reason) in places() {
        let mut fixture = Fixture::ready();
        fixture.put_shop(shop(reason));
        class(&mut fixture, spec.clone());
        assert_eq!(
            accepted(&fixture),
            reason.as_str(),
            "not seen yet, and {spec} asks"
        );
        let affected = label(&mut fixture, "team-a", "gold");
        assert!(affected.objects.contains(&fixture.shop), "{spec}");
        assert_eq!(accepted(&fixture), "Accepted", "{spec}");
        label(&mut fixture, "team-a", "tin");
        assert_eq!(accepted(&fixture), reason.as_str(), "{spec}");
        assert_eq!(fixture.resource(&virtual_host(HOST)), None, "{spec}");
        label(&mut fixture, "team-a", "gold");
        let gone = Event::Namespace(gone("", "team-a"));
        assert!(fixture.apply(gone).objects.contains(&fixture.shop));
        assert_eq!(accepted(&fixture), reason.as_str(), "{spec}");
    }
}

#[test]
fn by_name_or_by_label() {
    let mut fixture = Fixture::ready();
    let gold = json!({"matchLabels": {"tier": "gold"}});
    let spec = json!({"rootNamespaces": ["web"], "rootNamespaceSelector": gold});
    class(&mut fixture, spec);
    label(&mut fixture, "team-a", "tin");
    fixture.is(Reason::RootNamespaceDenied);
    label(&mut fixture, "team-a", "gold");
    assert_eq!(accepted(&fixture), "Accepted");
    let spec = json!({"rootNamespaces": ["team-a"], "rootNamespaceSelector": gold});
    class(&mut fixture, spec);
    label(&mut fixture, "team-a", "tin");
    assert_eq!(accepted(&fixture), "Accepted");
    // A namespace that is not named is not included, even if no other is.
    let none = json!({"tls": {"allowOwnSecrets": {}}});
    class(&mut fixture, none);
    fixture.is(Reason::OwnSecretNotAllowed);
}

#[test]
fn labels_concern_the_objects_of_their_namespace_alone() {
    let mut fixture = Fixture::ready();
    let gold = json!({"matchLabels": {"tier": "gold"}});
    class(&mut fixture, json!({"rootNamespaceSelector": gold}));
    let spec = json!({"service": "shop", "port": 80, "hostnames": ["b.example.com"]});
    fixture.expose("team-ab", "shop", 6, spec);
    let affected = label(&mut fixture, "team-a", "gold");
    let objects: Vec<_> = affected.objects.into_iter().collect();
    assert_eq!(objects, [fixture.shop.clone()]);
    assert!(
        affected
            .resources
            .iter()
            .all(|(_, name)| name.name != "b.example.com")
    );
    assert_eq!(label(&mut fixture, "team-a", "gold"), Affected::default());
    let labels = json!({"tier": "gold", "owner": "team-x"});
    let same = Event::Namespace(applied(namespace("team-a", labels)));
    assert_eq!(
        fixture.apply(same),
        Affected::default(),
        "no class selects by it"
    );
}
