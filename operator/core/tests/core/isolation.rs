//! One object, removed or broken, changes nothing for hostnames that it does not share.
//!
//! What is shared is computed here again, from what is stored, and as narrowly as it is true: a hostname, for a
//! child that of a root above it; what lies below a wildcard; the objects that delegation leads through. A
//! Service, a Secret or a class is shared by many and makes no object depend on the others.

use crate::fixture::*;
use crate::steps::*;
use portolan_core::{
    AckState, Change, Child, ChildState, ClassName, Event, HoldAction, Index, ObjectRef, Observed,
    ObservedProxy, Subject,
};
use portolan_crds::{
    ExposeClass, ExposeClassStatus, ExposedPort, ExposedPortStatus, HostnameStatus,
};
use portolan_discovery::table::{Kind, Resource, ResourceName};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to the object.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blow {
    Removed,
    /// It names every hostname and is invalid.
    Broken,
}

/// To which object.
#[derive(Clone, Debug)]
enum Whom {
    /// One of those that are there.
    Any(usize),
    /// This one, after these steps.
    This(ObjectRef, Vec<Step>),
}

/// A history, and what happens to one of its objects.
fn scenario() -> impl Strategy<Value = (Vec<Step>, Whom, Blow)> {
    let whom = prop_oneof![
        5 => (0..6_usize).prop_map(Whom::Any),
        2 => family(),
        1 => company(),
        2 => below_a_wildcard(),
    ];
    let blow = prop_oneof![Just(Blow::Removed), Just(Blow::Broken)];
    let steps = prop::collection::vec(step(), 10..100).prop_map(begun);
    (steps, whom, blow)
}

/// An object that delegates, and the child that agrees; chance rarely brings both together.
fn family() -> impl Strategy<Value = Whom> {
    let place = || (0..2_usize, 0..3_usize);
    let dice = (any::<u8>(), 1..9_u8, 1..3_u8);
    (place(), place(), dice, 1..4_u8).prop_map(|(root, child, (a, b, c), e)| {
        let [n, o] = [child.0, child.1].map(|it| u8::try_from(it).unwrap());
        let steps = vec![
            Step::Put(
                Place::Object(root.0, root.1),
                [a, b, c, 10, 8 * n + 16 * o + e],
            ),
            Step::Put(Place::Object(child.0, child.1), [a, b, c, 221, e]),
        ];
        Whom::This(at(child.0, child.1), steps)
    })
}

/// Two objects of a namespace with a Secret and a Service in common, and no hostname.
fn company() -> impl Strategy<Value = Whom> {
    (0..2_usize).prop_map(|n| {
        let steps = vec![
            Step::Put(Place::Object(n, 0), [1, 1, 1, 16, 1]),
            Step::Put(Place::Object(n, 1), [10, 10, 1, 16, 1]),
        ];
        Whom::This(at(n, 1), steps)
    })
}

/// A name of one namespace below the wildcard of another.
fn below_a_wildcard() -> impl Strategy<Value = Whom> {
    (0..2_usize).prop_map(|n| {
        let steps = vec![
            Step::Put(Place::Object(1 - n, 0), [7, 7, 1, 16, 1]),
            Step::Put(Place::Object(n, 1), [1, 1, 1, 16, 1]),
        ];
        Whom::This(at(n, 1), steps)
    })
}

fn at(namespace: usize, object: usize) -> ObjectRef {
    ObjectRef::new(NAMESPACES[namespace], format!("xp-{object}"))
}

struct Cluster {
    index: Index,
    stored: BTreeMap<Place, Event>,
}

