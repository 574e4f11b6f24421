//! Faults on the test cluster.
//!
//! ```text
//! operator as a host process ──► front ──► API server
//!        ▲ discovery               │ counts writes; at the Nth: kills the operator,
//! proxies in the cluster           ▼ before or after the write takes effect
//!                               records
//! ```
//! - [`front`] stands between the operator and the API server.
//! - [`stand`] swaps the operator in the cluster for one behind the front, and swaps it back.
//! - [`picture`] is what stands in the cluster, less what may differ from run to run.
//! - [`sweep`] does one change again and again, each time with the cut at another write.
//! - [`container`] kills what runs in a pod, and halts what runs beside the cluster.
//! - [`cut`] keeps a pod from a port.
//! - [`prometheus`] is a real one, with the alerts that the chart installs.
//!
//! These tests disturb the whole cluster: run them one at a time (`--test-threads=1`).

pub mod container;
pub mod cut;
pub mod front;
pub mod picture;
pub mod prometheus;
pub mod stand;
pub mod sweep;
