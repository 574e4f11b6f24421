//! Validates routes: matches, actions and backends.

use super::field_error::FieldError;
use super::field_path::FieldPath;
use super::parent;
use super::policy::{Policy, method};
use super::{Port, Reference, ValidationErrors, field, path, port, port_number};
use crate::names::Hostname;
use crate::subject::Subject;
use portolan_crds as crd;
use portolan_crds::messages;
use portolan_discovery::pattern;
use portolan_discovery::table::{
    Action, FieldMatch, PathMatch, PathRewrite, Redirect, Respond, Route, RouteMatch, ValueMatch,
};

/// Valid route; its references are resolved later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteSpec {
    /// Index in `spec.routes`; `None` for the implied route of an object without routes.
    pub(crate) index: Option<usize>,
    pub(crate) matches: RouteMatch,
    pub(crate) action: ActionSpec,
    rewrite: Option<PathRewrite>,
    policy: Policy,
}

/// Action for the requests of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ActionSpec {
    /// Forwards to one of these backends.
    Forward(Vec<BackendSpec>),
    /// Redirects the client.
    Redirect(Redirect),
    /// Returns a response from the proxy.
    Respond(Respond),
    /// Leaves the requests to the routes of another object.
    Delegate(Reference),
}

/// Port of a Service, with its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendSpec {
    /// Index in the `backends` of the route; `None` for the object's own port.
    pub(crate) index: Option<usize>,
    /// `None` is the object's own.
    pub(crate) service: Option<Reference>,
    pub(crate) port: Port,
    pub(crate) weight: u32,
    /// `None` follows the `appProtocol` and annotations of the Service.
    pub(crate) tls: Option<TlsToBackend>,
}

/// TLS to the endpoints of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsToBackend {
    /// Encrypted without verifying the certificate.
    Unvalidated,
    /// The certificate must be of one of these authorities, and have the name.
    Validated { ca: Reference, subject: String },
}

impl RouteSpec {
    /// Route for every request to the object's own port.
    pub(super) fn own(port: &Port, policy: &Policy) -> Self {
        Self {
            index: None,
            matches: PathMatch::Prefix("/".to_owned()).into(),
            action: ActionSpec::Forward(vec![BackendSpec::own(port)]),
            rewrite: None,
            policy: policy.clone(),
        }
    }

    /// Route of an Ingress, to a Service of its namespace.
    pub(super) fn to_service(index: usize, path: PathMatch, service: String, port: Port) -> Self {
        let backend = BackendSpec {
            index: Some(0),
            service: Some(Reference::new(None, &service)),
            ..BackendSpec::own(&port)
        };
        Self {
            index: Some(index),
            matches: path.into(),
            action: ActionSpec::Forward(vec![backend]),
            rewrite: None,
            policy: Policy::default(),
        }
    }

    /// Returns the row of the routing table, with the action that the backends resolved to, and the defaults of
    /// the class.
    pub(crate) fn row(&self, action: Action, defaults: &Policy) -> Route {
        let mut row = Route::new(self.matches.clone(), action);
        row.rewrite.clone_from(&self.rewrite);
        self.policy.clone().over(defaults).apply(&mut row);
        row
    }

    pub(crate) fn backends(&self) -> &[BackendSpec] {
        match &self.action {
            ActionSpec::Forward(backends) => backends,
            ActionSpec::Redirect(_) | ActionSpec::Respond(_) | ActionSpec::Delegate(_) => &[],
        }
    }

    /// Returns the object that the requests are delegated to, if any.
    pub(crate) fn delegate(&self, namespace: &str) -> Option<Subject> {
        let ActionSpec::Delegate(to) = &self.action else {
            return None;
        };
        Some(Subject::ExposedPort(to.within(namespace)))
    }

    /// Returns the route for fewer requests; `secure` removes `permitInsecure`.
    pub(crate) fn narrowed(&self, matches: RouteMatch, secure: bool) -> Self {
        let mut narrowed = self.clone();
        narrowed.matches = matches;
        if secure {
            narrowed.policy.forbid_insecure();
        }
        narrowed
    }

    /// Returns true if the route is served over plain HTTP where the host redirects.
    pub(crate) fn permits_insecure(&self) -> bool {
        self.policy.permits_insecure()
    }
}

