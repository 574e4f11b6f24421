//! What one ExposedPort says, judged alone, without looking at any other object.
//!
//! The schema refuses most of this already; it is judged again for objects that are older than the
//! schema or come from files. Collects every problem, so that a person fixes all in one go.

use crate::names::{ClassName, Hostname, HostnameError};
use crate::reason::Reason;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use portolan_crds::{ExposedPortSpec, HOSTNAMES_MAX, IssuerRef, Tls, TlsMode};
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// An object that holds every rule that can be checked without looking at others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exposure {
    pub(crate) port: Port,
    pub(crate) target: Target,
    pub(crate) hostnames: Vec<HostPattern>,
    pub(crate) tls: TlsSpec,
    /// The class that the spec names.
    pub(crate) class: Option<ClassName>,
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

/// What was said about TLS; a secret and an issuer never come together, nor with `Disabled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsSpec {
    /// Nothing, or just the mode: the class decides.
    Default(Option<TlsMode>),
    Secret(String),
    Issuer(IssuerRef),
}

/// What is wrong with an object: the field, the problem, and what would be right.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Problem {
    #[error("spec.port: {0} is no port; write a number from 1 to 65535")]
    PortNumber(i32),
    #[error(
        "spec.port: {0:?} is no name of a port; write small letters, digits and inner hyphens, such as http, or a number"
    )]
    PortName(String),
    #[error(
        "spec.selector, spec.service: both are set; keep one: selector lets Portolan make the Service, service names your own"
    )]
    TwoTargets,
    #[error(
        "spec: neither selector nor service is set; write selector with the labels of your pods, or service with the name of your Service"
    )]
    NoTarget,
    #[error("spec.hostnames: none is given; write at least one, such as shop.example.com")]
    NoHostname,
    #[error(
        "spec.hostnames: {0} are given; one object takes at most {HOSTNAMES_MAX}, so make a second one"
    )]
    TooManyHostnames(usize),
    #[error("spec.hostnames[{index}]: {source}")]
    Hostname { index: usize, source: HostnameError },
    #[error(
        "spec.className: {0:?} is no name of a class; write small letters, digits and inner hyphens"
    )]
    ClassName(String),
    #[error(
        "spec.tls: secret and issuerRef are both set; keep secret for a certificate of your own, or issuerRef to have one issued"
    )]
    TwoCertificates,
    #[error(
        "spec.tls.mode: Disabled takes no secret and no issuerRef; remove them, or write mode: Terminate"
    )]
    CertificateWithoutTls,
    #[error(
        "spec.hostnames[{index}]: {pattern:?} takes the domain of class {class}, which has none; write the name in full, or set spec.domain of the class"
    )]
    NoDomain {
        index: usize,
        pattern: String,
        class: ClassName,
    },
    #[error(
        "spec.tls: class {class} has no issuer; name a secret or an issuerRef here, set spec.issuerRef of the class, or write mode: Disabled"
    )]
    NoIssuer { class: ClassName },
    #[error("spec.className: there is no ExposeClass {0}; name one that exists")]
    ClassNotFound(ClassName),
    #[error(
        "spec.className: none is named and no ExposeClass is the default; name one, or set spec.default of a class"
    )]
    NoClass,
}

impl Problem {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Hostname { .. } => Reason::InvalidHostname,
            Self::NoDomain { .. } => Reason::NoDomain,
            Self::NoIssuer { .. } => Reason::NoIssuer,
            Self::ClassNotFound(_) => Reason::ClassNotFound,
            Self::NoClass => Reason::NoClass,
            _ => Reason::InvalidSpec,
        }
    }
}

pub(crate) fn validate(spec: &ExposedPortSpec) -> Result<Exposure, Vec<Problem>> {
    let mut problems = Problems::default();
    let port = problems.keep(port(&spec.port));
    let target = problems.keep(target(spec));
    let tls = problems.keep(tls(spec.tls.as_ref()));
    let class = problems.keep(class(spec.class_name.as_deref()));
    let hostnames = hostnames(&spec.hostnames, &mut problems);
    match (port, target, tls, class) {
        (Some(port), Some(target), Some(tls), Some(class)) if problems.0.is_empty() => {
            Ok(Exposure {
                port,
                target,
                hostnames,
                tls,
                class,
            })
        }
        _ => Err(problems.0),
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.0.push(problem)).ok()
    }
}

