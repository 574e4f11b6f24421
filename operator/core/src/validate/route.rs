//! Routes: which requests, and what is done with them.

use super::field_error::FieldError;
use super::parent;
use super::policy::{Policy, method};
use super::{Port, Reference, ValidationErrors, field, path, port, port_number};
use crate::names::Hostname;
use crate::subject::Subject;
use portolan_crds as crd;
use portolan_discovery::pattern;
use portolan_discovery::table::{
    Action, FieldMatch, PathMatch, PathRewrite, Redirect, Respond, Route, RouteMatch, ValueMatch,
};

/// A route that breaks no rule of its own. What it refers to is looked up later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteSpec {
    /// Where it stands in `spec.routes`; absent for the one that an object without routes has.
    pub(crate) index: Option<usize>,
    pub(crate) matches: RouteMatch,
    pub(crate) action: ActionSpec,
    rewrite: Option<PathRewrite>,
    policy: Policy,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ActionSpec {
    /// It goes to one of these.
    Forward(Vec<BackendSpec>),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The proxy answers.
    Respond(Respond),
    /// Another object says what is done.
    Delegate(Reference),
}

/// A port of a Service, and its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendSpec {
    /// Where it stands in the route's `backends`; absent for the object's own port.
    pub(crate) index: Option<usize>,
    /// Absent is the object's own.
    pub(crate) service: Option<Reference>,
    pub(crate) port: Port,
    pub(crate) weight: u32,
    /// Absent: as the Service says.
    pub(crate) tls: Option<TlsToBackend>,
}

/// What was said about TLS to endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TlsToBackend {
    /// Encrypted, whoever answers.
    Unvalidated,
    /// The certificate must be of one of these authorities, and have the name.
    Validated { ca: Reference, subject: String },
}

impl RouteSpec {
    /// The whole object: every request goes to its own port.
    pub(super) fn own(port: &Port, policy: &Policy) -> Self {
        Self {
            index: None,
            matches: PathMatch::Prefix("/".to_owned()).into(),
            action: ActionSpec::Forward(vec![BackendSpec::own(port)]),
            rewrite: None,
            policy: policy.clone(),
        }
    }

    /// Of an Ingress: these requests go to a Service of its namespace.
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

    /// The row of the table, once it is known where requests can go, and what the class says where the
    /// object is silent.
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

    /// The object that requests are left to, when they are.
    pub(crate) fn delegate(&self, namespace: &str) -> Option<Subject> {
        let ActionSpec::Delegate(to) = &self.action else {
            return None;
        };
        Some(Subject::ExposedPort(to.within(namespace)))
    }

    /// The same route for other requests, and over TLS only where that is asked for.
    pub(crate) fn narrowed(&self, matches: RouteMatch, secure: bool) -> Self {
        let mut narrowed = self.clone();
        narrowed.matches = matches;
        if secure {
            narrowed.policy.forbid_insecure();
        }
        narrowed
    }

