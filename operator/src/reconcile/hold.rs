//! Reconciles the HostnameHold of a hostname.
//!
//! A hold is created by name, so that the API server decides between concurrent creates, and deleted only in the
//! version that the decision was based on.

use super::deletion::{ignore_conflict, only};
use super::{Reconciler, now};
use crate::FIELD_MANAGER;
use crate::client::{ApiError, within};
use kube::api::{Api, PostParams};
use portolan_core::{HoldAction, Hostname};
use portolan_crds::HostnameHold;
use tracing::info;

pub(super) async fn reconcile(context: &Reconciler, hostname: &Hostname) -> Result<(), ApiError> {
    let action = context.model.read().index.hold_action(hostname);
    let Some(action) = action else {
        return Ok(());
    };
    if !context.permit.may_write() {
        return Err(ApiError::NotLeader);
    }
    let holds: Api<HostnameHold> = Api::all(context.client.clone());
    match &action {
        HoldAction::Create { namespace, .. } => {
            let Some(hold) = action.hold(now()) else {
                return Ok(());
            };
            info!(%hostname, namespace, "reserved hostname");
            let params = PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PostParams::default()
            };
            within(ignore_conflict(holds.create(&params, &hold))).await
        }
        HoldAction::Delete {
            name,
            uid,
            resource_version,
        } => {
            info!(%hostname, "released hostname");
            let params = only(uid, resource_version);
            within(ignore_conflict(holds.delete(name, &params))).await
        }
    }
}
