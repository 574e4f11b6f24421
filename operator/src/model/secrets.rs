//! Merges Secrets from two watches: by label, and by name because an object references them.
//!
//! One is gone only when no watch sees it any longer: ending the watch by name must not take away
//! what the labelled one still shows.

use crate::watch::Via;
use k8s_openapi::api::core::v1::Secret;
use portolan_core::{Change, ObjectRef};
use std::collections::{BTreeSet, HashMap};

/// Watches that see each Secret.
#[derive(Debug, Default)]
pub(super) struct SecretSources {
    seen: HashMap<ObjectRef, BTreeSet<Via>>,
}

impl SecretSources {
    /// Merges a change; returns the change for the index, if any.
    pub(super) fn merge(&mut self, via: Via, change: Change<Secret>) -> Option<Change<Secret>> {
        match change {
            Change::Applied(secret) => {
                let name = ObjectRef::of(secret.as_ref());
                self.seen.entry(name).or_default().insert(via);
                Some(Change::Applied(secret))
            }
            Change::Deleted(name) => {
                let by = self.seen.get_mut(&name)?;
                by.remove(&via);
                if !by.is_empty() {
                    return None;
                }
                self.seen.remove(&name);
                Some(Change::Deleted(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    fn name() -> ObjectRef {
        ObjectRef::new("team-a", "own-cert")
    }

    fn applied() -> Change<Secret> {
        let metadata = ObjectMeta {
            namespace: Some("team-a".into()),
            name: Some("own-cert".into()),
            ..ObjectMeta::default()
        };
        Change::Applied(Box::new(Secret {
            metadata,
            ..Secret::default()
        }))
    }

    #[test]
    fn a_secret_is_gone_when_the_last_watch_says_so() {
        let mut secret_sources = SecretSources::default();
        assert!(secret_sources.merge(Via::Label, applied()).is_some());
        assert!(secret_sources.merge(Via::Name, applied()).is_some());
        let deleted = || Change::Deleted(name());
        assert!(
            secret_sources.merge(Via::Name, deleted()).is_none(),
            "the label still shows it"
        );
        assert!(secret_sources.merge(Via::Label, deleted()).is_some());
        assert!(
            secret_sources.merge(Via::Label, deleted()).is_none(),
            "it was not there"
        );
        assert!(secret_sources.seen.is_empty());
    }
}
