//! Which certificate serves each hostname.
//!
//! The one place that remembers: a hostname keeps the certificate that it was served with while its
//! Secret holds one that cannot be used (api.md: "the last good one stays in service"). Deleting the
//! Secret, or naming another one, ends that memory.

use super::secrets::{self, Judged, KeyPair, SecretProblem};
use crate::event::Change;
use crate::names::{ClassName, Hostname, ObjectRef};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use portolan_discovery::table::{Kind, ResourceName};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Secrets, and what is served from them.
#[derive(Debug)]
pub(crate) struct Serving {
    /// A Secret is judged by this time.
    pub(crate) now: Timestamp,
    secrets: BTreeMap<ObjectRef, Stored>,
    hosts: BTreeMap<(ClassName, Hostname), Served>,
}

impl Default for Serving {
    /// Before the clock was told nothing has expired.
    fn default() -> Self {
        Self {
            now: Timestamp::MIN,
            secrets: BTreeMap::new(),
            hosts: BTreeMap::new(),
        }
    }
}

#[derive(Debug)]
struct Stored {
    /// So that an event that changes nothing costs no parsing.
    digest: [u8; 32],
    judged: Judged,
}

/// What a hostname is served with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Served {
    secret: ObjectRef,
    pair: Arc<KeyPair>,
}

impl Serving {
    /// Whether anything differs now.
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
                let judged = secrets::read(&secret);
                self.secrets.insert(name, Stored { digest, judged });
                true
            }
        }
    }

    /// Decides what a hostname is served with; `secret` is where its certificate is to come from.
    /// The certificates that it left and that it has now, when they differ.
    pub(crate) fn settle(
        &mut self,
        class: &ClassName,
        host: &Hostname,
        secret: Option<ObjectRef>,
    ) -> Vec<ResourceName> {
        let key = (class.clone(), host.clone());
        let before = self.hosts.remove(&key);
        let now = secret.and_then(|secret| {
            let judged = &self.secrets.get(&secret)?.judged;
            match judged {
                Ok(pair) if pair.good_for(host, self.now).is_ok() => Some(Served {
                    pair: pair.clone(),
                    secret,
                }),
                _ => before.clone().filter(|before| before.secret == secret),
            }
        });
        let names = [before, now.clone()].into_iter().flatten();
        let names = names.map(|served| self.name(&served)).collect();
        if let Some(now) = now {
            self.hosts.insert(key, now);
        }
        names
    }

    /// The certificate that a hostname is served with.
    pub(crate) fn certificate(
        &self,
        class: &ClassName,
        host: &Hostname,
    ) -> Option<(ResourceName, &KeyPair)> {
        let served = self.hosts.get(&(class.clone(), host.clone()))?;
        Some((self.name(served), &served.pair))
    }

    /// What stands against serving a hostname from a Secret as it is now; `None` when there is no such Secret.
    pub(crate) fn judge(
        &self,
        secret: &ObjectRef,
        host: &Hostname,
    ) -> Option<Result<(), SecretProblem>> {
        let judged = &self.secrets.get(secret)?.judged;
        Some(judged.as_ref().map_err(Clone::clone).and_then(|pair| {
            // Judged by the time of its arrival, as serving it was; expiry in service is seen by the checks.
            pair.good_for(host, self.now)
        }))
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
    for field in ["tls.crt", "tls.key"] {
        let bytes = secret.data.as_ref().and_then(|data| data.get(field));
        let bytes = bytes.map(|bytes| bytes.0.as_slice()).unwrap_or_default();
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    hash.finalize().into()
}
