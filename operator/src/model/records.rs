//! What is stored of objects and classes beside their spec: identity and status.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::Resource;
use portolan_core::{Change, ClassName, Event, FIELD_MANAGER, ObjectRef};
use portolan_crds::{ExposeClassStatus, ExposedPortStatus};
use serde_json::Value;
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

/// A record, shared with whoever works on the object.
pub type Record<S> = Arc<Stored<S>>;

/// What the status of an Ingress shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// `status.loadBalancer.ingress`.
    pub points: Value,
    /// Whether we wrote it.
    pub by_us: bool,
}

impl Shown {
    fn of(ingress: &Ingress) -> Self {
        let status = serde_json::to_value(&ingress.status).unwrap_or_default();
        let points = status.pointer("/loadBalancer/ingress").cloned();
        let managed = ingress.metadata.managed_fields.iter().flatten();
        let ours = |entry: &ManagedFieldsEntry| {
            let of_status = entry.subresource.as_deref() == Some("status");
            entry.manager.as_deref() == Some(FIELD_MANAGER) && of_status
        };
        Self {
            points: points.unwrap_or_default(),
            by_us: managed.into_iter().any(ours),
        }
    }
}

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
            Event::Ingress(Change::Applied(ingress)) => {
                let shown = Some(Shown::of(ingress));
                self.ingresses.insert(
                    ObjectRef::of(ingress.as_ref()),
                    record(ingress.as_ref(), &shown),
                );
            }
            Event::Ingress(Change::Deleted(ingress)) => {
                self.ingresses.remove(ingress);
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
    fn a_record_tells_which_version_of_the_object_it_is_of() {
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
