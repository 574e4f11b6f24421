//! A virtual host with the way TLS is spoken for it.

use crate::tls::termination::Termination;
use crate::upstream::tls::UpstreamTls;
use portolan_discovery::table::UpstreamProtocol;
use portolan_proxy_core::decide::VirtualHost;
use portolan_proxy_core::endpoint::EndpointSet;
use std::sync::Arc;

/// Where a share of a route's requests goes, and how.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) endpoints: Arc<EndpointSet>,
    pub(crate) protocol: UpstreamProtocol,
    /// Absent: in the clear.
    pub(crate) tls: Option<Arc<UpstreamTls>>,
}

/// Compiled once by the control thread, shared by all workers, never changed.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) policy: Arc<VirtualHost<Backend>>,
    /// Present when TLS can be spoken.
    pub(crate) tls: Option<Arc<Termination>>,
}
