//! Deletes an object only in the version that the decision was based on.

use super::Reconciler;
use crate::client::{ApiError, within};
use kube::api::{Api, DeleteParams, Preconditions};
use portolan_core::ObjectRef;
use portolan_crds::{ExposedPort, ExposedPortStatus};
use tracing::info;

/// Returns parameters that delete only this version of this object.
pub(super) fn only(uid: &str, resource_version: &str) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(resource_version.to_owned()),
        }),
        ..DeleteParams::default()
    }
}

/// Ignores that another object already exists, or this one no longer does: the watch delivers the current state,
/// and the key is reconciled again.
pub(super) async fn ignore_conflict<T>(
    response: impl Future<Output = kube::Result<T>>,
) -> kube::Result<()> {
    match response.await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        response => response.map(drop),
    }
}

/// Deletes an object that has expired and asks for deletion, or whose Lease has expired.
pub(super) async fn expire(
    context: &Reconciler,
    object: &ObjectRef,
    record: &crate::model::Stored<ExposedPortStatus>,
) -> Result<(), ApiError> {
    if !context.permit.may_write() {
        return Err(ApiError::NotLeader);
    }
    info!(%object, "deleting expired object");
    let exposed: Api<ExposedPort> = Api::namespaced(context.client.clone(), &object.namespace);
    let params = only(record.uid(), record.resource_version());
    within(ignore_conflict(exposed.delete(&object.name, &params))).await
}
