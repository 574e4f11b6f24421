//! The finalizer of a class that objects use.
//!
//! Written only over the very version of the class that was judged. Should an object come to use a
//! class that is being deleted just as its finalizer is taken away, the class is gone, and the object
//! is told so.

use super::Reconciler;
use super::deletion::settled;
use crate::FIELD_MANAGER;
use crate::client::{Trouble, within};
use crate::model::Stored;
use kube::api::{Api, Patch, PatchParams};
use portolan_core::ClassName;
use portolan_crds::{ExposeClass, ExposeClassStatus};
use serde_json::json;
use tracing::info;

pub(super) async fn keep(
    context: &Reconciler,
    class: &ClassName,
    record: &Stored<ExposeClassStatus>,
    finalizers: &[String],
) -> Result<(), Trouble> {
    if !context.permit.may_write() {
        return Err(Trouble::NotLeading);
    }
    info!(%class, ?finalizers, "objects use it, or no longer do");
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
    within(settled(classes.patch(class.as_str(), &params, &patch))).await
}
