//! Random steps of a history: anything at any place, or its removal.
//!
//! Few names, so that objects meet: two namespaces, two classes, five hostnames, one of them a wildcard above others.

#![allow(unreachable_pub)] // A module of a test.

use crate::fixture::*;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use portolan_core::{Event, IN_USE, INGRESS_CONTROLLER};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

pub const NAMESPACES: [&str; 2] = ["team-a", "team-b"];
pub const CLASSES: [&str; 2] = ["public", "private"];
pub const HOSTS: [&str; 5] = ["a.e.test", "b.e.test", "*.e.test", "c.test", "s.d.test"];
pub const SPELLINGS: [&str; 6] = ["a.e.test", "B.e.test", "*.e.test", "c.test", "s.*", "-bad"];
pub const SERVICES: [&str; 2] = ["one", "two"];
pub const ISSUERS: [&str; 2] = ["ca", "class-ca"];
pub const ADDRESSES: [&str; 2] = ["10.0.0.1", "10.0.0.2"];
pub const APP_PROTOCOLS: [&str; 4] = ["https", "kubernetes.io/h2c", "h2", "odd"];

/// What is stored under a name; a step puts it there or takes it away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Object(usize, usize),
    Class(usize),
    Hold(usize),
    Service(usize, usize),
    OwnService(usize, usize),
    Slice(usize, usize),
    Secret(usize),
    Namespace(usize),
    IssuedSecret(usize, usize),
    Certificate(usize, usize),
    Pod(usize, usize),
    /// All pods are listed.
    Pods,
    /// The Secret of the Certificate for all hostnames of an object in the first namespace.
    TogetherSecret(usize),
    Together(usize),
    CertManager,
    /// The consent of a namespace to references from others.
    Grant(usize),
    GatewayApi,
    /// An Ingress of a namespace.
    Ingress(usize, usize),
    /// That by which Ingresses name a class, or another controller's.
    IngressClass(usize),
    /// An Ingress of a namespace that answers a challenge.
    Solver(usize),
    /// A ClusterIssuer, or one of a namespace.
    Issuer(usize),
    /// Whether such are known.
    Issuers,
    /// What became of a challenge for a hostname.
    Challenge(usize),
    /// One of two Leases of an object.
    Lease(usize, usize, usize),
    /// So many minutes later.
    Clock,
}

#[derive(Clone, Debug)]
pub enum Step {
    /// Anything at some place; the numbers choose what.
    Put(Place, [u8; 5]),
    Remove(Place),
    /// The operator does what is to be done about every hold.
    Act,
}

pub fn place() -> impl Strategy<Value = Place> {
    let pair = || (0..2usize, 0..3usize);
    prop_oneof![
        12 => pair().prop_map(|(n, o)| Place::Object(n, o)),
        3 => (0..2usize).prop_map(Place::Class),
        2 => (0..HOSTS.len()).prop_map(Place::Hold),
        8 => (0..2usize, 0..2usize).prop_map(|(n, s)| Place::Service(n, s)),
        5 => pair().prop_map(|(n, o)| Place::OwnService(n, o)),
        8 => (0..2usize, 0..2usize).prop_map(|(n, s)| Place::Slice(n, s)),
        2 => (0..2usize).prop_map(Place::Secret),
        1 => (0..2usize).prop_map(Place::Namespace),
        3 => (0..2usize, 0..HOSTS.len()).prop_map(|(c, h)| Place::IssuedSecret(c, h)),
        1 => (0..2usize, 0..HOSTS.len()).prop_map(|(c, h)| Place::Certificate(c, h)),
        9 => (0..2usize, 0..2usize).prop_map(|(n, p)| Place::Pod(n, p)),
        1 => Just(Place::Pods),
        4 => (0..3usize).prop_map(Place::TogetherSecret),
        1 => (0..3usize).prop_map(Place::Together),
        1 => Just(Place::CertManager),
        3 => (0..3usize).prop_map(Place::Issuer),
        2 => Just(Place::Issuers),
        3 => (0..2usize).prop_map(Place::Grant),
        1 => Just(Place::GatewayApi),
        8 => (0..2usize, 0..2usize).prop_map(|(n, i)| Place::Ingress(n, i)),
        3 => (0..2usize).prop_map(Place::IngressClass),
        6 => (0..2usize).prop_map(Place::Solver),
        12 => (0..3usize).prop_map(Place::Challenge),
        3 => (0..2usize, 0..3usize, 0..2usize).prop_map(|(n, o, l)| Place::Lease(n, o, l)),
        2 => Just(Place::Clock),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (place(), any::<[u8; 5]>()).prop_map(|(place, dice)| Step::Put(place, dice)),
        1 => place().prop_map(Step::Remove),
        2 => Just(Step::Act),
    ]
}

