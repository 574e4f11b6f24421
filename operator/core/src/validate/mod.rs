//! Validates one ExposedPort or Ingress by itself, and the defaults of an ExposeClass.
//!
//! The schema rejects most of this already; it is validated again for objects that are older than the
//! schema or come from files. Collects every error, so that a person fixes all in one go.

mod duration;
mod field;
mod field_error;
mod field_path;
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

pub(crate) use field_path::{OWN_SECRET, Origin};
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
use field_path::FieldPath;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use portolan_crds::{ExposedPortSpec, HOSTNAMES_MAX, messages};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Spec of a valid ExposedPort, or of one hostname of an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExposureSpec {
    /// The object's own port; absent when every route has an action of its own.
    pub(crate) own: Option<(Target, Port)>,
    /// None is given for an object that others delegate to.
    pub(crate) hostnames: Vec<HostPattern>,
    /// Who may delegate to the object; absent for one with hostnames of its own.
    pub(crate) parents: Option<Parents>,
    pub(crate) tls: TlsSpec,
    pub(crate) metadata: ChildMetadata,
    pub(crate) lifetime: Lifetime,
    /// The class that the spec names.
    pub(crate) class: Option<ClassName>,
    /// The object that the fields stand in.
    pub(crate) origin: Origin,
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

/// Destination of the object's own port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Pods with these labels; Portolan makes the Service.
    Selector(BTreeMap<String, String>),
    /// A Service of the same namespace.
    Service(String),
}

/// Hostname of a spec, perhaps below the domain of the class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostPattern {
    Full(Hostname),
    /// The part before `.*`; the domain of the class replaces the star.
    UnderDomain(String),
}

pub(crate) fn validate(spec: &ExposedPortSpec) -> Result<ExposureSpec, Vec<ValidationError>> {
    let mut errors = ValidationErrors::default();
    let own = own(spec, &mut errors);
    let tls = tls::tls(spec.tls.as_ref(), &mut errors);
    let class = errors.at(
        &FieldPath::spec().child("className"),
        class(spec.class_name.as_deref()),
    );
    let parents = parent::parents(spec, &mut errors);
    let hostnames = hostnames(&spec.hostnames, parents.is_some(), &mut errors);
    let metadata = metadata::metadata(spec, &mut errors);
    let lifetime = lifetime::lifetime(spec, &mut errors);
    let policy_field = FieldPath::spec().child("policy");
    let policy = spec.policy.as_ref();
    let policy = policy.map(|policy| Policy::read(&policy_field, policy, &mut errors));
    let policy = policy.unwrap_or_default();
    let port = own.as_ref().map(|(_, port)| port);
    let mut routes = route::routes(&spec.routes, port, &policy, &mut errors);
    if let (true, Some(port)) = (spec.routes.is_empty(), port) {
        routes.push(RouteSpec::own(port, &policy));
    }
    precedence::sort(&mut routes, |route| &route.matches);
    match class {
        Some(class) if errors.0.is_empty() => Ok(ExposureSpec {
            own,
            hostnames,
            parents,
            tls,
            metadata,
            lifetime,
            class,
            origin: Origin::ExposedPort,
            routes: routes.into(),
        }),
        _ => Err(errors.0),
    }
}

/// Errors in the order in which they were found.
#[derive(Default)]
struct ValidationErrors(Vec<ValidationError>);

impl ValidationErrors {
    fn push(&mut self, field: &FieldPath, error: FieldError) {
        self.0.push(ValidationError::at(field, error));
    }

    /// Returns the value, or collects the error.
    fn at<T>(&mut self, field: &FieldPath, result: Result<T, FieldError>) -> Option<T> {
        result.map_err(|error| self.push(field, error)).ok()
    }

    /// Collects an error when a list is too long.
    fn check_count(&mut self, field: &FieldPath, count: usize, max: usize) {
        if count > max {
            self.push(field, FieldError::too_many(count, max));
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
            if valid {
                Ok(Port::Name(name.clone()))
            } else {
                Err(FieldError::invalid(name.as_str(), messages::PORT_NAME))
            }
        }
    }
}

fn port_number(number: i32) -> Result<u16, FieldError> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(FieldError::invalid(number, messages::PORT_NUMBER)),
    }
}

/// The object's own port, which may be absent when every route has an action of its own.
fn own(spec: &ExposedPortSpec, errors: &mut ValidationErrors) -> Option<(Target, Port)> {
    let field = FieldPath::spec();
    let port_field = field.child("port");
    let selector = spec.selector.as_ref().filter(|labels| !labels.is_empty());
    let service = spec.service.as_ref().filter(|name| !name.is_empty());
    let target = match (selector, service) {
        (Some(_), Some(_)) => {
            let error = FieldError::forbidden(messages::SERVICE_WITH_SELECTOR);
            errors.at(&field.child("service"), Err(error))
        }
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
                let error = FieldError::required(messages::TARGET_REQUIRED);
                errors.push(&field.child("selector"), error);
            } else if spec.port.is_some() {
                let error = FieldError::forbidden(messages::PORT_WITHOUT_TARGET);
                errors.push(&port_field, error);
            }
            return None;
        }
    };
    let port = match &spec.port {
        Some(value) => errors.at(&port_field, port(value)),
        None => {
            let error = FieldError::required(messages::PORT_REQUIRED);
            errors.at(&port_field, Err(error))
        }
    };
    Some((target?, port?))
}

