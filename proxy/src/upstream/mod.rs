//! Connections to endpoints: pools of them, TLS, and the addresses that are denied.
//! Connecting for a request is `exchange::connect`.

pub(crate) mod denied;
pub(crate) mod http2_pool;
pub(crate) mod pool;
pub(crate) mod stream;
pub(crate) mod tls;
