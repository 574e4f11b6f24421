//! The data plane: workers, listeners, TLS and HTTP around the pure half (`portolan-proxy-core`).
//!
//! ```text
//! discovery ──► control thread ──► a batch to every worker ──► applied, acknowledged
//!                                        │
//!              client ──► server: accept, TLS by server name, HTTP/1 or 2 ──► forward ──► endpoint
//! ```
//! [`DataPlane`](data_plane::DataPlane) starts the threads; [`Control`](control::Control) is the
//! one way to configure it. From the top down, each importing only what is below (`tests/layers`):
//! - `server`: worker threads: accepting, TLS handshakes, the connections of clients
//! - `forward`: routes a request and makes the attempts to send it
//! - `http1`, `http2`: the codecs, behind the traits of `exchange`
//! - `exchange`: a request and its response, for any pair of protocols
//! - `worker`: the state that the tasks of one worker share
//! - `upstream`: pools of connections to endpoints, and TLS to them
//! - `tls`: TLS termination for clients
//! - `telemetry`, `memory`: counters, the access log, the memory budget
//!
//! Beside them: `control` (batches, compiled into a table; listeners; the certificate probe),
//! `discovery` (where configuration comes from) and `admin` (`/metrics`, `/livez`, `/readyz`).

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
