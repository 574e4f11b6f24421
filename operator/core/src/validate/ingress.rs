//! What one Ingress says, judged alone, hostname by hostname: a mistake in one takes down no other.
//!
//! A hostname of an Ingress is to the rest of the index what an ExposedPort with this hostname is. Routes
//! are numbered by hostname; [`IngressHost::places`] leads back to the fields of the Ingress.

use super::field_error::FieldError;
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

/// How many paths one hostname may have in one Ingress.
const PATHS_MAX: usize = 1024;

/// What an Ingress says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ValidatedIngress {
    pub(crate) hosts: BTreeMap<Hostname, IngressHost>,
    /// What is wrong beside any hostname.
    pub(crate) problems: Vec<ValidationError>,
}

/// What an Ingress says of one of its hostnames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IngressHost {
    /// Without a class, which is a matter of its IngressClass.
    pub(crate) exposure: Result<ExposureSpec, Vec<ValidationError>>,
    /// The field that each route was made from.
    pub(crate) places: Vec<IngressField>,
    /// Where its rule stands.
    pub(crate) rule: usize,
    /// Where TLS is asked for, if it is.
    pub(crate) tls: Option<usize>,
}

/// Which field of an Ingress a route was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IngressField {
    Path { rule: usize, path: usize },
    Default,
}

impl IngressField {
    /// The route as a whole.
    pub(crate) fn route(self) -> String {
        match self {
            Self::Path { rule, path } => format!("spec.rules[{rule}].http.paths[{path}]"),
            Self::Default => "spec.defaultBackend".to_owned(),
        }
    }

    /// Where its requests go.
    pub(crate) fn backend(self) -> String {
        match self {
            Self::Path { .. } => format!("{}.backend", self.route()),
            Self::Default => self.route(),
        }
    }
}

/// The rules of one hostname, by their place.
type Rules<'a> = Vec<(usize, &'a IngressRule)>;

pub(crate) fn ingress(spec: &IngressSpec) -> ValidatedIngress {
    let mut problems = ValidationErrors::default();
    let all = spec.rules.as_deref().unwrap_or_default();
    let mut rules: BTreeMap<Hostname, Rules<'_>> = BTreeMap::new();
    for (index, rule) in all.iter().enumerate() {
        let at = format!("spec.rules[{index}].host");
        let host = match rule.host.as_deref().unwrap_or_default() {
            "" => Err(FieldError::NoHost),
            text => Hostname::parse(text).map_err(FieldError::Hostname),
        };
        if let Some(host) = problems.at(&at, host) {
            rules.entry(host).or_default().push((index, rule));
        }
    }
    if all.is_empty() {
        problems.at::<()>("spec.rules", Err(FieldError::NoHost));
    }
    let hosts = rules.into_iter().map(|(host, rules)| {
        let said = said_of_host(&host, &rules, spec);
        (host, said)
    });
    ValidatedIngress {
        hosts: hosts.collect(),
        problems: problems.0,
    }
}

fn said_of_host(host: &Hostname, rules: &Rules<'_>, spec: &IngressSpec) -> IngressHost {
    let mut problems = ValidationErrors::default();
    let rule = rules.first().map_or(0, |(index, _)| *index);
    let tls = tls(host, spec.tls.as_deref().unwrap_or_default());
    let (mut routes, mut places) = (Vec::new(), Vec::new());
    for (place, path) in paths(rules) {
        let matches = path_match(path);
        let matches = problems.at(&format!("{}.path", place.route()), matches);
        let backend = backend(place, &path.backend, &mut problems);
        if let (Some(matches), Some((service, port))) = (matches, backend) {
            routes.push(RouteSpec::to_service(places.len(), matches, service, port));
            places.push(place);
        }
    }
    let at = format!("spec.rules[{rule}].http.paths");
    problems.within(&at, places.len(), PATHS_MAX);
    let everything = PathMatch::Prefix("/".to_owned());
    let takes_all = routes.iter().any(|it| it.matches.path == everything);
    if let Some(default) = spec.default_backend.as_ref().filter(|_| !takes_all)
        && let Some((service, port)) = backend(IngressField::Default, default, &mut problems)
    {
        let index = places.len();
        routes.push(RouteSpec::to_service(index, everything, service, port));
        places.push(IngressField::Default);
    }
    if routes.is_empty() && problems.0.is_empty() {
        let at = format!("spec.rules[{rule}]");
        problems.at::<()>(&at, Err(FieldError::NoPaths));
    }
    precedence::sort(&mut routes, |route| &route.matches);
    let exposure = ExposureSpec {
        own: None,
        hostnames: vec![HostPattern::Full(host.clone())],
        parents: None,
        tls: TlsSpec::with(source(tls)),
        decoration: ChildMetadata::default(),
        lifetime: Lifetime::default(),
        class: None,
        routes: routes.into(),
    };
    IngressHost {
        exposure: match problems.0.is_empty() {
            true => Ok(exposure),
            false => Err(problems.0),
        },
        places,
        rule,
        tls: tls.map(|(index, _)| index),
    }
}

