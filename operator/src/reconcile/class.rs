//! A pass over an ExposeClass.

use super::children::{Family, Outcomes};
use super::witness::{Made, Witness};
use super::{Attempt, Reconciler, in_use, now};
use crate::apply::Owner;
use crate::client::Trouble;
use crate::key::Key;
use crate::model::Record;
use crate::status::{self, Pace, Patience, Written};
use portolan_core::{Child, ClassName, Observed};
use portolan_crds::ExposeClassStatus;
use std::time::Duration;

/// The status of a class counts proxies, which come and go; it is written no more often than this.
const PAUSE: Duration = Duration::from_secs(10);

/// How a class is known when the pass begins.
struct Known {
    key: Key,
    record: Record<ExposeClassStatus>,
    children: Vec<Child>,
    /// Those that it should have, when it has others.
    finalizers: Option<Vec<String>>,
    /// It is being deleted, and nobody uses it.
    finished: bool,
}

pub(super) async fn pass(
    context: &Reconciler,
    class: &ClassName,
    attempt: Attempt,
) -> Result<(), Trouble> {
    let Some(known) = dereference(context, class) else {
        return clean_up(context, class).await;
    };
    if let Some(finalizers) = &known.finalizers {
        in_use::keep(context, class, &known.record, finalizers).await?;
    }
    if known.finished {
        return Ok(());
    }
    let outcomes = apply(context, class, &known, attempt).await?;
    let Some(status) = judge(context, class, &known, &outcomes) else {
        return outcomes.trouble();
    };
    write(context, &known, &status).await?;
    outcomes.trouble()
}

fn dereference(context: &Reconciler, class: &ClassName) -> Option<Known> {
    let state = context.model.read();
    Some(Known {
        key: Key::Class(class.clone()),
        record: state.records.classes.get(class)?.clone(),
        children: state.index.class_children(class, &context.settings),
        finalizers: state.index.finalizers(class),
        finished: state.index.is_finished(class),
    })
}

/// As with objects: what lost its owner reference is removed by nobody else.
async fn clean_up(context: &Reconciler, class: &ClassName) -> Result<(), Trouble> {
    let key = Key::Class(class.clone());
    context.statuses.forget(&key);
    let family = Family::of(&key, owner(class, String::new()), Vec::new());
    family.prune(&context.applier).await
}

async fn apply(
    context: &Reconciler,
    class: &ClassName,
    known: &Known,
    attempt: Attempt,
) -> Result<Outcomes, Trouble> {
    let owner = owner(class, known.record.uid().to_owned());
    let family = Family::of(&known.key, owner, known.children.clone());
    // The status of a class does not list its children; there are few classes, so it is asked each time.
    let witness = Witness::new(context, &known.key, known.record.uid(), Made::Unknown);
    family.keep(context, &witness, attempt).await
}

/// `None` when it is too early; the key comes back.
fn judge(
    context: &Reconciler,
    class: &ClassName,
    known: &Known,
    outcomes: &Outcomes,
) -> Option<ExposeClassStatus> {
    if context.statuses.is_behind(&known.key, &known.record) {
        return None;
    }
    let missing = match context.proxies.patience(class) {
        Patience::Judge { missing } => missing,
        Patience::Wait { until } => {
            context.queue.add_at(known.key.clone(), until);
            return None;
        }
    };
    let now = now();
    let state = context.model.read();
    let resources = state.index.resources_of_class(class);
    let seen = Observed {
        children: outcomes.states(),
        proxies: context.proxies.observe(class, resources.iter(), missing),
    };
    state.index.class_status(class, &seen, now)
}

async fn write(
    context: &Reconciler,
    known: &Known,
    status: &ExposeClassStatus,
) -> Result<(), Trouble> {
    let pace = Pace {
        pause: PAUSE,
        urgent: false,
    };
    let statuses = &context.statuses;
    match statuses
        .write(&known.key, &known.record, status, pace)
        .await?
    {
        Written::Now => {
            let news = status::of_class(known.record.status.as_ref(), status);
            context.tell(&known.record.reference, news).await;
        }
        Written::Later(earliest) => context.queue.add_at(known.key.clone(), earliest),
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
