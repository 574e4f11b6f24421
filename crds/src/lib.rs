//! The API of group `portolan.dev`, as Rust types and as CustomResourceDefinitions.
//!
//! What an app team writes ([`ExposedPort`]), what a platform team writes ([`ExposeClass`]), what
//! the operator alone writes ([`HostnameHold`]), and the few foreign types that Portolan writes
//! ([`certmanager`]). These are wire types: they say what may stand in a file, and nothing of what
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
mod hostname_hold;
pub mod manifest;
mod schema;

pub use expose_class::{
    Amounts, ExposeClass, ExposeClassProxies, ExposeClassSpec, ExposeClassStatus, Proxy,
    ProxyResources, ProxyService, ServiceType,
};
pub use exposed_port::{
    Address, AddressType, CertificateStatus, ChildRef, ExposedPort, ExposedPortSpec,
    ExposedPortStatus, HostnameStatus, IssuerRef, SecretRef, Summary, Tls, TlsMode,
};
pub use hostname_hold::{HostnameHold, HostnameHoldSpec};

/// The API group of every type of ours.
pub const GROUP: &str = "portolan.dev";
/// The one version; later ones only add optional fields.
pub const VERSION: &str = "v1alpha1";
/// The longest hostname: a hold is named after it, with two characters before, and an object's name has at most 253.
pub const HOSTNAME_MAX: usize = 240;
/// How many hostnames one object may have.
pub const HOSTNAMES_MAX: usize = 64;
