//! `HostnameHold`: which namespace holds a hostname. Its name is made from the hostname, so that
//! the API server itself lets only one be created.

use crate::HOSTNAME_MAX;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Records which namespace holds a hostname; written by the operator only.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "portolan.dev",
    version = "v1alpha1",
    kind = "HostnameHold",
    plural = "hostnameholds",
    shortname = "hh",
    category = "portolan",
    derive = "PartialEq",
    doc = "Records which namespace holds a hostname. Written by the operator only; `kubectl get hostnameholds` lists all of them.",
    validation = Rule::new("self.metadata.name == (self.spec.hostname.startsWith('*.') ? 'w.' + self.spec.hostname.substring(2) : 'h.' + self.spec.hostname)")
        .message("metadata.name must be h.<hostname>, or w.<domain> for *.<domain>; let the operator create it").reason(Reason::FieldValueInvalid),
    printcolumn(name = "Hostname", type_ = "string", json_path = ".spec.hostname"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.namespace"),
    printcolumn(name = "Since", type_ = "date", json_path = ".spec.since")
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("may not change; delete the object, and the operator creates another").reason(Reason::FieldValueForbidden))]
#[serde(rename_all = "camelCase")]
pub struct HostnameHoldSpec {
    /// Hostname or wildcard, in lower case.
    #[schemars(length(min = 1, max = HOSTNAME_MAX))]
    pub hostname: String,
    /// Namespace that holds the hostname.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Time since which the namespace holds the hostname.
    pub since: Time,
}
