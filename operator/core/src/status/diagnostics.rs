//! Everything that stands against an object or a class, one by one: for programs that look at files before
//! anything of them is in a cluster.

use super::checks::{CheckContext, CheckFailure, CheckFailures};
use super::destinations::{Destinations, told};
use super::warnings;
use crate::index::Index;
use crate::index::resolve::exposure::{Child, Link, ResolvedRoot};
use crate::names::ClassName;
use crate::observed::Observed;
use crate::reason::Reason;
use crate::subject::Subject;
use crate::validate::{Origin, ValidationError};
use jiff::Timestamp;

/// One thing that stands against an object or a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// In one word.
    pub reason: Reason,
    /// In a sentence, which begins with the field where there is one.
    pub message: String,
}

impl Index {
    /// What stands against an object, and what it is warned of; what [`Self::status`] tells the worst
    /// of. In the order in which a person would put things right, each once.
    pub fn diagnostics(
        &self,
        object: &Subject,
        seen: &Observed,
        now: Timestamp,
    ) -> Vec<Diagnostic> {
        let Some(entry) = self.entry(object) else {
            return Vec::new();
        };
        let all = match &entry.link {
            Ok(Link::Root(link)) => {
                let context = CheckContext::new(self, object, &entry.object, link, seen, now);
                complaints_of_root(&context, link)
            }
            Ok(Link::Child(child)) => {
                let destinations = Destinations::of(self, object, &entry.object, &child.routing);
                self.complaints_of_child(object, child, &destinations, seen)
            }
            Err(problems) => of_problems(problems, entry.object.origin()).collect(),
        };
        let mut once = Vec::new();
        for one in all {
            if !once.contains(&one) {
                once.push(one);
            }
        }
        once
    }

    /// What stands against a class, and what it is warned of, likewise.
    pub fn class_complaints(&self, class: &ClassName) -> Vec<Diagnostic> {
        let Some(facts) = self.classes.get(class) else {
            return Vec::new();
        };
        let others = self.default_certificate_problem(class);
        let several = self.other_default(class);
        let several = several.map(|told| (Reason::SeveralDefaults, told));
        let others = others.into_iter().chain(several);
        of_problems(&facts.mistakes, &Origin::ExposedPort)
            .chain(others.map(|(reason, told)| diagnostic(reason, told)))
            .collect()
    }

    fn complaints_of_child(
        &self,
        me: &Subject,
        child: &Child,
        destinations: &Destinations,
        seen: &Observed,
    ) -> Vec<Diagnostic> {
        let loosens = self.loosens(me, &child.routing);
        let mut all: Vec<_> = loosens
            .map(|message| diagnostic(Reason::ParentRequiresTls, message))
            .into_iter()
            .collect();
        all.extend(of_destinations(destinations));
        all.extend(others(
            &self.findings_of_child(me, child, destinations, seen),
            destinations,
        ));
        all
    }
}

fn complaints_of_root(context: &CheckContext<'_>, link: &ResolvedRoot) -> Vec<Diagnostic> {
    let mut all: Vec<_> = warnings(link)
        .into_iter()
        .map(|(reason, message)| diagnostic(reason, message))
        .collect();
    all.extend(of_destinations(context.destinations()));
    let failures = CheckFailures::collect(context);
    for host in &link.hostnames {
        all.extend(others(&failures.of(host), context.destinations()));
    }
    all
}

fn of_problems(problems: &[ValidationError], origin: &Origin) -> impl Iterator<Item = Diagnostic> {
    let problems = problems.iter();
    problems.map(|error| diagnostic(error.reason(), error.message(origin)))
}

/// One by one: a condition tells several in one sentence.
fn of_destinations(destinations: &Destinations) -> impl Iterator<Item = Diagnostic> {
    let Destinations {
        unresolved,
        lacking,
        left_out,
        misunderstood,
        // Nothing stands against an object for it.
        encryption: _,
    } = destinations;
    let all = unresolved
        .iter()
        .chain(lacking)
        .chain(left_out)
        .chain(misunderstood);
    all.map(|it| diagnostic(it.reason, it.message.clone()))
}

/// What is found beyond those.
fn others(failures: &[CheckFailure], destinations: &Destinations) -> Vec<Diagnostic> {
    let told = [&destinations.unresolved, &destinations.lacking].map(|it| told(it));
    let is_told = |it: &CheckFailure| told.contains(&Some((it.reason, it.message.clone())));
    let others = failures.iter().filter(|it| !is_told(it));
    others
        .map(|it| diagnostic(it.reason, it.message.clone()))
        .collect()
}

fn diagnostic(reason: Reason, message: String) -> Diagnostic {
    Diagnostic { reason, message }
}
