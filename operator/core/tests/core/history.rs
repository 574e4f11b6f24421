//! State is a function of what is stored now, never of the way there; and what an event does not name has not changed.
//!
//! A random history is walked, and everything that was derived is kept up to date from `Affected` alone, as
//! the operator does. At the end it must equal what a fresh index derives from what is stored.
//!
//! The one memory that is wanted, of a certificate that was good before, is tested in `certificates.rs`; here
//! a Secret is deleted before another one takes its place, which ends that memory.

use crate::fixture::*;
use crate::steps::*;
use portolan_core::{
    Affected, Child, ClassName, Diagnostic, Event, HoldAction, Hostname, Index, ObjectRef,
    Observed, Subject,
};
use portolan_crds::{Address, ExposeClassStatus, ExposedPortStatus};
use portolan_discovery::table::{
    Action, Origin, PathMatch, Resource, ResourceName, UpstreamProtocol,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet};

type OfIngress = (Vec<Subject>, Vec<Diagnostic>, Vec<Address>);

/// Everything that follows from an index.
#[derive(Debug, Default, PartialEq)]
struct Derived {
    children: BTreeMap<Subject, Vec<Child>>,
    /// The hostnames of an Ingress, what is wrong beside them, and where they lead.
    ingresses: BTreeMap<ObjectRef, OfIngress>,
    statuses: BTreeMap<Subject, ExposedPortStatus>,
    classes: BTreeMap<ClassName, ExposeClassStatus>,
    finalizers: BTreeMap<ClassName, Vec<String>>,
    /// The UIDs of those that are to be deleted.
    deletions: BTreeMap<Subject, String>,
    class_children: BTreeMap<ClassName, Vec<Child>>,
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
    /// As the operator does after each event: what is named is derived again, nothing else.
    fn follow(&mut self, index: &Index, mut affected: Affected) {
        // A hostname of an Ingress is reconciled with its Ingress.
        let of_hosts = affected
            .objects
            .iter()
            .filter_map(Subject::ingress)
            .cloned();
        affected.ingresses.extend(of_hosts);
        for object in affected.objects {
            let children = index.children(&object);
            set(
                &mut self.children,
                object.clone(),
                (!children.is_empty()).then_some(children),
            );
            let status = index.status(&object, &Observed::default(), now());
            set(&mut self.statuses, object.clone(), status);
            let deletion = index.wants_deletion(&object).map(str::to_owned);
            set(&mut self.deletions, object, deletion);
        }
        for ingress in affected.ingresses {
            let hosts = index.hosts_of_ingress(&ingress);
            let diagnostics = index.ingress_diagnostics(&ingress);
            let addresses = index.addresses_of_ingress(&ingress).to_vec();
            let status = index
                .is_ours(&ingress)
                .then_some((hosts, diagnostics, addresses));
            set(&mut self.ingresses, ingress, status);
        }
        for class in affected.classes {
            let status = index.class_status(&class, &Observed::default(), now());
            set(&mut self.classes, class.clone(), status);
            let finalizers = index.finalizers(&class);
            set(&mut self.finalizers, class.clone(), finalizers);
            let children = index.class_children(&class, &settings());
            let children = (!children.is_empty()).then_some(children);
            set(&mut self.class_children, class, children);
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

    /// Every state that is met in it, by name.
    fn note(&self, seen: &mut BTreeSet<String>) {
        for status in self.statuses.values() {
            seen.extend(status.hostnames.iter().map(|host| host.reason.clone()));
            seen.extend(status.conditions.iter().map(|it| it.reason.clone()));
        }
        for (_, diagnostics, _) in self.ingresses.values() {
            let wrong = !diagnostics.is_empty();
            seen.extend(wrong.then(|| "an Ingress with a rule for every hostname".to_owned()));
        }
        for (object, status) in &self.statuses {
            let holds = status.hostnames.iter().any(|it| it.held_since.is_some());
            let of_ingress = object.ingress().is_some() && holds;
            seen.extend(of_ingress.then(|| "an Ingress that holds its hostname".to_owned()));
        }
        for child in self
            .children
            .iter()
            .filter(|(it, _)| it.ingress().is_some())
        {
            let kinds = child
                .1
                .iter()
                .map(|it| format!("{} of an Ingress", it.kind));
            seen.extend(kinds);
        }
        for status in self.classes.values() {
            seen.extend(status.conditions.iter().map(|it| it.reason.clone()));
        }
        if !self.deletions.is_empty() {
            seen.insert("a deletion".to_owned());
        }
        for child in self.children.values().flatten() {
            let names = child.value.pointer("/spec/dnsNames");
            let several = names.is_some_and(|it| it[1].is_string());
            seen.extend(several.then(|| "a certificate for several hostnames".to_owned()));
            seen.insert(child.kind.to_owned());
        }
        let mut of_classes = self.class_children.values().flatten();
        if of_classes.any(|child| NAMESPACES.contains(&child.namespace.as_str())) {
            seen.insert("restricted".to_owned());
        }
        for (resource, _) in self.resources.values() {
            if let Resource::Certificate(it) = resource {
                let together = ["xp-0-", "xp-1-", "xp-2-"].map(|name| it.name.contains(name));
                let together = together.contains(&true);
                seen.extend(together.then(|| "served from one for several".to_owned()));
            }
            if let Resource::VirtualHost(host) = resource {
                let idle = host.routes.iter().any(|it| it.timeouts.idle.is_some());
                seen.extend(idle.then(|| "a default of the class".to_owned()));
                let solved = |path: &PathMatch| matches!(path, PathMatch::Exact(path) if path.starts_with(CHALLENGES));
                let solved = host.routes.iter().any(|it| solved(&it.matches.path));
                seen.extend(solved.then(|| "a challenge".to_owned()));
            }
            seen.insert(kind(resource).to_owned());
            seen.extend(app_protocols(resource).map(str::to_owned));
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
                .extend((0..3).map(|o| Subject::exposed_port(namespace, format!("xp-{o}"))));
        }
        for namespace in NAMESPACES {
            for name in ["in-0", "in-1"] {
                let ingress = ObjectRef::new(namespace, name);
                let of = |name: &&str| Subject::ingress_host(&ingress, &host(name));
                affected.objects.extend(HOSTS.iter().map(of));
            }
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
                if matches!(
                    place,
                    Place::Secret(_) | Place::IssuedSecret(..) | Place::TogetherSecret(_)
                ) {
                    self.apply(remove(&place));
                }
                let event = put(&place, dice);
                self.stored.insert(place, event.clone());
                self.apply(event);
            }
            Step::Remove(place) => {
                self.stored.remove(&place);
                if place == Place::Pods {
                    // Pods are no longer watched, and the known ones are removed.
                    self.stored.retain(|it, _| !matches!(it, Place::Pod(..)));
                }
                self.apply(remove(&place));
            }
            Step::Act => (0..HOSTS.len()).for_each(|h| self.act(h)),
        }
    }

    fn act(&mut self, h: usize) {
        match self.index.hold_action(&host(HOSTS[h])) {
            Some(HoldAction::Create { namespace, .. }) => {
                let dice = NAMESPACES
                    .iter()
                    .position(|known| *known == namespace)
                    .unwrap();
                let dice = [u8::try_from(dice).unwrap(), 0, 0, 0, 0];
                self.step(Step::Put(Place::Hold(h), dice));
            }
            Some(HoldAction::Delete { .. }) => self.step(Step::Remove(Place::Hold(h))),
            None => {}
        }
    }

    /// Applies the stored objects to a fresh index, in another order.
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
    let steps = (
        prop::collection::vec(step(), 0..160),
        prop::bool::weighted(0.8),
    );
    steps.prop_map(|(mut steps, pods)| {
        if pods {
            steps.insert(0, Step::Put(Place::Pods, [0; 5]));
        }
        begun(steps)
    })
}

/// All that an index has in memory, word by word: maps by hash have no order of their own.
fn kept(index: &Index) -> Vec<String> {
    let status = format!("{index:?}");
    let words = status.split(|c: char| c.is_whitespace() || "{}[](),".contains(c));
    let mut words: Vec<_> = words
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    words.sort_unstable();
    words
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
        prop_assert_eq!(kept(&walk.index), kept(&fresh), "so does what is kept");
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
        prop_assert_eq!(kept(&walk.index), kept(&Walk::new().index), "a leak");
    }
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
        let mut seen = BTreeSet::new();
        for step in steps {
            walk.step(step);
            walk.derived.note(&mut seen);
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
        "TlsConflict",
        "RootNamespaceDenied",
        "restricted",
        "NetworkPolicy",
        "HostnameNotAllowed",
        "Orphaned",
        "DelegateNotFound",
        "DelegationNotPermitted",
        "InvalidHostname",
        "InvalidSpec",
        "a default of the class",
        "NoClass",
        "ClassDeleting",
        "InUse",
        "SeveralDefaults",
        "NoDomain",
        "ServiceNotFound",
        "ForeignObject",
        "CertManagerMissing",
        "CertificatePending",
        "IssuerNotFound",
        "IssuerNotReady",
        "a certificate for several hostnames",
        "served from one for several",
        "NoReadyEndpoints",
        "SecretNotFound",
        "RefNotPermitted",
        "Applying",
        "Expired",
        "LeaseLapsed",
        "a deletion",
        "an Ingress with a rule for every hostname",
        "an Ingress that holds its hostname",
        "Certificate of an Ingress",
        "NetworkPolicy of an Ingress",
        "a challenge",
        "ChallengeFailed",
        "UnsupportedProtocol",
        "HTTP/2",
        "HTTP/2 over TLS",
        "HTTP/1.1 over TLS",
        "BackendTls",
        "NotEncrypted",
        "MeshNotSeen",
        "BackendNotEncrypted",
        "ForeignEndpoint",
    ] {
        let share = met.get(what).copied().unwrap_or_default() * 100 / RUNS;
        assert!(share >= 5, "{what}: only in {share} % of the histories");
    }
}

