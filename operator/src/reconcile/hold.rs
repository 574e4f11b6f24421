//! A pass over a hostname: who holds it.
//!
//! A hold is created by name, so that the API server itself decides between two who want it at once,
//! and deleted only as exactly the one that was judged.

use super::deletion::{only, settled};
use super::{Reconciler, now};
use crate::FIELD_MANAGER;
use crate::client::{Trouble, within};
use kube::api::{Api, PostParams};
use portolan_core::{HoldAction, Hostname};
use portolan_crds::HostnameHold;
use tracing::info;

pub(super) async fn pass(context: &Reconciler, hostname: &Hostname) -> Result<(), Trouble> {
    let action = context.model.read().index.hold_action(hostname);
    let Some(action) = action else {
        return Ok(());
    };
    if !context.permit.may_write() {
        return Err(Trouble::NotLeading);
    }
    let holds: Api<HostnameHold> = Api::all(context.client.clone());
    match &action {
        HoldAction::Create { namespace, .. } => {
            let Some(hold) = action.hold(now()) else {
                return Ok(());
            };
            info!(%hostname, namespace, "holding");
            let params = PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PostParams::default()
            };
            within(settled(holds.create(&params, &hold))).await
        }
        HoldAction::Delete {
            name,
            uid,
            resource_version,
        } => {
            info!(%hostname, "letting go");
            let params = only(uid, resource_version);
            within(settled(holds.delete(name, &params))).await
        }
    }
}
