//! Reconciles an ExposeClass.

use super::child_set::{ChildSet, Outcomes};
use super::owner_check::{OwnerCheck, PreviousChildren};
use super::{Attempt, Reconciler, finalizer, now};
use crate::apply::Owner;
use crate::client::ApiError;
use crate::key::Key;
use crate::model::Record;
use crate::status::{self, ProxyInfo, WriteInterval, Written};
use portolan_core::{Child, ClassName, Observed};
use portolan_crds::ExposeClassStatus;
use std::time::Duration;

/// Minimum interval between two status writes. The status of a class counts proxies, which come and go.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Class as known at the start of a reconcile.
struct Snapshot {
    key: Key,
    record: Record<ExposeClassStatus>,
    children: Vec<Child>,
    /// Desired finalizers, if they differ from the present ones.
    finalizers: Option<Vec<String>>,
    /// True if it is being deleted and no object uses it.
    finished: bool,
}

pub(super) async fn reconcile(
    context: &Reconciler,
    class: &ClassName,
    attempt: Attempt,
) -> Result<(), ApiError> {
    let Some(snapshot) = dereference(context, class) else {
        return clean_up(context, class).await;
    };
    if let Some(finalizers) = &snapshot.finalizers {
        finalizer::set(context, class, &snapshot.record, finalizers).await?;
    }
    if snapshot.finished {
        return Ok(());
    }
    let outcomes = apply(context, class, &snapshot, attempt).await?;
    let Some(status) = compute_status(context, class, &snapshot, &outcomes) else {
        return outcomes.into_result();
    };
    write(context, &snapshot, &status).await?;
    outcomes.into_result()
}

fn dereference(context: &Reconciler, class: &ClassName) -> Option<Snapshot> {
    let state = context.model.read();
    Some(Snapshot {
        key: Key::Class(class.clone()),
        record: state.records.classes.get(class)?.clone(),
        children: state.index.class_children(class, &context.settings),
        finalizers: state.index.finalizers(class),
        finished: state.index.is_finished(class),
    })
}

/// Removes children without owner reference, which the garbage collector does not.
async fn clean_up(context: &Reconciler, class: &ClassName) -> Result<(), ApiError> {
    let key = Key::Class(class.clone());
    context.statuses.forget(&key);
    let child_set = ChildSet::of(&key, owner(class, String::new()), Vec::new());
    child_set.prune(&context.applier).await
}

async fn apply(
    context: &Reconciler,
    class: &ClassName,
    snapshot: &Snapshot,
    attempt: Attempt,
) -> Result<Outcomes, ApiError> {
    let owner = owner(class, snapshot.record.uid().to_owned());
    let child_set = ChildSet::of(&snapshot.key, owner, snapshot.children.clone());
    // The status of a class does not list its children. There are few classes, so each time the API server is asked.
    let owner_check = OwnerCheck::new(
        context,
        &snapshot.key,
        snapshot.record.uid(),
        PreviousChildren::Unknown,
    );
    child_set.reconcile(context, &owner_check, attempt).await
}

/// Returns `None` if the status cannot be computed yet; the key is queued again.
fn compute_status(
    context: &Reconciler,
    class: &ClassName,
    snapshot: &Snapshot,
    outcomes: &Outcomes,
) -> Option<ExposeClassStatus> {
    if context.statuses.is_behind(&snapshot.key, &snapshot.record) {
        return None;
    }
    let missing = match context.proxies.info(class) {
        ProxyInfo::Complete { missing } => missing,
        ProxyInfo::Pending { until } => {
            context.queue.add_at(snapshot.key.clone(), until);
            return None;
        }
    };
    let now = now();
    let state = context.model.read();
    let resources = state.index.resources_of_class(class);
    let observed = Observed {
        children: outcomes.states(),
        proxies: context.proxies.observe(class, resources.iter(), missing),
    };
    state.index.class_status(class, &observed, now)
}

async fn write(
    context: &Reconciler,
    snapshot: &Snapshot,
    status: &ExposeClassStatus,
) -> Result<(), ApiError> {
    let interval = WriteInterval {
        interval: STATUS_INTERVAL,
        urgent: false,
    };
    let statuses = &context.statuses;
    match statuses
        .write(&snapshot.key, &snapshot.record, status, interval)
        .await?
    {
        Written::Now => {
            let events = status::class_events(snapshot.record.status.as_ref(), status);
            context
                .record_events(&snapshot.record.reference, events)
                .await;
        }
        Written::Later(earliest) => context.queue.add_at(snapshot.key.clone(), earliest),
        Written::Unchanged => {}
    }
    Ok(())
}

fn owner(class: &ClassName, uid: String) -> Owner {
    Owner {
        kind: "ExposeClass".to_owned(),
        name: class.as_str().to_owned(),
        uid,
    }
}
