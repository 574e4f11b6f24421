//! The API of group `portolan.dev`, as Rust types and as CustomResourceDefinitions.
//!
//! App teams write [`ExposedPort`], platform teams write [`ExposeClass`], and only the operator writes
//! [`HostnameHold`]; [`certmanager`] and [`gateway`] have the few foreign types that Portolan reads or writes. These
//! are wire types: they define what a file may contain; the operator's core implements it. [`messages`] has the
//! sentences of validation that both share. No other crate of the workspace is imported.
//!
//! Only what is implemented is in the schema. `crdgen` renders it ([`manifest`]) into the chart,
//! and a test fails when the chart differs.

// kube's KubeSchema derive copies a type, with its visibility, into the body of a function.
#![allow(unreachable_pub)]
// Every printer column has a type; clippy takes the second one for a repetition.
#![allow(clippy::duplicated_attributes)]

pub mod certmanager;
mod expose_class;
mod exposed_port;
pub mod gateway;
mod hostname_hold;
pub mod manifest;
pub mod messages;
mod namespaces;
mod schema;

pub use expose_class::{
    AllowedEndpoints, AllowedIssuer, Amounts, BackendEncryption, CertificateMode, ClassAnnotations,
    ClassCertificates, ClassNetworkPolicy, ClassTls, ExposeClass, ExposeClassProxies,
    ExposeClassSpec, ExposeClassStatus, HostnameRule, IpFamily, IpFamilyPolicy,
    NamespacedSecretRef, NetworkPolicyMode, Proxy, ProxyResources, ProxyService, ServiceType,
    SharedCertificate,
};
pub use exposed_port::{
    Address, AddressType, BackendCa, BackendRef, BackendTls, CertificateStatus, ChildRef, ClientCa,
    ClientCaMode, Cors, DelegateRef, ExposedPort, ExposedPortSpec, ExposedPortStatus, FieldMatch,
    HeaderEdits, Headers, HostnameStatus, Hsts, IssuerRef, Lease, MaxTlsVersion, MinTlsVersion,
    OnExpiry, ParentRef, PathMatch, Policy, Redirect, Respond, Retries, RetryOn, Route, RouteMatch,
    Scheme, SecretRef, Summary, Timeouts, Tls, TlsMode,
};
pub use hostname_hold::{HostnameHold, HostnameHoldSpec};
pub use namespaces::{
    AllowedNamespaces, LabelExpression, LabelOperator, LabelSelector, NamespaceName,
};

/// The API group of every type of ours.
pub const GROUP: &str = "portolan.dev";
/// The one version; later ones only add optional fields.
pub const VERSION: &str = "v1alpha1";
/// The longest hostname: a hold is named after it, with two characters before, and an object's name has at most 253.
pub const HOSTNAME_MAX: usize = 240;
/// Most hostnames of one object.
pub const HOSTNAMES_MAX: usize = 64;
/// Most routes of one object.
pub const ROUTES_MAX: usize = 128;
/// Most allowed parents of one object.
pub const PARENTS_MAX: usize = 32;
/// Most namespaces that a class may list by name.
pub const ROOT_NAMESPACES_MAX: usize = 256;
/// Most labels of a selector, and most expressions.
pub const EXPRESSIONS_MAX: usize = 8;
/// Most values of one expression of a selector.
pub const LABEL_VALUES_MAX: usize = 32;
/// Most hostname rules of a class.
pub const HOSTNAME_RULES_MAX: usize = 64;
/// Most domains of one hostname rule.
pub const DOMAINS_MAX: usize = 16;
/// Most shared certificates of a class.
pub const SHARED_CERTIFICATES_MAX: usize = 64;
/// Most allowed issuers of a class.
pub const ALLOWED_ISSUERS_MAX: usize = 64;
/// Most labels that an object sets on its children.
pub const CHILD_LABELS_MAX: usize = 16;
/// Most bytes of the annotations of an object, names and values together.
pub const ANNOTATIONS_BYTES_MAX: usize = 32 * 1024;
/// Most children in the status of an object.
pub const CHILDREN_MAX: usize = 128;
/// Most backends of one route.
pub const BACKENDS_MAX: usize = 16;
/// Most header matches of one route, and most query matches.
pub const MATCHES_MAX: usize = 16;
/// Longest path, in bytes.
pub const PATH_MAX: usize = 1024;
/// Most header fields that one route sets, adds, or removes, each.
pub const EDITS_MAX: usize = 32;
/// Longest value of a header field, in bytes.
pub const VALUE_MAX: usize = 4096;
/// Most allowed origins of one route.
pub const ORIGINS_MAX: usize = 32;
/// The largest weight of a backend.
pub const WEIGHT_MAX: u32 = 1_000_000;
