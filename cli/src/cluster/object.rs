//! Objects and collections, with their paths and display names.

use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use portolan_crds::ExposedPort;
use std::fmt;

/// An object, or with an empty name its collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    kind: &'static str,
    /// Plural and group.
    resource: String,
    collection: String,
    /// Empty: none, or all.
    namespace: String,
    name: String,
}

impl Object {
    /// Returns an ExposedPort.
    pub(crate) fn exposed_port(namespace: &str, name: &str) -> Self {
        Self::new::<ExposedPort>("ExposedPort", namespace, name)
    }

    /// Returns the ExposedPorts of a namespace, or of all with an empty one.
    pub(crate) fn exposed_ports(namespace: &str) -> Self {
        Self::exposed_port(namespace, "")
    }

    /// Returns a Secret.
    pub(crate) fn secret(namespace: &str, name: &str) -> Self {
        Self::new::<Secret>("Secret", namespace, name)
    }

    fn new<K: Resource<DynamicType = ()>>(kind: &'static str, namespace: &str, name: &str) -> Self {
        let (plural, group) = (K::plural(&()), K::group(&()));
        Self {
            kind,
            resource: if group.is_empty() {
                plural.into_owned()
            } else {
                format!("{plural}.{group}")
            },
            collection: K::url_path(&(), Some(namespace).filter(|name| !name.is_empty())),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(super) fn collection(&self) -> &str {
        &self.collection
    }

    /// Returns plural and group, as kubectl prints them.
    pub(super) fn resource(&self) -> &str {
        &self.resource
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            namespace,
            name,
            ..
        } = self;
        match (namespace.as_str(), name.as_str()) {
            ("", "") => write!(f, "{kind}s in all namespaces"),
            ("", name) => write!(f, "{kind} {name}"),
            (namespace, "") => write!(f, "{kind}s in namespace {namespace}"),
            (namespace, name) => write!(f, "{kind} {namespace}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_paths_and_display_names() {
        let path = |object: &Object| object.collection().to_owned();
        let shop = Object::exposed_port("team-a", "shop");
        let exposed_ports = "/apis/portolan.dev/v1alpha1/namespaces/team-a/exposedports";
        assert_eq!(path(&shop), exposed_ports);
        assert_eq!(shop.to_string(), "ExposedPort team-a/shop");
        assert_eq!(shop.resource(), "exposedports.portolan.dev");
        let all = Object::exposed_ports("");
        assert_eq!(path(&all), "/apis/portolan.dev/v1alpha1/exposedports");
        assert_eq!(all.to_string(), "ExposedPorts in all namespaces");
        let some = Object::exposed_ports("team-a").to_string();
        assert_eq!(some, "ExposedPorts in namespace team-a");
        let secret = Object::secret("team-a", "pair");
        assert_eq!(path(&secret), "/api/v1/namespaces/team-a/secrets");
        assert_eq!(secret.resource(), "secrets");
    }
}
