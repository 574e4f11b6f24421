//! Addresses that are never contacted, even if an endpoint claims them.
//!
//! Asked for each request, since a waiting connection may be older than the class's word, and after DNS
//! has resolved: a name that is allowed when it is looked up and points elsewhere a moment
//! later gains nothing (DNS rebinding).

use arc_swap::ArcSwap;
use portolan_proxy_core::cidr::Networks;
use std::net::IpAddr;
use std::sync::Arc;

/// The networks that are denied now; clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct Denied {
    always: Arc<Networks>,
    /// Networks that the class adds.
    class: Arc<ArcSwap<Networks>>,
}

impl Denied {
    pub(crate) fn new(always: Networks) -> Self {
        Self {
            always: Arc::new(always),
            class: Arc::default(),
        }
    }

    /// Replaces the networks that the class adds.
    pub(crate) fn set_class(&self, networks: Networks) {
        self.class.store(Arc::new(networks));
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.always.contains(address) || self.class.load().contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_adds_and_takes_back_only_what_it_added() {
        let denied = Denied::new(Networks::parse(&["127.0.0.0/8"]).unwrap());
        let other = denied.clone();
        let (loopback, private) = ("127.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap());
        assert!(other.contains(loopback) && !other.contains(private));
        denied.set_class(Networks::parse(&["10.0.0.0/8"]).unwrap());
        assert!(other.contains(loopback) && other.contains(private));
        denied.set_class(Networks::default());
        assert!(other.contains(loopback) && !other.contains(private));
    }
}
