//! Writes children and the addresses of Ingresses.

use super::addresses::{Shown, points, shows};
use super::decide::{Decision, decide};
use super::desired::Desired;
use super::difference::difference;
use super::kind::{ChildId, ChildKind};
use super::ownership::Owner;
use super::store::{Children, Seen};
use crate::FIELD_MANAGER;
use crate::client::{ApiError, within};
use crate::lease::Permit;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::Client;
use kube::api::{
    DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use portolan_core::ObjectRef;
use portolan_crds::Address;
use serde_json::{Value, json};
use std::sync::Arc;
use tracing::{debug, info, warn};

/// Result of applying a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is as desired.
    InPlace,
    /// An object with its name exists that is not managed by Portolan, and is left unchanged.
    Foreign {
        /// Owner of that object, for logs.
        of: String,
    },
}

/// Writes children.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    permit: Permit,
    children: Arc<Children>,
}

impl Applier {
    /// Writes through `client` as long as `permit` lasts, and keeps `children` up to date.
    pub fn new(client: Client, permit: Permit, children: Arc<Children>) -> Self {
        Self {
            client,
            permit,
            children,
        }
    }

    /// Returns the observed children.
    pub fn children(&self) -> &Children {
        &self.children
    }

    /// Creates or updates a child. Before it is created, `ensure_alive` checks that its owner exists.
    pub async fn apply(
        &self,
        desired: &Desired,
        owner: &Owner,
        ensure_alive: impl Future<Output = Result<(), ApiError>>,
    ) -> Result<Applied, ApiError> {
        let seen = self.look(&desired.id).await?;
        match decide(desired, seen.as_deref(), owner) {
            Decision::Keep => {}
            Decision::Create => {
                ensure_alive.await?;
                self.create(desired).await?;
            }
            Decision::Update { because } => {
                if let Some(seen) = seen {
                    self.update(desired, &seen, &because).await?;
                }
            }
            Decision::Leave { of } => return Ok(Applied::Foreign { of }),
            Decision::Wait { until } => return Err(waiting(until)),
            Decision::Remove => {
                if let Some(seen) = seen {
                    self.remove(&desired.id, &seen).await?;
                }
                return Err(waiting(format!(
                    "waiting for {} to be recreated",
                    desired.id
                )));
            }
        }
        Ok(Applied::InPlace)
    }

