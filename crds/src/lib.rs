//! The API of group `portolan.dev`, as Rust types and as CustomResourceDefinitions.
//!
//! What an app team writes ([`ExposedPort`]), what a platform team writes ([`ExposeClass`]), what
//! the operator alone writes ([`HostnameHold`]), and the few foreign types that Portolan writes or
//! reads ([`certmanager`], [`gateway`]). These are wire types: they say what may stand in a file, and nothing of what
//! it means; that is the operator's core. Nothing of ours is imported.
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
/// How many hostnames one object may have.
pub const HOSTNAMES_MAX: usize = 64;
/// How many routes one object may have.
pub const ROUTES_MAX: usize = 128;
/// How many parents one object may allow.
pub const PARENTS_MAX: usize = 32;
/// How many namespaces a class may admit by name.
pub const ROOT_NAMESPACES_MAX: usize = 256;
/// How many labels a selector may ask for, and how many expressions it may have.
pub const EXPRESSIONS_MAX: usize = 8;
/// How many values one of these expressions may have.
pub const LABEL_VALUES_MAX: usize = 32;
/// How many rules a class may have about who gets which hostnames.
pub const HOSTNAME_RULES_MAX: usize = 64;
/// How many domains one such rule may have.
pub const DOMAINS_MAX: usize = 16;
/// How many certificates of a class objects may share.
pub const SHARED_CERTIFICATES_MAX: usize = 64;
/// How many issuers a class may allow.
pub const ALLOWED_ISSUERS_MAX: usize = 64;
/// How many labels an object may give its children.
pub const CHILD_LABELS_MAX: usize = 16;
/// How many bytes the annotations of an object may have, names and values together.
pub const ANNOTATIONS_BYTES_MAX: usize = 32 * 1024;
/// How many of its children the status of an object lists.
pub const CHILDREN_MAX: usize = 128;
/// How many backends one route may have.
pub const BACKENDS_MAX: usize = 16;
/// How many header fields one route may look at, and how many query parameters.
pub const MATCHES_MAX: usize = 16;
/// The longest path that may be written.
pub const PATH_MAX: usize = 1024;
/// How many header fields one route may set, how many add, and how many remove.
pub const EDITS_MAX: usize = 32;
/// The longest value of a header field that may be written.
pub const VALUE_MAX: usize = 4096;
/// How many origins may call one route.
pub const ORIGINS_MAX: usize = 32;
/// The largest weight of a backend.
pub const WEIGHT_MAX: u32 = 1_000_000;
