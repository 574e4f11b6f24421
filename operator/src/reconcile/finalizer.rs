//! Sets the finalizer of a class while objects use it.
//!
//! Written only to the version of the class that the decision was based on. If an object starts to use a class just
//! as its finalizer is removed, the class is gone, and the status of the object reports it.

use super::Reconciler;
use super::deletion::ignore_conflict;
use crate::FIELD_MANAGER;
use crate::client::{ApiError, within};
use crate::model::Stored;
use kube::api::{Api, Patch, PatchParams};
use portolan_core::ClassName;
use portolan_crds::{ExposeClass, ExposeClassStatus};
use serde_json::json;
use tracing::info;

pub(super) async fn set(
    context: &Reconciler,
    class: &ClassName,
    record: &Stored<ExposeClassStatus>,
    finalizers: &[String],
) -> Result<(), ApiError> {
    if !context.permit.may_write() {
        return Err(ApiError::NotLeader);
    }
    info!(%class, ?finalizers, "updating finalizers of class");
    let metadata = json!({
        "uid": record.uid(),
        "resourceVersion": record.resource_version(),
        "finalizers": finalizers,
    });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let classes: Api<ExposeClass> = Api::all(context.client.clone());
    within(ignore_conflict(classes.patch(
        class.as_str(),
        &params,
        &patch,
    )))
    .await
}
