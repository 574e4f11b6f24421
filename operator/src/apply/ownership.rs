//! Determines the owner of an object with the name of a child. Existing objects are never adopted.

use crate::FIELD_MANAGER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use portolan_core::OWNER_UID;
use serde_json::Value;

/// The object that a child belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// `ExposedPort`, `Ingress` or `ExposeClass`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID: another object of the same name is another owner.
    pub uid: String,
}

/// Ownership of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Ours: it may be changed and deleted.
    Ours,
    /// Made by us for another object of the kind: an earlier one of the same name, or one that had a
    /// hostname before this one. It goes as soon as that object lets go of it.
    Leftover,
    /// The same, but without its owner reference, so the garbage collector will not remove it.
    Stray,
    /// Not managed by Portolan: reported, never changed.
    Foreign {
        /// Its owner, for logs.
        of: String,
    },
}

/// Returns the ownership by metadata alone.
pub fn standing(observed: &ObjectMeta, owner: &Owner) -> Standing {
    let references = observed.owner_references.as_deref().unwrap_or_default();
    let controller = references.iter().find(|it| it.controller == Some(true));
    let recorded = recorded_owner(observed);
    match controller {
        // Others make objects for an Ingress, too, and with its labels: cert-manager's ingress-shim does.
        Some(it) if it.uid == owner.uid && (it.kind != "Ingress" || recorded.is_some()) => {
            Standing::Ours
        }
        Some(it) if it.kind == owner.kind && recorded.is_some() => Standing::Leftover,
        Some(it) => Standing::Foreign {
            of: format!("it belongs to {} {}", it.kind, it.name),
        },
        None => match recorded {
            Some(uid) if uid == owner.uid => Standing::Ours,
            Some(_) => Standing::Stray,
            None => Standing::Foreign {
                of: "Portolan did not make it".to_owned(),
            },
        },
    }
}

/// Returns the UID in the owner annotation if Portolan wrote it. An annotation may be copied by accident, but its
/// managed fields are not.
pub(super) fn recorded_owner(observed: &ObjectMeta) -> Option<&str> {
    let uid = observed.annotations.as_ref()?.get(OWNER_UID)?;
    let entries = observed.managed_fields.as_deref().unwrap_or_default();
    entries.iter().any(sets_owner_uid).then_some(uid)
}

fn sets_owner_uid(entry: &ManagedFieldsEntry) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && fields
            .and_then(|fields| fields.get("f:metadata"))
            .and_then(|metadata| metadata.get("f:annotations"))
            .and_then(|annotations| annotations.get(format!("f:{OWNER_UID}")))
            .is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn owner() -> Owner {
        Owner {
            kind: "ExposedPort".into(),
            name: "shop".into(),
            uid: "new".into(),
        }
    }

    fn controlled_by(kind: &str, name: &str, uid: &str) -> Value {
        json!([{"apiVersion": "portolan.dev/v1alpha1", "kind": kind, "name": name, "uid": uid, "controller": true}])
    }

    fn set_by(manager: &str) -> Value {
        json!([{"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:annotations": {"f:portolan.dev/owner-uid": {}}}}}])
    }

    fn ownership(metadata: Value) -> Standing {
        standing(&serde_json::from_value(metadata).unwrap(), &owner())
    }

    #[test]
    fn controller_reference_decides() {
        let references = controlled_by("ExposedPort", "shop", "new");
        assert_eq!(
            ownership(json!({"ownerReferences": references})),
            Standing::Ours
        );
        let references = controlled_by("ReplicaSet", "other", "1");
        let of = "it belongs to ReplicaSet other".to_owned();
        assert_eq!(
            ownership(json!({"ownerReferences": references})),
            Standing::Foreign { of }
        );
    }

    #[test]
    fn children_of_other_controllers_are_foreign() {
        let owner = Owner {
            kind: "Ingress".into(),
            ..owner()
        };
        let ownership_of = |managed: Value| {
            let references = controlled_by("Ingress", "shop", "new");
            let annotations = json!({OWNER_UID: "new"});
            let made = json!({"ownerReferences": references, "annotations": annotations, "managedFields": managed});
            standing(&serde_json::from_value(made).unwrap(), &owner)
        };
        assert_eq!(ownership_of(set_by("portolan")), Standing::Ours);
        let of = "it belongs to Ingress shop".to_owned();
        assert_eq!(
            ownership_of(set_by("cert-manager")),
            Standing::Foreign { of }
        );
    }

    #[test]
    fn ignores_references_that_do_not_control() {
        let references =
            json!([{"apiVersion": "v1", "kind": "ExposedPort", "name": "shop", "uid": "new"}]);
        let result = ownership(json!({"ownerReferences": references}));
        assert!(matches!(result, Standing::Foreign { .. }));
    }

    #[test]
    fn only_our_annotation_replaces_a_removed_reference() {
        let annotations = json!({OWNER_UID: "new"});
        let ours = json!({"annotations": annotations, "managedFields": set_by("portolan")});
        assert_eq!(ownership(ours), Standing::Ours);
        let copied = json!({"annotations": annotations, "managedFields": set_by("kubectl")});
        assert!(matches!(ownership(copied), Standing::Foreign { .. }));
        let bare = json!({"annotations": annotations});
        assert!(matches!(ownership(bare), Standing::Foreign { .. }));
    }

    #[test]
    fn children_of_another_owner_are_leftovers() {
        let annotations = json!({OWNER_UID: "old"});
        let left = |kind, name| {
            json!({"annotations": annotations, "managedFields": set_by("portolan"),
                "ownerReferences": controlled_by(kind, name, "old")})
        };
        assert_eq!(ownership(left("ExposedPort", "shop")), Standing::Leftover);
        assert_eq!(ownership(left("ExposedPort", "elder")), Standing::Leftover);
        let of = "it belongs to ExposeClass public".to_owned();
        assert_eq!(
            ownership(left("ExposeClass", "public")),
            Standing::Foreign { of }
        );
        let stray = json!({"annotations": annotations, "managedFields": set_by("portolan")});
        assert_eq!(ownership(stray), Standing::Stray);
    }

    #[test]
    fn an_object_without_owner_is_foreign() {
        let of = "Portolan did not make it".to_owned();
        assert_eq!(ownership(json!({})), Standing::Foreign { of });
    }
}
