//! The data plane: workers, listeners, TLS and HTTP around the pure half (`portolan-proxy-core`).
//!
//! ```text
//! discovery ──► control thread ──► a batch to every worker ──► applied, acknowledged
//!                                        │
//!              client ──► worker: accept, TLS by server name, HTTP/1 or 2 ──► endpoint
//! ```
//! [`DataPlane`](data_plane::DataPlane) starts the threads; [`Control`](control::Control) is the
//! one way to tell them anything. Where to read on:
//! - `control`: batches, compiled into a table; listeners; what clients are really shown
//! - `worker`: a thread with its own listeners, connections, pools and table
//! - `tls`: what is shown to clients and asked of them, and of endpoints
//! - `exchange`: a request and its response, whatever is spoken with either side
//! - `http1`: a connection, one request after another
//! - `http2`: a connection, many requests at a time
//! - `upstream`: endpoints: which one, over which connection
//! - `telemetry` and `admin`: what is told about all that
//! - `discovery`: where configuration comes from

pub mod admin;
mod clock;
pub mod control;
pub mod cpu_limit;
pub mod data_plane;
pub mod descriptors;
pub mod discovery;
mod exchange;
mod external;
mod forward;
mod host;
mod http1;
mod http2;
mod lifecycle;
pub mod limits;
pub mod memory;
pub mod options;
mod server;
pub mod telemetry;
mod tls;
mod transport;
mod upstream;
mod worker;
