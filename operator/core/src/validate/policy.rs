//! Validates policy: timeouts, retries, headers and CORS of a route, of an object, and of a class.

use super::field_error::FieldError;
use super::field_path::FieldPath;
use super::{ValidationError, ValidationErrors, duration, field};
use crate::names::Hostname;
use portolan_crds as crd;
use portolan_crds::messages;
use portolan_discovery::table::{
    AllowedOrigins, Cors, FieldName, HeaderEdits, Retries, RetryOn, Timeouts,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Policy of a route, an object or a class; what is not set is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    permit_insecure: Option<bool>,
    timeouts: Timeouts,
    retries: Option<Retries>,
    websockets: Option<bool>,
    request_headers: Option<HeaderEdits>,
    response_headers: Option<HeaderEdits>,
    cors: Option<Cors>,
}

impl Policy {
    /// Reads the defaults of a class. An invalid field is dropped and reported, so that the objects of the
    /// class stay valid.
    pub(crate) fn of_class(spec: &crd::ExposeClassSpec) -> (Self, Vec<ValidationError>) {
        let mut errors = ValidationErrors::default();
        let field = FieldPath::spec().child("defaults");
        let defaults = spec.defaults.as_ref();
        let read = defaults.map(|policy| Self::read(&field, policy, &mut errors));
        (read.unwrap_or_default(), errors.0)
    }

    /// Reads the policy in a field, such as `spec.policy`. Retries, header edits and CORS are dropped as a whole
    /// when any part of them is invalid.
    pub(super) fn read(
        field: &FieldPath,
        spec: &crd::Policy,
        errors: &mut ValidationErrors,
    ) -> Self {
        let headers = spec.headers.as_ref();
        let mut edits = |which: &'static str, edits: Option<&crd::HeaderEdits>| {
            let field = field.child("headers").child(which);
            if_valid(edits, errors, |edits, errors| {
                let settable = match which {
                    "request" => field::settable,
                    _ => field::name,
                };
                header_edits(&field, edits, settable, errors)
            })
        };
        Self {
            permit_insecure: spec.permit_insecure,
            websockets: spec.websockets,
            request_headers: edits(
                "request",
                headers.and_then(|headers| headers.request.as_ref()),
            ),
            response_headers: edits(
                "response",
                headers.and_then(|headers| headers.response.as_ref()),
            ),
            timeouts: spec
                .timeouts
                .as_ref()
                .map(|timeouts| read_timeouts(&field.child("timeouts"), timeouts, errors))
                .unwrap_or_default(),
            retries: if_valid(spec.retries.as_ref(), errors, |retries, errors| {
                read_retries(&field.child("retries"), retries, errors)
            }),
            cors: if_valid(spec.cors.as_ref(), errors, |cors, errors| {
                read_cors(&field.child("cors"), cors, errors)
            }),
        }
    }

    pub(super) fn permits_insecure(&self) -> bool {
        self.permit_insecure == Some(true)
    }

    pub(crate) fn forbid_insecure(&mut self) {
        self.permit_insecure = None;
    }

    /// Fills what is not set from a wider policy: a route from its object, and both from the class.
    pub(super) fn over(self, wider: &Self) -> Self {
        Self {
            permit_insecure: self.permit_insecure.or(wider.permit_insecure),
            timeouts: Timeouts {
                connect: self.timeouts.connect.or(wider.timeouts.connect),
                response: self.timeouts.response.or(wider.timeouts.response),
                request: self.timeouts.request.or(wider.timeouts.request),
                idle: self.timeouts.idle.or(wider.timeouts.idle),
            },
            retries: self.retries.or_else(|| wider.retries.clone()),
            websockets: self.websockets.or(wider.websockets),
            request_headers: self
                .request_headers
                .or_else(|| wider.request_headers.clone()),
            response_headers: self
                .response_headers
                .or_else(|| wider.response_headers.clone()),
            cors: self.cors.or_else(|| wider.cors.clone()),
        }
    }

    /// Sets the policy in a row of the routing table.
    pub(super) fn apply(&self, row: &mut portolan_discovery::table::Route) {
        row.permit_insecure = self.permit_insecure.unwrap_or(row.permit_insecure);
        row.timeouts = self.timeouts;
        row.retries.clone_from(&self.retries);
        row.websockets = self.websockets.unwrap_or(row.websockets);
        row.request_headers = self.request_headers.clone().unwrap_or_default();
        row.response_headers = self.response_headers.clone().unwrap_or_default();
        row.cors.clone_from(&self.cors);
    }
}

/// Returns what was read if it is valid.
fn if_valid<S, T>(
    spec: Option<&S>,
    errors: &mut ValidationErrors,
    read: impl FnOnce(&S, &mut ValidationErrors) -> T,
) -> Option<T> {
    let before = errors.0.len();
    let read = read(spec?, errors);
    (errors.0.len() == before).then_some(read)
}

pub(super) fn time(
    field: &FieldPath,
    text: &str,
    errors: &mut ValidationErrors,
) -> Option<Duration> {
    let read = duration::parse(text).ok_or_else(|| FieldError::invalid(text, messages::DURATION));
    errors.at(field, read)
}

fn read_timeouts(
    field: &FieldPath,
    spec: &crd::Timeouts,
    errors: &mut ValidationErrors,
) -> Timeouts {
    let mut read = |name: &'static str, text: &Option<String>| {
        text.as_ref()
            .and_then(|text| time(&field.child(name), text, errors))
    };
    Timeouts {
        connect: read("connect", &spec.connect),
        response: read("response", &spec.response),
        request: read("request", &spec.request),
        idle: read("idle", &spec.idle),
    }
}

