//! A class speaks of namespaces by their labels: what is let in, and what a change of labels touches.

use crate::world::*;
use portolan_core::{Affected, Event, Reason};
use serde_json::{Value, json};

fn class(world: &mut World, mut spec: Value) {
    spec["default"] = true.into();
    world.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))));
}

fn label(world: &mut World, name: &str, tier: &str) -> Affected {
    let labels = json!({"tier": tier});
    world.apply(Event::Namespace(applied(namespace(name, labels))))
}

fn accepted(world: &World) -> String {
    condition(&world.status(), "Accepted").1
}

/// Every place in which a class can say which namespaces are meant, and what the others are told.
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
        let mut world = World::ready();
        world.put_shop(shop(reason));
        class(&mut world, spec.clone());
        assert_eq!(
            accepted(&world),
            reason.as_str(),
            "not seen yet, and {spec} asks"
        );
        let affected = label(&mut world, "team-a", "gold");
        assert!(affected.objects.contains(&world.shop), "{spec}");
        assert_eq!(accepted(&world), "Accepted", "{spec}");
        label(&mut world, "team-a", "tin");
        assert_eq!(accepted(&world), reason.as_str(), "{spec}");
        assert_eq!(world.resource(&virtual_host(HOST)), None, "{spec}");
        label(&mut world, "team-a", "gold");
        let gone = Event::Namespace(gone("", "team-a"));
        assert!(world.apply(gone).objects.contains(&world.shop));
        assert_eq!(accepted(&world), reason.as_str(), "{spec}");
    }
}

#[test]
fn by_name_or_by_label() {
    let mut world = World::ready();
    let gold = json!({"matchLabels": {"tier": "gold"}});
    let spec = json!({"rootNamespaces": ["web"], "rootNamespaceSelector": gold});
    class(&mut world, spec);
    label(&mut world, "team-a", "tin");
    world.is(Reason::RootNamespaceDenied);
    label(&mut world, "team-a", "gold");
    assert_eq!(accepted(&world), "Accepted");
    let spec = json!({"rootNamespaces": ["team-a"], "rootNamespaceSelector": gold});
    class(&mut world, spec);
    label(&mut world, "team-a", "tin");
    assert_eq!(accepted(&world), "Accepted");
    // Who is named nowhere is not meant, even where nobody else is.
    let nobody = json!({"tls": {"allowOwnSecrets": {}}});
    class(&mut world, nobody);
    world.is(Reason::OwnSecretNotAllowed);
}

#[test]
fn labels_concern_the_objects_of_their_namespace_alone() {
    let mut world = World::ready();
    let gold = json!({"matchLabels": {"tier": "gold"}});
    class(&mut world, json!({"rootNamespaceSelector": gold}));
    let spec = json!({"service": "shop", "port": 80, "hostnames": ["b.example.com"]});
    world.expose("team-ab", "shop", 6, spec);
    let affected = label(&mut world, "team-a", "gold");
    let objects: Vec<_> = affected.objects.into_iter().collect();
    assert_eq!(objects, [world.shop.clone()]);
    assert!(
        affected
            .resources
            .iter()
            .all(|(_, name)| name.name != "b.example.com")
    );
    assert_eq!(label(&mut world, "team-a", "gold"), Affected::default());
    let labels = json!({"tier": "gold", "owner": "somebody"});
    let same = Event::Namespace(applied(namespace("team-a", labels)));
    assert_eq!(world.apply(same), Affected::default(), "nobody asks for it");
}
