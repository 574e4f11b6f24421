//! A virtual host with its TLS configuration.

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
    /// Absent: plaintext.
    pub(crate) tls: Option<Arc<UpstreamTls>>,
}

/// Compiled once by the control thread, shared by all workers, never changed.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) policy: Arc<VirtualHost<Backend>>,
    /// Present when TLS can be terminated.
    pub(crate) tls: Option<Arc<Termination>>,
}

/// Result of a TLS handshake.
#[derive(Clone, Debug)]
pub(crate) struct Negotiated {
    /// The host that was asked for; absent when no server name was.
    pub(crate) host: Option<Arc<Host>>,
    pub(crate) termination: Arc<Termination>,
}

impl Host {
    /// Returns whether a request for this host may come on a connection with such a handshake. Else the
    /// client gets 421 and opens another (RFC 9110 15.5.20): it proved too little for this host, or
    /// was shown the certificate of another.
    ///
    /// Judged by what holds now, for each request: a connection outlives changes.
    pub(crate) fn may_share(&self, negotiated: &Negotiated) -> bool {
        let asked_for = negotiated.host.as_ref();
        let own = asked_for.is_some_and(|host| host.policy.pattern == self.policy.pattern);
        match &self.tls {
            Some(tls) => {
                let then = &negotiated.termination;
                tls.asks_the_same_as(then) && (own || tls.shows_the_same_as(then))
            }
            // No certificate, no client authority: nothing to prove but the name.
            None => own,
        }
    }
}
