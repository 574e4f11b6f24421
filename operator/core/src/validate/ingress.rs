//! Validates one Ingress by itself, hostname by hostname: an error in one affects no other.
//!
//! A hostname of an Ingress is to the rest of the index what an ExposedPort with this hostname is. Routes
//! are numbered by hostname; [`IngressFields`] leads back to the fields of the Ingress.

use super::field_error::FieldError;
use super::field_path::{FieldPath, IngressField, IngressFields, Origin, http_paths};
use super::{
    CertificateSource, ChildMetadata, ExposureSpec, HostPattern, Lifetime, Port, Reference,
    RouteSpec, TlsSpec, ValidationError, ValidationErrors, path, port,
};
use crate::names::Hostname;
use crate::precedence;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec, IngressTLS,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use portolan_discovery::table::PathMatch;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most paths of one hostname in one Ingress.
const PATHS_MAX: usize = 1024;

const HOST_REQUIRED: &str =
    "a host such as shop.example.com; a rule for every hostname would take those of others";
const PATTERN: &str = "must be a plain path with pathType Prefix or Exact; for a regular expression use an ExposedPort with match.path.regex";

/// Validated Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ValidatedIngress {
    pub(crate) hosts: BTreeMap<Hostname, IngressHost>,
    /// Errors outside of any hostname.
    pub(crate) errors: Vec<ValidationError>,
}

/// One hostname of an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IngressHost {
    /// Without a class, which its IngressClass decides.
    pub(crate) exposure: Result<ExposureSpec, Vec<ValidationError>>,
}

/// Rules of one hostname, with their indices.
type Rules<'a> = Vec<(usize, &'a IngressRule)>;

pub(crate) fn ingress(spec: &IngressSpec) -> ValidatedIngress {
    let mut errors = ValidationErrors::default();
    let all = spec.rules.as_deref().unwrap_or_default();
    let mut rules: BTreeMap<Hostname, Rules<'_>> = BTreeMap::new();
    for (index, rule) in all.iter().enumerate() {
        let field = FieldPath::spec().child("rules").index(index).child("host");
        let host = match rule.host.as_deref().unwrap_or_default() {
            "" => Err(FieldError::required(HOST_REQUIRED)),
            text => Hostname::parse(text).map_err(|error| FieldError::from(&error)),
        };
        if let Some(host) = errors.at(&field, host) {
            rules.entry(host).or_default().push((index, rule));
        }
    }
    if all.is_empty() {
        errors.push(
            &FieldPath::spec().child("rules"),
            FieldError::required(HOST_REQUIRED),
        );
    }
    let hosts = rules.into_iter().map(|(host, rules)| {
        let exposure = validate_host(&host, &rules, spec);
        (host, exposure)
    });
    ValidatedIngress {
        hosts: hosts.collect(),
        errors: errors.0,
    }
}

fn validate_host(host: &Hostname, rules: &Rules<'_>, spec: &IngressSpec) -> IngressHost {
    let mut errors = ValidationErrors::default();
    let rule = rules.first().map_or(0, |(index, _)| *index);
    let rule_field = FieldPath::spec().child("rules").index(rule);
    let tls = tls(host, spec.tls.as_deref().unwrap_or_default());
    let (mut routes, mut places) = (Vec::new(), Vec::new());
    for (place, path) in paths(rules) {
        let matches = path_match(path);
        let matches = errors.at(&place.route().child("path"), matches);
        let backend = backend(place, &path.backend, &mut errors);
        if let (Some(matches), Some((service, port))) = (matches, backend) {
            routes.push(RouteSpec::to_service(places.len(), matches, service, port));
            places.push(place);
        }
    }
    errors.check_count(&http_paths(rule), places.len(), PATHS_MAX);
    let everything = PathMatch::Prefix("/".to_owned());
    let takes_all = routes.iter().any(|route| route.matches.path == everything);
    if let Some(default) = spec.default_backend.as_ref().filter(|_| !takes_all)
        && let Some((service, port)) = backend(IngressField::Default, default, &mut errors)
    {
        let index = places.len();
        routes.push(RouteSpec::to_service(index, everything, service, port));
        places.push(IngressField::Default);
    }
    if routes.is_empty() && errors.0.is_empty() {
        let error = FieldError::required(
            "http.paths with a backend, unless the Ingress has a defaultBackend",
        );
        errors.push(&rule_field, error);
    }
    precedence::sort(&mut routes, |route| &route.matches);
    let exposure = ExposureSpec {
        own: None,
        hostnames: vec![HostPattern::Full(host.clone())],
        parents: None,
        tls: TlsSpec::with(source(tls)),
        metadata: ChildMetadata::default(),
        lifetime: Lifetime::default(),
        class: None,
        origin: Origin::Ingress(Arc::new(IngressFields {
            rule,
            tls: tls.map(|(index, _)| index),
            routes: places,
        })),
        routes: routes.into(),
    };
    IngressHost {
        exposure: if errors.0.is_empty() {
            Ok(exposure)
        } else {
            Err(errors.0)
        },
    }
}