impl Cluster {
    fn after(steps: Vec<Step>) -> Self {
        let mut cluster = Self {
            index: Index::new("portolan-system"),
            stored: BTreeMap::new(),
        };
        cluster.index.apply(Event::Now(now()));
        cluster.step(Step::Put(Place::Class(0), [1, 1, 1, 0, 0]));
        steps.into_iter().for_each(|step| cluster.step(step));
        cluster.step(Step::Act);
        cluster
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(place, dice) => {
                let event = put(&place, dice);
                self.stored.insert(place, event.clone());
                self.index.apply(event);
            }
            Step::Remove(place) => {
                self.stored.remove(&place);
                self.index.apply(remove(&place));
            }
            Step::Act => (0..HOSTS.len()).for_each(|h| self.act(h)),
        }
    }

    fn act(&mut self, h: usize) {
        match self.index.hold_action(&host(HOSTS[h])) {
            Some(HoldAction::Create { namespace, .. }) => {
                let known = NAMESPACES.iter().position(|it| *it == namespace);
                let dice = u8::try_from(known.unwrap()).unwrap();
                self.step(Step::Put(Place::Hold(h), [dice, 0, 0, 0, 0]));
            }
            Some(HoldAction::Delete { .. }) => self.step(Step::Remove(Place::Hold(h))),
            None => {}
        }
    }

    fn objects(&self) -> BTreeMap<ObjectRef, &ExposedPort> {
        let objects = self.stored.values().filter_map(|event| match event {
            Event::ExposedPort(Change::Applied(it)) => {
                Some((ObjectRef::of(it.as_ref()), it.as_ref()))
            }
            _ => None,
        });
        objects.collect()
    }

    fn classes(&self) -> impl Iterator<Item = &ExposeClass> {
        self.stored.values().filter_map(|event| match event {
            Event::ExposeClass(Change::Applied(it)) => Some(it.as_ref()),
            _ => None,
        })
    }

    fn strike(&mut self, me: &ObjectRef, blow: Blow) {
        self.index.apply(match blow {
            Blow::Removed => Event::ExposedPort(gone(&me.namespace, &me.name)),
            Blow::Broken => {
                let spec = json!({"port": 0, "service": "one", "hostnames": HOSTS});
                Event::ExposedPort(applied(exposed_port(&me.namespace, &me.name, 0, spec)))
            }
        });
    }

    fn is_ending(&self, class: &ClassName) -> bool {
        self.stored.values().any(|event| match event {
            Event::ExposeClass(Change::Applied(it)) => {
                let name = it.metadata.name.as_deref();
                name == Some(class.as_str()) && it.metadata.deletion_timestamp.is_some()
            }
            _ => false,
        })
    }

    /// As if its children were stored, and a proxy had loaded everything.
    fn status(&self, object: &ObjectRef) -> Option<ExposedPortStatus> {
        let subject = Subject::ExposedPort(object.clone());
        let children = self.index.children(&subject);
        let children = children.iter().map(|it| (it.key(), ChildState::Applied));
        let resources = self.index.resources_of(&subject).into_iter();
        let proxy = ObservedProxy {
            name: "proxy".to_owned(),
            ready: true,
            acks: resources
                .map(|(_, name)| (name, AckState::Acknowledged))
                .collect(),
            ..ObservedProxy::default()
        };
        let seen = Observed {
            children: children.collect(),
            proxies: vec![proxy],
        };
        self.index.status(&subject, &seen, now())
    }

    /// The hostnames that an object has for itself.
    fn own_names(&self, object: &ObjectRef) -> BTreeSet<String> {
        let status = self.status(object).into_iter();
        let hosts = status.flat_map(|status| status.hostnames);
        hosts.map(|it| it.name).collect()
    }
}

/// Who delegates to whom, as it is written.
struct Delegations {
    /// Parent, child, and whether the child agrees.
    edges: Vec<(ObjectRef, ObjectRef, bool)>,
}