fn class(name: Option<&str>) -> Result<Option<ClassName>, FieldError> {
    const DETAIL: &str = "must be at most 63 lower-case letters, digits and inner hyphens, as names of ExposeClasses are";
    name.map(|name| ClassName::parse(name).ok_or_else(|| FieldError::invalid(name, DETAIL)))
        .transpose()
}

fn hostnames(texts: &[String], is_child: bool, errors: &mut ValidationErrors) -> Vec<HostPattern> {
    let field = FieldPath::spec().child("hostnames");
    if texts.is_empty() && !is_child {
        errors.push(&field, FieldError::required(messages::HOSTNAMES_REQUIRED));
    }
    errors.check_count(&field, texts.len(), HOSTNAMES_MAX);
    let mut patterns = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let pattern = match text.strip_suffix(".*") {
            // Checked as if under a domain, so that an error in the part before `.*` is found now and not
            // only when a class with a domain appears.
            Some(name) => Hostname::parse(&format!("{name}.x"))
                .map(|_| HostPattern::UnderDomain(name.to_ascii_lowercase())),
            None => Hostname::parse(text).map(HostPattern::Full),
        };
        match pattern {
            Ok(pattern) => patterns.push(pattern),
            Err(source) => errors.0.push(ValidationError::Hostname { index, source }),
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use serde_json::{Value, json};

    fn validated(change: impl FnOnce(&mut Value)) -> Result<ExposureSpec, Vec<ValidationError>> {
        let mut spec =
            json!({"port": 8080, "selector": {"app": "shop"}, "hostnames": ["shop.example.com"]});
        change(&mut spec);
        validate(&serde_json::from_value(spec).unwrap())
    }

    fn rejected(change: impl FnOnce(&mut Value)) -> ValidationError {
        let mut errors = validated(change).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        errors.remove(0)
    }

    #[test]
    fn collects_every_error() {
        let messages: Vec<String> = validated(|spec| {
            spec["port"] = 70_000.into();
            spec["hostnames"] = json!(["ok.example.com", "-bad"]);
        })
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(messages.len(), 2);
        assert!(
            messages[0].starts_with("spec.port: Invalid value: 70000: must be"),
            "{messages:?}"
        );
        assert!(
            messages[1].starts_with("spec.hostnames[1]: Invalid value: "),
            "{messages:?}"
        );
    }

    #[test]
    fn rejects_contradictions_within_one_object() {
        let secret = json!({"name": "own"});
        let issuer = json!({"name": "ca"});
        let many: Vec<String> = (0..65).map(|n| format!("h{n}.example.com")).collect();
        let long = "a".repeat(64);
        let mut cases = vec![
            ("service", json!("shop"), "spec.service: Forbidden"),
            ("selector", Value::Null, "spec.selector: Required value"),
            ("selector", json!({}), "spec.selector: Required value"),
            ("hostnames", json!([]), "spec.hostnames: Required value"),
            ("hostnames", json!(many), "spec.hostnames: Too many: 65"),
            (
                "className",
                json!("A.b"),
                "spec.className: Invalid value: \"A.b\"",
            ),
            (
                "tls",
                json!({"secret": secret, "issuerRef": issuer}),
                "spec.tls.issuerRef: Forbidden",
            ),
            (
                "tls",
                json!({"mode": "Disabled", "secret": secret}),
                "spec.tls.mode: Forbidden: Disabled",
            ),
        ];
        for port in [json!(0), json!(-1), json!(65_536)] {
            cases.push(("port", port, "spec.port: Invalid value: "));
        }
        for name in ["", "-a", "A", "12", "a.b", &long] {
            cases.push(("port", json!(name), "spec.port: Invalid value: \""));
        }
        for (field, value, expected) in cases {
            let error = rejected(|spec| spec[field] = value.clone()).to_string();
            assert!(error.starts_with(expected), "{field}: {value}: {error}");
        }
    }

    #[test]
    fn accepts_a_trailing_star_for_the_domain() {
        let patterns = validated(|s| s["hostnames"] = json!(["Shop.*", "*.*"]))
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
            let error = rejected(|s| s["hostnames"] = json!([bad]));
            assert!(
                matches!(error, ValidationError::Hostname { .. }),
                "{bad}: {error}"
            );
            assert_eq!(error.reason(), Reason::InvalidHostname);
        }
    }

    #[test]
    fn issuers_default_to_cluster_issuers() {
        let tls = validated(|s| s["tls"] = json!({"issuerRef": {"name": "ca"}}))
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
