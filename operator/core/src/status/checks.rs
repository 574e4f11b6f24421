//! Would a request succeed? A list of small checks in order; the first that fails is the answer, and all
//! that fail are told by the condition that they belong to.

use super::conditions::Aspect;
use crate::child::Child;
use crate::index::Index;
use crate::index::hostnames::Standing;
use crate::index::link::{Certificates, Linked, Object};
use crate::index::secrets::SecretProblem;
use crate::index::services::Unresolved;
use crate::index::serving::Slot;
use crate::names::{Hostname, ObjectRef};
use crate::observed::{ChildState, Observed, ObservedProxy, ServedCertificate, Verdict};
use crate::proxy_service;
use crate::reason::Reason;
use crate::validate::RouteSpec;
use jiff::Timestamp;
use portolan_crds::Address;
use std::collections::{BTreeMap, BTreeSet};

/// Something that stands against a request's success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The conditions that it makes false, besides Ready.
    aspects: &'static [Aspect],
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Everything that the checks look at, for one object.
pub(super) struct Scene<'a> {
    pub(super) index: &'a Index,
    pub(super) me: &'a ObjectRef,
    object: &'a Object,
    pub(super) link: &'a Linked,
    seen: &'a Observed,
    now: Timestamp,
    pub(super) children: Vec<Child>,
    pub(super) addresses: &'a [Address],
    /// Whether a proxy stands behind those addresses.
    answered: bool,
    /// What routes refer to and is not there, or of no use.
    unresolved: Vec<Unresolved>,
    /// Why no pod takes requests, for each backend without one.
    lacking: Vec<Unresolved>,
    /// What Services say of their ports and nobody understands. It stands against nothing.
    misunderstood: Vec<Unresolved>,
}

