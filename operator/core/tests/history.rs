//! State is a function of what is stored now, never of the way there; and what an event does not name has not changed.
//!
//! A random history is walked, and everything that was derived is kept up to date from `Affected` alone, as
//! the operator does. At the end it must equal what a fresh index derives from what is stored.
//!
//! The one memory that is wanted, of a certificate that was good before, is tested in `certificates.rs`; here
//! a Secret is deleted before another one takes its place, which ends that memory.

mod world;

use portolan_core::{
    Affected, Child, ClassName, Event, HoldAction, Hostname, Index, ObjectRef, Observed,
};
use portolan_crds::{ExposeClassStatus, ExposedPortStatus};
use portolan_discovery::table::{Origin, Resource, ResourceName};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use world::*;

const NAMESPACES: [&str; 2] = ["team-a", "team-b"];
const CLASSES: [&str; 2] = ["public", "private"];
const HOSTS: [&str; 5] = ["a.e.test", "b.e.test", "*.e.test", "c.test", "s.d.test"];
const SPELLINGS: [&str; 6] = ["a.e.test", "B.e.test", "*.e.test", "c.test", "s.*", "-bad"];
const SERVICES: [&str; 2] = ["one", "two"];

/// What is stored under a name; a step puts it there or takes it away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Object(usize, usize),
    Class(usize),
    Hold(usize),
    Service(usize, usize),
    OwnService(usize, usize),
    Slice(usize, usize),
    Secret(usize),
    IssuedSecret(usize, usize),
    Certificate(usize, usize),
    CertManager,
}

#[derive(Clone, Debug)]
enum Step {
    /// Anything at some place; the numbers choose what.
    Put(Place, [u8; 5]),
    Remove(Place),
    /// The operator does what is to be done about a hold.
    Act(usize),
}

fn place() -> impl Strategy<Value = Place> {
    let pair = || (0..2usize, 0..3usize);
    prop_oneof![
        6 => pair().prop_map(|(n, o)| Place::Object(n, o)),
        2 => (0..2usize).prop_map(Place::Class),
        2 => (0..HOSTS.len()).prop_map(Place::Hold),
        2 => (0..2usize, 0..2usize).prop_map(|(n, s)| Place::Service(n, s)),
        2 => pair().prop_map(|(n, o)| Place::OwnService(n, o)),
        2 => (0..2usize, 0..2usize).prop_map(|(n, s)| Place::Slice(n, s)),
        1 => (0..2usize).prop_map(Place::Secret),
        2 => (0..3usize, 0..HOSTS.len()).prop_map(|(o, h)| Place::IssuedSecret(o, h)),
        1 => (0..3usize, 0..HOSTS.len()).prop_map(|(o, h)| Place::Certificate(o, h)),
        1 => Just(Place::CertManager),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (place(), any::<[u8; 5]>()).prop_map(|(place, dice)| Step::Put(place, dice)),
        1 => place().prop_map(Step::Remove),
        4 => (0..HOSTS.len()).prop_map(Step::Act),
    ]
}

fn child_name(object: usize, kind: &str, host: &str) -> String {
    portolan_core::names::child_name(NAMESPACES[0], &format!("xp-{object}"), kind, host)
}

