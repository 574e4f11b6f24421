//! Converts routes.

use super::endpoints::port;
use crate::grpc::generated as proto;
use crate::grpc::wire::{Problem, WireError, Within, each, into_all, present};
use crate::table::{
    Action, AllowedOrigins, Backend, BackendTls, Cors, FieldMatch, HeaderEdits, PathMatch,
    PathRewrite, Redirect, Respond, Retries, RetryOn, Route, RouteMatch, Timeouts,
    UpstreamProtocol, ValueMatch,
};
use std::time::Duration;

impl From<Route> for proto::Route {
    fn from(route: Route) -> Self {
        use proto::route::Action as Choice;
        let action = match route.action {
            Action::Forward { backends } => Choice::Forward(proto::Forward {
                backends: into_all(backends),
            }),
            Action::Redirect(redirect) => Choice::Redirect(redirect.into()),
            Action::Respond(respond) => Choice::Respond(respond.into()),
            Action::Unavailable { reason } => Choice::Unavailable(proto::Unavailable { reason }),
        };
        Self {
            matches: Some(route.matches.into()),
            action: Some(action),
            permit_insecure: route.permit_insecure,
            rewrite: route.rewrite.map(Into::into),
            timeouts: Some(route.timeouts.into()),
            retries: route.retries.map(Into::into),
            websockets: route.websockets,
            request_headers: Some(route.request_headers.into()),
            response_headers: Some(route.response_headers.into()),
            cors: route.cors.map(Into::into),
        }
    }
}

impl TryFrom<proto::Route> for Route {
    type Error = WireError;

    fn try_from(route: proto::Route) -> Result<Self, WireError> {
        use proto::route::Action as Choice;
        let action = match route.action {
            Some(Choice::Forward(forward)) => Action::Forward {
                backends: each("backends", forward.backends).within("forward")?,
            },
            Some(Choice::Redirect(redirect)) => {
                Action::Redirect(redirect.try_into().within("redirect")?)
            }
            Some(Choice::Respond(respond)) => {
                Action::Respond(respond.try_into().within("respond")?)
            }
            Some(Choice::Unavailable(unavailable)) => Action::Unavailable {
                reason: unavailable.reason,
            },
            None => return Err(WireError::new("action", Problem::Missing)),
        };
        Ok(Self {
            matches: present("matches", route.matches)?,
            action,
            permit_insecure: route.permit_insecure,
            rewrite: rewrite("rewrite", route.rewrite)?,
            timeouts: route.timeouts.unwrap_or_default().into(),
            retries: route
                .retries
                .map(|retries| retries.try_into().within("retries"))
                .transpose()?,
            websockets: route.websockets,
            request_headers: route.request_headers.unwrap_or_default().into(),
            response_headers: route.response_headers.unwrap_or_default().into(),
            cors: route.cors.map(Into::into),
        })
    }
}

impl From<RouteMatch> for proto::RouteMatch {
    fn from(matches: RouteMatch) -> Self {
        use proto::route_match::Path;
        Self {
            path: Some(match matches.path {
                PathMatch::Exact(path) => Path::Exact(path),
                PathMatch::Prefix(path) => Path::Prefix(path),
                PathMatch::Regex(path) => Path::Regex(path),
            }),
            method: matches.method,
            headers: into_all(matches.headers),
            query: into_all(matches.query),
        }
    }
}

impl TryFrom<proto::RouteMatch> for RouteMatch {
    type Error = WireError;

    fn try_from(matches: proto::RouteMatch) -> Result<Self, WireError> {
        use proto::route_match::Path;
        Ok(Self {
            path: match matches.path {
                Some(Path::Exact(path)) => PathMatch::Exact(path),
                Some(Path::Prefix(path)) => PathMatch::Prefix(path),
                Some(Path::Regex(path)) => PathMatch::Regex(path),
                None => return Err(WireError::new("path", Problem::Missing)),
            },
            method: matches.method,
            headers: each::<_, FieldMatch, _>("headers", matches.headers)?,
            query: each::<_, FieldMatch, _>("query", matches.query)?,
        })
    }
}

impl From<FieldMatch> for proto::FieldMatch {
    fn from(field: FieldMatch) -> Self {
        use proto::field_match::Value;
        Self {
            name: field.name,
            value: Some(match field.value {
                ValueMatch::Exact(value) => Value::Exact(value),
                ValueMatch::Regex(value) => Value::Regex(value),
                ValueMatch::Present => Value::Present(proto::Present {}),
            }),
        }
    }
}

