//! Reconciles an ExposedPort.

use super::child_set::{ChildSet, Outcomes};
use super::new_status::{NewStatus, compute_status};
use super::owner_check::{OwnerCheck, PreviousChildren};
use super::{Attempt, Reconciler, deletion, now};
use crate::apply::{ChildKind, Owner};
use crate::client::ApiError;
use crate::key::Key;
use crate::model::Record;
use crate::status::{self, WriteInterval, Written};
use portolan_core::{Child, ChildKey, ClassName, ObjectRef, ReportedStatus, Subject};
use portolan_crds::ExposedPortStatus;
use std::time::Duration;

/// Minimum interval between two status writes, because certificates and Deployments progress in many small steps.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Object as known at the start of a reconcile.
struct Snapshot {
    key: Key,
    subject: Subject,
    record: Record<ExposedPortStatus>,
    class: Option<ClassName>,
    children: Vec<Child>,
    /// True if it, or its Lease, has expired and it is to be deleted.
    is_expired: bool,
}

pub(super) async fn reconcile(
    context: &Reconciler,
    object: &ObjectRef,
    attempt: Attempt,
) -> Result<(), ApiError> {
    let Some(snapshot) = dereference(context, object) else {
        return clean_up(context, object).await;
    };
    if snapshot.is_expired {
        return deletion::expire(context, object, &snapshot.record).await;
    }
    let outcomes = apply(context, &snapshot, attempt).await?;
    if context.statuses.is_behind(&snapshot.key, &snapshot.record) {
        return outcomes.into_result();
    }
    let class = snapshot.class.as_ref();
    let before = snapshot.record.status.as_ref().map(ReportedStatus::from);
    let Some(new_status) = compute_status(
        context,
        &snapshot.subject,
        class,
        before.as_ref(),
        &outcomes,
    ) else {
        return outcomes.into_result();
    };
    show_addresses(context, &snapshot, &new_status).await?;
    write(context, &snapshot, new_status).await?;
    outcomes.into_result()
}

fn dereference(context: &Reconciler, object: &ObjectRef) -> Option<Snapshot> {
    let state = context.model.read();
    let record = state.records.objects.get(object)?.clone();
    let subject = Subject::ExposedPort(object.clone());
    Some(Snapshot {
        key: Key::Object(object.clone()),
        class: state.index.class_of(&subject).cloned(),
        children: state.index.children(&subject),
        is_expired: state
            .index
            .wants_deletion(&subject)
            .is_some_and(|uid| uid == record.uid()),
        subject,
        record,
    })
}

/// Cleans up after an object that is gone: removes children without owner reference, which the garbage collector
/// does not.
async fn clean_up(context: &Reconciler, object: &ObjectRef) -> Result<(), ApiError> {
    let key = Key::Object(object.clone());
    context.statuses.forget(&key);
    context
        .ready_grace
        .forget(&Subject::ExposedPort(object.clone()));
    let owner = Owner {
        kind: "ExposedPort".to_owned(),
        name: object.name.clone(),
        uid: String::new(),
    };
    let child_set = ChildSet::of(&key, owner, Vec::new());
    child_set.prune(&context.applier).await
}

async fn apply(
    context: &Reconciler,
    snapshot: &Snapshot,
    attempt: Attempt,
) -> Result<Outcomes, ApiError> {
    let owner = Owner {
        kind: "ExposedPort".to_owned(),
        name: snapshot.record.reference.name.clone().unwrap_or_default(),
        uid: snapshot.record.uid().to_owned(),
    };
    let child_set = ChildSet::of(&snapshot.key, owner, snapshot.children.clone());
    let owner_check = OwnerCheck::new(
        context,
        &snapshot.key,
        snapshot.record.uid(),
        previous_children(&snapshot.record),
    );
    child_set.reconcile(context, &owner_check, attempt).await
}

/// Returns the children that the last status lists.
fn previous_children(record: &Record<ExposedPortStatus>) -> PreviousChildren {
    let children = record.status.iter().flat_map(|status| &status.children);
    let keys = children.map(|child| ChildKey {
        kind: child.kind.clone(),
        name: child.name.clone(),
    });
    PreviousChildren::Known(keys.collect())
}

/// Writes the addresses of the proxies into the Ingress child, so that external-dns can publish them.
async fn show_addresses(
    context: &Reconciler,
    snapshot: &Snapshot,
    new_status: &NewStatus,
) -> Result<(), ApiError> {
    let ingresses = snapshot
        .children
        .iter()
        .filter(|child| child.kind == ChildKind::Ingress.as_str());
    for ingress in ingresses {
        let id = super::child_set::id(ingress);
        if let Some(id) = id {
            let owner = snapshot.record.uid();
            let addresses = &new_status.status.addresses;
            context
                .applier
                .show_addresses(&id, owner, addresses)
                .await?;
        }
    }
    Ok(())
}

async fn write(
    context: &Reconciler,
    snapshot: &Snapshot,
    new_status: NewStatus,
) -> Result<(), ApiError> {
    let now = now();
    if let Some(when) = new_status.recheck_at {
        context.requeue_at(&snapshot.key, when, now);
    }
    let status = &new_status.status;
    let before = snapshot.record.status.as_ref();
    let interval = WriteInterval {
        interval: STATUS_INTERVAL,
        urgent: status::readiness_differs(before, status),
    };
    let statuses = &context.statuses;
    match statuses
        .write(&snapshot.key, &snapshot.record, status, interval)
        .await?
    {
        Written::Now => {
            let events = status::object_events(before, status);
            context
                .record_events(&snapshot.record.reference, events)
                .await;
        }
        Written::Later(earliest) => context.queue.add_at(snapshot.key.clone(), earliest),
        Written::Unchanged => {}
    }
    Ok(())
}