impl Delegations {
    fn of(objects: &BTreeMap<ObjectRef, &ExposedPort>) -> Self {
        let agrees = |parent: &ObjectRef, child: &ObjectRef| {
            let parents = objects.get(child).map(|it| it.spec.allowed_parents.iter());
            parents.into_iter().flatten().any(|it| {
                let named = it.name.as_ref().is_none_or(|name| *name == parent.name);
                named && it.namespace == parent.namespace
            })
        };
        let mut edges = Vec::new();
        for (parent, object) in objects {
            let named = object
                .spec
                .routes
                .iter()
                .filter_map(|it| it.delegate.as_ref());
            for to in named {
                let namespace = to.namespace.as_ref().unwrap_or(&parent.namespace);
                let child = ObjectRef::new(namespace, &to.name);
                let agreed = agrees(parent, &child);
                edges.push((parent.clone(), child, agreed));
            }
        }
        Self { edges }
    }

    /// Objects that name the object, and all their parents.
    fn above(&self, me: &ObjectRef) -> BTreeSet<ObjectRef> {
        let direct = self.edges.iter().filter(|(_, child, _)| child == me);
        let direct = direct.map(|(parent, ..)| parent.clone()).collect();
        self.closure(direct, |(parent, child, _)| (child, parent))
    }

    /// Whom the object names, and everybody to whom requests go down from those that agree.
    fn below(&self, me: &ObjectRef) -> BTreeSet<ObjectRef> {
        let named = self.edges.iter().filter(|(parent, ..)| parent == me);
        let agreeing = named.clone().filter(|(.., agreed)| *agreed);
        let agreeing = agreeing.map(|(_, child, _)| child.clone()).collect();
        let mut below = self.closure(agreeing, |(parent, child, _)| (parent, child));
        below.extend(named.map(|(_, child, _)| child.clone()));
        below
    }

