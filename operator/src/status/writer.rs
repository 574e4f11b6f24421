//! Writes statuses through the status subresource.

use crate::FIELD_MANAGER;
use crate::client::{ApiError, within};
use crate::key::Key;
use crate::lease::Permit;
use crate::model::Stored;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, Resource};
use portolan_crds::{ExposeClass, ExposedPort};
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Result of writing a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written.
    Now,
    /// It is equal to the stored one.
    Unchanged,
    /// Too soon after the last write; try again at this time.
    Later(Instant),
}

/// Minimum interval between writes of a status, so that several small changes are written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteInterval {
    /// Interval between two writes.
    pub interval: Duration,
    /// True for a status that is written at once, because people and programs wait for it.
    pub urgent: bool,
}

/// Writes statuses, and remembers its own writes until the watch has shown them.
#[derive(Clone)]
pub struct StatusWriter {
    client: Client,
    permit: Permit,
    own: Arc<Mutex<HashMap<Key, Own>>>,
}

/// Last write of this replica, which the watch may not have delivered yet.
#[derive(Debug)]
struct Own {
    uid: String,
    version: u128,
    at: Instant,
}

impl StatusWriter {
    /// Writes through `client` as long as `permit` lasts.
    pub fn new(client: Client, permit: Permit) -> Self {
        Self {
            client,
            permit,
            own: Arc::default(),
        }
    }

    /// Returns true if `stored` is older than the last write of this replica. A status computed from it would reset the
    /// transition times of its conditions; the watch will deliver a newer version.
    pub fn is_behind<S>(&self, key: &Key, stored: &Stored<S>) -> bool {
        self.own().get(key).is_some_and(|own| own.is_after(stored))
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &Key) {
        self.own().remove(key);
    }

    /// Writes `status` if it differs from the stored one.
    pub async fn write<S: Serialize + PartialEq>(
        &self,
        key: &Key,
        stored: &Stored<S>,
        status: &S,
        interval: WriteInterval,
    ) -> Result<Written, ApiError> {
        if stored.status.as_ref() == Some(status) {
            return Ok(Written::Unchanged);
        }
        let last = self.own().get(key).map(|own| own.at);
        if let Some(earliest) = interval.earliest(last, Instant::now()) {
            return Ok(Written::Later(earliest));
        }
        if !self.permit.may_write() {
            return Err(ApiError::NotLeader);
        }
        let reference = &stored.reference;
        let name = reference.name.clone().unwrap_or_default();
        let patch = Patch::Apply(json!({
            "apiVersion": reference.api_version,
            "kind": reference.kind,
            // Another object of that name by now: the API server answers 409.
            "metadata": {"name": name, "namespace": reference.namespace, "uid": reference.uid},
            "status": status,
        }));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api(key, stored);
        let answer = within(api.patch_status(&name, &params, &patch)).await?;
        let own = Own {
            uid: stored.uid().to_owned(),
            version: version(answer.metadata.resource_version.as_deref().unwrap_or("")),
            at: Instant::now(),
        };
        self.own().insert(key.clone(), own);
        Ok(Written::Now)
    }

    fn api<S>(&self, key: &Key, stored: &Stored<S>) -> Api<DynamicObject> {
        match (key, stored.reference.namespace.as_deref()) {
            (Key::Object(_), Some(namespace)) => {
                let resource = resource::<ExposedPort>();
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
            _ => Api::all_with(self.client.clone(), &resource::<ExposeClass>()),
        }
    }

    fn own(&self) -> MutexGuard<'_, HashMap<Key, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WriteInterval {
    /// Returns the time before which the next write has to wait, if it has to.
    fn earliest(self, last: Option<Instant>, now: Instant) -> Option<Instant> {
        let earliest = last? + self.interval;
        (!self.urgent && now < earliest).then_some(earliest)
    }
}

fn resource<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

impl Own {
    fn is_after<S>(&self, stored: &Stored<S>) -> bool {
        self.uid == stored.uid() && self.version > version(stored.resource_version())
    }
}

/// Comparable since Kubernetes 1.35 (KEP-5504), and in practice before; what is no number is never behind.
fn version(text: &str) -> u128 {
    text.parse().unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ObjectReference;

    fn stored(uid: &str, resource_version: &str) -> Stored<()> {
        Stored {
            reference: ObjectReference {
                uid: Some(uid.into()),
                resource_version: Some(resource_version.into()),
                ..ObjectReference::default()
            },
            status: None,
        }
    }

    fn own(version: u128) -> Own {
        Own {
            uid: "u".into(),
            version,
            at: Instant::now(),
        }
    }

    #[test]
    fn urgent_writes_ignore_the_interval() {
        let now = Instant::now();
        let interval = Duration::from_secs(1);
        let (deferrable, urgent) = (false, true);
        let held = |urgent, last| WriteInterval { interval, urgent }.earliest(last, now);
        assert_eq!(held(deferrable, None), None, "the first");
        assert_eq!(held(deferrable, Some(now)), Some(now + interval));
        assert_eq!(held(deferrable, Some(now - interval)), None);
        assert_eq!(held(urgent, Some(now)), None);
    }

    #[test]
    fn a_stored_status_older_than_our_write_is_behind() {
        assert!(own(12).is_after(&stored("u", "11")));
        assert!(
            !own(12).is_after(&stored("u", "12")),
            "the watch has shown it"
        );
        assert!(!own(12).is_after(&stored("another", "3")), "recreated");
        assert!(
            !own(12).is_after(&stored("u", "odd")),
            "nothing waits for ever"
        );
    }
}
