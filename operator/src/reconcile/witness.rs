//! Whether the owner of a child still lives, asked before the child is created.
//!
//! When an object is deleted, the garbage collector takes its children, and the watch of a child may
//! speak before that of the object. Creating the child again would be wrong for a moment, and would
//! ask an issuer for a certificate that nobody wants. So before something is *made again* the API
//! server itself is asked, once a pass; what is made for the first time is not worth the question.

use super::Reconciler;
use crate::client::{Trouble, within};
use crate::key::Key;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PartialObjectMeta};
use portolan_core::{ChildKey, IN_USE};
use portolan_crds::{ExposeClass, ExposedPort};
use std::collections::BTreeSet;
use tokio::sync::OnceCell;

/// What was made for an owner before.
pub(super) enum Made {
    /// Exactly these.
    These(BTreeSet<ChildKey>),
    /// Perhaps all of it.
    Unknown,
}

/// Vouches for one owner during one pass.
pub(super) struct Witness<'a> {
    context: &'a Reconciler,
    key: &'a Key,
    uid: &'a str,
    made: Made,
    asked: OnceCell<bool>,
}

impl<'a> Witness<'a> {
    pub(super) fn new(context: &'a Reconciler, key: &'a Key, uid: &'a str, made: Made) -> Self {
        Self {
            context,
            key,
            uid,
            made,
            asked: OnceCell::new(),
        }
    }

    /// An error unless the owner lives, as far as that has to be known for this child.
    pub(super) async fn vouch(&self, child: &ChildKey) -> Result<(), Trouble> {
        let again = match &self.made {
            Made::These(children) => children.contains(child),
            Made::Unknown => true,
        };
        let lives = self.is_known() && (!again || self.lives().await?);
        if lives {
            Ok(())
        } else {
            Err(Trouble::Passing {
                message: format!("{} is gone", self.key),
                retry_after: None,
            })
        }
    }

    /// As the watches have it by now.
    fn is_known(&self) -> bool {
        let state = self.context.model.read();
        let uid = match self.key {
            Key::Object(object) => state.records.objects.get(object).map(|it| it.uid()),
            Key::Ingress(ingress) => state.records.ingresses.get(ingress).map(|it| it.uid()),
            Key::Class(class) => state.records.classes.get(class).map(|it| it.uid()),
            Key::Hold(_) => None,
        };
        uid == Some(self.uid)
    }

    /// As the API server has it.
    async fn lives(&self) -> Result<bool, Trouble> {
        let ask = || async {
            let client = self.context.client.clone();
            let owner = match self.key {
                Key::Object(object) => {
                    let api: Api<PartialObjectMeta<ExposedPort>> =
                        Api::namespaced(client, &object.namespace);
                    within(api.get_opt(&object.name))
                        .await?
                        .map(|it| it.metadata)
                }
                Key::Ingress(ingress) => {
                    let api: Api<PartialObjectMeta<Ingress>> =
                        Api::namespaced(client, &ingress.namespace);
                    within(api.get_opt(&ingress.name))
                        .await?
                        .map(|it| it.metadata)
                }
                Key::Class(class) => {
                    let api: Api<PartialObjectMeta<ExposeClass>> = Api::all(client);
                    within(api.get_opt(class.as_str()))
                        .await?
                        .map(|it| it.metadata)
                }
                Key::Hold(_) => None,
            };
            Ok(owner.is_some_and(|owner| {
                owner.uid.as_deref() == Some(self.uid) && keeps_children(&owner)
            }))
        };
        self.asked.get_or_try_init(ask).await.copied()
    }
}

/// Whether the garbage collector leaves the children of this owner alone: it takes them when the owner
/// is gone, and before that only where somebody asked for the children to go first.
fn keeps_children(owner: &ObjectMeta) -> bool {
    let finalizers = owner.finalizers.as_deref().unwrap_or_default();
    let has = |finalizer: &str| finalizers.iter().any(|it| it == finalizer);
    owner.deletion_timestamp.is_none() || (has(IN_USE) && !has("foregroundDeletion"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    #[test]
    fn a_class_that_is_being_deleted_keeps_its_proxies_while_objects_use_it() {
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
