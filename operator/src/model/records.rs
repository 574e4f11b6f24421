//! What is stored of objects and classes beside their spec: identity and status.

use crate::apply::Shown;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use portolan_core::{Change, ClassName, Event, ObjectRef, may_be_served};
use portolan_crds::{ExposeClassStatus, ExposedPortStatus};
use std::collections::HashMap;
use std::sync::Arc;

/// An object as it is stored, without its spec.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored<S> {
    /// How events refer to it; name, namespace, UID and resource version are in it.
    pub reference: ObjectReference,
    /// Its status.
    pub status: Option<S>,
}

impl<S> Stored<S> {
    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        self.reference.uid.as_deref().unwrap_or_default()
    }

    /// `metadata.resourceVersion`.
    pub fn resource_version(&self) -> &str {
        self.reference
            .resource_version
            .as_deref()
            .unwrap_or_default()
    }
}

/// Record, shared by all tasks that work on the object.
pub type Record<S> = Arc<Stored<S>>;

/// All of them.
#[derive(Debug, Default)]
pub struct Records {
    /// The ExposedPorts.
    pub objects: HashMap<ObjectRef, Record<ExposedPortStatus>>,
    /// The Ingresses that might be served.
    pub ingresses: HashMap<ObjectRef, Record<Shown>>,
    /// The ExposeClasses.
    pub classes: HashMap<ClassName, Record<ExposeClassStatus>>,
}

impl Records {
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::ExposedPort(Change::Applied(object)) => {
                let metadata = object.metadata.clone();
                let name = ObjectRef::new(
                    metadata.namespace.unwrap_or_default(),
                    metadata.name.unwrap_or_default(),
                );
                self.objects
                    .insert(name, record(object.as_ref(), &object.status));
            }
            Event::ExposedPort(Change::Deleted(object)) => {
                self.objects.remove(object);
            }
            // Most are what we make ourselves, and nothing is ever done for them.
            Event::Ingress(Change::Applied(ingress)) if may_be_served(ingress) => {
                let shown = Some(Shown::of(ingress));
                self.ingresses.insert(
                    ObjectRef::of(ingress.as_ref()),
                    record(ingress.as_ref(), &shown),
                );
            }
            Event::Ingress(change) => {
                self.ingresses.remove(&change.reference());
            }
            Event::ExposeClass(Change::Applied(class)) => {
                if let Some(name) = class.metadata.name.as_deref().and_then(ClassName::parse) {
                    self.classes
                        .insert(name, record(class.as_ref(), &class.status));
                }
            }
            Event::ExposeClass(Change::Deleted(class)) => {
                if let Some(name) = ClassName::parse(&class.name) {
                    self.classes.remove(&name);
                }
            }
            _ => {}
        }
    }
}

fn record<K: Resource<DynamicType = ()>, S: Clone>(object: &K, status: &Option<S>) -> Record<S> {
    Arc::new(Stored {
        reference: ObjectReference {
            // kube leaves it out.
            resource_version: object.meta().resource_version.clone(),
            ..object.object_ref(&())
        },
        status: status.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_crds::ExposedPort;

    #[test]
    fn a_record_has_the_version_of_its_object() {
        let mut object = ExposedPort::new("shop", Default::default());
        object.metadata.namespace = Some("team-a".to_owned());
        object.metadata.uid = Some("u".to_owned());
        object.metadata.resource_version = Some("12".to_owned());
        let mut records = Records::default();
        records.note(&Event::ExposedPort(Change::Applied(Box::new(object))));
        let [record] = &records.objects.into_values().collect::<Vec<_>>()[..] else {
            unreachable!("one was noted")
        };
        assert_eq!((record.uid(), record.resource_version()), ("u", "12"));
    }
}