/// The object that the dice give for a place.
fn put(place: &Place, [a, b, c, d, e]: [u8; 5]) -> Event {
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
                0 => spec["tls"] = json!({"secret": {"name": "own"}}),
                1 => spec["tls"] = json!({"issuerRef": {"name": "ca"}}),
                2 => spec["tls"] = json!({"mode": "Disabled"}),
                _ => {}
            }
            if e % 4 == 0 {
                spec["className"] = CLASSES[pick(e / 4, 2)].into();
            }
            let mut object =
                exposed_port(NAMESPACES[*n], &format!("xp-{o}"), u32::from(e % 8), spec);
            if e % 5 == 0 {
                object.status = Some(read(json!({"className": CLASSES[pick(e / 5, 2)]})));
            }
            Event::ExposedPort(applied(object))
        }
        Place::Class(class) => {
            let mut spec = json!({"default": a % 3 > 0});
            if b % 3 > 0 {
                spec["domain"] = "d.test".into();
            }
            if c % 3 == 0 {
                spec["issuerRef"] = json!({"name": "class-ca"});
            }
            Event::ExposeClass(applied(expose_class(
                CLASSES[*class],
                u32::from(d % 4),
                spec,
            )))
        }
        Place::Hold(host) => {
            Event::HostnameHold(applied(hold(HOSTS[*host], NAMESPACES[pick(a, 2)])))
        }
        Place::Service(n, s) => {
            let ports = json!([{"name": if a % 2 == 0 { "web" } else { "" }, "port": if b % 4 == 0 { 81 } else { 80 }}]);
            let spec = json!({"ports": ports, "type": if c % 8 == 0 { "ExternalName" } else { "ClusterIP" }});
            Event::Service(applied(service(NAMESPACES[*n], SERVICES[*s], spec)))
        }
        Place::OwnService(n, o) => {
            let name =
                portolan_core::names::child_name(NAMESPACES[*n], &format!("xp-{o}"), "Service", "");
            let owner = if a % 3 == 0 {
                "foreign".to_owned()
            } else {
                format!("uid-{}-xp-{o}", NAMESPACES[*n])
            };
            let spec =
                json!({"ports": [{"name": "http", "port": 80}, {"name": "web", "port": 88}]});
            Event::Service(applied(own_service(NAMESPACES[*n], &name, &owner, spec)))
        }
        Place::Slice(n, s) => {
            let mut it = slice(
                SERVICES[pick(b, 2)],
                (if a % 2 == 0 { "web" } else { "" }, 8080),
                &[("10.0.0.1", c % 3 > 0)],
            );
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
        Place::IssuedSecret(o, h) => {
            let name = child_name(*o, "Certificate", HOSTS[*h]);
            let key = if a % 4 == 0 { &GOOD.key } else { &ALL.key };
            Event::Secret(applied(secret(&name, &ALL.certificate, key)))
        }
        Place::Certificate(o, h) => {
            let status = json!({"failedIssuanceAttempts": a % 2, "conditions": [
                {"type": "Issuing", "status": "False", "message": "refused"}]});
            Event::Certificate(applied(certificate(
                &child_name(*o, "Certificate", HOSTS[*h]),
                status,
            )))
        }
        Place::CertManager => Event::CertManager(true),
    }
}

static ALL: std::sync::LazyLock<Pem> = std::sync::LazyLock::new(|| pem(&HOSTS, 2031));

fn remove(place: &Place) -> Event {
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
        Place::IssuedSecret(o, h) => Event::Secret(gone(
            NAMESPACES[0],
            &child_name(*o, "Certificate", HOSTS[*h]),
        )),
        Place::Certificate(o, h) => Event::Certificate(gone(
            NAMESPACES[0],
            &child_name(*o, "Certificate", HOSTS[*h]),
        )),
        Place::CertManager => Event::CertManager(false),
    }
}

/// Everything that follows from an index.
#[derive(Debug, Default, PartialEq)]
struct Derived {
    children: BTreeMap<ObjectRef, Vec<Child>>,
    statuses: BTreeMap<ObjectRef, ExposedPortStatus>,
    classes: BTreeMap<ClassName, ExposeClassStatus>,
    holds: BTreeMap<Hostname, HoldAction>,
    resources: BTreeMap<(ClassName, ResourceName), (Resource, Vec<Origin>)>,
    secrets: BTreeSet<ObjectRef>,
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

impl Derived {
    /// As the operator does after each event: what is named is derived anew, nothing else.
    fn follow(&mut self, index: &Index, affected: Affected) {
        for object in affected.objects {
            let children = index.children(&object);
            set(
                &mut self.children,
                object.clone(),
                (!children.is_empty()).then_some(children),
            );
            let status = index.status(&object, &Observed::default(), now());
            set(&mut self.statuses, object, status);
        }
        for class in affected.classes {
            let status = index.class_status(&class, &Observed::default(), now());
            set(&mut self.classes, class, status);
        }
        for hostname in affected.holds {
            let action = index.hold_action(&hostname);
            set(&mut self.holds, hostname, action);
        }
        for (class, name) in affected.resources {
            let resource = index.resource(&class, &name);
            set(&mut self.resources, (class, name), resource);
        }
        if affected.secrets {
            self.secrets = index.referenced_secrets().clone();
        }
    }