impl TryFrom<proto::FieldMatch> for FieldMatch {
    type Error = WireError;

    fn try_from(field: proto::FieldMatch) -> Result<Self, WireError> {
        use proto::field_match::Value;
        Ok(Self {
            name: field.name,
            value: match field.value {
                Some(Value::Exact(value)) => ValueMatch::Exact(value),
                Some(Value::Regex(value)) => ValueMatch::Regex(value),
                Some(Value::Present(_)) => ValueMatch::Present,
                None => return Err(WireError::new("value", Problem::Missing)),
            },
        })
    }
}

impl From<Backend> for proto::Backend {
    fn from(backend: Backend) -> Self {
        let protocol = match backend.protocol {
            UpstreamProtocol::Http1 => proto::UpstreamProtocol::Http1,
            UpstreamProtocol::Http2 => proto::UpstreamProtocol::Http2,
        };
        Self {
            protocol: protocol.into(),
            endpoints: backend.endpoints,
            weight: backend.weight,
            tls: backend.tls.map(|tls| proto::BackendTls {
                server_name: tls.server_name,
                trust: tls.trust,
                subject_name: tls.subject_name,
            }),
        }
    }
}

impl TryFrom<proto::Backend> for Backend {
    type Error = WireError;

    fn try_from(backend: proto::Backend) -> Result<Self, WireError> {
        let protocol = match backend.protocol() {
            proto::UpstreamProtocol::Http1 => UpstreamProtocol::Http1,
            proto::UpstreamProtocol::Http2 => UpstreamProtocol::Http2,
            proto::UpstreamProtocol::Unspecified => {
                return Err(WireError::new("protocol", Problem::Unknown));
            }
        };
        Ok(Self {
            protocol,
            endpoints: backend.endpoints,
            weight: backend.weight,
            tls: backend.tls.map(|tls| BackendTls {
                server_name: tls.server_name,
                trust: tls.trust,
                subject_name: tls.subject_name,
            }),
        })
    }
}

impl From<Redirect> for proto::Redirect {
    fn from(redirect: Redirect) -> Self {
        Self {
            scheme: redirect.scheme,
            hostname: redirect.hostname,
            port: redirect.port.map(u32::from),
            path: redirect.path.map(Into::into),
            status: redirect.status.into(),
        }
    }
}

impl TryFrom<proto::Redirect> for Redirect {
    type Error = WireError;

    fn try_from(redirect: proto::Redirect) -> Result<Self, WireError> {
        Ok(Self {
            scheme: redirect.scheme,
            hostname: redirect.hostname,
            port: redirect
                .port
                .map(|number| port("port", number))
                .transpose()?,
            path: rewrite("path", redirect.path)?,
            status: status(redirect.status)?,
        })
    }
}

impl From<Respond> for proto::Respond {
    fn from(respond: Respond) -> Self {
        Self {
            status: respond.status.into(),
            body: respond.body,
            content_type: respond.content_type,
        }
    }
}

impl TryFrom<proto::Respond> for Respond {
    type Error = WireError;

    fn try_from(respond: proto::Respond) -> Result<Self, WireError> {
        Ok(Self {
            status: status(respond.status)?,
            body: respond.body,
            content_type: respond.content_type,
        })
    }
}

/// Checks a status (RFC 9110 15): three digits, the first of them from 1 to 5.
fn status(status: u32) -> Result<u16, WireError> {
    match u16::try_from(status) {
        Ok(status @ 100..=599) => Ok(status),
        _ => Err(WireError::new("status", Problem::Status)),
    }
}

impl From<PathRewrite> for proto::PathRewrite {
    fn from(rewrite: PathRewrite) -> Self {
        use proto::path_rewrite::Rewrite;
        Self {
            rewrite: Some(match rewrite {
                PathRewrite::Prefix(path) => Rewrite::Prefix(path),
                PathRewrite::Full(path) => Rewrite::Full(path),
            }),
        }
    }
}

fn rewrite(
    field: &str,
    rewrite: Option<proto::PathRewrite>,
) -> Result<Option<PathRewrite>, WireError> {
    use proto::path_rewrite::Rewrite;
    match rewrite.map(|message| message.rewrite) {
        None => Ok(None),
        Some(Some(Rewrite::Prefix(path))) => Ok(Some(PathRewrite::Prefix(path))),
        Some(Some(Rewrite::Full(path))) => Ok(Some(PathRewrite::Full(path))),
        Some(None) => Err(WireError::new("rewrite", Problem::Missing)).within(field),
    }
}

