//! What one ExposedPort says, judged alone, without looking at any other object; and what a class says for
//! the routes of all of its objects.
//!
//! The schema refuses most of this already; it is judged again for objects that are older than the
//! schema or come from files. Collects every problem, so that a person fixes all in one go.

mod duration;
mod field;
mod field_error;
mod ingress;
mod lifetime;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test that cannot go on panics.
mod messages_tests;
mod metadata;
mod parent;
mod path;
mod policy;
mod reference;
mod route;
mod tls;
mod validation_error;

pub(crate) use ingress::{IngressHost, ValidatedIngress, ingress, port_of};
pub(crate) use lifetime::Lifetime;
pub(crate) use metadata::{ChildMetadata, is_never_allowed};
pub(crate) use parent::Parents;
pub(crate) use policy::Policy;
pub(crate) use reference::Reference;
pub(crate) use route::{ActionSpec, BackendSpec, RouteSpec, TlsToBackend};
pub(crate) use tls::{CertificateSource, TlsSpec};
pub(crate) use validation_error::ValidationError;

use crate::names::{ClassName, Hostname};
use crate::precedence;
use field_error::FieldError;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use portolan_crds::{ExposedPortSpec, HOSTNAMES_MAX};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// An object that holds every rule that can be checked without looking at others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExposureSpec {
    /// The object's own port; absent when every route has an action of its own.
    pub(crate) own: Option<(Target, Port)>,
    /// None is given for an object that others delegate to.
    pub(crate) hostnames: Vec<HostPattern>,
    /// Who may delegate to the object; absent for one with hostnames of its own.
    pub(crate) parents: Option<Parents>,
    pub(crate) tls: TlsSpec,
    pub(crate) decoration: ChildMetadata,
    pub(crate) lifetime: Lifetime,
    /// The class that the spec names.
    pub(crate) class: Option<ClassName>,
    /// In the order in which they are tried; never empty.
    pub(crate) routes: Arc<[RouteSpec]>,
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Port {
    Number(u16),
    Name(String),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Pods with these labels; we make the Service.
    Selector(BTreeMap<String, String>),
    /// A Service of the same namespace.
    Service(String),
}

/// A hostname as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostPattern {
    Full(Hostname),
    /// What stands before `.*`; the domain of the class comes behind.
    UnderDomain(String),
}

pub(crate) fn validate(spec: &ExposedPortSpec) -> Result<ExposureSpec, Vec<ValidationError>> {
    let mut problems = ValidationErrors::default();
    let own = own(spec, &mut problems);
    let tls = tls::tls(spec.tls.as_ref(), &mut problems);
    let class = problems.keep(class(spec.class_name.as_deref()));
    let parents = parent::parents(spec, &mut problems);
    let hostnames = hostnames(&spec.hostnames, parents.is_some(), &mut problems);
    let decoration = metadata::decoration(spec, &mut problems);
    let lifetime = lifetime::lifetime(spec, &mut problems);
    let policy = spec.policy.as_ref();
    let policy = policy.map(|it| Policy::read("spec.policy", it, &mut problems));
    let policy = policy.unwrap_or_default();
    let port = own.as_ref().map(|(_, port)| port);
    let mut routes = route::routes(&spec.routes, port, &policy, &mut problems);
    if let (true, Some(port)) = (spec.routes.is_empty(), port) {
        routes.push(RouteSpec::own(port, &policy));
    }
    precedence::sort(&mut routes, |route| &route.matches);
    match class {
        Some(class) if problems.0.is_empty() => Ok(ExposureSpec {
            own,
            hostnames,
            parents,
            tls,
            decoration,
            lifetime,
            class,
            routes: routes.into(),
        }),
        _ => Err(problems.0),
    }
}

/// Everything that is wrong, in the order in which it was found.
#[derive(Default)]
struct ValidationErrors(Vec<ValidationError>);

impl ValidationErrors {
    fn tell(&mut self, problem: ValidationError) {
        self.0.push(problem);
    }

    fn keep<T>(&mut self, result: Result<T, ValidationError>) -> Option<T> {
        result.map_err(|problem| self.tell(problem)).ok()
    }

    /// What is wrong with one value, and where it stands.
    fn at<T>(&mut self, at: &str, result: Result<T, FieldError>) -> Option<T> {
        self.keep(result.map_err(|mistake| ValidationError::At {
            at: at.to_owned(),
            mistake,
        }))
    }

    /// That a list is not too long.
    fn within(&mut self, at: &str, count: usize, most: usize) {
        if count > most {
            let told: Result<(), _> = Err(FieldError::TooMany { count, most });
            self.at(at, told);
        }
    }
}

fn port(port: &IntOrString) -> Result<Port, FieldError> {
    match port {
        IntOrString::Int(number) => port_number(*number).map(Port::Number),
        IntOrString::String(name) => {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let valid = (1..=63).contains(&name.len())
                && name.chars().all(inner)
                && name.contains(|c: char| c.is_ascii_lowercase())
                && !name.starts_with('-')
                && !name.ends_with('-');
            match valid {
                true => Ok(Port::Name(name.clone())),
                false => Err(FieldError::PortName),
            }
        }
    }
}

fn port_number(number: i32) -> Result<u16, FieldError> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(FieldError::PortNumber),
    }
}

