//! A pass over an ExposedPort.

use super::children::{Family, Outcomes};
use super::judge::{Judged, judge};
use super::witness::{Made, Witness};
use super::{Attempt, Reconciler, deletion, now};
use crate::apply::{ChildKind, Owner};
use crate::client::Trouble;
use crate::key::Key;
use crate::model::Record;
use crate::status::{self, Pace, Written};
use portolan_core::{Child, ChildKey, ClassName, ObjectRef, ReportedStatus, Subject};
use portolan_crds::ExposedPortStatus;
use std::time::Duration;

/// A certificate is issued in steps, a Deployment rolls pod by pod: each second is told, not each step.
const PAUSE: Duration = Duration::from_secs(1);

/// How an object is known when the pass begins.
struct Known {
    key: Key,
    subject: Subject,
    record: Record<ExposedPortStatus>,
    class: Option<ClassName>,
    children: Vec<Child>,
    /// Its time is over, or its Lease lapsed, and it is to be deleted then.
    unwanted: bool,
}

pub(super) async fn pass(
    context: &Reconciler,
    object: &ObjectRef,
    attempt: Attempt,
) -> Result<(), Trouble> {
    let Some(known) = dereference(context, object) else {
        return clean_up(context, object).await;
    };
    if known.unwanted {
        return deletion::expire(context, object, &known.record).await;
    }
    let outcomes = apply(context, &known, attempt).await?;
    if context.statuses.is_behind(&known.key, &known.record) {
        return outcomes.trouble();
    }
    let class = known.class.as_ref();
    let before = known.record.status.as_ref().map(ReportedStatus::from);
    let Some(judged) = judge(context, &known.subject, class, before.as_ref(), &outcomes) else {
        return outcomes.trouble();
    };
    show_addresses(context, &known, &judged).await?;
    write(context, &known, judged).await?;
    outcomes.trouble()
}

fn dereference(context: &Reconciler, object: &ObjectRef) -> Option<Known> {
    let state = context.model.read();
    let record = state.records.objects.get(object)?.clone();
    let subject = Subject::ExposedPort(object.clone());
    Some(Known {
        key: Key::Object(object.clone()),
        class: state.index.class_of(&subject).cloned(),
        children: state.index.children(&subject),
        unwanted: state
            .index
            .wants_deletion(&subject)
            .is_some_and(|uid| uid == record.uid()),
        subject,
        record,
    })
}

/// The object is gone, and the garbage collector takes what belonged to it; except what lost its
/// owner reference, which nobody else would remove.
async fn clean_up(context: &Reconciler, object: &ObjectRef) -> Result<(), Trouble> {
    let key = Key::Object(object.clone());
    context.statuses.forget(&key);
    context.doubts.forget(&Subject::ExposedPort(object.clone()));
    let nobody = Owner {
        kind: "ExposedPort".to_owned(),
        name: object.name.clone(),
        uid: String::new(),
    };
    let family = Family::of(&key, nobody, Vec::new());
    family.prune(&context.applier).await
}

async fn apply(context: &Reconciler, known: &Known, attempt: Attempt) -> Result<Outcomes, Trouble> {
    let owner = Owner {
        kind: "ExposedPort".to_owned(),
        name: known.record.reference.name.clone().unwrap_or_default(),
        uid: known.record.uid().to_owned(),
    };
    let family = Family::of(&known.key, owner, known.children.clone());
    let witness = Witness::new(context, &known.key, known.record.uid(), made(&known.record));
    family.keep(context, &witness, attempt).await
}

/// What the last status says was made.
fn made(record: &Record<ExposedPortStatus>) -> Made {
    let children = record.status.iter().flat_map(|status| &status.children);
    let keys = children.map(|child| ChildKey {
        kind: child.kind.clone(),
        name: child.name.clone(),
    });
    Made::These(keys.collect())
}

/// The Ingress shows where the hostnames lead, so that external-dns can publish it.
async fn show_addresses(
    context: &Reconciler,
    known: &Known,
    judged: &Judged,
) -> Result<(), Trouble> {
    let ingresses = known
        .children
        .iter()
        .filter(|it| it.kind == ChildKind::Ingress.as_str());
    for ingress in ingresses {
        let id = super::children::id(ingress);
        if let Some(id) = id {
            let owner = known.record.uid();
            let addresses = &judged.status.addresses;
            context
                .applier
                .show_addresses(&id, owner, addresses)
                .await?;
        }
    }
    Ok(())
}

async fn write(context: &Reconciler, known: &Known, judged: Judged) -> Result<(), Trouble> {
    let now = now();
    if let Some(when) = judged.again_at {
        context.again_at(&known.key, when, now);
    }
    let status = &judged.status;
    let before = known.record.status.as_ref();
    let pace = Pace {
        pause: PAUSE,
        urgent: status::readiness_differs(before, status),
    };
    let statuses = &context.statuses;
    match statuses
        .write(&known.key, &known.record, status, pace)
        .await?
    {
        Written::Now => {
            let news = status::of_object(before, status);
            context.tell(&known.record.reference, news).await;
        }
        Written::Later(earliest) => context.queue.add_at(known.key.clone(), earliest),
        Written::Unchanged => {}
    }
    Ok(())
}
