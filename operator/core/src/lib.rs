//! What the objects in the cluster mean. Pure: no I/O, no async, no clock, no randomness.
//!
//! ```text
//! Event ──► Index::apply ──► Affected ─┬─► resource(class, name) ──► table entry for the proxies
//!            (validate, link)          ├─► children(object)      ──► server-side apply
//!                                      ├─► class_children(class) ──► server-side apply
//!                                      ├─► hold_action(hostname) ──► create or delete a hold
//!                                      └─► status(object, observed, now) ──► the one status writer
//! ```
//! [`mod@validate`] settles every failure of one object alone, [`Index`] every failure between objects;
//! what is compiled from it cannot fail. Rejection is a value: it ends up in a status and in what
//! the proxies answer, and never takes down another object.
//!
//! # For whoever surrounds it with I/O
//! - [`Index::new`] with the namespace of the release; then [`Event::Now`], then every list, then changes as they come.
//! - After each batch of events, for what [`Affected`] names: update the table from [`Index::resource`]
//!   (`None`: the resource is gone), apply [`Index::children`] and [`Index::class_children`] and
//!   delete children that are no longer among them, do [`Index::hold_action`], write
//!   [`Index::status`] and [`Index::class_status`].
//! - Our Certificates' Secrets carry the labels of [`MANAGED_SELECTOR`]; watch any other Secret by
//!   name, while it is among [`Index::referenced_secrets`].
//! - While objects use a class, it carries the finalizer [`IN_USE`]: write [`Index::finalizers`].
//! - [`Index::vitals`] is the stored status of an object in numbers, for metrics.
//! - A hostname of an Ingress is a [`Subject`] beside the ExposedPorts. Report its status in events, with
//!   [`Index::in_terms_of_ingress`], and keep it with [`Index::remember`].
//! - [`Index::resources_of`] says whose acknowledgement a status needs; [`Index::recheck_at`],
//!   when time alone changes it.
//! - An object that is being deleted is as good as gone: it has no children and no status.

mod child;
mod compile;
mod event;
mod index;
pub mod names;
mod observed;
mod precedence;
pub mod reason;
mod reported;
mod status;
mod subject;
mod uses;
mod validate;

pub use child::{Child, HoldAction, ProxySettings};
pub use compile::TicketKey;
pub use event::{Affected, Change, Event};
pub use index::Index;
pub use index::ingress::acme_solvers::SOLVER;
pub use index::ingress::ingresses::may_be_served;
pub use names::{ClassName, Hostname, ObjectRef};
pub use observed::{AckState, ChildKey, ChildState, Observed, ObservedProxy, ServedCertificate};
pub use reason::Reason;
pub use reported::{ReportedCertificate, ReportedHostname, ReportedStatus};
pub use status::{CertificateMetrics, Diagnostic, HostnameMetrics, ObjectMetrics};
pub use subject::Subject;
pub use uses::Uses;

/// The field manager of everything that Portolan writes.
pub const FIELD_MANAGER: &str = "portolan";
/// Label of everything that Portolan writes.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "portolan");
/// Selects everything that Portolan writes, and the Secrets of its Certificates.
pub const MANAGED_SELECTOR: &str = "app.kubernetes.io/managed-by=portolan";
/// Label with the name of the ExposedPort that an object was made for.
pub const EXPOSED_PORT: &str = "portolan.dev/exposed-port";
/// Label with the name of the Ingress that an object was made for.
pub const INGRESS: &str = "portolan.dev/ingress";
/// Label with the name of the ExposeClass that an object was made for.
pub const CLASS: &str = "portolan.dev/class";
/// The finalizer of a class that objects use.
pub const IN_USE: &str = "portolan.dev/in-use";
/// Annotation with the UID of the owner.
pub const OWNER_UID: &str = "portolan.dev/owner-uid";
/// Annotation with the namespace of the owner, where that is another one: an ownerReference cannot say it.
pub const OWNER_NAMESPACE: &str = "portolan.dev/owner-namespace";
/// `spec.controller` of our IngressClasses.
pub const INGRESS_CONTROLLER: &str = "portolan.dev/ingress";
/// The audience of the tokens that proxies show.
pub const DISCOVERY_AUDIENCE: &str = "portolan-discovery";
/// The headless Service of the operator, and the port of discovery.
pub const DISCOVERY_SERVICE: (&str, u16) = ("portolan-discovery", 9443);
/// The ConfigMap with the certificate authority of discovery, in `ca.crt`.
pub const CA_CONFIG_MAP: &str = "portolan-ca";

/// The ServiceAccount of the proxies of a class: whom discovery lets in.
pub fn proxy_service_account(namespace: &str, class: &ClassName) -> String {
    class_child_name(namespace, class, "ServiceAccount")
}

/// The Service before the proxies of a class.
pub fn proxy_service(namespace: &str, class: &ClassName) -> ObjectRef {
    ObjectRef::new(namespace, class_child_name(namespace, class, "Service"))
}

pub(crate) fn class_child_name(namespace: &str, class: &ClassName, kind: &str) -> String {
    names::child_name(namespace, &format!("portolan-proxy-{class}"), kind, "")
}
