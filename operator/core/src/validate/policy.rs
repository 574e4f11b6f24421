//! How requests are treated: what a route says, over what the object says for all of its routes, over what
//! the class says for all of its objects.

use super::field_error::FieldError;
use super::{ValidationError, ValidationErrors, duration, field};
use crate::names::Hostname;
use portolan_crds as crd;
use portolan_discovery::table::{
    AllowedOrigins, Cors, FieldName, HeaderEdits, Retries, RetryOn, Timeouts,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// How requests are treated; what nobody said is absent.
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
    /// What is right of what a class says for its objects, and what is wrong of it. A mistake takes the
    /// field away that it stands in, because no object falls with its class.
    pub(crate) fn of_class(spec: &crd::ExposeClassSpec) -> (Self, Vec<ValidationError>) {
        let mut problems = ValidationErrors::default();
        let said = spec.defaults.as_ref();
        let read = said.map(|it| Self::read("spec.defaults", it, &mut problems));
        (read.unwrap_or_default(), problems.0)
    }

    /// Reads what stands at a place, such as `spec.policy`. What counts as a whole is absent when any of it
    /// is wrong.
    pub(super) fn read(at: &str, said: &crd::Policy, problems: &mut ValidationErrors) -> Self {
        let headers = said.headers.as_ref();
        let mut edits = |which: &str, edits: Option<&crd::HeaderEdits>| {
            let at = format!("{at}.headers.{which}");
            flawless(edits, problems, |it, problems| {
                header_edits(&at, it, problems)
            })
        };
        Self {
            permit_insecure: said.permit_insecure,
            websockets: said.websockets,
            request_headers: edits("request", headers.and_then(|it| it.request.as_ref())),
            response_headers: edits("response", headers.and_then(|it| it.response.as_ref())),
            timeouts: said
                .timeouts
                .as_ref()
                .map(|it| timeouts(&format!("{at}.timeouts"), it, problems))
                .unwrap_or_default(),
            retries: flawless(said.retries.as_ref(), problems, |it, problems| {
                retries(&format!("{at}.retries"), it, problems)
            }),
            cors: flawless(said.cors.as_ref(), problems, |it, problems| {
                cors(&format!("{at}.cors"), it, problems)
            }),
        }
    }

    pub(super) fn permits_insecure(&self) -> bool {
        self.permit_insecure == Some(true)
    }

    pub(crate) fn forbid_insecure(&mut self) {
        self.permit_insecure = None;
    }

    /// What the one says, and where it is silent what the wider one says: a route over its object, and
    /// both over the class.
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

    /// Puts it into a row of the table.
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

/// What was read, when nothing of it is wrong.
fn flawless<S, T>(
    said: Option<&S>,
    problems: &mut ValidationErrors,
    read: impl FnOnce(&S, &mut ValidationErrors) -> T,
) -> Option<T> {
    let before = problems.0.len();
    let read = read(said?, problems);
    (problems.0.len() == before).then_some(read)
}

pub(super) fn time(at: &str, text: &str, problems: &mut ValidationErrors) -> Option<Duration> {
    let read = duration::parse(text).ok_or_else(|| FieldError::Duration(text.to_owned()));
    problems.at(at, read)
}

fn timeouts(at: &str, said: &crd::Timeouts, problems: &mut ValidationErrors) -> Timeouts {
    let mut read = |field: &str, text: &Option<String>| {
        text.as_ref()
            .and_then(|text| time(&format!("{at}.{field}"), text, problems))
    };
    Timeouts {
        connect: read("connect", &said.connect),
        response: read("response", &said.response),
        request: read("request", &said.request),
        idle: read("idle", &said.idle),
    }
}

fn retries(at: &str, said: &crd::Retries, problems: &mut ValidationErrors) -> Retries {
    let mut retry_on: Vec<_> = said
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
    let count = said.count.unwrap_or(1);
    let count = match u32::try_from(count) {
        Ok(count) if count <= RETRIES_MAX => Ok(count),
        _ => Err(FieldError::Retries(count)),
    };
    Retries {
        count: problems.at(&format!("{at}.count"), count).unwrap_or(1),
        per_try_timeout: said
            .per_try_timeout
            .as_ref()
            .and_then(|text| time(&format!("{at}.perTryTimeout"), text, problems)),
        retry_on,
    }
}

/// How often one request may be tried again.
pub(super) const RETRIES_MAX: u32 = 10;

fn header_edits(at: &str, said: &crd::HeaderEdits, problems: &mut ValidationErrors) -> HeaderEdits {
    let settable = match at.ends_with("request") {
        true => field::settable,
        false => field::name,
    };
    HeaderEdits {
        set: fields(&format!("{at}.set"), &said.set, settable, problems),
        add: fields(&format!("{at}.add"), &said.add, field::name, problems),
        remove: names(&format!("{at}.remove"), &said.remove, problems),
    }
}

fn fields(
    at: &str,
    said: &BTreeMap<String, String>,
    judge: fn(&str) -> Result<FieldName, FieldError>,
    problems: &mut ValidationErrors,
) -> Vec<(FieldName, String)> {
    problems.within(at, said.len(), crd::EDITS_MAX);
    let judged = said.iter().map(|(name, value)| {
        let name = judge(name)?;
        let value = field::value(&name, value)?;
        Ok((name, value))
    });
    let mut pairs: Vec<_> = judged.filter_map(|pair| problems.at(at, pair)).collect();
    pairs.sort();
    pairs
}

fn names(at: &str, said: &[String], problems: &mut ValidationErrors) -> Vec<FieldName> {
    problems.within(at, said.len(), crd::EDITS_MAX);
    sorted(
        said.iter()
            .filter_map(|name| problems.at(at, field::name(name))),
    )
}

fn cors(at: &str, said: &crd::Cors, problems: &mut ValidationErrors) -> Cors {
    let allow_credentials = said.allow_credentials.unwrap_or_default();
    Cors {
        allow_origins: {
            let at = format!("{at}.allowOrigins");
            problems.within(&at, said.allow_origins.len(), crd::ORIGINS_MAX);
            let origins = origins(&said.allow_origins);
            problems
                .at(&at, origins)
                .unwrap_or(AllowedOrigins::These(Vec::new()))
        },
        allow_methods: sorted(
            said.allow_methods
                .iter()
                .filter_map(|text| problems.at(&format!("{at}.allowMethods"), method(text))),
        ),
        allow_headers: names(&format!("{at}.allowHeaders"), &said.allow_headers, problems),
        expose_headers: names(
            &format!("{at}.exposeHeaders"),
            &said.expose_headers,
            problems,
        ),
        allow_credentials: {
            let all = said.allow_origins.iter().any(|origin| origin == "*");
            if all && allow_credentials {
                let told: Result<(), _> = Err(FieldError::CredentialsForAll);
                problems.at(&format!("{at}.allowCredentials"), told);
            }
            allow_credentials
        },
        max_age: said
            .max_age
            .as_ref()
            .and_then(|text| time(&format!("{at}.maxAge"), text, problems)),
    }
}

fn origins(said: &[String]) -> Result<AllowedOrigins, FieldError> {
    if said.is_empty() {
        return Err(FieldError::NoOrigin);
    }
    let read: Vec<_> = said
        .iter()
        .filter(|text| *text != "*")
        .map(|text| origin(text).ok_or_else(|| FieldError::Origin(text.clone())))
        .collect::<Result<_, _>>()?;
    Ok(if read.len() < said.len() {
        AllowedOrigins::Any
    } else {
        AllowedOrigins::These(sorted(read.into_iter()))
    })
}

/// As a browser writes it (RFC 6454 6.2): in lower case, without the port that the scheme has anyway.
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

/// `token` of RFC 9110 9.1, in capitals as all registered ones are.
pub(super) fn method(text: &str) -> Result<String, FieldError> {
    let inner = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    let good = text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.bytes().all(inner);
    if good {
        Ok(text.to_owned())
    } else {
        Err(FieldError::Method(text.to_owned()))
    }
}

/// Once each, in one order, so that equal meanings are equal bytes.
fn sorted(names: impl Iterator<Item = FieldName>) -> Vec<FieldName> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    names
}
