//! Decides how to change one child, from its desired and observed state.

use super::desired::Desired;
use super::difference::difference;
use super::ownership::{Owner, Standing, standing};
use super::store::Seen;

/// Change to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The object does not exist.
    Create,
    /// It is up to date.
    Keep,
    /// It belongs to the owner and differs.
    Update {
        /// Path of the difference, for the log.
        because: String,
    },
    /// It is being deleted, and its successor has to wait.
    Wait {
        /// Description of the wait.
        until: String,
    },
    /// Portolan made it, but the garbage collector will not remove it.
    Remove,
    /// It is not managed by Portolan.
    Leave {
        /// Its owner, for logs.
        of: String,
    },
}

/// Decides by content. Ownership is checked first, because a foreign object must never be changed.
pub(super) fn decide(desired: &Desired, seen: Option<&Seen>, owner: &Owner) -> Decision {
    let Some(seen) = seen else {
        return Decision::Create;
    };
    let is_deleting = seen.metadata.deletion_timestamp.is_some();
    match standing(&seen.metadata, owner) {
        Standing::Foreign { of } => Decision::Leave { of },
        _ if is_deleting => Decision::Wait {
            until: format!("{} is being deleted", desired.id),
        },
        Standing::Leftover => Decision::Wait {
            until: format!(
                "{} of an earlier {} {} has not been removed yet",
                desired.id, owner.kind, owner.name
            ),
        },
        Standing::Stray => Decision::Remove,
        // The mark is part of the manifest, so a field that is desired no longer differs too.
        Standing::Ours => match difference(&desired.manifest, &seen.manifest) {
            Some(because) => Decision::Update { because },
            None => Decision::Keep,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::desired::DESIRED;
    use serde_json::{Value, json};

    fn owner() -> Owner {
        Owner {
            kind: "ExposedPort".into(),
            name: "shop".into(),
            uid: "u".into(),
        }
    }

    fn service(spec: Value) -> Value {
        let references = json!([{"apiVersion": "portolan.dev/v1alpha1", "kind": "ExposedPort", "name": "shop", "uid": "u", "controller": true}]);
        let metadata =
            json!({"name": "shop", "namespace": "team-a", "ownerReferences": references});
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    }

    fn desired(spec: Value) -> Desired {
        Desired::new(service(spec)).unwrap()
    }

    fn stored(manifest: Value) -> Seen {
        Seen::of(&serde_json::from_value::<kube::api::DynamicObject>(manifest).unwrap())
    }

    #[test]
    fn creates_a_missing_child_and_keeps_an_equal_one() {
        let desired = desired(json!({"type": "ClusterIP"}));
        assert_eq!(decide(&desired, None, &owner()), Decision::Create);
        let seen = stored(desired.manifest.clone());
        assert_eq!(decide(&desired, Some(&seen), &owner()), Decision::Keep);
    }

    #[test]
    fn a_field_no_longer_desired_is_an_update() {
        let before = desired(json!({"type": "ClusterIP", "selector": {"app": "shop"}}));
        let now = desired(json!({"type": "ClusterIP"}));
        let decision = decide(&now, Some(&stored(before.manifest)), &owner());
        let because = format!("metadata.annotations.{DESIRED}");
        assert_eq!(decision, Decision::Update { because });
    }

    #[test]
    fn keeps_a_foreign_object_even_during_deletion() {
        let desired = desired(json!({}));
        let mut foreign = desired.manifest.clone();
        foreign["metadata"]["ownerReferences"] = json!([]);
        foreign["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let decision = decide(&desired, Some(&stored(foreign)), &owner());
        assert!(matches!(decision, Decision::Leave { .. }));
    }

    #[test]
    fn waits_for_a_deletion_of_its_own() {
        let desired = desired(json!({}));
        let mut going = desired.manifest.clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let decision = decide(&desired, Some(&stored(going)), &owner());
        assert!(matches!(decision, Decision::Wait { .. }));
    }
}
