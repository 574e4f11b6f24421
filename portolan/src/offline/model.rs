//! The files as the operator would understand them.

use crate::files::{Folder, Key, Object, Trouble, field_in, gather};
use crate::store::{RELEASE_NAMESPACE, Store};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::networking::v1::{IngressClass, IngressClassSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use portolan_core::{
    Change, ClassName, EXPOSED_PORT, Event, INGRESS_CONTROLLER, Index, ObjectRef, Observed, Subject,
};
use portolan_crds::{ExposeClass, ExposeClassSpec, IssuerRef};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The class of objects that name none; the chart calls its own so.
const CLASS: &str = "public";
/// Where `shop.*` lies when nobody says so (RFC 6761, 6.4).
const ASSUMED_DOMAIN: &str = "domain-of-the-class.invalid";
const ASSUMED_ISSUER: &str = "issuer-of-the-class";

/// What stands in the files, and what follows from it.
pub(super) struct Model {
    pub(super) store: Store,
    folder: Folder,
    pub(super) troubles: Vec<Trouble>,
    /// Kinds that others read, with how many objects of each there are.
    pub(super) passed_over: BTreeMap<String, usize>,
    pub(super) files: usize,
    /// Classes that objects need and no file has.
    pub(super) assumed: BTreeSet<String>,
    now: Timestamp,
}

impl Model {
    pub(super) fn read(paths: &[PathBuf], now: Timestamp) -> Self {
        let contents = gather(paths);
        let files = contents.len();
        let mut folder = Folder::for_cluster();
        let mut update = folder.take_in(contents);
        let assumed = assumed_classes(&update.applied);
        for name in &assumed {
            let class = ExposeClass::new(name, assumed_class(name));
            update.applied.push(Object::ExposeClass(Box::new(class)));
        }
        let ingress_classes = ingress_classes(&update.applied);
        let index = Index::new(RELEASE_NAMESPACE);
        // Only a name: the class that it stands for is replaced by those of the files, or assumed.
        let class = ClassName::parse(CLASS).unwrap_or_else(|| unreachable!("a DNS label"));
        let (mut store, _) = Store::new(index, class, now);
        store.apply([Event::CertManager(true), Event::ReferenceGrants(true)]);
        store.take_in(update.applied, update.gone, now);
        store.apply(ingress_classes);
        let services = services(&store);
        store.apply(services);
        let leases: Vec<_> = store
            .objects()
            .map(|it| renewed(it.object(), now))
            .collect();
        store.apply(leases);
        Self {
            store,
            folder,
            troubles: update.troubles,
            passed_over: update.passed_over,
            files,
            assumed,
            now,
        }
    }

    /// What is seen of an object as soon as it is applied: its children are stored, and no proxy runs.
    pub(super) fn seen(&self, object: &Subject) -> Observed {
        self.store.seen(object, Vec::new())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// The file and the line of an object, or of the field that a sentence about it begins with.
    pub(super) fn place(&self, object: &Key, sentence: &str) -> (&str, usize) {
        let place = self.folder.place(object);
        place.map_or(("", 0), |place| {
            (place.file.as_str(), place.lines.of(field_in(sentence)))
        })
    }
}

/// The IngressClass that the operator would make for each class, where the files have none of its name.
fn ingress_classes(objects: &[Object]) -> Vec<Event> {
    let written = |name: &Option<String>| {
        objects
            .iter()
            .any(|it| matches!(it, Object::IngressClass(it) if it.metadata.name == *name))
    };
    let names = objects.iter().filter_map(|it| match it {
        Object::ExposeClass(class) => Some(class.metadata.name.clone()),
        _ => None,
    });
    names
        .filter(|name| !written(name))
        .map(|name| {
            let class = IngressClass {
                metadata: ObjectMeta {
                    name,
                    ..ObjectMeta::default()
                },
                spec: Some(IngressClassSpec {
                    controller: Some(INGRESS_CONTROLLER.to_owned()),
                    parameters: None,
                }),
            };
            Event::IngressClass(Change::Applied(Box::new(class)))
        })
        .collect()
}

/// The Services that the operator would make: routes go to their endpoints.
fn services(store: &Store) -> Vec<Event> {
    let children = store.objects().flat_map(|it| store.index.children(it));
    let services = children.filter(|child| child.kind == "Service");
    services
        .filter_map(|child| {
            let service = serde_json::from_value(child.value).ok()?;
            Some(Event::Service(Change::Applied(Box::new(service))))
        })
        .collect()
}

/// Files hold no Leases: whoever makes the object in a cluster renews one there.
fn renewed(object: &ObjectRef, now: Timestamp) -> Event {
    let label = (EXPOSED_PORT.to_owned(), object.name.clone());
    let metadata = ObjectMeta {
        name: Some(object.name.clone()),
        namespace: Some(object.namespace.clone()),
        labels: Some([label].into()),
        creation_timestamp: Some(Time(now)),
        ..ObjectMeta::default()
    };
    let spec = LeaseSpec {
        renew_time: Some(MicroTime(now)),
        ..LeaseSpec::default()
    };
    Event::Lease(Change::Applied(Box::new(Lease {
        metadata,
        spec: Some(spec),
    })))
}

/// A repository of applications has none of the platform's classes; then those that its objects name
/// are taken to be there, able to do what a class can do. With one class in the files, all are.
fn assumed_classes(objects: &[Object]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for object in objects {
        match object {
            Object::ExposeClass(_) => return BTreeSet::new(),
            Object::ExposedPort(it) if it.spec.allowed_parents.is_empty() => {
                let name = it.spec.class_name.as_deref().unwrap_or(CLASS);
                names.extend(ClassName::parse(name).map(|name| name.as_str().to_owned()));
            }
            // That of any other name is more likely another controller's.
            Object::Ingress(it)
                if it
                    .spec
                    .as_ref()
                    .and_then(|it| it.ingress_class_name.as_deref())
                    == Some(CLASS) =>
            {
                names.insert(CLASS.to_owned());
            }
            _ => {}
        }
    }
    names
}

fn assumed_class(name: &str) -> ExposeClassSpec {
    ExposeClassSpec {
        default: name == CLASS,
        domain: Some(ASSUMED_DOMAIN.to_owned()),
        issuer_ref: Some(IssuerRef::named(ASSUMED_ISSUER)),
        ..ExposeClassSpec::default()
    }
}