    /// Everything, whatever any event named.
    fn all(index: &Index) -> Self {
        let mut affected = Affected {
            secrets: true,
            ..Affected::default()
        };
        for namespace in NAMESPACES {
            affected
                .objects
                .extend((0..3).map(|o| ObjectRef::new(namespace, format!("xp-{o}"))));
        }
        affected.classes = CLASSES.iter().map(|class| class_name(class)).collect();
        affected.holds = HOSTS.iter().map(|name| host(name)).collect();
        for class in &affected.classes {
            let listeners = index.resources_of_class(class);
            let hosts = HOSTS.iter().map(|name| virtual_host(name));
            affected
                .resources
                .extend(hosts.chain(listeners).map(|name| (class.clone(), name)));
        }
        for object in &affected.objects {
            affected.resources.extend(index.resources_of(object));
        }
        let mut derived = Self::default();
        derived.follow(index, affected);
        derived
    }
}

struct Walk {
    index: Index,
    stored: BTreeMap<Place, Event>,
    derived: Derived,
}

impl Walk {
    fn new() -> Self {
        let mut index = Index::new("portolan-system");
        index.apply(Event::Now(now()));
        Self {
            index,
            stored: BTreeMap::new(),
            derived: Derived::default(),
        }
    }

    fn apply(&mut self, event: Event) {
        let affected = self.index.apply(event);
        self.derived.follow(&self.index, affected);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(place, dice) => {
                if matches!(place, Place::Secret(_) | Place::IssuedSecret(..)) {
                    self.apply(remove(&place));
                }
                let event = put(&place, dice);
                self.stored.insert(place, event.clone());
                self.apply(event);
            }
            Step::Remove(place) => {
                self.stored.remove(&place);
                self.apply(remove(&place));
            }
            Step::Act(h) => match self.index.hold_action(&host(HOSTS[h])) {
                Some(HoldAction::Create { namespace, .. }) => {
                    let dice = NAMESPACES
                        .iter()
                        .position(|known| *known == namespace)
                        .unwrap();
                    self.step(Step::Put(
                        Place::Hold(h),
                        [u8::try_from(dice).unwrap(), 0, 0, 0, 0],
                    ));
                }
                Some(HoldAction::Delete { .. }) => self.step(Step::Remove(Place::Hold(h))),
                None => {}
            },
        }
    }