/// With a class first, or most histories would be about nothing; and namespaces are there before what is
/// in them.
pub fn begun(steps: Vec<Step>) -> Vec<Step> {
    let mut begun = vec![
        Step::Put(Place::Namespace(0), [0; 5]),
        Step::Put(Place::Namespace(1), [1; 5]),
        Step::Put(Place::Class(0), [1, 1, 1, 4, 19]),
        Step::Put(Place::IngressClass(0), [1; 5]),
    ];
    begun.extend(steps);
    begun
}

/// The Certificate of a hostname in the first namespace, for one of the classes.
pub fn certificate_name(class: usize, name: &str) -> String {
    certificate_of(NAMESPACES[0], CLASSES[class], name)
}

/// The Certificate for all hostnames of an object in the first namespace.
fn together_name(object: usize) -> String {
    portolan_core::names::child_name(NAMESPACES[0], &format!("xp-{object}"), "Certificate", "")
}

/// An annotation of Contour's on a Service.
fn contour(choice: u8) -> BTreeMap<String, String> {
    let protocol = ["h2c", "h2", "tls"][usize::from(choice) % 3];
    let ports = ["80,web", "80,http", "81"][usize::from(choice / 3) % 3];
    let key = format!("projectcontour.io/upstream-protocol.{protocol}");
    [(key, ports.to_owned())].into()
}

