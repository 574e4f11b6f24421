//! Deleting exactly what was judged.

use super::Reconciler;
use crate::client::{Trouble, within};
use kube::api::{Api, DeleteParams, Preconditions};
use portolan_core::ObjectRef;
use portolan_crds::{ExposedPort, ExposedPortStatus};
use tracing::info;

/// Of nothing but this version of this object.
pub(super) fn only(uid: &str, resource_version: &str) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(resource_version.to_owned()),
        }),
        ..DeleteParams::default()
    }
}

/// That another one exists already, or this one no longer, is no failure: the watch tells what is so,
/// and it is judged anew.
pub(super) async fn settled<T>(answer: impl Future<Output = kube::Result<T>>) -> kube::Result<()> {
    match answer.await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        answer => answer.map(drop),
    }
}

/// An object whose time is over and which wants to be gone then, or whose Lease nobody renewed.
pub(super) async fn expire(
    context: &Reconciler,
    object: &ObjectRef,
    record: &crate::model::Stored<ExposedPortStatus>,
) -> Result<(), Trouble> {
    if !context.permit.may_write() {
        return Err(Trouble::NotLeading);
    }
    info!(%object, "its time is over: deleting it");
    let exposed: Api<ExposedPort> = Api::namespaced(context.client.clone(), &object.namespace);
    let params = only(record.uid(), record.resource_version());
    within(settled(exposed.delete(&object.name, &params))).await
}