    /// What is stored, told to an index that never saw anything else, in another order.
    fn fresh(&self, backwards: bool) -> Index {
        let mut index = Index::new("portolan-system");
        index.apply(Event::Now(now()));
        let mut events: Vec<_> = self.stored.values().cloned().collect();
        if backwards {
            events.reverse();
        }
        for event in events {
            index.apply(event);
        }
        index
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // A class first, or most histories would be about nothing.
    prop::collection::vec(step(), 0..60).prop_map(|mut steps| {
        steps.insert(0, Step::Put(Place::Class(0), [1, 1, 1, 0, 0]));
        steps
    })
}

proptest! {
    #[test]
    fn any_history_equals_a_fresh_start(steps in steps(), backwards: bool) {
        let mut walk = Walk::new();
        for step in steps {
            walk.step(step);
        }
        prop_assert_eq!(&walk.derived, &Derived::all(&walk.index), "an event did not name what changed");
        let fresh = walk.fresh(backwards);
        prop_assert_eq!(&walk.derived, &Derived::all(&fresh), "the way there shows");
        prop_assert_eq!(format!("{:?}", walk.index), format!("{:?}", fresh), "so does what is kept");
    }

    #[test]
    fn when_everything_is_gone_nothing_is_left(steps in steps()) {
        let mut walk = Walk::new();
        for step in steps {
            walk.step(step);
        }
        for place in walk.stored.keys().cloned().collect::<Vec<_>>() {
            walk.step(Step::Remove(place));
        }
        prop_assert_eq!(walk.derived, Derived::default());
        prop_assert_eq!(format!("{:?}", walk.index), format!("{:?}", Walk::new().index), "a leak");
    }

    /// A rejected object never takes down another one.
    #[test]
    fn breaking_or_removing_one_object_changes_nothing_for_hostnames_that_it_does_not_share(
        steps in steps(), n in 0..2usize, o in 0..3usize, broken: bool
    ) {
        let mut walk = Walk::new();
        for step in steps {
            walk.step(step);
        }
        let me = ObjectRef::new(NAMESPACES[n], format!("xp-{o}"));
        let mine: BTreeSet<String> = hosts_of(&walk.index, &me);
        let others = |index: &Index| -> BTreeMap<_, _> {
            CLASSES.iter().flat_map(|class| HOSTS.iter().map(move |name| (class_name(class), *name)))
                .filter(|(_, name)| !mine.contains(*name) && !mine.contains("*.e.test"))
                .map(|(class, name)| {
                    let told = index.resource(&class, &virtual_host(name));
                    let references = told.iter().flat_map(|(resource, _)| resource.references());
                    // Who else is behind a shared Service is no part of what is served.
                    let behind: Vec<_> = references.map(|name| index.resource(&class, &name).map(|(it, _)| it)).collect();
                    ((class, name), (told, behind, index.hold_action(&host(name))))
                })
                .collect()
        };
        let before = others(&walk.index);
        walk.apply(if broken {
            let spec = json!({"port": 0, "hostnames": HOSTS});
            Event::ExposedPort(applied(exposed_port(&me.namespace, &me.name, 0, spec)))
        } else {
            remove(&Place::Object(n, o))
        });
        prop_assert_eq!(others(&walk.index), before);
    }
}

fn hosts_of(index: &Index, object: &ObjectRef) -> BTreeSet<String> {
    let status = index.status(object, &Observed::default(), now());
    status
        .into_iter()
        .flat_map(|status| status.hostnames)
        .map(|host| host.name)
        .collect()
}

/// The histories above are worth something only while they meet what is interesting.
#[test]
fn histories_meet_every_interesting_state() {
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    const RUNS: usize = 300;
    for _ in 0..RUNS {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let mut walk = Walk::new();
        for step in steps {
            walk.step(step);
        }
        let mut seen = BTreeSet::new();
        for status in walk.derived.statuses.values() {
            seen.extend(status.hostnames.iter().map(|host| host.reason.clone()));
            seen.extend(status.conditions.iter().map(|it| it.reason.clone()));
        }
        for (resource, _) in walk.derived.resources.values() {
            seen.insert(kind(resource).to_owned());
        }
        seen.into_iter()
            .for_each(|what| *met.entry(what).or_default() += 1);
    }
    println!("met in {RUNS} histories: {met:#?}");
    for what in [
        "forward",
        "unavailable",
        "certificate",
        "endpoints",
        "HoldPending",
        "HostnameHeld",
        "HeldByWildcard",
        "RouteConflict",
        "InvalidHostname",
        "NoClass",
        "NoDomain",
        "ServiceNotFound",
        "ForeignObject",
        "CertManagerMissing",
        "CertificatePending",
        "NoReadyEndpoints",
        "SecretNotFound",
        "Applying",
    ] {
        let share = met.get(what).copied().unwrap_or_default() * 100 / RUNS;
        assert!(share >= 5, "{what}: only in {share} % of the histories");
    }
}

fn kind(resource: &Resource) -> &'static str {
    use portolan_discovery::table::Action;
    match resource {
        Resource::VirtualHost(host) => match host.routes[0].action {
            Action::Forward { .. } => "forward",
            Action::Unavailable { .. } => "unavailable",
        },
        Resource::Certificate(_) => "certificate",
        Resource::Endpoints(_) => "endpoints",
        Resource::Listener(_) => "listener",
    }
}