impl BackendSpec {
    fn own(port: &Port) -> Self {
        Self {
            index: None,
            service: None,
            port: port.clone(),
            weight: 1,
            tls: None,
        }
    }
}

/// Validates every route; `own` is the object's own port, if it has one.
pub(super) fn routes(
    spec: &[crd::Route],
    own: Option<&Port>,
    policy: &Policy,
    errors: &mut ValidationErrors,
) -> Vec<RouteSpec> {
    let field = FieldPath::spec().child("routes");
    errors.check_count(&field, spec.len(), crd::ROUTES_MAX);
    let patterns: usize = spec.iter().map(count_patterns).sum();
    if patterns > pattern::PER_OBJECT_MAX {
        let detail = format!(
            "must have at most {} regular expressions in all routes; distribute them among several objects",
            pattern::PER_OBJECT_MAX
        );
        let count = i32::try_from(patterns).unwrap_or(i32::MAX);
        errors.push(&field, FieldError::invalid(count, detail));
        return Vec::new(); // Thousands of them would be compiled only to be rejected.
    }
    spec.iter()
        .take(crd::ROUTES_MAX)
        .enumerate()
        .filter_map(|(index, spec)| {
            let field = field.index(index);
            let route_policy = Policy::read(&field, &spec.policy, errors);
            let matches = matches(&field, spec.matches.as_ref(), errors);
            let action = action(&field, spec, own, &matches, errors);
            let rewrite = rewrite(&field, spec, &matches, errors);
            Some(RouteSpec {
                index: Some(index),
                matches,
                action: action?,
                rewrite,
                policy: route_policy.over(policy),
            })
        })
        .collect()
}

fn count_patterns(spec: &crd::Route) -> usize {
    let Some(matches) = &spec.matches else {
        return 0;
    };
    let of_path = matches
        .path
        .iter()
        .filter(|path| path.regex.is_some())
        .count();
    let fields = matches.headers.iter().chain(&matches.query);
    of_path + fields.filter(|field| field.regex.is_some()).count()
}

fn matches(
    field: &FieldPath,
    spec: Option<&crd::RouteMatch>,
    errors: &mut ValidationErrors,
) -> RouteMatch {
    let root = || PathMatch::Prefix("/".to_owned());
    let Some(spec) = spec else {
        return root().into();
    };
    let path = spec.path.as_ref().and_then(|path| {
        let field = field.child("match").child("path");
        errors.at(&field, path_match(path))
    });
    let mut fields = |list: &'static str, spec: &[crd::FieldMatch], name: FieldName| {
        let field = field.child("match").child(list);
        errors.check_count(&field, spec.len(), crd::MATCHES_MAX);
        spec.iter()
            .enumerate()
            .filter_map(|(index, spec)| errors.at(&field.index(index), field_match(spec, name)))
            .collect()
    };
    RouteMatch {
        headers: fields("headers", &spec.headers, field::name),
        query: fields("query", &spec.query, |name| match name {
            "" => Err(FieldError::required("the name of the query parameter")),
            name => Ok(name.to_owned()),
        }),
        method: spec
            .method
            .as_deref()
            .and_then(|text| errors.at(&field.child("match").child("method"), method(text))),
        path: path.unwrap_or_else(root),
    }
}

type FieldName = fn(&str) -> Result<String, FieldError>;

fn path_match(spec: &crd::PathMatch) -> Result<PathMatch, FieldError> {
    match (&spec.exact, &spec.prefix, &spec.regex) {
        (Some(text), None, None) => path::parse(text).map(PathMatch::Exact),
        (None, Some(text), None) => path::parse_prefix(text).map(PathMatch::Prefix),
        (None, None, Some(text)) => regex(text).map(PathMatch::Regex),
        _ => Err(FieldError::invalid_whole(messages::ONE_PATH_MATCH)),
    }
}

fn field_match(spec: &crd::FieldMatch, name: FieldName) -> Result<FieldMatch, FieldError> {
    let value = match (&spec.exact, &spec.regex, spec.present) {
        (Some(text), None, None) => ValueMatch::Exact(text.clone()),
        (None, Some(text), None) => ValueMatch::Regex(regex(text)?),
        (None, None, Some(true)) => ValueMatch::Present,
        (None, None, Some(false)) => {
            return Err(FieldError::invalid_whole(
                "present must be true; use exact or regex to match a value",
            ));
        }
        _ => return Err(FieldError::invalid_whole(messages::ONE_FIELD_MATCH)),
    };
    let name = name(&spec.name)?;
    Ok(FieldMatch { name, value })
}

