//! Faults on a cluster with the chart installed. They disturb the whole of it: run with `--test-threads=1`.

mod alerts;
mod cert_manager;
mod fail_static;
mod kills;
mod leftovers;
mod swap;
