//! Epoch of a leader's term, which must grow even if the Lease is deleted and recreated.
//!
//! So it is kept in a second place: an annotation on Secret `portolan-ca`, which no installation lives
//! without. Only metadata is read and patched here, never the key inside.

use super::Leadership;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PartialObjectMeta, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

/// The annotation of the highest epoch that was ever led.
pub(crate) const ANNOTATION: &str = "portolan.dev/epoch";

/// Where epochs are remembered.
pub(super) struct Memory {
    secrets: Api<PartialObjectMeta<Secret>>,
    name: String,
}

/// Result of storing an epoch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It is written down.
    Yes,
    /// There is no Secret yet (a new installation makes it after the first election); try again later.
    NotYet,
}

impl Memory {
    pub(super) fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            secrets: Api::namespaced(client, namespace),
            name: name.to_owned(),
        }
    }

    /// The epoch of a term that begins now, stored before it is published.
    pub(super) async fn begin(&self, transitions: u64) -> kube::Result<(u64, Recorded)> {
        let secret = self.secrets.get_opt(&self.name).await?;
        let epoch = next(transitions, secret.as_ref().and_then(remembered));
        match secret {
            Some(secret) => {
                self.write(&secret, epoch).await?;
                Ok((epoch, Recorded::Yes))
            }
            None => Ok((epoch, Recorded::NotYet)),
        }
    }

    /// Writes down what could not be written when the term began.
    pub(super) async fn record(&self, term: Leadership) -> kube::Result<Recorded> {
        match self.secrets.get_opt(&self.name).await? {
            Some(secret) if remembered(&secret) >= Some(term.epoch) => Ok(Recorded::Yes),
            Some(secret) => {
                self.write(&secret, term.epoch).await?;
                Ok(Recorded::Yes)
            }
            None => Ok(Recorded::NotYet),
        }
    }

    /// The version is the precondition: of two replicas that begin a term at once, one is refused.
    async fn write(&self, secret: &PartialObjectMeta<Secret>, epoch: u64) -> kube::Result<()> {
        let patch = json!({"metadata": {
            "uid": secret.metadata.uid,
            "resourceVersion": secret.metadata.resource_version,
            "annotations": {ANNOTATION: epoch.to_string()},
        }});
        let by_us = PatchParams {
            field_manager: Some(crate::FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.secrets
            .patch(&self.name, &by_us, &Patch::Merge(patch))
            .await
            .map(drop)
    }
}

fn remembered(secret: &PartialObjectMeta<Secret>) -> Option<u64> {
    // What is no number was not written by us, and counts as nothing.
    secret.annotations().get(ANNOTATION)?.parse().ok()
}

fn next(transitions: u64, remembered: Option<u64>) -> u64 {
    transitions.max(remembered.unwrap_or(0)).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_above_all_earlier_ones_whichever_memory_was_lost() {
        assert_eq!(next(0, None), 1, "a new installation");
        assert_eq!(next(4, Some(3)), 5, "the annotation was lost or is old");
        assert_eq!(next(0, Some(7)), 8, "the Lease was deleted");
    }
}
