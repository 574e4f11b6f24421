//! Model of the files in the operator's core.

use crate::files::{Diagnostic, Folder, Key, Object, field_in, walk_paths};
use crate::store::{ObjectStore, RELEASE_NAMESPACE};
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

/// Class of objects that set none; the name of the chart's class.
const CLASS: &str = "public";
/// Domain of `shop.*` for assumed classes (RFC 6761, 6.4).
const ASSUMED_DOMAIN: &str = "domain-of-the-class.invalid";
const ASSUMED_ISSUER: &str = "issuer-of-the-class";

/// Objects of the files, applied to the core.
pub(super) struct Model {
    pub(super) store: ObjectStore,
    folder: Folder,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Number of skipped objects by kind.
    pub(super) skipped: BTreeMap<String, usize>,
    pub(super) files: usize,
    /// Classes that objects reference and no file defines.
    pub(super) assumed: BTreeSet<String>,
    now: Timestamp,
}

impl Model {
    pub(super) fn read(paths: &[PathBuf], now: Timestamp) -> Self {
        let contents = walk_paths(paths);
        let files = contents.len();
        let mut folder = Folder::for_cluster();
        let mut update = folder.update(contents);
        let assumed = assumed_classes(&update.applied);
        for name in &assumed {
            let class = ExposeClass::new(name, assumed_class(name));
            update.applied.push(Object::ExposeClass(Box::new(class)));
        }
        let ingress_classes = ingress_classes(&update.applied);
        let index = Index::new(RELEASE_NAMESPACE);
        // Only a name: the built-in class is replaced by those of the files, or the assumed ones.
        let class = ClassName::parse(CLASS).unwrap_or_else(|| unreachable!("a DNS label"));
        let (mut store, _) = ObjectStore::new(index, class, now);
        store.apply([Event::CertManager(true), Event::ReferenceGrants(true)]);
        store.update(update.applied, update.deleted, now);
        store.apply(ingress_classes);
        let services = services(&store);
        store.apply(services);
        let leases: Vec<_> = store
            .objects()
            .map(|object| renewed_lease(object.object(), now))
            .collect();
        store.apply(leases);
        Self {
            store,
            folder,
            diagnostics: update.diagnostics,
            skipped: update.skipped,
            files,
            assumed,
            now,
        }
    }

    /// Returns the observed state of an object: its children are applied, and no proxy runs.
    pub(super) fn observed(&self, object: &Subject) -> Observed {
        self.store.observed(object, Vec::new())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns file and line of an object, or of the field that a message about it begins with.
    pub(super) fn location(&self, object: &Key, message: &str) -> (&str, usize) {
        let location = self.folder.location(object);
        location.map_or(("", 0), |location| {
            (location.file.as_str(), location.lines.of(field_in(message)))
        })
    }
}

/// Returns the IngressClass that the operator creates for each class, unless the files define it.
fn ingress_classes(objects: &[Object]) -> Vec<Event> {
    let is_defined = |name: &Option<String>| {
        objects.iter().any(
            |object| matches!(object, Object::IngressClass(class) if class.metadata.name == *name),
        )
    };
    let names = objects.iter().filter_map(|object| match object {
        Object::ExposeClass(class) => Some(class.metadata.name.clone()),
        _ => None,
    });
    names
        .filter(|name| !is_defined(name))
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

/// Returns the Services that the operator creates for selectors.
fn services(store: &ObjectStore) -> Vec<Event> {
    let children = store
        .objects()
        .flat_map(|object| store.index.children(object));
    let services = children.filter(|child| child.kind == "Service");
    services
        .filter_map(|child| {
            let service = serde_json::from_value(child.value).ok()?;
            Some(Event::Service(Change::Applied(Box::new(service))))
        })
        .collect()
}

/// Returns a renewed Lease: files have none, as clients renew them in a cluster.
fn renewed_lease(object: &ObjectRef, now: Timestamp) -> Event {
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

/// Returns the classes to assume. A repository of applications has none of the platform's classes, so
/// those that its objects reference are assumed to exist. If the files define a class, none is assumed.
fn assumed_classes(objects: &[Object]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for object in objects {
        match object {
            Object::ExposeClass(_) => return BTreeSet::new(),
            Object::ExposedPort(port) if port.spec.allowed_parents.is_empty() => {
                let name = port.spec.class_name.as_deref().unwrap_or(CLASS);
                names.extend(ClassName::parse(name).map(|name| name.as_str().to_owned()));
            }
            // A class of any other name more likely belongs to another controller.
            Object::Ingress(ingress)
                if ingress
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.ingress_class_name.as_deref())
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