/// One check of one hostname.
type Check = fn(&Scene<'_>, &Hostname) -> Option<Finding>;

/// In the order in which a person would put things right. That the object is valid and has a class was
/// settled before.
const CHECKS: [Check; 10] = [
    is_held,
    children_are_stored,
    references_are_there,
    cert_manager_is_there,
    certificate_is_good,
    certificate_is_served,
    proxies_are_up_to_date,
    endpoints_are_ready,
    a_proxy_is_ready,
    has_an_address,
];

/// What was found, by hostname.
pub(super) struct Findings(Vec<(Hostname, Vec<(usize, Finding)>)>);

impl Findings {
    pub(super) fn collect(scene: &Scene<'_>) -> Self {
        let judge = |host: &Hostname| {
            let all = CHECKS.iter().enumerate();
            let mut found: Vec<_> = all
                .filter_map(|(order, check)| Some((order, check(scene, host)?)))
                .collect();
            // What would be wrong with a hostname that others have is of no use to anybody.
            if !matches!(scene.standing(host), Standing::Serves { .. }) {
                found.truncate(1);
            }
            (host.clone(), found)
        };
        Self(scene.link.hostnames.iter().map(judge).collect())
    }

    /// What stands against one hostname, in order.
    pub(super) fn of(&self, host: &Hostname) -> Vec<Finding> {
        let found = self
            .0
            .iter()
            .filter(|(of, _)| of == host)
            .flat_map(|(_, found)| found);
        found.map(|(_, finding)| finding.clone()).collect()
    }

    /// What makes a condition false: the first check that any hostname fails.
    pub(super) fn first_of(&self, aspect: Aspect) -> Option<&Finding> {
        self.first(|finding| finding.aspects.contains(&aspect))
    }

    /// What makes the object not ready.
    pub(super) fn worst(&self) -> Option<&Finding> {
        self.first(|_| true)
    }

    fn first(&self, counts: impl Fn(&Finding) -> bool) -> Option<&Finding> {
        let all = self.0.iter().flat_map(|(_, found)| found);
        let first = all
            .filter(|(_, finding)| counts(finding))
            .min_by_key(|(order, _)| *order);
        first.map(|(_, finding)| finding)
    }
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        index: &'a Index,
        me: &'a ObjectRef,
        object: &'a Object,
        link: &'a Linked,
        seen: &'a Observed,
        now: Timestamp,
    ) -> Self {
        let (mut unresolved, mut lacking) = (BTreeMap::new(), BTreeMap::new());
        let mut misunderstood = BTreeSet::new();
        if let Err(problem) = index.client_ca(link) {
            unresolved.insert(problem.message.clone(), problem);
        }
        for backend in index.backends(object, link) {
            if let Ok(backend) = &backend {
                misunderstood.extend(index.services.misunderstood(&backend.backend));
            }
            let lack = match backend {
                Err(problem) => {
                    unresolved.insert(problem.message.clone(), problem);
                    continue;
                }
                // Nothing is sent there, so nobody need be there.
                Ok(backend) if backend.weight == 0 => continue,
                Ok(backend) => index.services.behind(&backend.backend).lacking,
            };
            lacking.extend(lack.map(|lack| (lack.message.clone(), lack)));
        }
        for problem in link.routes.iter().filter_map(weightless) {
            lacking.insert(problem.message.clone(), problem);
        }
        let proxies = proxy_service(&index.namespace, &link.class);
        let service = index.services.get(&proxies);
        Self {
            index,
            me,
            object,
            link,
            seen,
            now,
            children: index.children(me),
            addresses: service
                .map(|service| service.addresses.as_slice())
                .unwrap_or_default(),
            answered: index.services.answers(&proxies),
            unresolved: unresolved.into_values().collect(),
            lacking: lacking.into_values().collect(),
            misunderstood: misunderstood
                .into_iter()
                .map(|message| Unresolved {
                    reason: Reason::UnsupportedProtocol,
                    message,
                })
                .collect(),
        }
    }

    /// What is told although nothing stands against a request's success.
    pub(super) fn warning(&self) -> Option<(Reason, String)> {
        told(&self.misunderstood)
    }

    pub(super) fn standing(&self, host: &Hostname) -> Standing {
        let claim = self.object.claim(self.me);
        self.index
            .hostnames
            .standing(&claim, &self.link.class, host)
    }

    /// What every ready proxy presents; `None` when one presents nothing, or they differ.
    pub(super) fn served_by_all(&self, host: &Hostname) -> Option<&ServedCertificate> {
        let mut all = self
            .ready_proxies()
            .map(|proxy| proxy.served.get(host.as_str()));
        let first = all.next()??;
        all.all(|other| other == Some(first)).then_some(first)
    }

    fn ready_proxies(&self) -> impl Iterator<Item = &ObservedProxy> {
        self.seen.proxies.iter().filter(|proxy| proxy.ready)
    }
}

fn finding(aspects: &'static [Aspect], reason: Reason, message: String) -> Option<Finding> {
    Some(Finding {
        aspects,
        reason,
        message,
    })
}

fn is_held(scene: &Scene<'_>, host: &Hostname) -> Option<Finding> {
    let (reason, message) = match scene.standing(host) {
        Standing::Serves { .. } => return None,
        Standing::HoldPending => (
            Reason::HoldPending,
            format!("{host}: the hold is being made"),
        ),
        Standing::HeldBy { namespace } => (
            Reason::HostnameHeld,
            format!(
                "{host}: held by namespace {namespace}; choose another name, or have it given up there"
            ),
        ),
        Standing::HeldByWildcard {
            wildcard,
            namespace,
        } => (
            Reason::HeldByWildcard,
            format!("{host}: namespace {namespace} holds {wildcard}; choose a name outside of it"),
        ),
        Standing::Younger { than, .. } => (
            Reason::RouteConflict,
            format!(
                "{host}: the older ExposedPort {than} serves it; remove the name from one of them"
            ),
        ),
    };
    finding(&[Aspect::Programmed], reason, message)
}