fn paths<'a>(rules: &Rules<'a>) -> impl Iterator<Item = (IngressField, &'a HTTPIngressPath)> {
    rules.iter().flat_map(|(index, rule)| {
        let (rule, paths) = (*index, rule.http.iter().flat_map(|http| &http.paths));
        let paths = paths.enumerate();
        paths.map(move |(path, it)| (IngressField::Path { rule, path }, it))
    })
}

/// The characters by which a path is told to be a regular expression, as other controllers take it.
const OF_PATTERNS: &[char] = &[
    '(', ')', '[', ']', '{', '}', '^', '$', '*', '+', '?', '|', '\\',
];

/// `ImplementationSpecific` is taken as `Prefix`.
fn path_match(said: &HTTPIngressPath) -> Result<PathMatch, FieldError> {
    let text = said.path.as_deref().unwrap_or("/");
    match said.path_type.as_str() {
        "Exact" => path::parse(text).map(PathMatch::Exact),
        "ImplementationSpecific" if text.contains(OF_PATTERNS) => {
            Err(FieldError::PatternOfIngress(text.to_owned()))
        }
        _ => path::parse_prefix(text).map(PathMatch::Prefix),
    }
}

fn backend(
    place: IngressField,
    said: &IngressBackend,
    problems: &mut ValidationErrors,
) -> Option<(String, Port)> {
    let at = place.backend();
    let Some(service) = &said.service else {
        return problems.at(&at, Err(FieldError::NoServiceOfIngress));
    };
    let port = problems.at(&format!("{at}.service.port"), port_of(service))?;
    Some((service.name.clone(), port))
}

/// By name, where there is no number.
pub(crate) fn port_of(service: &IngressServiceBackend) -> Result<Port, FieldError> {
    let said = service.port.as_ref();
    let number = said.and_then(|port| port.number);
    let name = said.and_then(|port| port.name.clone());
    match (name, number) {
        (Some(name), None) => port(&IntOrString::String(name)),
        (_, number) => port(&IntOrString::Int(number.unwrap_or_default())),
    }
}

