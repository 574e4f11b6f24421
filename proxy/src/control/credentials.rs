//! Credentials: certificates and authorities that are held, and the TLS configurations that are made
//! of them. A bad one is refused; the one before it stays in service.

use crate::host::Host;
use crate::telemetry::inventory::Inventory;
use crate::tls::certificate::{CertificateSlot, Presented};
use crate::tls::provider;
use crate::tls::termination::{
    ClientAuthority, Termination, TerminationError, Terminations, Versions,
};
use crate::tls::ticket::TicketKeys;
use crate::tls::trust::Anchors;
use crate::upstream::tls::{UpstreamTls, UpstreamTlsError};
use portolan_discovery::table::{self, BackendTls, HostTls, Kind, ResourceName, UpstreamProtocol};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Certificates and authorities by name.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    certificates: HashMap<String, Arc<CertificateSlot>>,
    anchors: HashMap<String, Arc<Anchors>>,
    /// Those that were refused while there was none before them, and why.
    refused: HashMap<ResourceName, String>,
    terminations: Terminations,
    /// TLS to endpoints, as long as a backend asks for it.
    upstreams: HashMap<(BackendTls, UpstreamProtocol), Weak<UpstreamTls>>,
}

impl Credentials {
    pub(super) fn has(&self, name: &ResourceName) -> bool {
        match name.kind {
            Kind::Certificate => self.certificates.contains_key(&name.name),
            Kind::TrustAnchors => self.anchors.contains_key(&name.name),
            _ => false,
        }
    }

    /// Returns why a resource is absent although it was sent.
    pub(super) fn refusal(&self, name: &ResourceName) -> Option<&str> {
        self.refused.get(name).map(String::as_str)
    }

    pub(super) fn certificate(&self, name: &str) -> Option<&Arc<CertificateSlot>> {
        self.certificates.get(name)
    }

    /// From which the keys of session tickets are derived.
    pub(super) fn tickets(&self) -> &TicketKeys {
        self.terminations.tickets()
    }

    pub(super) fn set_certificate(
        &mut self,
        certificate: &table::Certificate,
        inventory: &Inventory,
    ) -> Result<(), String> {
        let name = &certificate.name;
        let known = self.certificates.get(name);
        match (Presented::parse(certificate, provider()), known) {
            (Ok(presented), Some(slot)) => slot.replace(presented),
            (Ok(presented), None) => {
                let slot = Arc::new(CertificateSlot::new(name, presented));
                inventory.set_certificate(name, Some(&slot));
                self.certificates.insert(name.clone(), slot);
                self.refused.remove(&named(Kind::Certificate, name));
            }
            (Err(error), known) => {
                return self.refuse(known.is_some(), Kind::Certificate, name, error.to_string());
            }
        }
        Ok(())
    }

    /// Returns the authorities, which replace former ones of that name wherever those are used.
    pub(super) fn set_anchors(
        &mut self,
        anchors: &table::TrustAnchors,
    ) -> Result<Arc<Anchors>, String> {
        let name = &anchors.name;
        match Anchors::parse(anchors) {
            Ok(parsed) => {
                let parsed = Arc::new(parsed);
                self.anchors.insert(name.clone(), Arc::clone(&parsed));
                for upstream in self.upstreams.values().filter_map(Weak::upgrade) {
                    upstream.renew(&parsed).map_err(|error| error.to_string())?;
                }
                self.refused.remove(&named(Kind::TrustAnchors, name));
                Ok(parsed)
            }
            Err(error) => {
                let known = self.anchors.contains_key(name);
                let refused = self.refuse(known, Kind::TrustAnchors, name, error.to_string());
                refused.and(Err(error.to_string()))
            }
        }
    }

    fn refuse(&mut self, known: bool, kind: Kind, name: &str, why: String) -> Result<(), String> {
        if !known {
            self.refused.insert(named(kind, name), why.clone());
        }
        Err(why)
    }

    pub(super) fn remove(&mut self, name: &ResourceName, inventory: &Inventory) {
        match name.kind {
            Kind::Certificate => {
                self.certificates.remove(&name.name);
                inventory.set_certificate(&name.name, None);
            }
            Kind::TrustAnchors => {
                self.anchors.remove(&name.name);
            }
            _ => {}
        }
        self.refused.remove(name);
    }

    /// Builds the TLS termination of a host whose references all exist; `None` before its first
    /// certificate.
    pub(super) fn terminate(
        &mut self,
        hostname: &str,
        tls: &HostTls,
    ) -> Result<Option<Termination>, TerminationError> {
        let slots = tls.certificates.iter();
        let slots: Arc<[_]> = slots
            .filter_map(|name| self.certificates.get(name).cloned())
            .collect();
        if slots.is_empty() {
            return Ok(None);
        }
        let client_ca = tls.client_ca.as_ref().and_then(|client_ca| {
            Some(ClientAuthority {
                anchors: Arc::clone(self.anchors.get(&client_ca.trust)?),
                mode: client_ca.mode,
            })
        });
        let versions = Versions::from(tls);
        let made = self
            .terminations
            .make(Some(hostname), versions, client_ca, slots);
        made.map(Some)
    }

    /// Builds the TLS termination for clients that send no server name.
    pub(super) fn default_termination(
        &mut self,
        certificate: &Arc<CertificateSlot>,
    ) -> Result<Termination, TerminationError> {
        let slots = Arc::new([Arc::clone(certificate)]);
        let versions = Versions::from(&HostTls::default());
        self.terminations.make(None, versions, None, slots)
    }

    /// TLS to the endpoints of a backend all of whose names are there.
    pub(super) fn upstream(
        &mut self,
        wanted: &BackendTls,
        protocol: UpstreamProtocol,
    ) -> Result<Arc<UpstreamTls>, UpstreamTlsError> {
        let key = (wanted.clone(), protocol);
        if let Some(known) = self.upstreams.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let trust = wanted.trust.as_ref();
        let anchors = trust.and_then(|name| self.anchors.get(name));
        let upstream = Arc::new(UpstreamTls::new(wanted, protocol, anchors)?);
        self.upstreams.retain(|_, known| known.strong_count() > 0);
        self.upstreams.insert(key, Arc::downgrade(&upstream));
        Ok(upstream)
    }

    /// The host with these authorities in the place of others of their name, if it has such.
    pub(super) fn renew(
        &mut self,
        host: &Host,
        anchors: &Arc<Anchors>,
    ) -> Result<Option<Host>, TerminationError> {
        let Some(tls) = &host.tls else {
            return Ok(None);
        };
        let uses = |client_ca: &ClientAuthority| {
            let former = &client_ca.anchors;
            former.name == anchors.name && former.digest != anchors.digest
        };
        if !tls.client_ca().is_some_and(uses) {
            return Ok(None);
        }
        let hostname = host.policy.pattern.to_string();
        let renewed = self.terminations.renew(&hostname, tls, anchors)?;
        Ok(Some(Host {
            policy: Arc::clone(&host.policy),
            tls: Some(Arc::new(renewed)),
        }))
    }
}

fn named(kind: Kind, name: &str) -> ResourceName {
    ResourceName {
        kind,
        name: name.to_owned(),
    }
}