fn children_are_stored(scene: &Scene<'_>, host: &Hostname) -> Option<Finding> {
    let certificate = scene.link.certificate(scene.me, host);
    let concerns = |child: &&Child| child.kind != "Certificate" || child.name == certificate.name;
    scene.children.iter().filter(concerns).find_map(|child| {
        let (reason, message) = match scene.seen.children.get(&child.key()) {
            Some(ChildState::Applied) => return None,
            None => (
                Reason::Applying,
                format!("{} {} is being made", child.kind, child.name),
            ),
            Some(ChildState::Foreign) => (
                Reason::ForeignObject,
                format!(
                    "{} {} belongs to somebody else; delete or rename it",
                    child.kind, child.name
                ),
            ),
            Some(ChildState::Failed(told)) => (
                Reason::ApplyFailed,
                format!(
                    "{} {}: the API server refused it: {told}",
                    child.kind, child.name
                ),
            ),
        };
        finding(&[Aspect::Programmed], reason, message)
    })
}

fn references_are_there(scene: &Scene<'_>, _: &Hostname) -> Option<Finding> {
    let (reason, message) = told(&scene.unresolved)?;
    finding(
        &[Aspect::ResolvedRefs, Aspect::EndpointsReady],
        reason,
        message,
    )
}

fn weightless(route: &RouteSpec) -> Option<Unresolved> {
    let backends = route.backends();
    if backends.is_empty() || backends.iter().any(|backend| backend.weight > 0) {
        return None;
    }
    let place = route.index.unwrap_or_default();
    Some(Unresolved {
        reason: Reason::AllWeightsZero,
        message: format!("spec.routes[{place}].backends: every weight is 0; give one a share"),
    })
}

/// The reason of the first, and what all of them say; the rest is counted where they are many.
fn told(problems: &[Unresolved]) -> Option<(Reason, String)> {
    let first = problems.first()?;
    let mut message = String::new();
    for problem in problems.iter().take(TOLD_MAX) {
        let dot = if message.is_empty() { "" } else { ". " };
        message.extend([dot, &problem.message]);
    }
    if let Some(more) = problems
        .len()
        .checked_sub(TOLD_MAX)
        .filter(|more| *more > 0)
    {
        message.push_str(&format!(". And {more} more"));
    }
    Some((first.reason, message))
}

/// How many problems of one kind are told in full.
const TOLD_MAX: usize = 4;

fn cert_manager_is_there(scene: &Scene<'_>, host: &Hostname) -> Option<Finding> {
    let wanted = matches!(scene.link.certificates, Certificates::Issued(_));
    if !wanted || scene.index.cert_manager {
        return None;
    }
    let message = format!(
        "{host}: the cluster has no cert-manager; install it, or name a Secret in spec.tls.secret"
    );
    finding(
        &[Aspect::CertificatesReady],
        Reason::CertManagerMissing,
        message,
    )
}

fn certificate_is_good(scene: &Scene<'_>, host: &Hostname) -> Option<Finding> {
    let slot = Slot::of_host(&scene.link.class, host);
    let judge = |secret: &ObjectRef| scene.index.serving.judge(secret, &slot);
    let secret = match &scene.link.certificates {
        Certificates::Disabled => return None,
        Certificates::Secrets(secrets) => {
            return secrets
                .iter()
                .find_map(|secret| secret_is_good(host, &secret.name, judge(secret)));
        }
        Certificates::Issued(_) => scene.link.certificate(scene.me, host),
    };
    let (name, judged) = (&secret.name, judge(&secret));
    let issuance = scene
        .index
        .issuance(&scene.link.certificate(scene.me, host));
    let failure = issuance.and_then(|issuance| issuance.failure.as_ref());
    let waiting = issuance.and_then(|issuance| issuance.waiting.as_deref());
    let (reason, message) = match (judged, failure) {
        (Some(Ok(())), _) => return None,
        (Some(Err(problem)), _) => (
            problem.reason(),
            format!("{host}: Secret {name}: {problem}"),
        ),
        (None, Some(told)) => (Reason::CertificateFailed, format!("{host}: {told}")),
        (None, None) => (
            Reason::CertificatePending,
            format!(
                "{host}: {}",
                waiting.unwrap_or("the certificate is being issued")
            ),
        ),
    };
    finding(&[Aspect::CertificatesReady], reason, message)
}