    /// Whether it is served on plain HTTP where the host redirects.
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

/// Judges every route; `own` is the object's own port, when it has one.
pub(super) fn routes(
    said: &[crd::Route],
    own: Option<&Port>,
    policy: &Policy,
    problems: &mut ValidationErrors,
) -> Vec<RouteSpec> {
    problems.within("spec.routes", said.len(), crd::ROUTES_MAX);
    let patterns = said.iter().map(count_patterns).sum();
    if patterns > pattern::PER_OBJECT_MAX {
        let told: Result<(), _> = Err(FieldError::TooManyPatterns(patterns));
        problems.at("spec.routes", told);
        return Vec::new(); // Thousands of them would be compiled only to be refused.
    }
    said.iter()
        .take(crd::ROUTES_MAX)
        .enumerate()
        .filter_map(|(index, said)| {
            let at = format!("spec.routes[{index}]");
            let route_policy = Policy::read(&at, &said.policy, problems);
            let matches = matches(&at, said.matches.as_ref(), problems);
            let action = action(&at, said, own, &matches, problems);
            let rewrite = rewrite(&at, said, &matches, problems);
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

fn count_patterns(said: &crd::Route) -> usize {
    let Some(matches) = &said.matches else {
        return 0;
    };
    let of_path = matches.path.iter().filter(|it| it.regex.is_some()).count();
    let fields = matches.headers.iter().chain(&matches.query);
    of_path + fields.filter(|it| it.regex.is_some()).count()
}

fn matches(
    at: &str,
    said: Option<&crd::RouteMatch>,
    problems: &mut ValidationErrors,
) -> RouteMatch {
    let root = || PathMatch::Prefix("/".to_owned());
    let Some(said) = said else {
        return root().into();
    };
    let path = said.path.as_ref().and_then(|path| {
        let at = format!("{at}.match.path");
        problems.at(&at, path_match(path))
    });
    let mut fields = |list: &str, said: &[crd::FieldMatch], name: FieldName| {
        let at = format!("{at}.match.{list}");
        problems.within(&at, said.len(), crd::MATCHES_MAX);
        said.iter()
            .enumerate()
            .filter_map(|(index, said)| {
                problems.at(&format!("{at}[{index}]"), field_match(said, name))
            })
            .collect()
    };
    RouteMatch {
        headers: fields("headers", &said.headers, field::name),
        query: fields("query", &said.query, |name| match name {
            "" => Err(FieldError::NoName),
            name => Ok(name.to_owned()),
        }),
        method: said
            .method
            .as_deref()
            .and_then(|text| problems.at(&format!("{at}.match.method"), method(text))),
        path: path.unwrap_or_else(root),
    }
}

type FieldName = fn(&str) -> Result<String, FieldError>;

fn path_match(said: &crd::PathMatch) -> Result<PathMatch, FieldError> {
    match (&said.exact, &said.prefix, &said.regex) {
        (Some(text), None, None) => path::parse(text).map(PathMatch::Exact),
        (None, Some(text), None) => path::parse_prefix(text).map(PathMatch::Prefix),
        (None, None, Some(text)) => regex(text).map(PathMatch::Regex),
        _ => Err(FieldError::NotExactlyOne("exact, prefix and regex")),
    }
}

fn field_match(said: &crd::FieldMatch, name: FieldName) -> Result<FieldMatch, FieldError> {
    let value = match (&said.exact, &said.regex, said.present) {
        (Some(text), None, None) => ValueMatch::Exact(text.clone()),
        (None, Some(text), None) => ValueMatch::Regex(regex(text)?),
        (None, None, Some(true)) => ValueMatch::Present,
        (None, None, Some(false)) => return Err(FieldError::Absent),
        _ => return Err(FieldError::NotExactlyOne("exact, regex and present")),
    };
    let name = name(&said.name)?;
    Ok(FieldMatch { name, value })
}

fn regex(text: &str) -> Result<String, FieldError> {
    match pattern::whole(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(source) => Err(FieldError::Pattern {
            text: text.to_owned(),
            source,
        }),
    }
}

fn action(
    at: &str,
    said: &crd::Route,
    own: Option<&Port>,
    matches: &RouteMatch,
    problems: &mut ValidationErrors,
) -> Option<ActionSpec> {
    if let Some(to) = &said.delegate {
        return match (said.backends.as_slice(), &said.redirect, &said.respond) {
            ([], None, None) => Some(ActionSpec::Delegate(parent::delegate(
                at, said, to, problems,
            ))),
            _ => problems.at(at, Err(FieldError::TwoActions)),
        };
    }
    match (said.backends.as_slice(), &said.redirect, &said.respond) {
        ([], None, None) => match own {
            Some(port) => Some(ActionSpec::Forward(vec![BackendSpec::own(port)])),
            None => problems.at(at, Err(FieldError::NoAction)),
        },
        (said, None, None) => Some(ActionSpec::Forward(backends(
            at,
            said,
            own.is_some(),
            problems,
        ))),
        ([], Some(said), None) => {
            let at = format!("{at}.redirect");
            Some(ActionSpec::Redirect(redirect(&at, said, matches, problems)))
        }
        ([], None, Some(said)) => {
            let at = format!("{at}.respond");
            Some(ActionSpec::Respond(respond(&at, said, problems)))
        }
        _ => problems.at(at, Err(FieldError::TwoActions)),
    }
}

fn backends(
    at: &str,
    said: &[crd::BackendRef],
    has_own: bool,
    problems: &mut ValidationErrors,
) -> Vec<BackendSpec> {
    problems.within(&format!("{at}.backends"), said.len(), crd::BACKENDS_MAX);
    // Contour's rule: without any weight the shares are even; else whoever has none gets none.
    let unset = u32::from(said.iter().all(|backend| backend.weight.is_none()));
    said.iter()
        .enumerate()
        .filter_map(|(index, said)| {
            let at = format!("{at}.backends[{index}]");
            let service = said.service.as_ref().filter(|name| !name.is_empty());
            if service.is_none() && said.namespace.is_some() {
                let told: Result<(), _> = Err(FieldError::NamespaceOfNothing);
                problems.at(&format!("{at}.namespace"), told);
            }
            if !has_own && service.is_none() {
                let told: Result<(), _> = Err(FieldError::NoOwnService);
                problems.at(&format!("{at}.service"), told);
            }
            let weight = match said.weight.map(|weight| (weight, u32::try_from(weight))) {
                None => Ok(unset),
                Some((_, Ok(weight))) if weight <= crd::WEIGHT_MAX => Ok(weight),
                Some((_, Err(_))) => Err(FieldError::WeightNegative),
                Some((weight, Ok(_))) => Err(FieldError::Weight(weight)),
            };
            let weight = problems.at(&format!("{at}.weight"), weight);
            let tls = said.tls.as_ref().map(tls_to_backend).transpose();
            let tls = problems.at(&format!("{at}.tls"), tls);
            Some(BackendSpec {
                index: Some(index),
                service: service.map(|name| Reference::new(said.namespace.as_ref(), name)),
                port: problems.at(&format!("{at}.port"), port(&said.port))?,
                weight: weight?,
                tls: tls?,
            })
        })
        .collect()
}

fn tls_to_backend(said: &crd::BackendTls) -> Result<TlsToBackend, FieldError> {
    match (&said.ca, &said.subject_name) {
        (None, None) => Ok(TlsToBackend::Unvalidated),
        (Some(ca), Some(subject)) => Ok(TlsToBackend::Validated {
            ca: Reference::from(&ca.secret),
            subject: dns_name(subject)?,
        }),
        _ => Err(FieldError::HalfValidated),
    }
}

fn dns_name(text: &str) -> Result<String, FieldError> {
    let name = Hostname::parse(text).map_err(FieldError::Hostname)?;
    match name.is_wildcard() {
        true => Err(FieldError::Wildcard(text.to_owned())),
        false => Ok(name.as_str().to_owned()),
    }
}

fn redirect(
    at: &str,
    said: &crd::Redirect,
    matches: &RouteMatch,
    problems: &mut ValidationErrors,
) -> Redirect {
    let path = match (&said.path, &said.prefix_rewrite) {
        (Some(_), Some(_)) => problems.at(at, Err(FieldError::TwoPaths)),
        (Some(text), None) => {
            let full = path::replacement(path::parse(text)).map(PathRewrite::Full);
            problems.at(&format!("{at}.path"), full)
        }
        (None, Some(text)) => problems.at(
            &format!("{at}.prefixRewrite"),
            prefix_rewrite(text, matches),
        ),
        (None, None) => {
            if said.scheme.is_none() && said.hostname.is_none() && said.port.is_none() {
                let told: Result<(), _> = Err(FieldError::RedirectsNowhere);
                problems.at(at, told);
            }
            None
        }
    };
    let status = said.status.unwrap_or(302);
    let known = match u16::try_from(status) {
        Ok(known @ (301 | 302 | 303 | 307 | 308)) => Ok(known),
        _ => Err(FieldError::RedirectStatus(status)),
    };
    Redirect {
        scheme: said.scheme.map(|scheme| match scheme {
            crd::Scheme::Http => "http".to_owned(),
            crd::Scheme::Https => "https".to_owned(),
        }),
        hostname: said
            .hostname
            .as_deref()
            .and_then(|text| problems.at(&format!("{at}.hostname"), dns_name(text))),
        port: said
            .port
            .and_then(|number| problems.at(&format!("{at}.port"), port_number(number))),
        path,
        status: problems.at(&format!("{at}.status"), known).unwrap_or(302),
    }
}

/// The longest body that a route answers with.
const BODY_MAX: usize = 4096;

fn respond(at: &str, said: &crd::Respond, problems: &mut ValidationErrors) -> Respond {
    let status = match u16::try_from(said.status) {
        Ok(status @ 200..=599) => Ok(status),
        _ => Err(FieldError::RespondStatus(said.status)),
    };
    let body = said.body.clone().unwrap_or_default();
    if body.chars().count() > BODY_MAX {
        let told: Result<(), _> = Err(FieldError::BodyTooLong(body.chars().count()));
        problems.at(&format!("{at}.body"), told);
    }
    Respond {
        status: problems.at(&format!("{at}.status"), status).unwrap_or(503),
        content_type: match &said.content_type {
            None => "text/plain; charset=utf-8".to_owned(),
            Some(text) => problems
                .at(
                    &format!("{at}.contentType"),
                    field::value("content-type", text),
                )
                .unwrap_or_default(),
        },
        body,
    }
}

fn rewrite(
    at: &str,
    said: &crd::Route,
    matches: &RouteMatch,
    problems: &mut ValidationErrors,
) -> Option<PathRewrite> {
    let text = said.prefix_rewrite.as_deref()?;
    let rewrite = if said.redirect.is_some() || said.respond.is_some() || said.delegate.is_some() {
        Err(FieldError::RewriteWithoutBackend)
    } else {
        prefix_rewrite(text, matches)
    };
    problems.at(&format!("{at}.prefixRewrite"), rewrite)
}

/// What stands in place of what was matched.
fn prefix_rewrite(text: &str, matches: &RouteMatch) -> Result<PathRewrite, FieldError> {
    match &matches.path {
        PathMatch::Regex(_) => Err(FieldError::RewriteOfPattern),
        // All that was matched is replaced.
        PathMatch::Exact(_) => path::replacement(path::parse(text)).map(PathRewrite::Full),
        PathMatch::Prefix(_) => {
            path::replacement(path::parse_prefix(text)).map(PathRewrite::Prefix)
        }
    }
}
