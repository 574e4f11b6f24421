//! Ingresses as input: those of our IngressClasses. Each hostname of one is an exposure beside the
//! ExposedPorts, as a [`Subject::IngressHost`], and is held, merged and served like these.
//!
//! Our own Ingresses are output and never input, and neither are those that cert-manager creates for a challenge
//! ([`crate::index::ingress::acme_solvers`]).

use crate::compile::ingress_name;
use crate::event::{Affected, Change};
use crate::index::Index;
use crate::index::ingress::acme_solvers::{is_solver, named_class};
use crate::index::resolve::backends::TLS_OR;
use crate::index::resolve::exposure::Exposure;
use crate::names::{ClassName, Hostname, ObjectRef};
use crate::reason::Reason;
use crate::reported::ReportedStatus;
use crate::subject::Subject;
use crate::validate::{ExposureSpec, IngressHost, ValidatedIngress, ValidationError, ingress};
use crate::{Diagnostic, EXPOSED_PORT, INGRESS_CONTROLLER};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use portolan_crds::GROUP;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Ingresses that name a class, or none, and which class that is.
#[derive(Debug, Default)]
pub(crate) struct Ingresses {
    inputs: HashMap<ObjectRef, IngressInput>,
    /// By the name of the IngressClass, whether or not there is such a thing.
    by_class: HashMap<String, BTreeSet<ObjectRef>>,
    /// Those IngressClasses that are ours.
    classes: HashMap<String, ClassName>,
}

/// Ingress, as far as it concerns the index.
#[derive(Clone, Debug, PartialEq, Eq)]
struct IngressInput {
    uid: String,
    generation: i64,
    created: Timestamp,
    /// The name of its IngressClass.
    class: String,
    /// By their names: annotations for other controllers, which would have requests treated otherwise.
    ignored: Vec<String>,
    validated: ValidatedIngress,
}

impl IngressInput {
    /// Spec of one of its hostnames, in a class.
    fn exposure(
        &self,
        host: &IngressHost,
        class: &ClassName,
    ) -> Result<ExposureSpec, Vec<ValidationError>> {
        host.exposure.clone().map(|exposure| ExposureSpec {
            class: Some(class.clone()),
            ..exposure
        })
    }

    /// Warning that annotations are ignored.
    fn ignored_annotations(&self) -> Option<Diagnostic> {
        let first = self.ignored.first()?;
        let more = match self.ignored.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        Some(Diagnostic {
            reason: Reason::AnnotationNotSupported,
            message: format!(
                "metadata.annotations: Unsupported value: {first}{more}: ignored, and requests are served without it; use an ExposedPort with the fields for it, or remove it"
            ),
        })
    }
}

impl Ingresses {
    /// The class that an IngressClass stands for, when it is one of ours.
    pub(in crate::index) fn class_named(&self, name: &str) -> Option<&ClassName> {
        self.classes.get(name)
    }

    /// An Ingress that is ours to serve, with its class.
    fn ours(&self, ingress: &ObjectRef) -> Option<(&IngressInput, &ClassName)> {
        let input = self.inputs.get(ingress)?;
        Some((input, self.class_named(&input.class)?))
    }

    /// The hostnames of an Ingress of any class.
    fn hosts(&self, ingress: &ObjectRef) -> BTreeSet<Hostname> {
        let input = self.inputs.get(ingress).into_iter();
        input
            .flat_map(|input| input.validated.hosts.keys().cloned())
            .collect()
    }

    fn of_class(&self, name: &str) -> BTreeSet<ObjectRef> {
        self.by_class.get(name).cloned().unwrap_or_default()
    }

    fn set(&mut self, name: &ObjectRef, now: Option<IngressInput>) {
        if let Some(before) = self.inputs.remove(name)
            && let Some(names) = self.by_class.get_mut(&before.class)
        {
            names.remove(name);
            if names.is_empty() {
                self.by_class.remove(&before.class);
            }
        }
        if let Some(now) = now {
            let of_class = self.by_class.entry(now.class.clone()).or_default();
            of_class.insert(name.clone());
            self.inputs.insert(name.clone(), now);
        }
    }

