//! Computes routing tables, children and statuses from the objects in the cluster. Pure: no I/O, no async, no clock, no randomness.
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
//! # Usage
//! - [`Index::new`] with the namespace of the release; then [`Event::Now`], then every list, then changes as they come.
//! - After each batch of events, for what [`Affected`] names: update the table from [`Index::resource`]
//!   (`None`: the resource is gone), apply [`Index::children`] and [`Index::class_children`] and
//!   delete children that are no longer among them, do [`Index::hold_action`], write
//!   [`Index::status`] and [`Index::class_status`].
//! - Our Certificates' Secrets carry the labels of [`MANAGED_SELECTOR`]; watch any other Secret by
//!   name, while it is among [`Index::referenced_secrets`].
//! - While objects use a class, it carries the finalizer [`IN_USE`]: write [`Index::finalizers`].
//! - [`Index::metrics`] returns the stored status of an object in numbers.
//! - A hostname of an Ingress is a [`Subject`] beside the ExposedPorts. Report its status in events, with
//!   [`Index::in_terms_of_ingress`], and keep it with [`Index::remember`].
//! - [`Index::resources_of`] says whose acknowledgement a status needs; [`Index::recheck_at`],
//!   when time alone changes it.
//! - An object that is being deleted is as good as gone: it has no children and no status.

mod child;
mod compile;
mod constants;
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
pub use constants::{
    CA_CONFIG_MAP, CLASS, DISCOVERY_AUDIENCE, DISCOVERY_SERVICE, EXPOSED_PORT, FIELD_MANAGER,
    IN_USE, INGRESS, INGRESS_CONTROLLER, MANAGED_BY, MANAGED_SELECTOR, NAMESPACE_NAME,
    OWNER_NAMESPACE, OWNER_UID, SOLVER,
};
pub use event::{Affected, Change, Event};
pub use index::Index;
pub use index::ingress::ingresses::may_be_served;
pub use names::{ClassName, Hostname, ObjectRef};
pub use observed::{AckState, ChildKey, ChildState, Observed, ObservedProxy, ServedCertificate};
pub use reason::Reason;
pub use reported::{ReportedCertificate, ReportedHostname, ReportedStatus};
pub use status::{CertificateMetrics, Diagnostic, HostnameMetrics, ObjectMetrics};
pub use subject::Subject;
pub use uses::Uses;

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
