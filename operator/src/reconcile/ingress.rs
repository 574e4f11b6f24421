//! Reconciles a user's Ingress: applies the children of its hostnames, and reports the result in events and in the
//! addresses of its status.

use super::child_set::{ChildSet, Outcomes};
use super::new_status::compute_status;
use super::owner_check::{OwnerCheck, PreviousChildren};
use super::{Attempt, Reconciler, now};
use crate::apply::{ChildKind, Owner, Shown};
use crate::client::ApiError;
use crate::key::Key;
use crate::model::Record;
use crate::status::host_event;
use portolan_core::{Child, ClassName, Diagnostic, Hostname, ObjectRef, ReportedStatus, Subject};
use portolan_crds::Address;

/// Ingress as known at the start of a reconcile.
struct Snapshot {
    key: Key,
    record: Record<Shown>,
    /// Empty if it is not, or no longer, served by Portolan.
    hosts: Vec<Host>,
    children: Vec<Child>,
    /// Problems that are not of one hostname.
    diagnostics: Vec<Diagnostic>,
    addresses: Vec<Address>,
}

/// Hostname of an Ingress.
struct Host {
    key: Subject,
    class: Option<ClassName>,
    /// Previous status.
    before: Option<ReportedStatus>,
}

pub(super) async fn reconcile(
    context: &Reconciler,
    ingress: &ObjectRef,
    attempt: Attempt,
) -> Result<(), ApiError> {
    let Some(snapshot) = dereference(context, ingress) else {
        return clean_up(context, ingress).await;
    };
    let outcomes = apply(context, ingress, &snapshot, attempt).await?;
    for host in &snapshot.hosts {
        report_host(context, &snapshot, host, &outcomes).await;
    }
    let present: Vec<_> = snapshot.hosts.iter().map(|host| host.key.clone()).collect();
    context.ready_grace.forget_hosts(ingress, &present);
    let events = context.ingress_events.update(ingress, snapshot.diagnostics);
    context
        .record_events(&snapshot.record.reference, events)
        .await;
    if let Some(shown) = &snapshot.record.status {
        let uid = snapshot.record.uid();
        context
            .applier
            .show_addresses_on(ingress, uid, shown, &snapshot.addresses)
            .await?;
    }
    outcomes.into_result()
}

fn dereference(context: &Reconciler, ingress: &ObjectRef) -> Option<Snapshot> {
    let state = context.model.read();
    let record = state.records.ingresses.get(ingress)?.clone();
    let index = &state.index;
    let hosts = index.hosts_of_ingress(ingress);
    let children = hosts.iter().flat_map(|host| index.children(host));
    Some(Snapshot {
        key: Key::Ingress(ingress.clone()),
        children: children.collect(),
        diagnostics: index.ingress_diagnostics(ingress),
        addresses: index.addresses_of_ingress(ingress).to_vec(),
        hosts: hosts
            .into_iter()
            .map(|key| Host {
                class: index.class_of(&key).cloned(),
                before: index.remembered(&key).cloned(),
                key,
            })
            .collect(),
        record,
    })
}

/// Cleans up after an Ingress that is gone: removes children without owner reference, which the garbage collector
/// does not.
async fn clean_up(context: &Reconciler, ingress: &ObjectRef) -> Result<(), ApiError> {
    context.ready_grace.forget_hosts(ingress, &[]);
    context.ingress_events.update(ingress, Vec::new());
    let child_set = ChildSet::of(
        &Key::Ingress(ingress.clone()),
        owner(ingress, ""),
        Vec::new(),
    );
    child_set.prune(&context.applier).await
}

async fn apply(
    context: &Reconciler,
    ingress: &ObjectRef,
    snapshot: &Snapshot,
    attempt: Attempt,
) -> Result<Outcomes, ApiError> {
    let uid = snapshot.record.uid();
    let child_set = ChildSet::of(
        &snapshot.key,
        owner(ingress, uid),
        snapshot.children.clone(),
    );
    let owner_check = OwnerCheck::new(context, &snapshot.key, uid, PreviousChildren::Unknown);
    child_set.reconcile(context, &owner_check, attempt).await
}

fn owner(ingress: &ObjectRef, uid: &str) -> Owner {
    Owner {
        kind: ChildKind::Ingress.as_str().to_owned(),
        name: ingress.name.clone(),
        uid: uid.to_owned(),
    }
}

/// Computes the status of a hostname, and records an event if it changed.
async fn report_host(context: &Reconciler, snapshot: &Snapshot, host: &Host, outcomes: &Outcomes) {
    let before = host.before.as_ref();
    let Some(new_status) =
        compute_status(context, &host.key, host.class.as_ref(), before, outcomes)
    else {
        return;
    };
    if let Some(when) = new_status.recheck_at {
        context.requeue_at(&snapshot.key, when, now());
    }
    let reported = ReportedStatus::from(&new_status.status);
    if before == Some(&reported) {
        return;
    }
    let name = host.key.host().map_or("", Hostname::as_str);
    let event = host_event(name, before, &reported).map(|mut event| {
        let state = context.model.read();
        event.note = state.index.in_terms_of_ingress(&host.key, &event.note);
        event
    });
    context.model.remember(&host.key, reported);
    context
        .record_events(&snapshot.record.reference, event.into_iter().collect())
        .await;
}
