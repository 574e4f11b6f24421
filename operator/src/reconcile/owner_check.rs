//! Checks that the owner of a child still exists before the child is created.
//!
//! When an object is deleted, the garbage collector deletes its children, and the watch of a child may report that
//! before the watch of the object does. Creating the child again would be wrong for a moment, and would request an
//! unneeded certificate. So before a child is *recreated*, the API server is answer, once per reconcile; for a first
//! creation that is not worth a request.

use super::Reconciler;
use crate::client::{ApiError, within};
use crate::key::Key;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PartialObjectMeta};
use portolan_core::{ChildKey, IN_USE};
use portolan_crds::{ExposeClass, ExposedPort};
use std::collections::BTreeSet;
use tokio::sync::OnceCell;

/// Children that were created for an owner before.
pub(super) enum PreviousChildren {
    /// Exactly these children.
    Known(BTreeSet<ChildKey>),
    /// Possibly all children.
    Unknown,
}

/// Check of one owner during one reconcile.
pub(super) struct OwnerCheck<'a> {
    context: &'a Reconciler,
    key: &'a Key,
    uid: &'a str,
    previous: PreviousChildren,
    answer: OnceCell<bool>,
}

impl<'a> OwnerCheck<'a> {
    pub(super) fn new(
        context: &'a Reconciler,
        key: &'a Key,
        uid: &'a str,
        previous: PreviousChildren,
    ) -> Self {
        Self {
            context,
            key,
            uid,
            previous,
            answer: OnceCell::new(),
        }
    }

    /// Returns an error if the owner is gone; asks the API server only for a child that existed before.
    pub(super) async fn ensure_alive(&self, child: &ChildKey) -> Result<(), ApiError> {
        let existed = match &self.previous {
            PreviousChildren::Known(children) => children.contains(child),
            PreviousChildren::Unknown => true,
        };
        let is_alive = self.is_watched() && (!existed || self.exists().await?);
        if is_alive {
            Ok(())
        } else {
            Err(ApiError::Transient {
                message: format!("{} not found", self.key),
                retry_after: None,
            })
        }
    }

    /// Returns true if the watches still have the owner.
    fn is_watched(&self) -> bool {
        let state = self.context.model.read();
        let uid = match self.key {
            Key::Object(object) => state.records.objects.get(object).map(|record| record.uid()),
            Key::Ingress(ingress) => state
                .records
                .ingresses
                .get(ingress)
                .map(|record| record.uid()),
            Key::Class(class) => state.records.classes.get(class).map(|record| record.uid()),
            Key::Hold(_) => None,
        };
        uid == Some(self.uid)
    }

    /// Returns true if the API server still has the owner.
    async fn exists(&self) -> Result<bool, ApiError> {
        let ask = || async {
            let client = self.context.client.clone();
            let owner = match self.key {
                Key::Object(object) => {
                    let api: Api<PartialObjectMeta<ExposedPort>> =
                        Api::namespaced(client, &object.namespace);
                    within(api.get_opt(&object.name))
                        .await?
                        .map(|object| object.metadata)
                }
                Key::Ingress(ingress) => {
                    let api: Api<PartialObjectMeta<Ingress>> =
                        Api::namespaced(client, &ingress.namespace);
                    within(api.get_opt(&ingress.name))
                        .await?
                        .map(|object| object.metadata)
                }
                Key::Class(class) => {
                    let api: Api<PartialObjectMeta<ExposeClass>> = Api::all(client);
                    within(api.get_opt(class.as_str()))
                        .await?
                        .map(|object| object.metadata)
                }
                Key::Hold(_) => None,
            };
            Ok(owner.is_some_and(|owner| {
                owner.uid.as_deref() == Some(self.uid) && keeps_children(&owner)
            }))
        };
        self.answer.get_or_try_init(ask).await.copied()
    }
}

/// Returns true if the garbage collector keeps the children of this owner: it deletes them when the owner is gone,
/// and before that only in foreground deletion.
fn keeps_children(owner: &ObjectMeta) -> bool {
    let finalizers = owner.finalizers.as_deref().unwrap_or_default();
    let has = |finalizer: &str| finalizers.iter().any(|present| present == finalizer);
    owner.deletion_timestamp.is_none() || (has(IN_USE) && !has("foregroundDeletion"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    #[test]
    fn a_class_in_deletion_keeps_its_proxies_while_in_use() {
        let mut owner = ObjectMeta::default();
        assert!(keeps_children(&owner));
        owner.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        assert!(!keeps_children(&owner));
        owner.finalizers = Some(vec![IN_USE.to_owned()]);
        assert!(keeps_children(&owner));
        let foreground = "foregroundDeletion".to_owned();
        owner.finalizers.get_or_insert_default().push(foreground);
        assert!(!keeps_children(&owner));
    }
}
