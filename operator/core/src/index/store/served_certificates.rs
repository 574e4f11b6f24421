//! Which certificates serve each hostname, and clients that ask for none.
//!
//! The one place that remembers: a hostname keeps the certificate that it was served with while its
//! Secret holds one that cannot be used (docs/reference/exposedport.md: "the last good one stays in service"). Deleting the
//! Secret, or naming another one, ends that memory.

use crate::event::Change;
use crate::index::store::secrets::{self, Authorities, Judged, KeyPair, SecretProblem};
use crate::names::{ClassName, Hostname, ObjectRef};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use portolan_discovery::table::{Kind, ResourceName};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// Secrets, and what is served from them.
#[derive(Debug)]
pub(crate) struct Serving {
    /// A Secret is judged by this time.
    pub(crate) now: Timestamp,
    secrets: HashMap<ObjectRef, Stored>,
    slots: HashMap<Slot, Vec<Served>>,
}

/// Hostname or class that certificates are served for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    class: ClassName,
    /// Absent: clients that ask for no server name.
    host: Option<Hostname>,
}

impl Slot {
    pub(crate) fn of_host(class: &ClassName, host: &Hostname) -> Self {
        Self {
            class: class.clone(),
            host: Some(host.clone()),
        }
    }

    pub(crate) fn of_class(class: &ClassName) -> Self {
        Self {
            class: class.clone(),
            host: None,
        }
    }

    fn fits(&self, pair: &KeyPair, now: Timestamp) -> Result<(), SecretProblem> {
        match &self.host {
            Some(host) => pair.good_for(host, now),
            None => pair.in_time(now),
        }
    }
}

impl Default for Serving {
    /// Before the first [`crate::Event::Now`] nothing has expired.
    fn default() -> Self {
        Self {
            now: Timestamp::MIN,
            secrets: HashMap::new(),
            slots: HashMap::new(),
        }
    }
}

#[derive(Debug)]
struct Stored {
    /// So that an event that changes nothing costs no parsing.
    digest: [u8; 32],
    judged: Judged,
    authorities: Result<Arc<Authorities>, SecretProblem>,
}

/// One certificate that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Served {
    secret: ObjectRef,
    pair: Arc<KeyPair>,
}

impl Serving {
    /// Returns true if anything differs now.
    pub(crate) fn apply_secret(&mut self, change: Change<Secret>) -> bool {
        let name = change.reference();
        match change {
            Change::Deleted(_) => self.secrets.remove(&name).is_some(),
            Change::Applied(secret) => {
                let digest = digest(&secret);
                if self
                    .secrets
                    .get(&name)
                    .is_some_and(|stored| stored.digest == digest)
                {
                    return false;
                }
                let stored = Stored {
                    digest,
                    judged: secrets::read(&secret),
                    authorities: secrets::read_authorities(&secret),
                };
                self.secrets.insert(name, stored);
                true
            }
        }
    }

    /// Decides what is served; `secrets` are where the certificates are to come from.
    /// The certificates that were left and those that are served now, when they differ.
    pub(crate) fn reselect_certificates(
        &mut self,
        slot: &Slot,
        secrets: Vec<ObjectRef>,
    ) -> Vec<ResourceName> {
        let before = self.slots.remove(slot).unwrap_or_default();
        let now: Vec<Served> = secrets
            .into_iter()
            .filter_map(|secret| {
                let judged = &self.secrets.get(&secret)?.judged;
                match judged {
                    Ok(pair) if slot.fits(pair, self.now).is_ok() => Some(Served {
                        pair: pair.clone(),
                        secret,
                    }),
                    _ => before
                        .iter()
                        .find(|served| served.secret == secret)
                        .cloned(),
                }
            })
            .collect();
        let names = before
            .iter()
            .chain(&now)
            .map(|served| self.name(served))
            .collect();
        if !now.is_empty() {
            self.slots.insert(slot.clone(), now);
        }
        names
    }

    /// The certificates that are served.
    pub(crate) fn certificates<'a>(
        &'a self,
        slot: &Slot,
    ) -> impl Iterator<Item = (ResourceName, &'a KeyPair)> + use<'a> {
        let served = self.slots.get(slot).into_iter().flatten();
        served.map(|served| (self.name(served), served.pair.as_ref()))
    }

    /// Checks that a Secret can be served as it is now; `None` when there is no such Secret.
    pub(crate) fn judge(
        &self,
        secret: &ObjectRef,
        slot: &Slot,
    ) -> Option<Result<(), SecretProblem>> {
        let judged = &self.secrets.get(secret)?.judged;
        Some(judged.as_ref().map_err(Clone::clone).and_then(|pair| {
            // Judged by the time of its arrival, as serving it was; expiry in service is seen by the checks.
            slot.fits(pair, self.now)
        }))
    }

    /// The authorities that a Secret holds now; `None` when there is no such Secret.
    pub(crate) fn authorities(
        &self,
        secret: &ObjectRef,
    ) -> Option<Result<Arc<Authorities>, SecretProblem>> {
        Some(self.secrets.get(secret)?.authorities.clone())
    }

    /// `namespace/secret`; one that its Secret holds no more carries its fingerprint as well.
    fn name(&self, served: &Served) -> ResourceName {
        let current = self
            .secrets
            .get(&served.secret)
            .map(|stored| &stored.judged);
        let name = match current {
            Some(Ok(pair)) if *pair == served.pair => served.secret.to_string(),
            _ => {
                let digits: String = served.pair.fingerprint.chars().take(16).collect();
                format!("{}#{digits}", served.secret)
            }
        };
        ResourceName {
            kind: Kind::Certificate,
            name,
        }
    }
}

/// The Secret that the name of a certificate speaks of.
pub(crate) fn secret_of(name: &str) -> Option<ObjectRef> {
    let (namespace, rest) = name.split_once('/')?;
    let secret = rest.split_once('#').map_or(rest, |(secret, _)| secret);
    Some(ObjectRef::new(namespace, secret))
}

fn digest(secret: &Secret) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in ["tls.crt", "tls.key", secrets::CA] {
        let bytes = secret.data.as_ref().and_then(|data| data.get(field));
        let bytes = bytes.map(|bytes| bytes.0.as_slice()).unwrap_or_default();
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    hash.finalize().into()
}
