//! Checks of the proxies of a class, on which every object of the class depends.

use crate::index::Index;
use crate::names::ClassName;
use crate::names::ObjectRef;
use crate::observed::{AckState, ObservedProxy};
use crate::proxy_service;
use crate::reason::Reason;
use portolan_crds::Address;
use portolan_discovery::table::ResourceName;

/// Returns the first resource that a ready proxy rejected or, if none, has not loaded.
pub(super) fn not_loaded(
    proxies: &[ObservedProxy],
    names: &[ResourceName],
) -> Option<(Reason, String)> {
    let mut behind = None;
    for proxy in proxies.iter().filter(|proxy| proxy.ready) {
        for name in names {
            match proxy.acks.get(name) {
                Some(AckState::Acknowledged) => {}
                Some(AckState::Refused(error)) => {
                    let message = format!("proxy \"{}\" rejected {name}: {error}", proxy.name);
                    return Some((Reason::ProxyRefused, message));
                }
                Some(AckState::Behind) | None => {
                    behind = behind.or(Some((proxy, name)));
                }
            }
        }
    }
    let (proxy, name) = behind?;
    let message = format!(
        "waiting for proxy \"{}\" to load the current {name}",
        proxy.name
    );
    Some((Reason::ProxiesBehind, message))
}

impl Index {
    /// Returns why the proxies of a class are not reachable.
    pub(super) fn proxies_unreachable(
        &self,
        class: &ClassName,
        proxies: &[ObservedProxy],
    ) -> Option<(Reason, String)> {
        let service = proxy_service(&self.namespace, class);
        let (reason, message) = if !proxies.iter().any(|proxy| proxy.ready) {
            let message = format!("class \"{class}\" has no ready proxy");
            (Reason::NoReadyProxy, message)
        } else if !self.services.is_reachable(&service) {
            let message = format!(
                "waiting for a ready proxy of class \"{class}\" to become an endpoint of its Service"
            );
            (Reason::NoReadyProxy, message)
        } else if self.addresses(class).is_empty() {
            let message = format!(
                "waiting for the proxy Service of class \"{class}\" to be assigned an address"
            );
            (Reason::NoAddress, message)
        } else {
            return None;
        };
        Some((reason, message))
    }

    /// Returns the addresses of the proxies that serve a hostname of the Ingress; empty if none does.
    pub fn addresses_of_ingress(&self, ingress: &ObjectRef) -> &[Address] {
        let hosts = self.hosts_of_ingress(ingress).into_iter();
        let mut links = hosts.filter_map(|key| {
            let (_, link) = self.linked(&key)?;
            self.served(&key, link).next().map(|_| link)
        });
        links
            .next()
            .map(|link| self.addresses(&link.class))
            .unwrap_or_default()
    }

    /// Returns the addresses of the proxies of a class.
    pub(super) fn addresses(&self, class: &ClassName) -> &[Address] {
        let service = self.services.get(&proxy_service(&self.namespace, class));
        service
            .map(|service| service.addresses.as_slice())
            .unwrap_or_default()
    }
}