/// The object that the dice give for a place.
pub fn put(place: &Place, [a, b, c, d, e]: [u8; 5]) -> Event {
    let pick = |choice: u8, of: usize| usize::from(choice) % of;
    match place {
        Place::Object(n, o) => {
            let hostnames: BTreeSet<&str> = [a, b]
                .iter()
                .map(|choice| SPELLINGS[pick(*choice / 3, if *choice % 8 == 0 { 6 } else { 5 })])
                .collect();
            let mut spec = json!({"port": if c % 5 == 0 { json!("web") } else { json!(80) }, "hostnames": hostnames});
            match c % 3 {
                0 => spec["selector"] = json!({"app": "x"}),
                _ => spec["service"] = SERVICES[pick(c, 2)].into(),
            }
            match d % 4 {
                0 => {
                    spec["tls"] = json!({"secret": {"name": "own"}});
                    if e % 3 == 0 {
                        spec["tls"]["secret"]["namespace"] = NAMESPACES[pick(e / 3, 2)].into();
                    }
                }
                1 => spec["tls"] = json!({"issuerRef": {"name": "ca"}}),
                2 => spec["tls"] = json!({"mode": "Disabled"}),
                _ => {}
            }
            // Few paths, so that objects of one namespace meet under a hostname.
            let prefix = ["/", "/a"][pick(c / 16, 2)];
            let path = json!({"path": {"prefix": prefix}});
            match d / 4 % 5 {
                0 => spec["routes"] = json!([{"match": path}]),
                1 => {
                    let moved =
                        json!({"match": {"path": {"exact": "/a"}}, "redirect": {"path": "/b"}});
                    spec["routes"] = json!([moved, {"match": path}]);
                }
                2 | 3 => {
                    let to = json!({"namespace": NAMESPACES[pick(e / 8, 2)], "name": format!("xp-{}", e / 16 % 3)});
                    spec["routes"] = json!([{"match": path, "delegate": to}, {}]);
                }
                _ => {
                    let service = SERVICES[pick(e, 2)];
                    let namespace = NAMESPACES[pick(e / 2, 2)];
                    let mut backend =
                        json!({"service": service, "namespace": namespace, "port": 80});
                    if e / 4 % 4 == 0 {
                        let secret = json!({"name": "own", "namespace": namespace});
                        backend["tls"] =
                            json!({"ca": {"secret": secret}, "subjectName": "a.e.test"});
                    }
                    spec["routes"] = json!([{"match": path, "backends": [backend]}]);
                }
            }
            if d >= 208 {
                let fields = spec.as_object_mut().unwrap();
                fields.retain(|field, _| field != "hostnames" && field != "tls");
                let named = json!([{"namespace": NAMESPACES[0], "name": "xp-0"}]);
                let any = json!(NAMESPACES.map(|namespace| json!({"namespace": namespace})));
                spec["allowedParents"] = if d % 4 == 0 { named } else { any };
            }
            if b % 9 == 0 {
                spec["expiresAt"] = later(1 + b / 9 % 3).to_string().into();
            }
            if b % 7 == 0 {
                spec["lease"] = json!({"duration": "1m"});
            }
            if e % 4 == 0 && d < 208 {
                spec["className"] = CLASSES[pick(e / 4, 2)].into();
            }
            let mut object =
                exposed_port(NAMESPACES[*n], &format!("xp-{o}"), u32::from(e % 8), spec);
            if e % 5 == 0 {
                object.status = Some(read(json!({"className": CLASSES[pick(e / 5, 2)]})));
            }
            if b % 7 == 0 && e % 2 == 0 {
                // Within the hour before one of the moments that the clock shows.
                let reported_at = later(a % 4) - SignedDuration::from_hours(1);
                let accepted = json!({"type": "Accepted", "status": "False", "reason": "LeaseLapsed",
                    "message": "", "lastTransitionTime": reported_at.to_string()});
                object.status.get_or_insert_default().conditions = vec![read(accepted)];
            }
            Event::ExposedPort(applied(object))
        }
        Place::Class(class) => {
            let mut spec = json!({"default": a % 3 > 0});
            if b % 3 > 0 {
                spec["domain"] = "d.test".into();
            }
            if c % 3 > 0 {
                spec["issuerRef"] = json!({"name": "class-ca"});
            }
            match b / 3 % 4 {
                0 | 1 => spec["certificates"] = json!({"mode": "PerExposure"}),
                2 => {
                    let own = json!({"namespace": NAMESPACES[0], "name": "own"});
                    let shared = json!([{"secret": own, "hostnames": ["*.e.test"]}]);
                    let mode = if e / 4 % 2 == 0 {
                        "Shared"
                    } else {
                        "PerHostname"
                    };
                    spec["certificates"] = json!({"mode": mode, "shared": shared});
                }
                _ => {}
            }
            match e % 4 {
                0 => spec["defaults"] = json!({"timeouts": {"idle": "1m"}}),
                1 => spec["defaults"] = json!({"permitInsecure": true}),
                2 => spec["defaults"] = json!({"timeouts": {"idle": "soon"}}),
                _ => {}
            }
            match e / 64 % 4 {
                1 => spec["backendEncryption"] = "TLS".into(),
                2 | 3 => spec["backendEncryption"] = "Mesh".into(),
                _ => {}
            }
            if c / 3 % 3 < 2 {
                spec["endpoints"] = "PodsOnly".into();
            }
            let gold = json!({"matchLabels": {"tier": "gold"}});
            match e / 4 % 8 {
                0 | 7 => spec["rootNamespaceSelector"] = gold,
                1 | 2 => {
                    let domains = json!(["e.test", "d.test"]);
                    spec["hostnames"] = json!([
                        {"domains": domains, "namespaceSelector": gold},
                        {"domains": domains, "namespaces": [NAMESPACES[0]]},
                    ]);
                }
                4..=6 => {
                    let everywhere = if e % 2 == 0 { json!({}) } else { gold };
                    spec["networkPolicy"] =
                        json!({"mode": "Restrict", "namespaceSelector": everywhere});
                }
                3 => {
                    let allowed = json!([{"name": "ca", "namespaceSelector": gold}]);
                    let own = json!({"namespaceSelector": gold});
                    spec["tls"] = json!({"allowedIssuers": allowed, "allowOwnSecrets": own});
                }
                _ => {}
            }
            let mut it = expose_class(CLASSES[*class], u32::from(d % 4), spec);
            it.metadata.deletion_timestamp = (d / 4 % 3 == 0).then(|| Time(now()));
            it.metadata.finalizers = (e / 32 % 2 == 0).then(|| vec![IN_USE.to_owned()]);
            Event::ExposeClass(applied(it))
        }
        Place::Hold(host) => {
            Event::HostnameHold(applied(hold(HOSTS[*host], NAMESPACES[pick(a, 2)])))
        }
        Place::Service(n, s) => {
            let ports = json!([{"name": if a % 2 == 0 { "web" } else { "" }, "port": if b % 4 == 0 { 81 } else { 80 }}]);
            let selector = if d % 2 == 0 {
                json!({})
            } else {
                json!({"app": "x"})
            };
            let mut spec = json!({"ports": ports, "selector": selector, "type": if c % 8 == 0 { "ExternalName" } else { "ClusterIP" }});
            match c % 16 {
                0 => {
                    spec["ports"] = json!([]);
                    spec["externalName"] = "one.example.com".into();
                }
                _ if d % 4 > 0 => {
                    spec["ports"][0]["appProtocol"] = APP_PROTOCOLS[pick(d / 4, 4)].into();
                }
                _ => {}
            }
            let mut it = service(NAMESPACES[*n], SERVICES[*s], spec);
            if e % 2 == 0 {
                it.metadata.annotations = Some(contour(e / 2));
            }
            Event::Service(applied(it))
        }
        Place::OwnService(n, o) => {
            let name =
                portolan_core::names::child_name(NAMESPACES[*n], &format!("xp-{o}"), "Service", "");
            let owner = if a % 3 == 0 {
                "foreign".to_owned()
            } else {
                format!("uid-{}-xp-{o}", NAMESPACES[*n])
            };
            let spec = json!({"selector": {"app": "x"}, "ports": [{"name": "http", "port": 80}, {"name": "web", "port": 88}]});
            let mut it = own_service(NAMESPACES[*n], &name, &owner, spec);
            if b % 3 > 0 {
                it.metadata
                    .annotations
                    .get_or_insert_default()
                    .append(&mut contour(c));
            }
            Event::Service(applied(it))
        }
        Place::Slice(n, s) => {
            let all = [(ADDRESSES[0], c % 3 > 0), (ADDRESSES[1], c % 4 > 0)];
            let some = [&all[..], &all[..], &all[..1]][pick(d, 3)];
            let port = (if a % 2 == 0 { "web" } else { "" }, 8080);
            let mut it = slice(SERVICES[pick(b, 2)], port, some);
            it.metadata.namespace = Some(NAMESPACES[*n].into());
            it.metadata.name = Some(format!("slice-{s}"));
            Event::EndpointSlice(applied(it))
        }
        Place::Secret(n) => {
            let mut it = secret(
                "own",
                &ALL.certificate,
                if a % 4 == 0 { "" } else { &ALL.key },
            );
            it.metadata.namespace = Some(NAMESPACES[*n].into());
            Event::Secret(applied(it))
        }
        Place::Namespace(n) => {
            let labels = json!({"tier": (["gold", "tin"][pick(a, 2)])});
            let mut it = namespace(NAMESPACES[*n], labels);
            if b % 8 == 0 {
                it.metadata.deletion_timestamp = Some(read(json!(created(0))));
            }
            Event::Namespace(applied(it))
        }
        Place::IssuedSecret(c, h) => {
            let name = certificate_name(*c, HOSTS[*h]);
            let key = if a % 4 == 0 { &GOOD.key } else { &ALL.key };
            Event::Secret(applied(secret(&name, &ALL.certificate, key)))
        }
        Place::TogetherSecret(o) => {
            let pem = if a % 3 == 0 { &FEW } else { &ALL };
            let key = if a % 4 == 0 { &GOOD.key } else { &pem.key };
            Event::Secret(applied(secret(&together_name(*o), &pem.certificate, key)))
        }
        Place::Pod(n, p) => {
            let mut it = pod(
                NAMESPACES[*n],
                &format!("pod-{p}"),
                &[ADDRESSES[pick(a, 2)]],
            );
            // The next one of that name.
            it.metadata.uid = Some(format!("pod-uid-{}", b % 2));
            it.spec.get_or_insert_default().host_network = (c % 8 == 0).then_some(true);
            it.status.get_or_insert_default().phase = (d % 8 == 0).then(|| "Failed".into());
            Event::Pod(applied(it))
        }
        Place::Pods => Event::PodsListed(true),
        Place::Certificate(c, h) => issuing(&certificate_name(*c, HOSTS[*h]), a),
        Place::Together(o) => issuing(&together_name(*o), a),
        Place::CertManager => Event::CertManager(true),
        Place::Grant(n) => {
            let to = match b % 4 {
                0 => json!([{"group": "", "kind": "Secret"}]),
                1 => json!([{"group": "", "kind": "Service", "name": SERVICES[pick(b, 2)]}]),
                _ => {
                    json!([{"group": "", "kind": "Service"}, {"group": "", "kind": "Secret", "name": "own"}])
                }
            };
            let from = NAMESPACES[if a % 8 == 0 { *n } else { 1 - *n }];
            Event::ReferenceGrant(applied(grant(NAMESPACES[*n], "consent", from, to)))
        }
        Place::GatewayApi => Event::ReferenceGrants(true),
        Place::Ingress(n, i) => {
            let paths = [
                [("Prefix", "/", SERVICES[pick(a, 2)])],
                [("Exact", "/a", SERVICES[pick(a, 2)])],
                [("Prefix", "/a", SERVICES[pick(a, 2)])],
            ];
            let hosts = [HOSTS[pick(b, HOSTS.len())], HOSTS[pick(b / 8, HOSTS.len())]];
            let mut rules: Vec<_> = hosts
                .iter()
                .zip(&paths)
                .map(|(host, paths)| rule(host, paths))
                .collect();
            if c % 8 == 0 {
                rules.push(rule("", &paths[2]));
            }
            let tls = match d % 4 {
                0 => json!([{"hosts": [hosts[0]], "secretName": "own"}]),
                1 => json!([{}]),
                _ => json!([]),
            };
            let mut more = json!({"rules": rules, "tls": tls});
            if d / 4 % 4 == 0 {
                let service = json!({"name": SERVICES[pick(c, 2)], "port": {"name": "web"}});
                more["defaultBackend"] = json!({"service": service});
            }
            let class = CLASSES[if e % 4 == 0 { 1 } else { 0 }];
            let it = ingress(
                NAMESPACES[*n],
                &ingress_name(*i),
                u32::from(e / 4 % 8),
                class,
                more,
            );
            Event::Ingress(applied(it))
        }
        Place::IngressClass(c) => {
            let controller = if a % 8 == 0 {
                "k8s.io/other"
            } else {
                INGRESS_CONTROLLER
            };
            let of =
                |class| json!({"apiGroup": "portolan.dev", "kind": "ExposeClass", "name": class});
            let parameters = match b % 8 {
                0 => of(CLASSES[1 - *c]),
                _ => json!(null),
            };
            Event::IngressClass(applied(ingress_class(CLASSES[*c], controller, parameters)))
        }
        Place::Solver(n) => {
            let class = [json!(null), json!(CLASSES[pick(b, 2)])][pick(a, 2)].clone();
            let (host, service) = (HOSTS[pick(c, HOSTS.len())], SERVICES[pick(d, 2)]);
            Event::Ingress(applied(solver(
                NAMESPACES[*n],
                "solver",
                class,
                host,
                service,
            )))
        }
        Place::Issuer(i) => {
            let ready = if a % 2 == 0 { "True" } else { "False" };
            match i {
                0 | 1 => Event::ClusterIssuer(applied(cluster_issuer(ISSUERS[*i], ready))),
                _ => Event::Issuer(applied(issuer(NAMESPACES[0], ISSUERS[0], ready))),
            }
        }
        Place::Issuers => Event::ClusterIssuers(true),
        Place::Challenge(h) => {
            let state = if a % 4 == 0 { "pending" } else { "invalid" };
            Event::Challenge(applied(challenge(HOSTS[*h], HOSTS[*h], state, "words")))
        }
        Place::Lease(n, o, l) => {
            // Sometimes its program renews it for another object, or is ahead of the API server.
            let object = if b % 8 == 0 { (*o + 1) % 3 } else { *o };
            let mut it = lease(&lease_name(*o, *l), &format!("xp-{object}"), later(a % 4));
            it.metadata.namespace = Some(NAMESPACES[*n].into());
            if c % 4 == 0 {
                it.spec.get_or_insert_default().renew_time = Some(MicroTime(later(a % 4 + 2)));
            }
            Event::Lease(applied(it))
        }
        Place::Clock => Event::Now(later(a % 4)),
    }
}

