//! Writes statuses through the status subresource.

use crate::FIELD_MANAGER;
use crate::client::{Trouble, within};
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

/// What became of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored now, and was not before.
    Now,
    /// It was stored already.
    Unchanged,
    /// Too soon after the last one: not before this moment.
    Later(Instant),
}

/// How often a status may be written. What changes step by step is so written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two writes.
    pub pause: Duration,
    /// Whether this one does not wait: people and programs wait for it.
    pub urgent: bool,
}

/// Writes statuses, and remembers its own writes until the watch has shown them.
#[derive(Clone)]
pub struct StatusWriter {
    client: Client,
    permit: Permit,
    own: Arc<Mutex<HashMap<Key, Own>>>,
}

/// The last write of ours, which the watch may not have shown yet.
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

    /// Whether `stored` is older than our own last write. A status judged from it would take its own
    /// predecessor for stored and start the times of its conditions anew; the watch will bring a newer one.
    pub fn is_behind<S>(&self, key: &Key, stored: &Stored<S>) -> bool {
        self.own().get(key).is_some_and(|it| it.is_after(stored))
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &Key) {
        self.own().remove(key);
    }

    /// Makes `status` the stored one.
    pub async fn write<S: Serialize + PartialEq>(
        &self,
        key: &Key,
        stored: &Stored<S>,
        status: &S,
        pace: Pace,
    ) -> Result<Written, Trouble> {
        if stored.status.as_ref() == Some(status) {
            return Ok(Written::Unchanged);
        }
        let last = self.own().get(key).map(|own| own.at);
        if let Some(earliest) = pace.holds_back(last, Instant::now()) {
            return Ok(Written::Later(earliest));
        }
        if !self.permit.may_write() {
            return Err(Trouble::NotLeading);
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

impl Pace {
    /// Until when a write has to wait, if it has to.
    fn holds_back(self, last: Option<Instant>, now: Instant) -> Option<Instant> {
        let earliest = last? + self.pause;
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
    fn steps_within_a_pause_are_written_once_but_nobody_waits_for_what_is_urgent() {
        let now = Instant::now();
        let pause = Duration::from_secs(1);
        let (patient, urgent) = (false, true);
        let held = |urgent, last| Pace { pause, urgent }.holds_back(last, now);
        assert_eq!(held(patient, None), None, "the first");
        assert_eq!(held(patient, Some(now)), Some(now + pause));
        assert_eq!(held(patient, Some(now - pause)), None);
        assert_eq!(held(urgent, Some(now)), None);
    }

    #[test]
    fn a_status_is_not_judged_from_what_is_older_than_our_own_write() {
        assert!(own(12).is_after(&stored("u", "11")));
        assert!(
            !own(12).is_after(&stored("u", "12")),
            "the watch has shown it"
        );
        assert!(!own(12).is_after(&stored("another", "3")), "made anew");
        assert!(
            !own(12).is_after(&stored("u", "odd")),
            "nothing waits for ever"
        );
    }
}
