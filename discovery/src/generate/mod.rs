//! Random tables for property tests, in the sizes and shapes where deltas can go wrong.

mod host;
mod route;

use crate::delta::Update;
use crate::table::{
    Certificate, ClassSettings, Endpoint, EndpointSet, ExternalName, Listener, Origin, Protocol,
    Resource, ResourceName, TicketSeed, TrustAnchors,
};
use crate::version::Version;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use std::net::SocketAddr;

pub(crate) type State = BTreeMap<ResourceName, Update>;

/// Few names, so that two states share some, differ in some and lack some.
const NAMES: [&str; 4] = ["team/a", "team/b", "other/a", "other/ü"];

pub(crate) fn versions(state: &State) -> BTreeMap<ResourceName, Version> {
    let pairs = state
        .iter()
        .map(|(name, update)| (name.clone(), update.version));
    pairs.collect()
}

/// Resources that a virtual host can reference.
#[derive(Clone, Debug)]
struct Named {
    sets: Vec<EndpointSet>,
    certificates: Vec<Certificate>,
    trust: Vec<TrustAnchors>,
}

/// Generates a table without dangling references.
pub(crate) fn closed_state() -> impl Strategy<Value = State> {
    let named = (
        prop::collection::vec(endpoint_set(), 1..4),
        prop::collection::vec(certificate(), 1..4),
        prop::collection::vec(trust_anchors(), 1..3),
    );
    let named = named.prop_map(|(sets, certificates, trust)| Named {
        sets,
        certificates,
        trust,
    });
    let hosts = prop::collection::vec(host::plan(), 0..5);
    let listeners = prop::collection::vec(listener(), 0..3);
    let settings = prop::option::of(class_settings());
    (named, hosts, listeners, settings, origins()).prop_map(
        |(named, hosts, listeners, settings, origins)| {
            let hosts = hosts.into_iter().map(|plan| plan.build(&named));
            let mut resources: Vec<_> = hosts.map(Resource::VirtualHost).collect();
            let settings = settings.map(|settings| ClassSettings {
                default_certificate: named
                    .certificates
                    .first()
                    .map(|certificate| certificate.name.clone()),
                ..settings
            });
            resources.extend(settings.map(Resource::ClassSettings));
            resources.extend(named.sets.into_iter().map(Resource::Endpoints));
            resources.extend(named.certificates.into_iter().map(Resource::Certificate));
            resources.extend(named.trust.into_iter().map(Resource::TrustAnchors));
            resources.extend(listeners.into_iter().map(Resource::Listener));
            let named =
                |resource: Resource| (resource.name(), Update::new(resource, origins.clone()));
            resources.into_iter().map(named).collect()
        },
    )
}

fn endpoint_set() -> impl Strategy<Value = EndpointSet> {
    let endpoint = (any::<SocketAddr>(), "[a-f0-9-]{0,36}").prop_map(|(address, uid)| Endpoint {
        // Flow label and scope are properties of an interface, never of a pod's address.
        address: SocketAddr::new(address.ip(), address.port()),
        uid,
    });
    let endpoints = prop::collection::btree_set(endpoint, 0..4);
    let external = ("[a-z.]{1,20}", any::<u16>());
    let external = external.prop_map(|(host, port)| ExternalName { host, port });
    let parts = (
        select(&NAMES),
        endpoints,
        prop::option::weighted(0.2, external),
    );
    parts.prop_map(|(name, endpoints, external)| EndpointSet {
        name: format!("{name}:http"),
        endpoints: endpoints.into_iter().collect(),
        external,
    })
}

fn certificate() -> impl Strategy<Value = Certificate> {
    (select(&NAMES), "[ -~\n]{0,80}", "[ -~\n]{0,80}").prop_map(|(name, chain_pem, key_pem)| {
        Certificate {
            name: name.to_owned(),
            chain_pem,
            key_pem,
        }
    })
}

fn trust_anchors() -> impl Strategy<Value = TrustAnchors> {
    (select(&NAMES), "[ -~\n]{0,80}").prop_map(|(name, ca_pem)| TrustAnchors {
        name: name.to_owned(),
        ca_pem,
    })
}

fn class_settings() -> impl Strategy<Value = ClassSettings> {
    let seeds = prop::collection::vec(any::<[u8; 32]>().prop_map(TicketSeed), 0..3);
    let cidrs = prop::collection::vec("[0-9a-f:./]{1,20}", 0..3);
    (seeds, cidrs).prop_map(|(ticket_seeds, denied_cidrs)| ClassSettings {
        default_certificate: None,
        ticket_seeds,
        denied_cidrs,
    })
}

fn listener() -> impl Strategy<Value = Listener> {
    let kind = select(&[("http", Protocol::Http), ("https", Protocol::Https)]);
    (kind, any::<u16>()).prop_map(|((name, protocol), port)| Listener {
        name: name.to_owned(),
        port,
        protocol,
    })
}

pub(crate) fn origins() -> impl Strategy<Value = Vec<Origin>> {
    let origin = ("[a-f0-9-]{0,36}", any::<i64>());
    let origin = origin.prop_map(|(uid, generation)| Origin { uid, generation });
    prop::collection::vec(origin, 0..3)
}

/// A generator that never makes the interesting cases proves nothing.
#[test]
fn generates_the_cases_that_deltas_can_get_wrong() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut counts, rounds) = (BTreeMap::<&str, u32>::new(), 1000);
    for _ in 0..rounds {
        let mut draw = || closed_state().new_tree(&mut runner).unwrap().current();
        let (held, wanted) = (draw(), draw());
        let common = held
            .iter()
            .filter_map(|(name, update)| Some((update, wanted.get(name)?)));
        let changed = common.filter(|(old, new)| old.version != new.version);
        let references = |state: &State| {
            let mut updates = state.values();
            updates.any(|update| !update.resource.references().is_empty())
        };
        let cases = [
            ("a virtual host references a resource", references(&wanted)),
            ("a resource is replaced", changed.count() > 0),
            (
                "a resource is removed while another has references",
                references(&held) && held.keys().any(|name| !wanted.contains_key(name)),
            ),
            (
                "a virtual host is removed",
                held.iter().any(|(name, update)| {
                    matches!(update.resource, Resource::VirtualHost(_))
                        && !wanted.contains_key(name)
                }),
            ),
        ];
        for (case, holds) in cases {
            *counts.entry(case).or_default() += u32::from(holds);
        }
    }
    for (case, count) in counts {
        println!("{case}: {count} of {rounds}");
        assert!(count * 20 > rounds, "{case}: only {count} of {rounds}");
    }
}
