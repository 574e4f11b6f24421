//! Everything that stands against an object or a class, one by one: for programs that look at files before
//! anything of them is in a cluster.

use super::checks::{Finding, Findings, Scene};
use super::destinations::{Destinations, told};
use super::notices;
use crate::index::Index;
use crate::index::resolve::exposure::{Child, Link, Linked};
use crate::names::{ClassName, ObjectRef};
use crate::observed::Observed;
use crate::reason::Reason;
use crate::validate::Problem;
use jiff::Timestamp;

/// One thing that stands against an object or a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// In one word.
    pub reason: Reason,
    /// In a sentence, which begins with the field where there is one.
    pub message: String,
}

impl Index {
    /// What stands against an object, and what it is warned of; what [`Self::status`] tells the worst
    /// of. In the order in which a person would put things right, each once.
    pub fn complaints(
        &self,
        object: &ObjectRef,
        seen: &Observed,
        now: Timestamp,
    ) -> Vec<Complaint> {
        let Some(entry) = self.entry(object) else {
            return Vec::new();
        };
        let all = match &entry.link {
            Ok(Link::Root(link)) => {
                let scene = Scene::new(self, object, &entry.object, link, seen, now);
                complaints_of_root(&scene, link)
            }
            Ok(Link::Child(child)) => {
                let destinations = Destinations::of(self, object, &entry.object, &child.routing);
                self.complaints_of_child(object, child, &destinations, seen)
            }
            Err(problems) => of_problems(problems).collect(),
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
    pub fn class_complaints(&self, class: &ClassName) -> Vec<Complaint> {
        let Some(facts) = self.classes.get(class) else {
            return Vec::new();
        };
        let others = self.default_certificate_problem(class);
        let several = self.other_default(class);
        let several = several.map(|told| (Reason::SeveralDefaults, told));
        let others = others.into_iter().chain(several);
        of_problems(&facts.mistakes)
            .chain(others.map(|(reason, told)| complaint(reason, told)))
            .collect()
    }

    fn complaints_of_child(
        &self,
        me: &ObjectRef,
        child: &Child,
        destinations: &Destinations,
        seen: &Observed,
    ) -> Vec<Complaint> {
        let loosens = self.loosens(me, &child.routing);
        let mut all: Vec<_> = loosens
            .map(|message| complaint(Reason::ParentRequiresTls, message))
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

fn complaints_of_root(scene: &Scene<'_>, link: &Linked) -> Vec<Complaint> {
    let mut all: Vec<_> = notices(link)
        .into_iter()
        .map(|(reason, message)| complaint(reason, message))
        .collect();
    all.extend(of_destinations(scene.destinations()));
    let findings = Findings::collect(scene);
    for host in &link.hostnames {
        all.extend(others(&findings.of(host), scene.destinations()));
    }
    all
}

fn of_problems(problems: &[Problem]) -> impl Iterator<Item = Complaint> {
    let problems = problems.iter();
    problems.map(|it| complaint(it.reason(), it.to_string()))
}

/// One by one: a condition tells several in one sentence.
fn of_destinations(destinations: &Destinations) -> impl Iterator<Item = Complaint> {
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
    all.map(|it| complaint(it.reason, it.message.clone()))
}

/// What is found beyond those.
fn others(findings: &[Finding], destinations: &Destinations) -> Vec<Complaint> {
    let told = [&destinations.unresolved, &destinations.lacking].map(|it| told(it));
    let is_told = |it: &Finding| told.contains(&Some((it.reason, it.message.clone())));
    let others = findings.iter().filter(|it| !is_told(it));
    others
        .map(|it| complaint(it.reason, it.message.clone()))
        .collect()
}

fn complaint(reason: Reason, message: String) -> Complaint {
    Complaint { reason, message }
}
