//! The data plane: workers, listeners, TLS and HTTP around the pure half (`portolan-proxy-core`).
//!
//! ```text
//! discovery ──► control thread ──► a batch to every worker ──► applied, acknowledged
//!                                        │
//!              client ──► worker: accept, TLS by server name, HTTP/1 ──► endpoint
//! ```

pub mod control;
