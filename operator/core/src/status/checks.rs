//! Would a request succeed? A list of small checks in order; the first that fails is the answer, and all
//! that fail are told by the condition that they belong to.

use super::conditions::Aspect;
use crate::child::Child;
use crate::index::Index;
use crate::index::hostnames::Standing;
use crate::index::link::{Certificates, Linked, Object};
use crate::index::services::{Backend, Unresolved};
use crate::names::{Hostname, ObjectRef};
use crate::observed::{ChildState, Observed, ObservedProxy, ServedCertificate, Verdict};
use crate::proxy_service;
use crate::reason::Reason;
use jiff::Timestamp;
use portolan_crds::Address;

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
    backend: Result<Backend, Unresolved>,
    /// Why no pod takes requests.
    lacking: Option<Unresolved>,
}

/// One check of one hostname.
type Check = fn(&Scene<'_>, &Hostname) -> Option<Finding>;

/// In the order in which a person would put things right. That the object is valid and has a class was
/// settled before.
const CHECKS: [Check; 10] = [
    is_held,
    children_are_stored,
    service_is_there,
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
        let backend = index.backend(object, link);
        let lacking = backend
            .as_ref()
            .ok()
            .and_then(|backend| index.services.behind(backend).lacking);
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
            backend,
            lacking,
        }
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

fn service_is_there(scene: &Scene<'_>, _: &Hostname) -> Option<Finding> {
    let Unresolved { reason, message } = scene.backend.as_ref().err()?.clone();
    finding(
        &[Aspect::ResolvedRefs, Aspect::EndpointsReady],
        reason,
        message,
    )
}

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
    let secret = scene.link.secret(scene.me, host)?;
    let name = &secret.name;
    let judged = scene.index.serving.judge(&secret, host);
    if let Certificates::Secret(_) = scene.link.certificates {
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
        return finding(
            &[Aspect::CertificatesReady, Aspect::ResolvedRefs],
            reason,
            message,
        );
    }
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

fn certificate_is_served(scene: &Scene<'_>, host: &Hostname) -> Option<Finding> {
    let (_, pair) = scene.index.serving.certificate(&scene.link.class, host)?;
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
            Some(served) if served.fingerprint == pair.fingerprint => return None,
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
    let Unresolved { reason, message } = scene.lacking.clone()?;
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
