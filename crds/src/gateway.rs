//! The part of the Gateway API that Portolan reads: consent to references from other namespaces.
//!
//! Versions `v1` and `v1beta1` of a ReferenceGrant say the same. A test holds these fields against the
//! Gateway API's own CustomResourceDefinition.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Allows objects of other namespaces to refer to objects of this one.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "ReferenceGrant",
    plural = "referencegrants",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
pub struct ReferenceGrantSpec {
    /// Objects that may refer.
    #[serde(default)]
    pub from: Vec<ReferenceGrantFrom>,
    /// Objects that they may refer to.
    #[serde(default)]
    pub to: Vec<ReferenceGrantTo>,
}

/// Objects of one kind in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceGrantFrom {
    /// Their API group.
    pub group: String,
    /// Their kind.
    pub kind: String,
    /// Their namespace.
    pub namespace: String,
}

/// Objects of one kind in the namespace of the grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceGrantTo {
    /// Their API group; empty for Services and Secrets.
    pub group: String,
    /// Their kind.
    pub kind: String,
    /// Name of the only object that is allowed. If omitted, all objects of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
