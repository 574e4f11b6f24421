//! Lists all problems of an object or a class one by one, for programs that check files before anything is
//! applied to a cluster.

use super::checks::{CheckContext, CheckFailure, CheckFailures};
use super::destinations::{Destinations, join_messages};
use super::warnings;
use crate::index::Index;
use crate::index::resolve::exposure::{Child, Link, ResolvedRoot};
use crate::names::ClassName;
use crate::observed::Observed;
use crate::reason::Reason;
use crate::subject::Subject;
use crate::validate::{Origin, ValidationError};
use jiff::Timestamp;

/// One problem or warning of an object or a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Machine-readable cause.
    pub reason: Reason,
    /// Message for people; starts with the path of the field if there is one.
    pub message: String,
}

impl Index {
    /// Returns all problems and warnings of an object, each once and in the order in which to fix them.
    /// [`Self::status`] reports the first of them.
    pub fn diagnostics(
        &self,
        object: &Subject,
        observed: &Observed,
        now: Timestamp,
    ) -> Vec<Diagnostic> {
        let Some(entry) = self.entry(object) else {
            return Vec::new();
        };
        let all = match &entry.link {
            Ok(Link::Root(link)) => {
                let context = CheckContext::new(self, object, &entry.object, link, observed, now);
                diagnostics_of_root(&context, link)
            }
            Ok(Link::Child(child)) => {
                let destinations = Destinations::of(self, object, &entry.object, &child.routing);
                self.diagnostics_of_child(object, child, &destinations, observed)
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

    /// Returns all problems and warnings of a class, likewise.
    pub fn class_diagnostics(&self, class: &ClassName) -> Vec<Diagnostic> {
        let Some(facts) = self.classes.get(class) else {
            return Vec::new();
        };
        let others = self.default_certificate_problem(class);
        let several = self.other_default(class);
        let several = several.map(|message| (Reason::SeveralDefaults, message));
        let others = others.into_iter().chain(several);
        of_problems(&facts.mistakes, &Origin::ExposedPort)
            .chain(others.map(|(reason, message)| diagnostic(reason, message)))
            .collect()
    }

    fn diagnostics_of_child(
        &self,
        key: &Subject,
        child: &Child,
        destinations: &Destinations,
        observed: &Observed,
    ) -> Vec<Diagnostic> {
        let insecure_route = self.insecure_route(key, &child.routing);
        let mut all: Vec<_> = insecure_route
            .map(|message| diagnostic(Reason::ParentRequiresTls, message))
            .into_iter()
            .collect();
        all.extend(of_destinations(destinations));
        all.extend(others(
            &self.check_child(key, child, destinations, observed),
            destinations,
        ));
        all
    }
}

fn diagnostics_of_root(context: &CheckContext<'_>, link: &ResolvedRoot) -> Vec<Diagnostic> {
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
    problems.map(|problem| diagnostic(problem.reason(), problem.message(origin)))
}

/// One diagnostic for each problem; a condition joins them in one message.
fn of_destinations(destinations: &Destinations) -> impl Iterator<Item = Diagnostic> {
    let Destinations {
        unresolved,
        missing,
        excluded,
        unsupported,
        // It is not a problem of the object.
        encryption: _,
    } = destinations;
    let all = unresolved
        .iter()
        .chain(missing)
        .chain(excluded)
        .chain(unsupported);
    all.map(|problem| diagnostic(problem.reason, problem.message.clone()))
}

/// Failures that are not already reported by [`of_destinations`].
fn others(failures: &[CheckFailure], destinations: &Destinations) -> Vec<Diagnostic> {
    let reported =
        [&destinations.unresolved, &destinations.missing].map(|problems| join_messages(problems));
    let is_reported = |failure: &CheckFailure| {
        reported.contains(&Some((failure.reason, failure.message.clone())))
    };
    let others = failures.iter().filter(|failure| !is_reported(failure));
    others
        .map(|failure| diagnostic(failure.reason, failure.message.clone()))
        .collect()
}

fn diagnostic(reason: Reason, message: String) -> Diagnostic {
    Diagnostic { reason, message }
}