/// The first entry that is for a hostname; one without hostnames is for all of the Ingress.
fn tls<'a>(host: &Hostname, said: &'a [IngressTLS]) -> Option<(usize, &'a IngressTLS)> {
    let names = |it: &IngressTLS| match it.hosts.as_deref().unwrap_or_default() {
        [] => true,
        hosts => hosts
            .iter()
            .any(|text| Hostname::parse(text).is_ok_and(|it| it.covers(host))),
    };
    said.iter().enumerate().find(|(_, it)| names(it))
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
    use super::*;
    use serde_json::{Value, json};

    fn said(spec: Value) -> ValidatedIngress {
        ingress(&serde_json::from_value(spec).unwrap())
    }

    fn path(path: &str, type_: &str) -> Value {
        let service = json!({"name": "shop", "port": {"number": 80}});
        json!({"path": path, "pathType": type_, "backend": {"service": service}})
    }

    fn rule(host: &str, paths: &[Value]) -> Value {
        json!({"host": host, "http": {"paths": paths}})
    }

    /// What is told of an Ingress, by hostname and beside them.
    fn told(spec: Value) -> Vec<String> {
        let said = said(spec);
        let of_hosts = said.hosts.into_values().filter_map(|it| it.exposure.err());
        let all = of_hosts.flatten().chain(said.problems);
        all.map(|it| it.to_string()).collect()
    }

    fn host(name: &str) -> Hostname {
        Hostname::parse(name).unwrap()
    }

    fn exposure(said: &ValidatedIngress, name: &str) -> ExposureSpec {
        said.hosts[&host(name)].exposure.clone().unwrap()
    }

    #[test]
    fn rules_of_one_hostname_come_together_and_lead_back_to_their_fields() {
        let said = said(json!({"rules": [
            rule("a.test", &[path("/x/", "Prefix"), path("/", "ImplementationSpecific")]),
            rule("b.test", &[path("/", "Prefix")]),
            rule("A.test", &[path("/x", "Exact")]),
        ]}));
        assert_eq!(said.problems, []);
        let of_a = exposure(&said, "a.test");
        let matches: Vec<_> = of_a
            .routes
            .iter()
            .map(|it| it.matches.path.clone())
            .collect();
        let prefix = |path: &str| PathMatch::Prefix(path.to_owned());
        let exact = PathMatch::Exact("/x".to_owned());
        assert_eq!(matches, [exact, prefix("/x"), prefix("/")]);
        let places = &said.hosts[&host("a.test")].places;
        let first = of_a.routes[0].index.unwrap();
        assert_eq!(
            places[first].backend(),
            "spec.rules[2].http.paths[0].backend"
        );
        assert_eq!(said.hosts.len(), 2);
    }

    #[test]
    fn the_default_backend_takes_what_no_path_does() {
        let default = json!({"service": {"name": "rest", "port": {"name": "web"}}});
        let bare = json!({"host": "b.test"});
        let rules = json!([
            rule("a.test", &[path("/x", "Prefix")]),
            bare,
            rule("c.test", &[path("/", "Prefix")])
        ]);
        let said = said(json!({"defaultBackend": default, "rules": rules}));
        for (name, expected) in [("a.test", 2), ("b.test", 1), ("c.test", 1)] {
            let of = exposure(&said, name);
            assert_eq!(of.routes.len(), expected, "{name}");
            let backends = of.routes.iter().flat_map(RouteSpec::backends).count();
            assert_eq!(backends, expected, "{name}");
        }
        let last = said.hosts[&host("a.test")].places[1];
        assert_eq!(last.backend(), "spec.defaultBackend");
    }

    #[test]
    fn tls_is_what_the_first_entry_for_the_hostname_says() {
        let all = [path("/", "Prefix")];
        let names = ["a.test", "b.e.test", "c.test"];
        let rules: Vec<_> = names.iter().map(|name| rule(name, &all)).collect();
        let source = |said: &ValidatedIngress, name| exposure(said, name).tls.source;
        let secret = |name| CertificateSource::Secrets(vec![Reference::new(None, name)]);
        let tls = json!([
            {"hosts": ["A.test"], "secretName": "one"},
            {"hosts": ["a.test", "*.e.test"], "secretName": "two"},
        ]);
        let by_name = said(json!({"rules": rules, "tls": tls}));
        assert_eq!(source(&by_name, "a.test"), secret("one"));
        assert_eq!(source(&by_name, "b.e.test"), secret("two"));
        assert_eq!(source(&by_name, "c.test"), CertificateSource::Unsaid);
        assert_eq!(by_name.hosts[&host("b.e.test")].tls, Some(1));
        let for_all = said(json!({"rules": rules, "tls": [{}]}));
        assert_eq!(source(&for_all, "c.test"), CertificateSource::Wanted);
    }

    #[test]
    fn what_cannot_be_served_is_told_and_the_other_hostnames_are_served() {
        let good = rule("good.test", &[path("/", "Prefix")]);
        let resource = json!({"path": "/", "pathType": "Prefix", "backend": {"resource": {"kind": "Bucket", "name": "b"}}});
        let portless =
            json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "shop"}}});
        for (bad, sentence) in [
            (
                json!({"http": {"paths": [path("/", "Prefix")]}}),
                "spec.rules[1].host: is missing",
            ),
            (
                rule("10.0.0.1", &[path("/", "Prefix")]),
                "spec.rules[1].host: \"10.0.0.1\" is an IP address",
            ),
            (rule("bad.test", &[]), "spec.rules[1]: leads nowhere"),
            (json!({"host": "bad.test"}), "spec.rules[1]: leads nowhere"),
            (
                rule("bad.test", &[path("/x(/|$)(.*)", "ImplementationSpecific")]),
                "spec.rules[1].http.paths[0].path: \"/x(/|$)(.*)\" is a regular expression",
            ),
            (
                rule("bad.test", &[path("x", "Prefix")]),
                "spec.rules[1].http.paths[0].path: \"x\" is no path",
            ),
            (
                rule("bad.test", &[resource]),
                "spec.rules[1].http.paths[0].backend: is no Service",
            ),
            (
                rule("bad.test", &[portless]),
                "spec.rules[1].http.paths[0].backend.service.port: is no port",
            ),
        ] {
            let spec = json!({"rules": [good, bad]});
            let told = told(spec.clone());
            assert!(told.len() == 1 && told[0].starts_with(sentence), "{told:?}");
            assert!(told[0].contains("; "), "what would be right? {told:?}");
            exposure(&said(spec), "good.test");
        }
        let default = json!({"service": {"name": "rest", "port": {"number": 80}}});
        let catch_all = told(json!({"defaultBackend": default}));
        assert!(
            catch_all[0].starts_with("spec.rules: is missing"),
            "{catch_all:?}"
        );
        let many: Vec<_> = (0..=PATHS_MAX)
            .map(|n| path(&format!("/{n}"), "Exact"))
            .collect();
        let told = told(json!({"rules": [rule("a.test", &many)]}));
        assert!(
            told[0].starts_with("spec.rules[0].http.paths: 1025 are given"),
            "{told:?}"
        );
    }
}