    /// Deletes an object of ours: exactly this one, whatever has its name by then.
    pub async fn remove(&self, id: &ChildId, seen: &Seen) -> Result<(), ApiError> {
        if seen.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        self.may_write()?;
        let uid = seen.metadata.uid.clone().unwrap_or_default();
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.clone()),
                resource_version: None,
            }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        info!(child = %id, "deleting child that is no longer desired");
        let api = id.api(self.client.clone());
        match within(api.delete(&id.name, &params)).await {
            Ok(answer) => {
                // An object in the response still exists until its finalizers are removed; the watch reports its deletion.
                if answer.is_right() {
                    self.children.writing(id).deleted(&uid);
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the addresses of the proxies into the status of an Ingress child, unless they are already there.
    pub async fn show_addresses(
        &self,
        id: &ChildId,
        owner_uid: &str,
        addresses: &[Address],
    ) -> Result<(), ApiError> {
        let Some(seen) = self.children.get(id).filter(|seen| seen.is_of(owner_uid)) else {
            return Ok(());
        };
        let known = seen.manifest.pointer("/status/loadBalancer/ingress");
        if shows(known, addresses) {
            return Ok(());
        }
        let uid = seen.metadata.uid.as_deref().unwrap_or_default();
        let answer = self.write_addresses(id, uid, addresses).await?;
        self.children.seen(id.clone(), Seen::of(&answer));
        Ok(())
    }

    /// Writes the addresses of the proxies into the status of a user's Ingress, unless they are already there. The
    /// addresses of another controller are kept while there are none to write.
    pub async fn show_addresses_on(
        &self,
        ingress: &ObjectRef,
        uid: &str,
        shown: &Shown,
        addresses: &[Address],
    ) -> Result<(), ApiError> {
        let unneeded = addresses.is_empty() && !shown.by_us;
        if unneeded || shows(Some(&shown.points), addresses) {
            return Ok(());
        }
        let id = ChildId {
            kind: ChildKind::Ingress,
            namespace: ingress.namespace.clone(),
            name: ingress.name.clone(),
        };
        self.write_addresses(&id, uid, addresses).await.map(drop)
    }

    async fn write_addresses(
        &self,
        id: &ChildId,
        uid: &str,
        addresses: &[Address],
    ) -> Result<DynamicObject, ApiError> {
        self.may_write()?;
        let resource = id.kind.resource();
        // Another Ingress of that name by now: the API server answers 409.
        let patch = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": id.name, "namespace": id.namespace, "uid": uid},
            "status": {"loadBalancer": {"ingress": points(addresses)}},
        });
        let api = id.api(self.client.clone());
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&patch);
        within(api.patch_status(&id.name, &params, &patch)).await
    }

    /// Returns the object as last observed, or reads it from the API server: foreign objects are not watched.
    async fn look(&self, id: &ChildId) -> Result<Option<Arc<Seen>>, ApiError> {
        if let Some(seen) = self.children.get(id) {
            return Ok(Some(seen));
        }
        let found = within(id.api(self.client.clone()).get_opt(&id.name)).await?;
        Ok(found.as_ref().map(Seen::of).map(Arc::new))
    }

    /// Uses create, not apply, so that one of two concurrent creates fails.
    async fn create(&self, desired: &Desired) -> Result<(), ApiError> {
        self.may_write()?;
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let object = parsed(&desired.manifest)?;
        info!(child = %desired.id, "creating child");
        let api = desired.id.api(self.client.clone());
        let write = self.children.writing(&desired.id);
        let answer = Seen::of(&within(api.create(&params, &object)).await?);
        let differs = unlike(desired, &answer);
        write.answered(answer, &desired.digest, differs);
        Ok(())
    }

    async fn update(&self, desired: &Desired, seen: &Seen, because: &str) -> Result<(), ApiError> {
        if self.children.is_settled(&desired.id, &desired.digest, seen) {
            debug!(child = %desired.id, because, "skipped update, because the API server changes the object when it is written");
            return Ok(());
        }
        self.may_write()?;
        info!(child = %desired.id, because, "updating child");
        self.own_what_was_created(desired, seen).await?;
        let mut manifest = desired.manifest.clone();
        if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
            // Another object of that name by now: the API server answers 409.
            metadata.insert("uid".to_owned(), json!(seen.metadata.uid));
        }
        let api = desired.id.api(self.client.clone());
        // By force: the fields belong to Portolan, even if another manager set them meanwhile.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let write = self.children.writing(&desired.id);
        let patch = Patch::Apply(&manifest);
        let request = api.patch(&desired.id.name, &params, &patch);
        let answer = Seen::of(&within(request).await?);
        let differs = unlike(desired, &answer);
        write.answered(answer, &desired.digest, differs);
        Ok(())
    }

    /// What a create set is recorded as an `Update` of ours, and would outlive an apply that no longer
    /// has it. So the record is turned into that of an apply, once, as client-go's csaupgrade does.
    async fn own_what_was_created(&self, desired: &Desired, seen: &Seen) -> Result<(), ApiError> {
        let managed = seen.metadata.managed_fields.as_deref().unwrap_or_default();
        if !managed.iter().any(is_update) {
            return Ok(());
        }
        let api = desired.id.api(self.client.clone());
        let Some(now) = within(api.get_opt(&desired.id.name)).await? else {
            return Err(waiting(format!("{} not found", desired.id)));
        };
        let managed = as_applied(now.metadata.managed_fields.unwrap_or_default());
        let patch = Patch::Merge(json!({"metadata": {
            "uid": seen.metadata.uid,
            "resourceVersion": now.metadata.resource_version,
            "managedFields": managed,
        }}));
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let request = api.patch(&desired.id.name, &params, &patch);
        within(request).await.map(drop)
    }

    fn may_write(&self) -> Result<(), ApiError> {
        if self.permit.may_write() {
            Ok(())
        } else {
            Err(ApiError::NotLeader)
        }
    }
}

/// The record of who set what, as if what we created had been applied.
fn as_applied(mut managed: Vec<ManagedFieldsEntry>) -> Vec<ManagedFieldsEntry> {
    if managed.iter().any(|entry| is_ours(entry, "Apply")) {
        managed.retain(|entry| !is_update(entry));
    }
    for entry in managed.iter_mut().filter(|entry| is_update(entry)) {
        entry.operation = Some("Apply".to_owned());
    }
    managed
}

fn is_update(entry: &ManagedFieldsEntry) -> bool {
    is_ours(entry, "Update")
}

/// Returns true if the entry is of Portolan and of the object itself, not of its status.
fn is_ours(entry: &ManagedFieldsEntry, operation: &str) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some(operation)
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

/// Returns true if the server stored something else than was written.
fn unlike(desired: &Desired, answer: &Seen) -> bool {
    let difference = difference(&desired.manifest, &answer.manifest);
    if let Some(path) = &difference {
        warn!(child = %desired.id, path, "API server changed the object when it was written");
    }
    difference.is_some()
}

fn parsed(manifest: &Value) -> Result<DynamicObject, ApiError> {
    serde_json::from_value(manifest.clone())
        .map_err(|error| ApiError::Rejected(format!("invalid manifest: {error}")))
}

fn waiting(until: String) -> ApiError {
    ApiError::Transient {
        message: until,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn created_fields_become_applied_despite_status_entries() {
        let entry = |operation: &str, subresource: Option<&str>| ManagedFieldsEntry {
            manager: Some(FIELD_MANAGER.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: subresource.map(str::to_owned),
            ..ManagedFieldsEntry::default()
        };
        let (created, applied) = (entry("Update", None), entry("Apply", None));
        let shown = entry("Apply", Some("status"));
        let turned = |managed: &[&ManagedFieldsEntry]| {
            as_applied(managed.iter().map(|it| (*it).clone()).collect())
        };
        assert_eq!(turned(&[&created]), std::slice::from_ref(&applied));
        assert_eq!(
            turned(&[&shown, &created]),
            [shown.clone(), applied.clone()]
        );
        assert_eq!(turned(&[&created, &applied, &shown]), [applied, shown]);
    }
}