fn read_retries(field: &FieldPath, spec: &crd::Retries, errors: &mut ValidationErrors) -> Retries {
    let mut retry_on: Vec<_> = spec
        .retry_on
        .iter()
        .map(|on| match on {
            crd::RetryOn::ConnectFailure => RetryOn::ConnectFailure,
            crd::RetryOn::Reset => RetryOn::Reset,
            crd::RetryOn::ServerError => RetryOn::ServerError,
        })
        .collect();
    retry_on.sort();
    retry_on.dedup();
    let count = spec.count.unwrap_or(1);
    let count = match u32::try_from(count) {
        Ok(count) if count <= RETRIES_MAX => Ok(count),
        _ => Err(FieldError::invalid(
            count,
            format!("must be between 0 and {RETRIES_MAX}, inclusive"),
        )),
    };
    Retries {
        count: errors.at(&field.child("count"), count).unwrap_or(1),
        per_try_timeout: spec
            .per_try_timeout
            .as_ref()
            .and_then(|text| time(&field.child("perTryTimeout"), text, errors)),
        retry_on,
    }
}

/// Largest `retries.count`.
const RETRIES_MAX: u32 = 10;

fn header_edits(
    field: &FieldPath,
    spec: &crd::HeaderEdits,
    settable: fn(&str) -> Result<FieldName, FieldError>,
    errors: &mut ValidationErrors,
) -> HeaderEdits {
    HeaderEdits {
        set: fields(&field.child("set"), &spec.set, settable, errors),
        add: fields(&field.child("add"), &spec.add, field::name, errors),
        remove: names(&field.child("remove"), &spec.remove, errors),
    }
}

fn fields(
    field: &FieldPath,
    spec: &BTreeMap<String, String>,
    check_name: fn(&str) -> Result<FieldName, FieldError>,
    errors: &mut ValidationErrors,
) -> Vec<(FieldName, String)> {
    errors.check_count(field, spec.len(), crd::EDITS_MAX);
    let checked = spec.iter().map(|(name, value)| {
        let name = check_name(name)?;
        let value = field::value(&name, value)?;
        Ok((name, value))
    });
    let mut pairs: Vec<_> = checked.filter_map(|pair| errors.at(field, pair)).collect();
    pairs.sort();
    pairs
}

fn names(field: &FieldPath, spec: &[String], errors: &mut ValidationErrors) -> Vec<FieldName> {
    errors.check_count(field, spec.len(), crd::EDITS_MAX);
    sorted(
        spec.iter()
            .filter_map(|name| errors.at(field, field::name(name))),
    )
}

fn read_cors(field: &FieldPath, spec: &crd::Cors, errors: &mut ValidationErrors) -> Cors {
    let allow_credentials = spec.allow_credentials.unwrap_or_default();
    Cors {
        allow_origins: {
            let field = field.child("allowOrigins");
            errors.check_count(&field, spec.allow_origins.len(), crd::ORIGINS_MAX);
            let origins = origins(&spec.allow_origins);
            errors
                .at(&field, origins)
                .unwrap_or(AllowedOrigins::These(Vec::new()))
        },
        allow_methods: sorted(
            spec.allow_methods
                .iter()
                .filter_map(|text| errors.at(&field.child("allowMethods"), method(text))),
        ),
        allow_headers: names(&field.child("allowHeaders"), &spec.allow_headers, errors),
        expose_headers: names(&field.child("exposeHeaders"), &spec.expose_headers, errors),
        allow_credentials: {
            let all = spec.allow_origins.iter().any(|origin| origin == "*");
            if all && allow_credentials {
                errors.push(
                    &field.child("allowCredentials"),
                    FieldError::forbidden(messages::CREDENTIALS_FOR_ALL),
                );
            }
            allow_credentials
        },
        max_age: spec
            .max_age
            .as_ref()
            .and_then(|text| time(&field.child("maxAge"), text, errors)),
    }
}

fn origins(spec: &[String]) -> Result<AllowedOrigins, FieldError> {
    if spec.is_empty() {
        return Err(FieldError::required(
            "at least one origin such as https://app.example.com, or * for all",
        ));
    }
    let read: Vec<_> = spec
        .iter()
        .filter(|text| *text != "*")
        .map(|text| {
            origin(text).ok_or_else(|| FieldError::invalid(text.as_str(), messages::ORIGIN))
        })
        .collect::<Result<_, _>>()?;
    Ok(if read.len() < spec.len() {
        AllowedOrigins::Any
    } else {
        AllowedOrigins::These(sorted(read.into_iter()))
    })
}

/// Normalises an origin as browsers do (RFC 6454 6.2): lower case, without the default port of the scheme.
fn origin(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let own_port = match scheme {
        "http" => "80",
        "https" => "443",
        _ => return None,
    };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    // A page may be served from an address too.
    let is_address = host.parse::<std::net::Ipv4Addr>().is_ok();
    if !is_address && Hostname::parse(host).ok()?.as_str() != host {
        return None;
    }
    match port {
        None => Some(text),
        Some(port) if port.parse::<u16>().ok()?.to_string() != port => None,
        Some(port) if port == own_port => Some(format!("{scheme}://{host}")),
        Some(_) => Some(text),
    }
}

/// Validates a method: a `token` of RFC 9110 9.1, in capitals as all registered ones are.
pub(super) fn method(text: &str) -> Result<String, FieldError> {
    let inner = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    let good = text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(inner);
    if good {
        Ok(text.to_owned())
    } else {
        Err(FieldError::invalid(text, messages::METHOD))
    }
}

/// Sorts and removes duplicates, so that equal meanings are equal bytes.
fn sorted(names: impl Iterator<Item = FieldName>) -> Vec<FieldName> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    names
}