fn secret_is_good(
    host: &Hostname,
    name: &str,
    judged: Option<Result<(), SecretProblem>>,
) -> Option<Finding> {
    let (reason, message) = match judged {
        Some(Ok(())) => return None,
        Some(Err(problem)) => (
            problem.reason(),
            format!("{host}: Secret {name}: {problem}"),
        ),
        None => (
            Reason::SecretNotFound,
            format!("{host}: there is no Secret {name}; create it, or correct spec.tls.secret"),
        ),
    };
    finding(
        &[Aspect::CertificatesReady, Aspect::ResolvedRefs],
        reason,
        message,
    )
}

fn certificate_is_served(scene: &Scene<'_>, host: &Hostname) -> Option<Finding> {
    let slot = Slot::of_host(&scene.link.class, host);
    let pairs: Vec<_> = scene.index.serving.certificates(&slot).collect();
    if pairs.is_empty() {
        return None;
    }
    // Of several, a proxy shows the one that fits its visitor.
    let current = |shown: &str| pairs.iter().any(|(_, pair)| pair.fingerprint == shown);
    scene.ready_proxies().find_map(|proxy| {
        let served = proxy.served.get(host.as_str());
        let (reason, message) = match served {
            Some(served) if served.not_after <= scene.now => (
                Reason::CertificateExpired,
                format!(
                    "{host}: the certificate has expired at {}",
                    served.not_after
                ),
            ),
            Some(served) if current(&served.fingerprint) => return None,
            _ => (
                Reason::CertificateNotServed,
                format!(
                    "{host}: proxy {} does not present the certificate yet",
                    proxy.name
                ),
            ),
        };
        finding(&[Aspect::CertificatesReady], reason, message)
    })
}

fn proxies_are_up_to_date(scene: &Scene<'_>, host: &Hostname) -> Option<Finding> {
    let link = scene.link;
    let own = scene.index.host_resources(scene.object, link, host);
    let names: Vec<_> = scene
        .index
        .resources_of_class(&link.class)
        .into_iter()
        .chain(own)
        .collect();
    let mut behind = None;
    for proxy in scene.ready_proxies() {
        for name in &names {
            match proxy.verdicts.get(name) {
                Some(Verdict::Acknowledged) => {}
                Some(Verdict::Refused(told)) => {
                    let message = format!("proxy {} cannot use {name}: {told}", proxy.name);
                    return finding(&[Aspect::Programmed], Reason::ProxyRefused, message);
                }
                Some(Verdict::Behind) | None => {
                    behind = behind.or(Some((proxy, name)));
                }
            }
        }
    }
    let (proxy, name) = behind?;
    let message = format!("proxy {} has not loaded the newest {name} yet", proxy.name);
    finding(&[Aspect::Programmed], Reason::ProxiesBehind, message)
}

fn endpoints_are_ready(scene: &Scene<'_>, _: &Hostname) -> Option<Finding> {
    let (reason, message) = told(&scene.lacking)?;
    finding(&[Aspect::EndpointsReady], reason, message)
}

/// A proxy is ready first, the kubelet sees it next, and only as an endpoint of its Service it is reached.
fn a_proxy_is_ready(scene: &Scene<'_>, _: &Hostname) -> Option<Finding> {
    let class = &scene.link.class;
    if scene.ready_proxies().next().is_none() {
        let aspects: &[Aspect] = match scene.link.certificates {
            Certificates::Disabled => &[Aspect::Programmed],
            // Nobody presents them.
            _ => &[Aspect::Programmed, Aspect::CertificatesReady],
        };
        let message = format!("no proxy of class {class} takes requests");
        return finding(aspects, Reason::NoReadyProxy, message);
    }
    if scene.answered {
        return None;
    }
    let message = format!("no proxy of class {class} is an endpoint of its Service yet");
    finding(&[Aspect::Programmed], Reason::NoReadyProxy, message)
}

fn has_an_address(scene: &Scene<'_>, _: &Hostname) -> Option<Finding> {
    if !scene.addresses.is_empty() {
        return None;
    }
    let message = format!(
        "the Service of the proxies of class {} has no address yet",
        scene.link.class
    );
    finding(&[Aspect::Programmed], Reason::NoAddress, message)
}
