//! Random tables for property tests, in the sizes and shapes where deltas go wrong.

use crate::delta::Update;
use crate::table::{
    Action, Backend, Certificate, Endpoint, EndpointSet, HostTls, Listener, Origin, PathMatch,
    Protocol, Resource, ResourceName, Route, VirtualHost,
};
use crate::version::Version;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::BTreeMap;
use std::net::SocketAddr;

pub(crate) type State = BTreeMap<ResourceName, Update>;

/// Few names, so that two states share some, differ in some and lack some.
const NAMES: [&str; 4] = ["team/a", "team/b", "other/a", "other/ü"];

pub(crate) fn versions(state: &State) -> BTreeMap<ResourceName, Version> {
    let pairs = state.iter().map(|(name, it)| (name.clone(), it.version));
    pairs.collect()
}

/// A table in which every virtual host finds what it names.
pub(crate) fn closed_state() -> impl Strategy<Value = State> {
    let sets = prop::collection::vec(endpoint_set(), 1..4);
    let certificates = prop::collection::vec(certificate(), 1..4);
    let hosts = prop::collection::vec(host_plan(), 0..5);
    let listeners = prop::collection::vec(listener(), 0..3);
    (sets, certificates, hosts, listeners, origins()).prop_map(
        |(sets, certificates, hosts, listeners, origins)| {
            let hosts = hosts
                .into_iter()
                .map(|plan| plan.build(&sets, &certificates))
                .map(Resource::VirtualHost)
                .collect::<Vec<_>>();
            sets.into_iter()
                .map(Resource::Endpoints)
                .chain(certificates.into_iter().map(Resource::Certificate))
                .chain(hosts)
                .chain(listeners.into_iter().map(Resource::Listener))
                .map(|it| (it.name(), Update::new(it, origins.clone())))
                .collect()
        },
    )
}

fn endpoint_set() -> impl Strategy<Value = EndpointSet> {
    let endpoint = (any::<SocketAddr>(), "[a-f0-9-]{0,36}").prop_map(|(address, uid)| Endpoint {
        // Flow label and scope are properties of an interface, never of a pod's address.
        address: SocketAddr::new(address.ip(), address.port()),
        uid,
    });
    (select(&NAMES), prop::collection::btree_set(endpoint, 0..4)).prop_map(|(name, endpoints)| {
        EndpointSet {
            name: format!("{name}:http"),
            endpoints: endpoints.into_iter().collect(),
        }
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

/// A virtual host before its references are chosen from what is there.
#[derive(Clone, Debug)]
struct HostPlan {
    hostname: &'static str,
    tls: Option<Option<Index>>,
    routes: Vec<(String, Result<Weighted, String>)>,
}

/// Sets of endpoints with their weights.
type Weighted = Vec<(Index, u32)>;

fn host_plan() -> impl Strategy<Value = HostPlan> {
    let hostname = select(&["a.example.com", "b.example.com", "*.example.com"]);
    let tls = prop::option::of(prop::option::of(any::<Index>()));
    let backends = prop::collection::vec((any::<Index>(), 0u32..1000), 0..3);
    let action = prop_oneof![
        3 => backends.prop_map(Ok),
        1 => "[A-Z][A-Za-z]{0,20}".prop_map(Err),
    ];
    let routes = prop::collection::vec(("/[ -~]{0,20}", action), 0..3);
    (hostname, tls, routes).prop_map(|(hostname, tls, routes)| HostPlan {
        hostname,
        tls,
        routes,
    })
}

impl HostPlan {
    fn build(self, sets: &[EndpointSet], certificates: &[Certificate]) -> VirtualHost {
        let forward = |backends: Weighted| Action::Forward {
            backends: backends
                .into_iter()
                .map(|(set, weight)| Backend {
                    endpoints: set.get(sets).name.clone(),
                    weight,
                })
                .collect(),
        };
        VirtualHost {
            hostname: self.hostname.to_owned(),
            tls: self.tls.map(|certificate| HostTls {
                certificate: certificate.map(|it| it.get(certificates).name.clone()),
            }),
            routes: self
                .routes
                .into_iter()
                .map(|(path, action)| Route {
                    path: PathMatch::Prefix(path),
                    action: action.map_or_else(|reason| Action::Unavailable { reason }, forward),
                })
                .collect(),
        }
    }
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

/// A generator that never makes the interesting case proves nothing.
#[test]
fn generated_states_contain_what_deltas_get_wrong() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut counts, rounds) = (BTreeMap::<&str, u32>::new(), 1000);
    for _ in 0..rounds {
        let mut draw = || closed_state().new_tree(&mut runner).unwrap().current();
        let (held, wanted) = (draw(), draw());
        let common = held
            .iter()
            .filter_map(|(name, it)| Some((it, wanted.get(name)?)));
        let changed = common.filter(|(old, new)| old.version != new.version);
        let references = |it: &State| it.values().any(|it| !it.resource.references().is_empty());
        let cases = [
            ("a virtual host refers to something", references(&wanted)),
            ("a resource is replaced", changed.count() > 0),
            (
                "a resource is removed while another refers",
                references(&held) && held.keys().any(|name| !wanted.contains_key(name)),
            ),
            (
                "a virtual host is removed",
                held.iter().any(|(name, it)| {
                    matches!(it.resource, Resource::VirtualHost(_)) && !wanted.contains_key(name)
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
