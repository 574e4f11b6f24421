//! The operator: everything around the pure core that does I/O.
//!
//! ```text
//! watch ──► model (owns portolan_core::Index) ──► discovery table ──► proxies
//!              │ keys                                   │ acks
//!              ▼                                        ▼
//!            queue ──► reconcile: children ─ apply ─ observe ─ status
//! ```
//! - [`watch`] turns watch streams into events, without interpreting them.
//! - [`model`] is the one task that changes the index; all others read it.
//! - [`queue`] is the work queue of keys to reconcile.
//! - [`reconcile`] reconciles one key: an object, a class or a hold.
//! - [`exposures`] are the metrics of the objects.
//! - [`apply`] writes children: by server-side apply, never adopting, nothing that is already so.
//! - [`lease`] is the leader election: only the leader writes.
//! - [`discovery`] serves the proxies; every synced replica does.

pub mod admin;
pub mod apply;
pub mod client;
pub mod discovery;
pub mod exposures;
pub mod key;
pub mod lease;
pub mod metrics;
pub mod model;
pub mod queue;
pub mod reconcile;
pub mod run;
pub mod settings;
pub mod status;
pub mod watch;

/// The field manager of every write.
pub const FIELD_MANAGER: &str = portolan_core::FIELD_MANAGER;
