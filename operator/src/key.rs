//! Keys of the work queue: an object, an Ingress, a class or a hostname.

use crate::queue::Lane;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use portolan_core::{
    CLASS, ClassName, EXPOSED_PORT, Hostname, INGRESS, OWNER_NAMESPACE, ObjectRef, Subject,
};
use std::fmt;

/// A key of the work queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// An ExposedPort: its children and its status.
    Object(ObjectRef),
    /// Ingress: the children of its hostnames, its addresses and its events.
    Ingress(ObjectRef),
    /// An ExposeClass: its children and its status.
    Class(ClassName),
    /// HostnameHold of a hostname.
    Hold(Hostname),
}

impl Key {
    /// Returns the key of an exposure: its ExposedPort, or the Ingress of the hostname.
    pub fn of_exposure(subject: &Subject) -> Self {
        match subject {
            Subject::IngressHost { ingress, .. } => Self::Ingress(ingress.clone()),
            Subject::ExposedPort(object) => Self::Object(object.clone()),
        }
    }

    /// Returns the kind of key, for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Object(_) => "object",
            Self::Ingress(_) => "ingress",
            Self::Class(_) => "class",
            Self::Hold(_) => "hold",
        }
    }

    /// Returns the owner of a child: by its controller reference or, if that was removed, by its annotations and
    /// labels.
    pub fn of_owner(child: &ObjectMeta) -> Option<Self> {
        let namespace = || child.namespace.clone().unwrap_or_default();
        let references = child.owner_references.as_deref().unwrap_or_default();
        if let Some(controller) = references
            .iter()
            .find(|owner| owner.controller == Some(true))
        {
            let ours = controller.api_version.starts_with("portolan.dev/");
            let name = || ObjectRef::new(namespace(), &controller.name);
            return match controller.kind.as_str() {
                "ExposedPort" if ours => Some(Self::Object(name())),
                "Ingress" if controller.api_version.starts_with("networking.k8s.io/") => {
                    Some(Self::Ingress(name()))
                }
                "ExposeClass" if ours => ClassName::parse(&controller.name).map(Self::Class),
                _ => None,
            };
        }
        let noted = |name| noted(child, name);
        let named = |name: &str| {
            let elsewhere = noted(OWNER_NAMESPACE).map(str::to_owned);
            ObjectRef::new(elsewhere.unwrap_or_else(namespace), name)
        };
        let of_object = noted(EXPOSED_PORT).map(|name| Self::Object(named(name)));
        of_object
            .or_else(|| Some(Self::Ingress(named(noted(INGRESS)?))))
            .or_else(|| noted(CLASS).and_then(ClassName::parse).map(Self::Class))
    }
}

/// The annotation has the full name where the label has only room for a hash.
fn noted<'a>(child: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    let annotation = child
        .annotations
        .as_ref()
        .and_then(|entries| entries.get(name));
    let label = child.labels.as_ref().and_then(|entries| entries.get(name));
    annotation.or(label).map(String::as_str)
}

impl Lane for Key {
    fn lane(&self) -> &str {
        match self {
            Self::Object(object) | Self::Ingress(object) => &object.namespace,
            // A DNS label cannot be empty, so these share a lane with no namespace.
            Self::Class(_) | Self::Hold(_) => "",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => write!(f, "ExposedPort {object}"),
            Self::Ingress(ingress) => write!(f, "Ingress {ingress}"),
            Self::Class(class) => write!(f, "ExposeClass {class}"),
            Self::Hold(hostname) => write!(f, "hold of {hostname}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn owner(metadata: Value) -> Option<String> {
        Key::of_owner(&serde_json::from_value(metadata).unwrap()).map(|key| key.to_string())
    }

    fn controller(api_version: &str, kind: &str) -> Value {
        json!([{"apiVersion": api_version, "kind": kind, "name": "shop", "uid": "u", "controller": true}])
    }

    #[test]
    fn controller_reference_identifies_the_owner() {
        let of = |kind| {
            let references = controller("portolan.dev/v1alpha1", kind);
            owner(json!({"namespace": "team-a", "ownerReferences": references}))
        };
        assert_eq!(
            of("ExposedPort").as_deref(),
            Some("ExposedPort team-a/shop")
        );
        assert_eq!(of("ExposeClass").as_deref(), Some("ExposeClass shop"));
        let references = controller("networking.k8s.io/v1", "Ingress");
        let of_ingress = owner(json!({"namespace": "n", "ownerReferences": references}));
        assert_eq!(of_ingress.as_deref(), Some("Ingress n/shop"));
        assert_eq!(of("Other"), None);
    }

    #[test]
    fn falls_back_to_annotation_and_label() {
        let labels = json!({"portolan.dev/exposed-port": "hash"});
        let annotations = json!({"portolan.dev/exposed-port": "a-long-name"});
        let labelled = owner(json!({"namespace": "n", "labels": labels}));
        assert_eq!(labelled.as_deref(), Some("ExposedPort n/hash"));
        let both = owner(json!({"namespace": "n", "labels": labels, "annotations": annotations}));
        assert_eq!(both.as_deref(), Some("ExposedPort n/a-long-name"));
        let annotations = json!({"portolan.dev/owner-namespace": "web"});
        let far = owner(json!({"namespace": "n", "labels": labels, "annotations": annotations}));
        assert_eq!(far.as_deref(), Some("ExposedPort web/hash"));
        let labels = json!({"portolan.dev/ingress": "shop"});
        let of_ingress = owner(json!({"namespace": "n", "labels": labels}));
        assert_eq!(of_ingress.as_deref(), Some("Ingress n/shop"));
    }

    #[test]
    fn ignores_labels_on_children_of_other_controllers() {
        let labels = json!({"portolan.dev/exposed-port": "shop"});
        let references = controller("apps/v1", "ReplicaSet");
        assert_eq!(
            owner(json!({"labels": labels, "ownerReferences": references})),
            None
        );
    }
}