fn regex(text: &str) -> Result<String, FieldError> {
    match pattern::whole(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(source) => Err(FieldError::invalid(
            text,
            format!("must be a regular expression in the syntax of Rust's regex crate; {source}"),
        )),
    }
}

fn action(
    field: &FieldPath,
    spec: &crd::Route,
    own: Option<&Port>,
    matches: &RouteMatch,
    errors: &mut ValidationErrors,
) -> Option<ActionSpec> {
    if let Some(to) = &spec.delegate {
        return match (spec.backends.as_slice(), &spec.redirect, &spec.respond) {
            ([], None, None) => Some(ActionSpec::Delegate(parent::delegate(
                field, spec, to, errors,
            ))),
            _ => errors.at(field, Err(FieldError::forbidden(messages::ONE_ACTION))),
        };
    }
    match (spec.backends.as_slice(), &spec.redirect, &spec.respond) {
        ([], None, None) => match own {
            Some(port) => Some(ActionSpec::Forward(vec![BackendSpec::own(port)])),
            None => errors.at(field, Err(FieldError::required(
                "one of backends, redirect, respond and delegate, unless spec.selector or spec.service is set",
            ))),
        },
        (spec, None, None) => Some(ActionSpec::Forward(backends(
            field,
            spec,
            own.is_some(),
            errors,
        ))),
        ([], Some(spec), None) => {
            let field = field.child("redirect");
            Some(ActionSpec::Redirect(redirect(&field, spec, matches, errors)))
        }
        ([], None, Some(spec)) => {
            let field = field.child("respond");
            Some(ActionSpec::Respond(respond(&field, spec, errors)))
        }
        _ => errors.at(field, Err(FieldError::forbidden(messages::ONE_ACTION))),
    }
}

fn backends(
    field: &FieldPath,
    spec: &[crd::BackendRef],
    has_own: bool,
    errors: &mut ValidationErrors,
) -> Vec<BackendSpec> {
    errors.check_count(&field.child("backends"), spec.len(), crd::BACKENDS_MAX);
    // Contour's rule: without any weight the shares are even; otherwise a backend without one gets none.
    let unset = u32::from(spec.iter().all(|backend| backend.weight.is_none()));
    spec.iter()
        .enumerate()
        .filter_map(|(index, spec)| {
            let field = field.child("backends").index(index);
            let service = spec.service.as_ref().filter(|name| !name.is_empty());
            if service.is_none() && spec.namespace.is_some() {
                errors.push(
                    &field.child("namespace"),
                    FieldError::forbidden(messages::BACKEND_NAMESPACE),
                );
            }
            if !has_own && service.is_none() {
                errors.push(
                    &field.child("service"),
                    FieldError::required(messages::BACKEND_SERVICE_REQUIRED),
                );
            }
            let weight = match spec.weight.map(|weight| (weight, u32::try_from(weight))) {
                None => Ok(unset),
                Some((_, Ok(weight))) if weight <= crd::WEIGHT_MAX => Ok(weight),
                Some((weight, _)) => Err(FieldError::invalid(weight, messages::WEIGHT)),
            };
            let weight = errors.at(&field.child("weight"), weight);
            let tls = spec.tls.as_ref().map(tls_to_backend).transpose();
            let tls = errors.at(&field.child("tls"), tls);
            Some(BackendSpec {
                index: Some(index),
                service: service.map(|name| Reference::new(spec.namespace.as_ref(), name)),
                port: errors.at(&field.child("port"), port(&spec.port))?,
                weight: weight?,
                tls: tls?,
            })
        })
        .collect()
}

fn tls_to_backend(spec: &crd::BackendTls) -> Result<TlsToBackend, FieldError> {
    match (&spec.ca, &spec.subject_name) {
        (None, None) => Ok(TlsToBackend::Unvalidated),
        (Some(ca), Some(subject)) => Ok(TlsToBackend::Validated {
            ca: Reference::from(&ca.secret),
            subject: dns_name(subject)?,
        }),
        _ => Err(FieldError::invalid_whole(messages::BACKEND_TLS)),
    }
}

