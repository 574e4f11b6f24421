//! Where the operators are.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use thiserror::Error;

/// Finds the address of every operator.
///
/// A trait, because tests have several operators on one host, which no name service tells apart.
pub(super) trait Resolve: Send + 'static {
    fn addresses(&self) -> impl Future<Output = Result<BTreeSet<SocketAddr>, ResolveError>> + Send;
}

#[derive(Debug, Error)]
pub(super) enum ResolveError {
    #[error("{name}: {problem}")]
    Lookup { name: String, problem: String },
}

/// Looks up the headless Service. Not by the C library: linked statically it cannot.
#[derive(Debug)]
pub(super) struct HeadlessService {
    host: String,
    port: u16,
    resolver: TokioResolver,
}

impl HeadlessService {
    /// With the name servers of `/etc/resolv.conf`.
    pub(super) fn new(host: &str, port: u16) -> Result<Self, ResolveError> {
        let failed = |problem: String| ResolveError::Lookup {
            name: host.to_owned(),
            problem,
        };
        let mut builder =
            TokioResolver::builder_tokio().map_err(|error| failed(error.to_string()))?;
        let options = builder.options_mut();
        // In a cluster of two families each operator has an address of each; one stream is enough.
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        // "No such name" must not be remembered: the first operator may be there a second later.
        options.cache_size = 0;
        Ok(Self {
            host: host.to_owned(),
            port,
            resolver: builder.build().map_err(|error| failed(error.to_string()))?,
        })
    }
}

impl Resolve for HeadlessService {
    async fn addresses(&self) -> Result<BTreeSet<SocketAddr>, ResolveError> {
        let found = self.resolver.lookup_ip(self.host.as_str()).await;
        let found = found.map_err(|error| ResolveError::Lookup {
            name: self.host.clone(),
            problem: error.to_string(),
        })?;
        let addresses = found.iter().map(|ip| SocketAddr::new(ip, self.port));
        Ok(addresses.collect())
    }
}