    /// Everybody who is reached over delegations that are agreed.
    fn closure(
        &self,
        mut found: BTreeSet<ObjectRef>,
        ends: impl Fn(&(ObjectRef, ObjectRef, bool)) -> (&ObjectRef, &ObjectRef),
    ) -> BTreeSet<ObjectRef> {
        loop {
            let before = found.len();
            for edge in self.edges.iter().filter(|(.., agreed)| *agreed) {
                let (from, to) = ends(edge);
                if found.contains(from) {
                    found.insert(to.clone());
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }
}

/// What an object shares with others.
struct Shared {
    names: BTreeSet<String>,
    objects: BTreeSet<ObjectRef>,
    /// Those that it names itself, and those that classes name for its hostnames; no others may.
    secrets: BTreeSet<ObjectRef>,
}

impl Shared {
    fn with(cluster: &Cluster, me: &ObjectRef) -> Self {
        let stored = cluster.objects();
        let delegations = Delegations::of(&stored);
        let names_of = |object: &ObjectRef| {
            let mut names = cluster.own_names(object);
            let above = delegations.above(object).into_iter();
            names.extend(above.flat_map(|root| cluster.own_names(&root)));
            names
        };
        let mut names = names_of(me);
        if names.contains("*.e.test") {
            names.extend(["a.e.test", "b.e.test"].map(str::to_owned));
        }
        let mut objects = delegations.above(me);
        objects.extend(delegations.below(me));
        objects.insert(me.clone());
        let share = |it: &&ObjectRef| !names_of(it).is_disjoint(&names);
        objects.extend(stored.keys().filter(share).cloned());
        let mut secrets = BTreeSet::new();
        let spec = serde_json::to_value(&stored[me].spec).unwrap();
        secrets_in(&me.namespace, &spec, &mut secrets);
        for class in cluster.classes() {
            secrets_in(
                "",
                &serde_json::to_value(&class.spec).unwrap(),
                &mut secrets,
            );
        }
        Self {
            names,
            objects,
            secrets,
        }
    }
}

/// Whatever stands in a field `secret`, at any depth.
fn secrets_in(namespace: &str, value: &Value, found: &mut BTreeSet<ObjectRef>) {
    if let Some(name) = value["secret"]["name"].as_str() {
        let namespace = value["secret"]["namespace"].as_str().unwrap_or(namespace);
        found.insert(ObjectRef::new(namespace, name));
    }
    match value {
        Value::Object(fields) => fields
            .values()
            .for_each(|it| secrets_in(namespace, it, found)),
        Value::Array(items) => items.iter().for_each(|it| secrets_in(namespace, it, found)),
        _ => {}
    }
}

/// A resource with what it refers to. Who is behind it is nothing that is served.
type Served = Option<(Resource, Vec<Option<Resource>>)>;

/// Everything that must not change.
#[derive(Debug, PartialEq)]
struct Others {
    hosts: BTreeMap<(ClassName, &'static str), (Served, Option<HoldAction>)>,
    objects: BTreeMap<ObjectRef, (Option<ExposedPortStatus>, Vec<Child>)>,
    /// Of objects that share some hostnames, the others.
    names: BTreeMap<(ObjectRef, String), HostnameStatus>,
    classes: BTreeMap<ClassName, (Option<ExposeClassStatus>, Vec<Served>)>,
    secrets: BTreeSet<ObjectRef>,
}

impl Others {
    fn seen(cluster: &Cluster, me: &ObjectRef, all: &[ObjectRef], shared: &Shared) -> Self {
        let index = &cluster.index;
        let served = |class: &ClassName, name: &ResourceName| -> Served {
            let (resource, _) = index.resource(class, name)?;
            let behind = resource.references().into_iter();
            let behind = behind.map(|name| Some(index.resource(class, &name)?.0));
            let behind = behind.collect();
            Some((resource, behind))
        };
        let classes = CLASSES.iter().map(|name| class_name(name));
        let apart = |name: &&str| !shared.names.contains(*name);
        let mut others = Self {
            hosts: BTreeMap::new(),
            objects: BTreeMap::new(),
            names: BTreeMap::new(),
            classes: BTreeMap::new(),
            secrets: index.referenced_secrets().clone(),
        };
        others.secrets.retain(|it| !shared.secrets.contains(it));
        for class in classes {
            for name in HOSTS.into_iter().filter(apart) {
                let there = served(&class, &virtual_host(name));
                let hold = index.hold_action(&host(name));
                others.hosts.insert((class.clone(), name), (there, hold));
            }
            let status = index.class_status(&class, &Observed::default(), now());
            // One that is being deleted names who keeps it.
            let status = status.filter(|_| !cluster.is_ending(&class));
            let of_class = index.resources_of_class(&class).into_iter();
            let of_class = of_class.map(|name| served(&class, &name)).collect();
            others.classes.insert(class, (status, of_class));
        }
        for object in all {
            let status = cluster.status(object);
            if !shared.objects.contains(object) {
                let children = index.children(&Subject::ExposedPort(object.clone()));
                others.objects.insert(object.clone(), (status, children));
            } else if object != me {
                let hosts = status.into_iter().flat_map(|status| status.hostnames);
                for it in hosts.filter(|it| apart(&it.name.as_str())) {
                    others.names.insert((object.clone(), it.name.clone()), it);
                }
            }
        }
        others
    }
}

/// What a scenario is worth.
type Met = BTreeSet<&'static str>;

/// Plays a scenario; nothing to say of a history that left no object.
fn check(mut steps: Vec<Step>, whom: Whom, blow: Blow) -> Result<Met, TestCaseError> {
    if let Whom::This(_, last) = &whom {
        steps.extend(last.iter().cloned());
    }
    let mut cluster = Cluster::after(steps);
    let all: Vec<_> = cluster.objects().into_keys().collect();
    let me = match whom {
        Whom::This(me, _) => Some(me),
        Whom::Any(choice) => all.get(choice % all.len().max(1)).cloned(),
    };
    let Some(me) = me else {
        return Ok(Met::new());
    };
    let shared = Shared::with(&cluster, &me);
    let before = Others::seen(&cluster, &me, &all, &shared);
    let met = met(&cluster, &me, &shared, &before, blow);
    cluster.strike(&me, blow);
    let after = Others::seen(&cluster, &me, &all, &shared);
    prop_assert_eq!(after, before, "{:?} of {}", blow, me);
    Ok(met)
}

fn met(cluster: &Cluster, me: &ObjectRef, shared: &Shared, others: &Others, blow: Blow) -> Met {
    let objects = cluster.objects();
    let delegations = Delegations::of(&objects);
    let spec = &objects[me].spec;
    let own = cluster.own_names(me);
    let resources = cluster
        .index
        .resources_of(&Subject::ExposedPort(me.clone()));
    let serves = resources
        .iter()
        .any(|(_, name)| name.kind == Kind::VirtualHost);
    let beside: Vec<_> = others.objects.keys().collect();
    let alike = |same: &dyn Fn(&ExposedPort) -> bool| {
        beside
            .iter()
            .any(|it| it.namespace == me.namespace && same(objects[*it]))
    };
    let secret = |it: &ExposedPort| it.spec.tls.as_ref().and_then(|tls| tls.secret.clone());
    let below = delegations.below(me);
    let shares = |it: &&ObjectRef| *it != me && !cluster.own_names(it).is_disjoint(&own);
    let mut met = Met::new();
    let mut note = |what: &'static str, is: bool| {
        if is {
            met.insert(what);
        }
    };
    note("removed", blow == Blow::Removed);
    note("broken", blow == Blow::Broken);
    note("it serves", serves);
    note(
        "others are served",
        others.hosts.values().any(|(served, _)| served.is_some()),
    );
    note(
        "it serves, and so do others",
        serves && others.hosts.values().any(|(served, _)| served.is_some()),
    );
    note("other objects stand apart", !others.objects.is_empty());
    note("a hostname is shared", objects.keys().any(|it| shares(&it)));
    note(
        "some hostnames are shared, others not",
        !others.names.is_empty(),
    );
    note("it has a wildcard", own.contains("*.e.test"));
    note("it lies below a wildcard of others", {
        let narrow = own.contains("a.e.test") || own.contains("b.e.test");
        narrow && !shared.names.contains("*.e.test") && {
            let wide = |it: &&&ObjectRef| cluster.own_names(it).contains("*.e.test");
            beside.iter().any(|it| wide(&it))
        }
    });
    note("it is a child of a root", {
        let roots = delegations.above(me);
        !spec.allowed_parents.is_empty() && roots.iter().any(|it| !cluster.own_names(it).is_empty())
    });
    note(
        "others are below it",
        below.iter().any(|it| it != me && objects.contains_key(it)),
    );
    note("it has its Service in common with others apart", {
        let mine = spec.service.clone();
        mine.is_some() && alike(&|it| it.spec.service == mine)
    });
    note("it has its Secret in common with others apart", {
        let mine = secret(objects[me]);
        mine.is_some() && alike(&|it| secret(it) == mine)
    });
    met
}

proptest! {
    #[test]
    fn an_object_affects_only_hostnames_it_shares(
        (steps, whom, blow) in scenario()
    ) {
        check(steps, whom, blow)?;
    }
}

/// The property is worth something only while it meets what is interesting.
#[test]
fn the_scenarios_meet_every_interesting_relation() {
    let mut runner = TestRunner::deterministic();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    const RUNS: usize = 400;
    for _ in 0..RUNS {
        let (steps, whom, blow) = scenario().new_tree(&mut runner).unwrap().current();
        for what in check(steps, whom, blow).unwrap() {
            *counts.entry(what).or_default() += 1;
        }
    }
    println!("met in {RUNS} scenarios: {counts:#?}");
    for what in [
        "removed",
        "broken",
        "it serves",
        "others are served",
        "it serves, and so do others",
        "other objects stand apart",
        "a hostname is shared",
        "some hostnames are shared, others not",
        "it has a wildcard",
        "it lies below a wildcard of others",
        "it is a child of a root",
        "others are below it",
        "it has its Service in common with others apart",
        "it has its Secret in common with others apart",
    ] {
        let share = counts.get(what).copied().unwrap_or_default() * 100 / RUNS;
        assert!(share >= 5, "{what}: only in {share} % of the scenarios");
    }
}
