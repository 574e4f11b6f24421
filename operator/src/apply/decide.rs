//! What is to be done about one child, from what is desired and what is there.

use super::desired::Desired;
use super::difference::difference;
use super::ownership::{Owner, Standing, standing};
use super::store::Seen;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// There is no such object.
    Create,
    /// It is as it should be.
    Keep,
    /// It is ours and differs.
    Update {
        /// Where, for the log.
        because: String,
    },
    /// It is on its way out; what comes after it has to wait.
    Wait {
        /// For what.
        until: String,
    },
    /// It is a stray of ours, which nobody but us will remove.
    Remove,
    /// It is somebody else's.
    Leave {
        /// Whose.
        of: String,
    },
}

/// Decides by content; the order of the questions is that of what must not go wrong.
pub(super) fn decide(desired: &Desired, seen: Option<&Seen>, owner: &Owner) -> Decision {
    let Some(seen) = seen else {
        return Decision::Create;
    };
    let going = seen.metadata.deletion_timestamp.is_some();
    match standing(&seen.metadata, owner) {
        Standing::Foreign { of } => Decision::Leave { of },
        _ if going => Decision::Wait {
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
    fn what_is_absent_is_created_and_what_is_so_is_kept() {
        let desired = desired(json!({"type": "ClusterIP"}));
        assert_eq!(decide(&desired, None, &owner()), Decision::Create);
        let seen = stored(desired.manifest.clone());
        assert_eq!(decide(&desired, Some(&seen), &owner()), Decision::Keep);
    }

    #[test]
    fn a_field_that_is_desired_no_longer_is_an_update() {
        let before = desired(json!({"type": "ClusterIP", "selector": {"app": "shop"}}));
        let now = desired(json!({"type": "ClusterIP"}));
        let decision = decide(&now, Some(&stored(before.manifest)), &owner());
        let because = format!("metadata.annotations.{DESIRED}");
        assert_eq!(decision, Decision::Update { because });
    }

    #[test]
    fn a_foreign_object_is_left_alone_even_on_its_way_out() {
        let desired = desired(json!({}));
        let mut foreign = desired.manifest.clone();
        foreign["metadata"]["ownerReferences"] = json!([]);
        foreign["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let decision = decide(&desired, Some(&stored(foreign)), &owner());
        assert!(matches!(decision, Decision::Leave { .. }));
    }

    #[test]
    fn our_own_on_its_way_out_is_waited_for() {
        let desired = desired(json!({}));
        let mut going = desired.manifest.clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let decision = decide(&desired, Some(&stored(going)), &owner());
        assert!(matches!(decision, Decision::Wait { .. }));
    }
}