impl From<Timeouts> for proto::Timeouts {
    fn from(timeouts: Timeouts) -> Self {
        Self {
            connect_millis: timeouts.connect.map(millis),
            response_millis: timeouts.response.map(millis),
            request_millis: timeouts.request.map(millis),
            idle_millis: timeouts.idle.map(millis),
        }
    }
}

impl From<proto::Timeouts> for Timeouts {
    fn from(timeouts: proto::Timeouts) -> Self {
        Self {
            connect: timeouts.connect_millis.map(Duration::from_millis),
            response: timeouts.response_millis.map(Duration::from_millis),
            request: timeouts.request_millis.map(Duration::from_millis),
            idle: timeouts.idle_millis.map(Duration::from_millis),
        }
    }
}

/// Converts a duration. Durations are configured in milliseconds (GEP-2257), so nothing is lost.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<Retries> for proto::Retries {
    fn from(retries: Retries) -> Self {
        let retry_on = retries
            .retry_on
            .into_iter()
            .map(|condition| match condition {
                RetryOn::ConnectFailure => proto::RetryOn::ConnectFailure.into(),
                RetryOn::Reset => proto::RetryOn::Reset.into(),
                RetryOn::ServerError => proto::RetryOn::ServerError.into(),
            });
        Self {
            count: retries.count,
            per_try_timeout_millis: retries.per_try_timeout.map(millis),
            retry_on: retry_on.collect(),
        }
    }
}

impl TryFrom<proto::Retries> for Retries {
    type Error = WireError;

    fn try_from(retries: proto::Retries) -> Result<Self, WireError> {
        let retry_on = retries.retry_on().map(|condition| match condition {
            proto::RetryOn::ConnectFailure => Ok(RetryOn::ConnectFailure),
            proto::RetryOn::Reset => Ok(RetryOn::Reset),
            proto::RetryOn::ServerError => Ok(RetryOn::ServerError),
            proto::RetryOn::Unspecified => Err(WireError::new("retry_on", Problem::Unknown)),
        });
        Ok(Self {
            retry_on: retry_on.collect::<Result<_, _>>()?,
            count: retries.count,
            per_try_timeout: retries.per_try_timeout_millis.map(Duration::from_millis),
        })
    }
}

impl From<HeaderEdits> for proto::HeaderEdits {
    fn from(edits: HeaderEdits) -> Self {
        let fields = |fields: Vec<(String, String)>| {
            let fields = fields.into_iter();
            fields
                .map(|(name, value)| proto::Field { name, value })
                .collect()
        };
        Self {
            set: fields(edits.set),
            add: fields(edits.add),
            remove: edits.remove,
        }
    }
}

impl From<proto::HeaderEdits> for HeaderEdits {
    fn from(edits: proto::HeaderEdits) -> Self {
        let fields = |fields: Vec<proto::Field>| {
            let fields = fields.into_iter();
            fields.map(|field| (field.name, field.value)).collect()
        };
        Self {
            set: fields(edits.set),
            add: fields(edits.add),
            remove: edits.remove,
        }
    }
}

impl From<Cors> for proto::Cors {
    fn from(cors: Cors) -> Self {
        let (allow_any_origin, allow_origins) = match cors.allow_origins {
            AllowedOrigins::Any => (true, Vec::new()),
            AllowedOrigins::These(origins) => (false, origins),
        };
        Self {
            allow_any_origin,
            allow_origins,
            allow_methods: cors.allow_methods,
            allow_headers: cors.allow_headers,
            expose_headers: cors.expose_headers,
            allow_credentials: cors.allow_credentials,
            max_age_seconds: cors.max_age.map(|age| age.as_secs()),
        }
    }
}

impl From<proto::Cors> for Cors {
    fn from(cors: proto::Cors) -> Self {
        Self {
            allow_origins: if cors.allow_any_origin {
                AllowedOrigins::Any
            } else {
                AllowedOrigins::These(cors.allow_origins)
            },
            allow_methods: cors.allow_methods,
            allow_headers: cors.allow_headers,
            expose_headers: cors.expose_headers,
            allow_credentials: cors.allow_credentials,
            max_age: cors.max_age_seconds.map(Duration::from_secs),
        }
    }
}
