//! A pass over an Ingress that somebody wrote: what its hostnames need is made, and what came of them is
//! told in events and in the addresses of its status.

use super::children::{Family, Outcomes};
use super::judge::judge;
use super::witness::{Made, Witness};
use super::{Attempt, Reconciler, now};
use crate::apply::{ChildKind, Owner, Shown};
use crate::client::Trouble;
use crate::key::Key;
use crate::model::Record;
use crate::status::of_host;
use portolan_core::{Child, ClassName, Diagnostic, Hostname, ObjectRef, ReportedStatus, Subject};
use portolan_crds::Address;

/// How an Ingress is known when the pass begins.
struct Known {
    key: Key,
    record: Record<Shown>,
    /// None when it is not ours to serve, or no longer.
    hosts: Vec<Host>,
    children: Vec<Child>,
    /// What stands against it beside its hostnames.
    diagnostics: Vec<Diagnostic>,
    addresses: Vec<Address>,
}

/// One hostname.
struct Host {
    subject: Subject,
    class: Option<ClassName>,
    /// What was told last.
    before: Option<ReportedStatus>,
}

pub(super) async fn pass(
    context: &Reconciler,
    ingress: &ObjectRef,
    attempt: Attempt,
) -> Result<(), Trouble> {
    let Some(known) = dereference(context, ingress) else {
        return clean_up(context, ingress).await;
    };
    let outcomes = apply(context, ingress, &known, attempt).await?;
    for host in &known.hosts {
        tell_of(context, &known, host, &outcomes).await;
    }
    let present: Vec<_> = known
        .hosts
        .iter()
        .map(|host| host.subject.clone())
        .collect();
    context.doubts.forget_hosts(ingress, &present);
    let news = context.told.news(ingress, known.diagnostics);
    context.tell(&known.record.reference, news).await;
    if let Some(shown) = &known.record.status {
        let uid = known.record.uid();
        context
            .applier
            .show_addresses_on(ingress, uid, shown, &known.addresses)
            .await?;
    }
    outcomes.trouble()
}

fn dereference(context: &Reconciler, ingress: &ObjectRef) -> Option<Known> {
    let state = context.model.read();
    let record = state.records.ingresses.get(ingress)?.clone();
    let index = &state.index;
    let hosts = index.hosts_of_ingress(ingress);
    let children = hosts.iter().flat_map(|host| index.children(host));
    Some(Known {
        key: Key::Ingress(ingress.clone()),
        children: children.collect(),
        diagnostics: index.ingress_diagnostics(ingress),
        addresses: index.addresses_of_ingress(ingress).to_vec(),
        hosts: hosts
            .into_iter()
            .map(|subject| Host {
                class: index.class_of(&subject).cloned(),
                before: index.remembered(&subject).cloned(),
                subject,
            })
            .collect(),
        record,
    })
}

/// The Ingress is gone, and the garbage collector takes what belonged to it; except what lost its owner
/// reference.
async fn clean_up(context: &Reconciler, ingress: &ObjectRef) -> Result<(), Trouble> {
    context.doubts.forget_hosts(ingress, &[]);
    context.told.news(ingress, Vec::new());
    let family = Family::of(
        &Key::Ingress(ingress.clone()),
        owner(ingress, ""),
        Vec::new(),
    );
    family.prune(&context.applier).await
}

async fn apply(
    context: &Reconciler,
    ingress: &ObjectRef,
    known: &Known,
    attempt: Attempt,
) -> Result<Outcomes, Trouble> {
    let uid = known.record.uid();
    let family = Family::of(&known.key, owner(ingress, uid), known.children.clone());
    let witness = Witness::new(context, &known.key, uid, Made::Unknown);
    family.keep(context, &witness, attempt).await
}

fn owner(ingress: &ObjectRef, uid: &str) -> Owner {
    Owner {
        kind: ChildKind::Ingress.as_str().to_owned(),
        name: ingress.name.clone(),
        uid: uid.to_owned(),
    }
}

/// Judges a hostname, and tells people what is new.
async fn tell_of(context: &Reconciler, known: &Known, host: &Host, outcomes: &Outcomes) {
    let before = host.before.as_ref();
    let Some(judged) = judge(
        context,
        &host.subject,
        host.class.as_ref(),
        before,
        outcomes,
    ) else {
        return;
    };
    if let Some(when) = judged.again_at {
        context.again_at(&known.key, when, now());
    }
    let reported = ReportedStatus::from(&judged.status);
    if before == Some(&reported) {
        return;
    }
    let name = host.subject.host().map_or("", Hostname::as_str);
    let news = of_host(name, before, &reported).map(|mut news| {
        let state = context.model.read();
        news.note = state.index.in_terms_of_ingress(&host.subject, &news.note);
        news
    });
    context.model.remember(&host.subject, reported);
    context
        .tell(&known.record.reference, news.into_iter().collect())
        .await;
}