/// The object's own port, which may be absent when every route has an action of its own.
fn own(spec: &ExposedPortSpec, problems: &mut ValidationErrors) -> Option<(Target, Port)> {
    let selector = spec.selector.as_ref().filter(|labels| !labels.is_empty());
    let service = spec.service.as_ref().filter(|name| !name.is_empty());
    let target = match (selector, service) {
        (Some(_), Some(_)) => problems.keep(Err(ValidationError::TwoTargets)),
        (Some(labels), None) => Some(Target::Selector(labels.clone())),
        (None, Some(service)) => Some(Target::Service(service.clone())),
        (None, None) => {
            let acts = |route: &portolan_crds::Route| {
                !route.backends.is_empty()
                    || route.redirect.is_some()
                    || route.respond.is_some()
                    || route.delegate.is_some()
            };
            let needed = spec.routes.is_empty() || !spec.routes.iter().all(acts);
            if needed {
                problems.tell(ValidationError::NoTarget);
            } else if spec.port.is_some() {
                problems.tell(ValidationError::PortOfNothing);
            }
            return None;
        }
    };
    let port = match &spec.port {
        Some(it) => problems.at("spec.port", port(it)),
        None => problems.keep(Err(ValidationError::NoPort)),
    };
    Some((target?, port?))
}

fn class(name: Option<&str>) -> Result<Option<ClassName>, ValidationError> {
    name.map(|name| {
        ClassName::parse(name).ok_or_else(|| ValidationError::ClassName(name.to_owned()))
    })
    .transpose()
}

fn hostnames(
    texts: &[String],
    is_child: bool,
    problems: &mut ValidationErrors,
) -> Vec<HostPattern> {
    match texts.len() {
        0 if is_child => {}
        0 => problems.tell(ValidationError::NoHostname),
        1..=HOSTNAMES_MAX => {}
        many => problems.tell(ValidationError::TooManyHostnames(many)),
    }
    let mut patterns = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let pattern = match text.strip_suffix(".*") {
            // Judged as if under a domain, so that what stands before `.*` is told to be wrong now
            // and not only when a class with a domain appears.
            Some(name) => Hostname::parse(&format!("{name}.x"))
                .map(|_| HostPattern::UnderDomain(name.to_ascii_lowercase())),
            None => Hostname::parse(text).map(HostPattern::Full),
        };
        patterns.extend(
            problems.keep(pattern.map_err(|source| ValidationError::Hostname { index, source })),
        );
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use serde_json::{Value, json};

    fn judge(change: impl FnOnce(&mut Value)) -> Result<ExposureSpec, Vec<ValidationError>> {
        let mut spec =
            json!({"port": 8080, "selector": {"app": "shop"}, "hostnames": ["shop.example.com"]});
        change(&mut spec);
        validate(&serde_json::from_value(spec).unwrap())
    }

    fn problem(change: impl FnOnce(&mut Value)) -> ValidationError {
        let mut problems = judge(change).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let told: Vec<String> = judge(|spec| {
            spec["port"] = 70_000.into();
            spec["hostnames"] = json!(["ok.example.com", "-bad"]);
        })
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("spec.port: is no port"), "{told:?}");
        assert!(told[1].starts_with("spec.hostnames[1]: "), "{told:?}");
    }

    #[test]
    fn every_rule_of_one_object_is_kept() {
        use ValidationError as P;
        let at_port = |mistake| P::At {
            at: "spec.port".to_owned(),
            mistake,
        };
        for number in [0, -1, 65_536] {
            assert_eq!(
                problem(|s| s["port"] = number.into()),
                at_port(FieldError::PortNumber)
            );
        }
        for name in ["", "-a", "A", "12", "a.b", &"a".repeat(64)] {
            assert_eq!(
                problem(|s| s["port"] = name.into()),
                at_port(FieldError::PortName)
            );
        }
        assert_eq!(problem(|s| s["service"] = "shop".into()), P::TwoTargets);
        assert_eq!(problem(|s| s["selector"] = Value::Null), P::NoTarget);
        assert_eq!(problem(|s| s["selector"] = json!({})), P::NoTarget);
        assert_eq!(problem(|s| s["hostnames"] = json!([])), P::NoHostname);
        let many: Vec<String> = (0..65).map(|n| format!("h{n}.example.com")).collect();
        assert_eq!(
            problem(|s| s["hostnames"] = json!(many)),
            P::TooManyHostnames(65)
        );
        assert_eq!(
            problem(|s| s["className"] = "A.b".into()),
            P::ClassName("A.b".into())
        );
        let (secret, issuer) = (json!({"name": "own"}), json!({"name": "ca"}));
        assert_eq!(
            problem(|s| s["tls"] = json!({"secret": secret, "issuerRef": issuer})),
            P::TwoCertificates
        );
        assert_eq!(
            problem(|s| s["tls"] = json!({"mode": "Disabled", "secret": secret})),
            P::CertificateWithoutTls
        );
    }

    #[test]
    fn a_trailing_star_stands_for_the_domain_and_may_follow_a_wildcard() {
        let patterns = judge(|s| s["hostnames"] = json!(["Shop.*", "*.*"]))
            .unwrap()
            .hostnames;
        assert_eq!(
            patterns,
            [
                HostPattern::UnderDomain("shop".into()),
                HostPattern::UnderDomain("*".into())
            ]
        );
        for bad in ["*", ".*", "a.*.b", "a b.*", "*.*.*"] {
            let told = problem(|s| s["hostnames"] = json!([bad]));
            assert!(
                matches!(told, ValidationError::Hostname { .. }),
                "{bad}: {told}"
            );
            assert_eq!(told.reason(), Reason::InvalidHostname);
        }
    }

    #[test]
    fn an_issuer_is_a_cluster_issuer_unless_told_otherwise() {
        let tls = judge(|s| s["tls"] = json!({"issuerRef": {"name": "ca"}}))
            .unwrap()
            .tls;
        let CertificateSource::Issuer(issuer) = tls.source else {
            panic!("{tls:?}")
        };
        assert_eq!(
            (issuer.kind.as_str(), issuer.group.as_str()),
            ("ClusterIssuer", "cert-manager.io")
        );
    }
}