/// Returns the protocols of the endpoints of a host.
fn app_protocols(resource: &Resource) -> impl Iterator<Item = &'static str> {
    let routes = match resource {
        Resource::VirtualHost(host) => host.routes.as_slice(),
        _ => &[],
    };
    let backends = routes.iter().flat_map(|route| match &route.action {
        Action::Forward { backends } => backends.as_slice(),
        _ => &[],
    });
    backends.map(|it| match (it.protocol, &it.tls) {
        (UpstreamProtocol::Http1, None) => "HTTP/1.1",
        (UpstreamProtocol::Http1, Some(_)) => "HTTP/1.1 over TLS",
        (UpstreamProtocol::Http2, None) => "HTTP/2",
        (UpstreamProtocol::Http2, Some(_)) => "HTTP/2 over TLS",
    })
}

fn kind(resource: &Resource) -> &'static str {
    match resource {
        Resource::VirtualHost(host) => match host.routes[0].action {
            Action::Forward { .. } => "forward",
            Action::Unavailable { .. } => "unavailable",
            Action::Redirect(_) | Action::Respond(_) => "answer",
        },
        Resource::Certificate(_) => "certificate",
        Resource::Endpoints(_) => "endpoints",
        Resource::Listener(_) => "listener",
        Resource::TrustAnchors(_) => "trust anchors",
        Resource::ClassSettings(_) => "class settings",
    }
}