fn dns_name(text: &str) -> Result<String, FieldError> {
    let name = Hostname::parse(text).map_err(|error| FieldError::from(&error))?;
    if name.is_wildcard() {
        return Err(FieldError::invalid(
            text,
            "must be one DNS name, not a wildcard",
        ));
    }
    Ok(name.as_str().to_owned())
}

fn redirect(
    field: &FieldPath,
    spec: &crd::Redirect,
    matches: &RouteMatch,
    errors: &mut ValidationErrors,
) -> Redirect {
    let path = match (&spec.path, &spec.prefix_rewrite) {
        (Some(_), Some(_)) => errors.at(
            &field.child("prefixRewrite"),
            Err(FieldError::forbidden(messages::REWRITE_WITH_PATH)),
        ),
        (Some(text), None) => {
            let full = path::replacement(path::parse(text)).map(PathRewrite::Full);
            errors.at(&field.child("path"), full)
        }
        (None, Some(text)) => {
            errors.at(&field.child("prefixRewrite"), prefix_rewrite(text, matches))
        }
        (None, None) => {
            if spec.scheme.is_none() && spec.hostname.is_none() && spec.port.is_none() {
                errors.push(field, FieldError::required(messages::REDIRECT_REQUIRED));
            }
            None
        }
    };
    let status = spec.status.unwrap_or(302);
    let known = match u16::try_from(status) {
        Ok(known @ (301 | 302 | 303 | 307 | 308)) => Ok(known),
        _ => Err(FieldError::unsupported(status, "301, 302, 303, 307, 308")),
    };
    Redirect {
        scheme: spec.scheme.map(|scheme| match scheme {
            crd::Scheme::Http => "http".to_owned(),
            crd::Scheme::Https => "https".to_owned(),
        }),
        hostname: spec
            .hostname
            .as_deref()
            .and_then(|text| errors.at(&field.child("hostname"), dns_name(text))),
        port: spec
            .port
            .and_then(|number| errors.at(&field.child("port"), port_number(number))),
        path,
        status: errors.at(&field.child("status"), known).unwrap_or(302),
    }
}

/// Longest body of `respond`, in characters.
const BODY_MAX: usize = 4096;

fn respond(field: &FieldPath, spec: &crd::Respond, errors: &mut ValidationErrors) -> Respond {
    let status = match u16::try_from(spec.status) {
        Ok(status @ 200..=599) => Ok(status),
        _ => Err(FieldError::invalid(
            spec.status,
            "must be between 200 and 599, inclusive",
        )),
    };
    let body = spec.body.clone().unwrap_or_default();
    if body.chars().count() > BODY_MAX {
        errors.push(
            &field.child("body"),
            FieldError::too_long(BODY_MAX, "characters"),
        );
    }
    Respond {
        status: errors.at(&field.child("status"), status).unwrap_or(503),
        content_type: match &spec.content_type {
            None => "text/plain; charset=utf-8".to_owned(),
            Some(text) => errors
                .at(
                    &field.child("contentType"),
                    field::value("content-type", text),
                )
                .unwrap_or_default(),
        },
        body,
    }
}

fn rewrite(
    field: &FieldPath,
    spec: &crd::Route,
    matches: &RouteMatch,
    errors: &mut ValidationErrors,
) -> Option<PathRewrite> {
    let text = spec.prefix_rewrite.as_deref()?;
    let rewrite = if spec.redirect.is_some() || spec.respond.is_some() || spec.delegate.is_some() {
        Err(FieldError::forbidden(messages::REWRITE_WITHOUT_BACKEND))
    } else {
        prefix_rewrite(text, matches)
    };
    errors.at(&field.child("prefixRewrite"), rewrite)
}

/// Replacement of the matched path.
fn prefix_rewrite(text: &str, matches: &RouteMatch) -> Result<PathRewrite, FieldError> {
    match &matches.path {
        PathMatch::Regex(_) => Err(FieldError::forbidden(
            "may not be set for a path.regex; match by prefix or exact",
        )),
        // All that was matched is replaced.
        PathMatch::Exact(_) => path::replacement(path::parse(text)).map(PathRewrite::Full),
        PathMatch::Prefix(_) => {
            path::replacement(path::parse_prefix(text)).map(PathRewrite::Prefix)
        }
    }
}