fn ingress_name(ingress: usize) -> String {
    format!("in-{ingress}")
}

fn lease_name(object: usize, lease: usize) -> String {
    format!("lease-{object}-{lease}")
}

/// A Certificate that was tried in vain, or not yet.
fn issuing(name: &str, choice: u8) -> Event {
    let status = json!({"failedIssuanceAttempts": choice % 2, "conditions": [
        {"type": "Issuing", "status": "False", "message": "refused"}]});
    Event::Certificate(applied(certificate(name, status)))
}

/// So many minutes after the beginning.
fn later(minutes: u8) -> Timestamp {
    now() + SignedDuration::from_mins(minutes.into())
}

pub static ALL: std::sync::LazyLock<Pem> = std::sync::LazyLock::new(|| pem(&HOSTS, 2031));
/// As issued before hostnames were added.
static FEW: std::sync::LazyLock<Pem> = std::sync::LazyLock::new(|| pem(&HOSTS[..1], 2031));

pub fn remove(place: &Place) -> Event {
    match place {
        Place::Object(n, o) => Event::ExposedPort(gone(NAMESPACES[*n], &format!("xp-{o}"))),
        Place::Class(class) => Event::ExposeClass(gone("", CLASSES[*class])),
        Place::Hold(h) => Event::HostnameHold(gone("", &host(HOSTS[*h]).hold_name())),
        Place::Service(n, s) => Event::Service(gone(NAMESPACES[*n], SERVICES[*s])),
        Place::OwnService(n, o) => {
            let name =
                portolan_core::names::child_name(NAMESPACES[*n], &format!("xp-{o}"), "Service", "");
            Event::Service(gone(NAMESPACES[*n], &name))
        }
        Place::Slice(n, s) => Event::EndpointSlice(gone(NAMESPACES[*n], &format!("slice-{s}"))),
        Place::Secret(n) => Event::Secret(gone(NAMESPACES[*n], "own")),
        Place::Namespace(n) => Event::Namespace(gone("", NAMESPACES[*n])),
        Place::IssuedSecret(c, h) => {
            Event::Secret(gone(NAMESPACES[0], &certificate_name(*c, HOSTS[*h])))
        }
        Place::Certificate(c, h) => {
            Event::Certificate(gone(NAMESPACES[0], &certificate_name(*c, HOSTS[*h])))
        }
        Place::Pod(n, p) => Event::Pod(gone(NAMESPACES[*n], &format!("pod-{p}"))),
        Place::Pods => Event::PodsListed(false),
        Place::TogetherSecret(o) => Event::Secret(gone(NAMESPACES[0], &together_name(*o))),
        Place::Together(o) => Event::Certificate(gone(NAMESPACES[0], &together_name(*o))),
        Place::Issuer(2) => Event::Issuer(gone(NAMESPACES[0], ISSUERS[0])),
        Place::Issuer(i) => Event::ClusterIssuer(gone("", ISSUERS[*i])),
        Place::Issuers => Event::ClusterIssuers(false),
        Place::CertManager => Event::CertManager(false),
        Place::Grant(n) => Event::ReferenceGrant(gone(NAMESPACES[*n], "consent")),
        Place::GatewayApi => Event::ReferenceGrants(false),
        Place::Ingress(n, i) => Event::Ingress(gone(NAMESPACES[*n], &ingress_name(*i))),
        Place::IngressClass(c) => Event::IngressClass(gone("", CLASSES[*c])),
        Place::Solver(n) => Event::Ingress(gone(NAMESPACES[*n], "solver")),
        Place::Challenge(h) => Event::Challenge(gone(NAMESPACES[0], HOSTS[*h])),
        Place::Lease(n, o, l) => Event::Lease(gone(NAMESPACES[*n], &lease_name(*o, *l))),
        Place::Clock => Event::Now(now()),
    }
}
