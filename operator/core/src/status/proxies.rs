//! The proxies of a class, as every object of the class depends on them.

use crate::index::Index;
use crate::names::{ClassName, ObjectRef};
use crate::observed::{AckState, ObservedProxy};
use crate::proxy_service;
use crate::reason::Reason;
use portolan_crds::Address;
use portolan_discovery::table::ResourceName;

/// What a ready proxy has not loaded, or cannot use.
pub(super) fn not_loaded(
    proxies: &[ObservedProxy],
    names: &[ResourceName],
) -> Option<(Reason, String)> {
    let mut behind = None;
    for proxy in proxies.iter().filter(|proxy| proxy.ready) {
        for name in names {
            match proxy.acks.get(name) {
                Some(AckState::Acknowledged) => {}
                Some(AckState::Refused(told)) => {
                    let message = format!("proxy \"{}\" rejected {name}: {told}", proxy.name);
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
    /// Why nobody gets to the proxies of a class.
    pub(super) fn shut(
        &self,
        class: &ClassName,
        proxies: &[ObservedProxy],
    ) -> Option<(Reason, String)> {
        let service = proxy_service(&self.namespace, class);
        let (reason, message) = if !proxies.iter().any(|proxy| proxy.ready) {
            let told = format!("class \"{class}\" has no ready proxy");
            (Reason::NoReadyProxy, told)
        } else if !self.services.answers(&service) {
            let told = format!(
                "waiting for a ready proxy of class \"{class}\" to become an endpoint of its Service"
            );
            (Reason::NoReadyProxy, told)
        } else if self.addresses(class).is_empty() {
            let told = format!(
                "waiting for the proxy Service of class \"{class}\" to be assigned an address"
            );
            (Reason::NoAddress, told)
        } else {
            return None;
        };
        Some((reason, message))
    }

    /// Where the hostnames of an Ingress lead: to the proxies of its class, when they serve any of them.
    pub fn addresses_of_ingress(&self, ingress: &ObjectRef) -> &[Address] {
        let hosts = self.hosts_of_ingress(ingress).into_iter();
        let mut links = hosts.filter_map(|me| {
            let (_, link) = self.linked(&me)?;
            self.served(&me, link).next().map(|_| link)
        });
        links
            .next()
            .map(|link| self.addresses(&link.class))
            .unwrap_or_default()
    }

    /// Where the proxies of a class are reached.
    pub(super) fn addresses(&self, class: &ClassName) -> &[Address] {
        let service = self.services.get(&proxy_service(&self.namespace, class));
        service
            .map(|service| service.addresses.as_slice())
            .unwrap_or_default()
    }
}
