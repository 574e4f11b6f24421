//! The way to an endpoint, whatever is spoken with the client: which endpoint, over which
//! connection, and what becomes of the connection afterwards.

pub(crate) mod denied;
pub(crate) mod http2_pool;
pub(crate) mod pool;
pub(crate) mod stream;
pub(crate) mod tls;
