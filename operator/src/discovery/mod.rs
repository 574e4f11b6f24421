//! The server side of discovery: every synced replica tells the proxies of each class what to serve
//! and hears what they do serve.
//!
//! ```text
//! model ──► Table ──names──► stream per proxy ──transactions──► proxy
//! status ◄── Acks ◄───────────────┴────────────verdicts─────────┘
//! ```

mod acks;
mod changes;
mod table;

pub use acks::{Acks, Proxy, ProxyPod, Verdict};
pub use changes::{AckChanges, Scope};
pub use table::{Content, Table};
