//! The kinds of object that Portolan makes, and how one of them is named.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use serde_json::Value;
use std::fmt;

/// A kind of child. What is not here is neither written nor watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    /// In front of the pods of an object, or of the proxies of a class.
    Service,
    /// Shows the held hostnames of an object.
    Ingress,
    /// Asks cert-manager for a certificate.
    Certificate,
    /// The proxies of a class.
    Deployment,
    /// What the proxies of a class are.
    ServiceAccount,
    /// How many proxies may be away on purpose.
    PodDisruptionBudget,
    /// Who reaches the proxies.
    NetworkPolicy,
    /// The class as Ingresses name it.
    IngressClass,
}

impl ChildKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Service,
        Self::Ingress,
        Self::Certificate,
        Self::Deployment,
        Self::ServiceAccount,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::IngressClass,
    ];

    /// Group, version, kind and plural.
    const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Service => ("", "v1", "Service", "services"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::Certificate => ("cert-manager.io", "v1", "Certificate", "certificates"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::PodDisruptionBudget => (
                "policy",
                "v1",
                "PodDisruptionBudget",
                "poddisruptionbudgets",
            ),
            Self::NetworkPolicy => (
                "networking.k8s.io",
                "v1",
                "NetworkPolicy",
                "networkpolicies",
            ),
            Self::IngressClass => ("networking.k8s.io", "v1", "IngressClass", "ingressclasses"),
        }
    }

    /// As it stands in `kind`.
    pub const fn as_str(self) -> &'static str {
        self.names().2
    }

    /// As it stands in a URL.
    pub const fn plural(self) -> &'static str {
        self.names().3
    }

    /// How the API server calls it.
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        let api_version = match group {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// The kind of an object, if it is one of these.
    pub fn of(object: &Value) -> Option<Self> {
        let api_version = object.get("apiVersion")?.as_str()?;
        let kind = object.get("kind")?.as_str()?;
        Self::ALL.into_iter().find(|it| {
            let resource = it.resource();
            resource.kind == kind && resource.api_version == api_version
        })
    }
}

impl fmt::Display for ChildKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which object: there is at most one with these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId {
    /// What it is.
    pub kind: ChildKind,
    /// Where it is; empty for what belongs to the cluster.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

impl ChildId {
    /// The identity that stands in an object, if it is of a kind that we make.
    pub fn of(object: &Value) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let text = |field| metadata.get(field).and_then(Value::as_str);
        Some(Self {
            kind: ChildKind::of(object)?,
            namespace: text("namespace").unwrap_or_default().to_owned(),
            name: text("name")?.to_owned(),
        })
    }

    /// Where requests about it go.
    pub(super) fn api(&self, client: Client) -> Api<DynamicObject> {
        let resource = self.kind.resource();
        match self.namespace.as_str() {
            "" => Api::all_with(client, &resource),
            namespace => Api::namespaced_with(client, namespace, &resource),
        }
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_is_known_by_its_names() {
        for kind in ChildKind::ALL {
            let resource = kind.resource();
            let object = json!({"apiVersion": resource.api_version, "kind": resource.kind});
            assert_eq!(ChildKind::of(&object), Some(kind));
        }
    }

    #[test]
    fn another_group_is_another_kind() {
        let knative = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service"});
        assert_eq!(ChildKind::of(&knative), None);
    }
}