fn port(port: &IntOrString) -> Result<Port, Problem> {
    match port {
        IntOrString::Int(number) => match u16::try_from(*number) {
            Ok(port) if port > 0 => Ok(Port::Number(port)),
            _ => Err(Problem::PortNumber(*number)),
        },
        IntOrString::String(name) => {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let valid = (1..=63).contains(&name.len())
                && name.chars().all(inner)
                && name.contains(|c: char| c.is_ascii_lowercase())
                && !name.starts_with('-')
                && !name.ends_with('-');
            if valid {
                Ok(Port::Name(name.clone()))
            } else {
                Err(Problem::PortName(name.clone()))
            }
        }
    }
}

fn target(spec: &ExposedPortSpec) -> Result<Target, Problem> {
    match (&spec.selector, &spec.service) {
        (Some(labels), None) if labels.is_empty() => Err(Problem::NoTarget),
        (Some(labels), None) => Ok(Target::Selector(labels.clone())),
        (None, Some(service)) if service.is_empty() => Err(Problem::NoTarget),
        (None, Some(service)) => Ok(Target::Service(service.clone())),
        (Some(_), Some(_)) => Err(Problem::TwoTargets),
        (None, None) => Err(Problem::NoTarget),
    }
}

fn tls(tls: Option<&Tls>) -> Result<TlsSpec, Problem> {
    let Some(tls) = tls else {
        return Ok(TlsSpec::Default(None));
    };
    match (&tls.secret, &tls.issuer_ref) {
        (Some(_), Some(_)) => Err(Problem::TwoCertificates),
        (None, None) => Ok(TlsSpec::Default(tls.mode)),
        _ if tls.mode == Some(TlsMode::Disabled) => Err(Problem::CertificateWithoutTls),
        (Some(secret), None) => Ok(TlsSpec::Secret(secret.name.clone())),
        (None, Some(issuer)) => Ok(TlsSpec::Issuer(issuer.clone())),
    }
}

fn class(name: Option<&str>) -> Result<Option<ClassName>, Problem> {
    name.map(|name| ClassName::parse(name).ok_or_else(|| Problem::ClassName(name.to_owned())))
        .transpose()
}

fn hostnames(texts: &[String], problems: &mut Problems) -> Vec<HostPattern> {
    match texts.len() {
        0 => problems.0.push(Problem::NoHostname),
        1..=HOSTNAMES_MAX => {}
        many => problems.0.push(Problem::TooManyHostnames(many)),
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
        patterns
            .extend(problems.keep(pattern.map_err(|source| Problem::Hostname { index, source })));
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn judge(change: impl FnOnce(&mut Value)) -> Result<Exposure, Vec<Problem>> {
        let mut spec =
            json!({"port": 8080, "selector": {"app": "shop"}, "hostnames": ["shop.example.com"]});
        change(&mut spec);
        validate(&serde_json::from_value(spec).unwrap())
    }

    fn problem(change: impl FnOnce(&mut Value)) -> Problem {
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
        assert!(told[0].starts_with("spec.port: 70000"), "{told:?}");
        assert!(told[1].starts_with("spec.hostnames[1]: "), "{told:?}");
    }

    #[test]
    fn every_rule_of_one_object_is_kept() {
        use Problem as P;
        assert_eq!(problem(|s| s["port"] = 0.into()), P::PortNumber(0));
        for name in ["", "-a", "A", "12", "a.b", &"a".repeat(64)] {
            assert_eq!(
                problem(|s| s["port"] = name.into()),
                P::PortName(name.into())
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
            assert!(matches!(told, Problem::Hostname { .. }), "{bad}: {told}");
            assert_eq!(told.reason(), Reason::InvalidHostname);
        }
    }

    #[test]
    fn an_issuer_is_a_cluster_issuer_unless_told_otherwise() {
        let tls = judge(|s| s["tls"] = json!({"issuerRef": {"name": "ca"}}))
            .unwrap()
            .tls;
        let TlsSpec::Issuer(issuer) = tls else {
            panic!("{tls:?}")
        };
        assert_eq!(
            (issuer.kind.as_str(), issuer.group.as_str()),
            ("ClusterIssuer", "cert-manager.io")
        );
    }
}
