//! What is asked for, by path and by name.

use k8s_openapi::api::core::v1::Secret;
use kube::Resource;
use portolan_crds::{ExposeClass, ExposedPort};
use std::fmt;

/// An object, or with an empty name the collection in which it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    kind: &'static str,
    collection: String,
    /// Empty: none, or all.
    namespace: String,
    name: String,
}

impl Object {
    /// An ExposedPort.
    pub(crate) fn exposed_port(namespace: &str, name: &str) -> Self {
        Self::new::<ExposedPort>("ExposedPort", namespace, name)
    }

    /// The ExposedPorts of a namespace, or with an empty one all that there are.
    pub(crate) fn exposed_ports(namespace: &str) -> Self {
        Self::exposed_port(namespace, "")
    }

    /// A Secret.
    pub(crate) fn secret(namespace: &str, name: &str) -> Self {
        Self::new::<Secret>("Secret", namespace, name)
    }

    /// An ExposeClass.
    pub(crate) fn expose_class(name: &str) -> Self {
        Self::new::<ExposeClass>("ExposeClass", "", name)
    }

    fn new<K: Resource<DynamicType = ()>>(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            collection: K::url_path(&(), Some(namespace).filter(|it| !it.is_empty())),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(super) fn collection(&self) -> &str {
        &self.collection
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
            ("", "") => write!(f, "{kind}s of all namespaces"),
            ("", name) => write!(f, "{kind} {name}"),
            (namespace, "") => write!(f, "{kind}s of namespace {namespace}"),
            (namespace, name) => write!(f, "{kind} {namespace}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_path_and_is_called_what_people_call_it() {
        let path = |object: &Object| object.collection().to_owned();
        let shop = Object::exposed_port("team-a", "shop");
        let exposed_ports = "/apis/portolan.dev/v1alpha1/namespaces/team-a/exposedports";
        assert_eq!(path(&shop), exposed_ports);
        assert_eq!(shop.to_string(), "ExposedPort team-a/shop");
        let all = Object::exposed_ports("");
        assert_eq!(path(&all), "/apis/portolan.dev/v1alpha1/exposedports");
        assert_eq!(all.to_string(), "ExposedPorts of all namespaces");
        let some = Object::exposed_ports("team-a").to_string();
        assert_eq!(some, "ExposedPorts of namespace team-a");
        let secret = Object::secret("team-a", "pair");
        assert_eq!(path(&secret), "/api/v1/namespaces/team-a/secrets");
        let class = Object::expose_class("public");
        assert_eq!(path(&class), "/apis/portolan.dev/v1alpha1/exposeclasses");
        assert_eq!(class.to_string(), "ExposeClass public");
    }
}
