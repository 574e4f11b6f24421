//! A virtual host with the certificate that it is served with.

use crate::certificate::CertificateSlot;
use portolan_proxy_core::decide::VirtualHost;
use portolan_proxy_core::endpoint::EndpointSet;
use std::sync::Arc;

/// Where a share of a route's requests goes.
pub(crate) type Backend = Arc<EndpointSet>;

/// Compiled once by the control thread, shared by all workers, never changed.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) policy: VirtualHost<Backend>,
    /// Present when TLS can be spoken.
    pub(crate) certificate: Option<Arc<CertificateSlot>>,
}

impl Host {
    /// Whether a request for this host may come on a connection whose handshake asked for
    /// `negotiated`: the same host, or one with the same certificate (RFC 9110 15.5.20).
    pub(crate) fn may_share(&self, negotiated: &Self) -> bool {
        self.policy.pattern == negotiated.policy.pattern
            || match (&self.certificate, &negotiated.certificate) {
                (Some(this), Some(that)) => this.name() == that.name(),
                _ => false,
            }
    }
}