fn paths<'a>(rules: &Rules<'a>) -> impl Iterator<Item = (IngressField, &'a HTTPIngressPath)> {
    rules.iter().flat_map(|(index, rule)| {
        let (rule, paths) = (*index, rule.http.iter().flat_map(|http| &http.paths));
        let paths = paths.enumerate();
        paths.map(move |(index, path)| (IngressField::Path { rule, path: index }, path))
    })
}

/// Characters of a regular expression, which other controllers accept as a path.
const PATTERN_CHARACTERS: &[char] = &[
    '(', ')', '[', ']', '{', '}', '^', '$', '*', '+', '?', '|', '\\',
];

/// `ImplementationSpecific` is taken as `Prefix`.
fn path_match(spec: &HTTPIngressPath) -> Result<PathMatch, FieldError> {
    let text = spec.path.as_deref().unwrap_or("/");
    match spec.path_type.as_str() {
        "Exact" => path::parse(text).map(PathMatch::Exact),
        "ImplementationSpecific" if text.contains(PATTERN_CHARACTERS) => {
            Err(FieldError::invalid(text, PATTERN))
        }
        _ => path::parse_prefix(text).map(PathMatch::Prefix),
    }
}

fn backend(
    place: IngressField,
    spec: &IngressBackend,
    errors: &mut ValidationErrors,
) -> Option<(String, Port)> {
    let field = place.backend();
    let Some(service) = &spec.service else {
        return errors.at(
            &field.child("service"),
            Err(FieldError::required(
                "the name and port of a Service; other resources are not supported",
            )),
        );
    };
    let port = errors.at(&field.child("service").child("port"), port_of(service))?;
    Some((service.name.clone(), port))
}

/// Returns the port of a backend: its name, unless it has a number.
pub(crate) fn port_of(service: &IngressServiceBackend) -> Result<Port, FieldError> {
    let spec = service.port.as_ref();
    let number = spec.and_then(|port| port.number);
    let name = spec.and_then(|port| port.name.clone());
    match (name, number) {
        (Some(name), None) => port(&IntOrString::String(name)),
        (_, number) => port(&IntOrString::Int(number.unwrap_or_default())),
    }
}

/// Returns the first entry for a hostname; an entry without hostnames is for all of the Ingress.
fn tls<'a>(host: &Hostname, spec: &'a [IngressTLS]) -> Option<(usize, &'a IngressTLS)> {
    let names = |entry: &IngressTLS| match entry.hosts.as_deref().unwrap_or_default() {
        [] => true,
        hosts => hosts
            .iter()
            .any(|text| Hostname::parse(text).is_ok_and(|name| name.covers(host))),
    };
    spec.iter().enumerate().find(|(_, entry)| names(entry))
}