    fn set_class(&mut self, name: &str, now: Option<ClassName>) {
        match now {
            Some(class) => self.classes.insert(name.to_owned(), class),
            None => self.classes.remove(name),
        };
    }
}

/// Returns true if an Ingress would be served if its class were ours: it is not one that we made ourselves, nor
/// cert-manager for a challenge, and it is not being deleted.
pub fn may_be_served(ingress: &Ingress) -> bool {
    let leaving = ingress.metadata.deletion_timestamp.is_some();
    !leaving && !is_solver(ingress) && !is_output(ingress)
}

fn read(object: Ingress) -> Option<IngressInput> {
    if !may_be_served(&object) {
        return None;
    }
    // No IngressClass has the empty name.
    let class = named_class(&object).unwrap_or_default().to_owned();
    let metadata = object.metadata;
    let annotations = metadata.annotations.iter().flatten();
    let created = metadata.creation_timestamp.map(|time| time.0);
    Some(IngressInput {
        class,
        ignored: annotations.filter_map(of_others).collect(),
        uid: metadata.uid.unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        created: created.unwrap_or_default(),
        validated: ingress(&object.spec.unwrap_or_default()),
    })
}

/// Domains of annotations of Ingresses that change what happens to requests.
const OTHERS: [&str; 8] = [
    "nginx.ingress.kubernetes.io",
    "nginx.org",
    "traefik.ingress.kubernetes.io",
    "haproxy.org",
    "haproxy-ingress.github.io",
    "ingress.kubernetes.io",
    "projectcontour.io",
    "konghq.com",
];

fn of_others((name, _): (&String, &String)) -> Option<String> {
    let (domain, _) = name.split_once('/')?;
    OTHERS.contains(&domain).then(|| name.clone())
}

/// Returns true if we make it, for an ExposedPort, even where its ownerReference was stripped: it has the label, and
/// the name that we would give.
fn is_output(ingress: &Ingress) -> bool {
    let metadata = &ingress.metadata;
    let noted = |all: &Option<BTreeMap<String, String>>| all.as_ref()?.get(EXPOSED_PORT).cloned();
    // A name that is too long for a label stands in the annotation.
    let owner = noted(&metadata.annotations).or_else(|| noted(&metadata.labels));
    owner.is_some_and(|owner| {
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let given = ingress_name(&ObjectRef::new(namespace, owner));
        metadata.name.as_ref() == Some(&given)
    })
}

/// The class that an IngressClass stands for: the one of its parameters, or of its own name.
fn class_of(class: &IngressClass) -> Option<ClassName> {
    let spec = class.spec.as_ref()?;
    if spec.controller.as_deref() != Some(INGRESS_CONTROLLER) {
        return None;
    }
    match &spec.parameters {
        None => ClassName::parse(class.metadata.name.as_deref()?),
        Some(parameters) => {
            let ours =
                parameters.kind == "ExposeClass" && parameters.api_group.as_deref() == Some(GROUP);
            ClassName::parse(&parameters.name).filter(|_| ours)
        }
    }
}

impl Index {
    pub(in crate::index) fn apply_input(
        &mut self,
        change: Change<Ingress>,
        affected: &mut Affected,
    ) {
        let name = change.reference();
        let now = match change {
            Change::Applied(ingress) => read(*ingress),
            Change::Deleted(_) => None,
        };
        if now.is_none() && !self.ingresses.inputs.contains_key(&name) {
            return;
        }
        // Its status is for us to write, and another program may have written it.
        affected.ingresses.insert(name.clone());
        if self.ingresses.inputs.get(&name) == now.as_ref() {
            return;
        }
        let mut hosts = self.ingresses.hosts(&name);
        self.ingresses.set(&name, now);
        hosts.extend(self.ingresses.hosts(&name));
        self.put_hosts(&name, hosts, affected);
    }

