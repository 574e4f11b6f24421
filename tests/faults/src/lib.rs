//! Faults on the test cluster.
//!
//! ```text
//! operator as a host process ──► API proxy ──► API server
//!        ▲ discovery               │ counts writes; at the Nth: kills the operator,
//! proxies in the cluster           ▼ before or after the write takes effect
//!                               records
//! ```
//! - [`api_proxy`] stands between the operator and the API server.
//! - [`operator_under_test`] swaps the operator in the cluster for one behind the API proxy, and swaps it back.
//! - [`cluster_snapshot`] compares the objects in the cluster, without what may differ from run to run.
//! - [`sweep`] does one change again and again, each time with the kill at another write.
//! - [`container`] kills what runs in a pod, and halts what runs beside the cluster.
//! - [`partition`] drops the traffic between a pod and a port.
//! - [`prometheus`] is a real one, with the alerts that the chart installs.
//!
//! These tests disturb the whole cluster: run them one at a time (`--test-threads=1`).

pub mod api_proxy;
pub mod cluster_snapshot;
pub mod container;
pub mod operator_under_test;
pub mod partition;
pub mod prometheus;
pub mod sweep;