fn source(tls: Option<(usize, &IngressTLS)>) -> CertificateSource {
    let Some((_, tls)) = tls else {
        return CertificateSource::Unsaid;
    };
    match tls.secret_name.as_deref().unwrap_or_default() {
        "" => CertificateSource::Wanted,
        name => CertificateSource::Secrets(vec![Reference::new(None, name)]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages_tests::is_complete;
    use super::*;
    use serde_json::{Value, json};

    fn validated(spec: Value) -> ValidatedIngress {
        ingress(&serde_json::from_value(spec).unwrap())
    }

    fn path(path: &str, type_: &str) -> Value {
        let service = json!({"name": "shop", "port": {"number": 80}});
        json!({"path": path, "pathType": type_, "backend": {"service": service}})
    }

    fn rule(host: &str, paths: &[Value]) -> Value {
        json!({"host": host, "http": {"paths": paths}})
    }

    /// Messages of an Ingress, of its hostnames first.
    fn messages(spec: Value) -> Vec<String> {
        let ingress = validated(spec);
        let of_hosts = ingress
            .hosts
            .into_values()
            .filter_map(|host| host.exposure.err());
        let all = of_hosts.flatten().chain(ingress.errors);
        all.map(|error| error.to_string()).collect()
    }

    fn host(name: &str) -> Hostname {
        Hostname::parse(name).unwrap()
    }

    fn exposure(ingress: &ValidatedIngress, name: &str) -> ExposureSpec {
        ingress.hosts[&host(name)].exposure.clone().unwrap()
    }

    fn fields(spec: &ExposureSpec) -> &IngressFields {
        match &spec.origin {
            Origin::Ingress(fields) => fields,
            Origin::ExposedPort => panic!("{spec:?}"),
        }
    }

    #[test]
    fn merges_the_rules_of_one_hostname() {
        let ingress = validated(json!({"rules": [
            rule("a.test", &[path("/x/", "Prefix"), path("/", "ImplementationSpecific")]),
            rule("b.test", &[path("/", "Prefix")]),
            rule("A.test", &[path("/x", "Exact")]),
        ]}));
        assert_eq!(ingress.errors, []);
        let of_a = exposure(&ingress, "a.test");
        let matches: Vec<_> = of_a
            .routes
            .iter()
            .map(|route| route.matches.path.clone())
            .collect();
        let prefix = |path: &str| PathMatch::Prefix(path.to_owned());
        let exact = PathMatch::Exact("/x".to_owned());
        assert_eq!(matches, [exact, prefix("/x"), prefix("/")]);
        let places = fields(&of_a).routes.clone();
        let first = of_a.routes[0].index.unwrap();
        assert_eq!(
            places[first].backend().to_string(),
            "spec.rules[2].http.paths[0].backend"
        );
        assert_eq!(ingress.hosts.len(), 2);
    }

    #[test]
    fn default_backend_takes_the_other_paths() {
        let default = json!({"service": {"name": "rest", "port": {"name": "web"}}});
        let bare = json!({"host": "b.test"});
        let rules = json!([
            rule("a.test", &[path("/x", "Prefix")]),
            bare,
            rule("c.test", &[path("/", "Prefix")])
        ]);
        let ingress = validated(json!({"defaultBackend": default, "rules": rules}));
        for (name, expected) in [("a.test", 2), ("b.test", 1), ("c.test", 1)] {
            let of = exposure(&ingress, name);
            assert_eq!(of.routes.len(), expected, "{name}");
            let backends = of.routes.iter().flat_map(RouteSpec::backends).count();
            assert_eq!(backends, expected, "{name}");
        }
        let last = fields(&exposure(&ingress, "a.test")).routes[1];
        assert_eq!(last.backend().to_string(), "spec.defaultBackend");
    }

    #[test]
    fn takes_tls_from_the_first_entry_for_the_hostname() {
        let all = [path("/", "Prefix")];
        let names = ["a.test", "b.e.test", "c.test"];
        let rules: Vec<_> = names.iter().map(|name| rule(name, &all)).collect();
        let source = |ingress: &ValidatedIngress, name| exposure(ingress, name).tls.source;
        let secret = |name| CertificateSource::Secrets(vec![Reference::new(None, name)]);
        let tls = json!([
            {"hosts": ["A.test"], "secretName": "one"},
            {"hosts": ["a.test", "*.e.test"], "secretName": "two"},
        ]);
        let by_name = validated(json!({"rules": rules, "tls": tls}));
        assert_eq!(source(&by_name, "a.test"), secret("one"));
        assert_eq!(source(&by_name, "b.e.test"), secret("two"));
        assert_eq!(source(&by_name, "c.test"), CertificateSource::Unsaid);
        assert_eq!(fields(&exposure(&by_name, "b.e.test")).tls, Some(1));
        let for_all = validated(json!({"rules": rules, "tls": [{}]}));
        assert_eq!(source(&for_all, "c.test"), CertificateSource::Wanted);
    }

    #[test]
    fn rejects_one_hostname_and_keeps_the_others() {
        let good = rule("good.test", &[path("/", "Prefix")]);
        let resource = json!({"path": "/", "pathType": "Prefix", "backend": {"resource": {"kind": "Bucket", "name": "b"}}});
        let portless =
            json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "shop"}}});
        for (bad, sentence) in [
            (
                json!({"http": {"paths": [path("/", "Prefix")]}}),
                "spec.rules[1].host: Required value: a host",
            ),
            (
                rule("10.0.0.1", &[path("/", "Prefix")]),
                "spec.rules[1].host: Invalid value: \"10.0.0.1\": must be a DNS name",
            ),
            (
                rule("bad.test", &[]),
                "spec.rules[1]: Required value: http.paths",
            ),
            (
                json!({"host": "bad.test"}),
                "spec.rules[1]: Required value: http.paths",
            ),
            (
                rule("bad.test", &[path("/x(/|$)(.*)", "ImplementationSpecific")]),
                "spec.rules[1].http.paths[0].path: Invalid value: \"/x(/|$)(.*)\": must be a plain path",
            ),
            (
                rule("bad.test", &[path("x", "Prefix")]),
                "spec.rules[1].http.paths[0].path: Invalid value: \"x\": must start with /",
            ),
            (
                rule("bad.test", &[resource]),
                "spec.rules[1].http.paths[0].backend.service: Required value: the name",
            ),
            (
                rule("bad.test", &[portless]),
                "spec.rules[1].http.paths[0].backend.service.port: Invalid value: 0: must be between",
            ),
        ] {
            let spec = json!({"rules": [good, bad]});
            let messages = messages(spec.clone());
            assert!(
                messages.len() == 1 && messages[0].starts_with(sentence),
                "{messages:?}"
            );
            assert_eq!(is_complete(&messages[0]), Ok(()));
            exposure(&validated(spec), "good.test");
        }
        let default = json!({"service": {"name": "rest", "port": {"number": 80}}});
        let catch_all = messages(json!({"defaultBackend": default}));
        assert!(
            catch_all[0].starts_with("spec.rules: Required value: a host such as"),
            "{catch_all:?}"
        );
        let many: Vec<_> = (0..=PATHS_MAX)
            .map(|n| path(&format!("/{n}"), "Exact"))
            .collect();
        let messages = messages(json!({"rules": [rule("a.test", &many)]}));
        assert!(
            messages[0].starts_with("spec.rules[0].http.paths: Too many: 1025: "),
            "{messages:?}"
        );
    }
}