    pub(in crate::index) fn apply_ingress_class(
        &mut self,
        change: Change<IngressClass>,
        affected: &mut Affected,
    ) {
        let name = change.reference().name;
        let now = match change {
            Change::Applied(class) => class_of(&class),
            Change::Deleted(_) => None,
        };
        if self.ingresses.class_named(&name) == now.as_ref() {
            return;
        }
        self.mark_solvers_of(&name, affected);
        self.ingresses.set_class(&name, now);
        self.mark_solvers_of(&name, affected);
        for ingress in self.ingresses.of_class(&name) {
            let hosts = self.ingresses.hosts(&ingress);
            self.put_hosts(&ingress, hosts, affected);
            affected.ingresses.insert(ingress);
        }
    }

    /// Takes in hostnames of an Ingress as they are now, those that it has no more among them.
    fn put_hosts(
        &mut self,
        ingress: &ObjectRef,
        hosts: BTreeSet<Hostname>,
        affected: &mut Affected,
    ) {
        for host in hosts {
            let subject = Subject::ingress_host(ingress, &host);
            let object = self.host(ingress, &subject, &host);
            self.put(&subject, object, affected);
        }
    }

    fn host(&self, ingress: &ObjectRef, subject: &Subject, host: &Hostname) -> Option<Exposure> {
        let (input, class) = self.ingresses.ours(ingress)?;
        let exposure = input.exposure(input.validated.hosts.get(host)?, class);
        // Its reported status is kept nowhere but here.
        let before = self.objects.get(subject).map(|entry| &entry.object);
        let before = before.filter(|exposure| exposure.uid == input.uid);
        Some(Exposure::of_host(
            input.uid.clone(),
            input.generation,
            input.created,
            exposure,
            before
                .map(|exposure| exposure.reported.clone())
                .unwrap_or_default(),
        ))
    }

    /// Returns true if an Ingress is ours to serve.
    pub fn is_ours(&self, ingress: &ObjectRef) -> bool {
        self.ingresses.ours(ingress).is_some()
    }

    /// The exposures that an Ingress is, one for each hostname; none when it is not ours to serve.
    pub fn hosts_of_ingress(&self, ingress: &ObjectRef) -> Vec<Subject> {
        let ours = self.ingresses.ours(ingress).into_iter();
        let hosts = ours.flat_map(|(input, _)| input.validated.hosts.keys());
        hosts
            .map(|host| Subject::ingress_host(ingress, host))
            .collect()
    }

    /// Diagnostics of an Ingress beside those of its hostnames.
    pub fn ingress_diagnostics(&self, ingress: &ObjectRef) -> Vec<Diagnostic> {
        let Some((input, _)) = self.ingresses.ours(ingress) else {
            return Vec::new();
        };
        let problems = input.validated.errors.iter().map(|error| Diagnostic {
            reason: error.reason(),
            message: error.to_string(),
        });
        problems.chain(input.ignored_annotations()).collect()
    }

    /// Status of a hostname of an Ingress as it was reported last; `None` before the first.
    pub fn remembered(&self, host: &Subject) -> Option<&ReportedStatus> {
        let reported = &self.objects.get(host)?.object.reported;
        (!reported.conditions.is_empty()).then_some(reported)
    }

    /// Keeps the reported status of a hostname of an Ingress, which has no place for it in the cluster.
    pub fn remember(&mut self, host: &Subject, reported: ReportedStatus) {
        if host.ingress().is_some()
            && let Some(entry) = self.objects.get_mut(host)
        {
            entry.object.reported = reported;
        }
    }

    /// Returns a message of the status of a hostname with the fields of its Ingress.
    pub fn in_terms_of_ingress(&self, host: &Subject, message: &str) -> String {
        let Some(entry) = self.objects.get(host).filter(|_| host.ingress().is_some()) else {
            return message.to_owned();
        };
        let message = entry.object.origin().locate_in(message);
        message.replace(TLS_OR, "")
    }
}
