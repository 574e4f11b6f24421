//! Routes.

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
            Action::Redirect(it) => Choice::Redirect(it.into()),
            Action::Respond(it) => Choice::Respond(it.into()),
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
            Some(Choice::Forward(it)) => Action::Forward {
                backends: each("backends", it.backends).within("forward")?,
            },
            Some(Choice::Redirect(it)) => Action::Redirect(it.try_into().within("redirect")?),
            Some(Choice::Respond(it)) => Action::Respond(it.try_into().within("respond")?),
            Some(Choice::Unavailable(it)) => Action::Unavailable { reason: it.reason },
            None => return Err(WireError::new("action", Problem::Absent)),
        };
        Ok(Self {
            matches: present("matches", route.matches)?,
            action,
            permit_insecure: route.permit_insecure,
            rewrite: rewrite("rewrite", route.rewrite)?,
            timeouts: route.timeouts.unwrap_or_default().into(),
            retries: route
                .retries
                .map(|it| it.try_into().within("retries"))
                .transpose()?,
            websockets: route.websockets,
            request_headers: route.request_headers.unwrap_or_default().into(),
            response_headers: route.response_headers.unwrap_or_default().into(),
            cors: route.cors.map(Into::into),
        })
    }
}

impl From<RouteMatch> for proto::RouteMatch {
    fn from(it: RouteMatch) -> Self {
        use proto::route_match::Path;
        Self {
            path: Some(match it.path {
                PathMatch::Exact(path) => Path::Exact(path),
                PathMatch::Prefix(path) => Path::Prefix(path),
                PathMatch::Regex(path) => Path::Regex(path),
            }),
            method: it.method,
            headers: into_all(it.headers),
            query: into_all(it.query),
        }
    }
}

impl TryFrom<proto::RouteMatch> for RouteMatch {
    type Error = WireError;

    fn try_from(it: proto::RouteMatch) -> Result<Self, WireError> {
        use proto::route_match::Path;
        Ok(Self {
            path: match it.path {
                Some(Path::Exact(path)) => PathMatch::Exact(path),
                Some(Path::Prefix(path)) => PathMatch::Prefix(path),
                Some(Path::Regex(path)) => PathMatch::Regex(path),
                None => return Err(WireError::new("path", Problem::Absent)),
            },
            method: it.method,
            headers: each::<_, FieldMatch, _>("headers", it.headers)?,
            query: each::<_, FieldMatch, _>("query", it.query)?,
        })
    }
}

impl From<FieldMatch> for proto::FieldMatch {
    fn from(it: FieldMatch) -> Self {
        use proto::field_match::Value;
        Self {
            name: it.name,
            value: Some(match it.value {
                ValueMatch::Exact(value) => Value::Exact(value),
                ValueMatch::Regex(value) => Value::Regex(value),
                ValueMatch::Present => Value::Present(proto::Present {}),
            }),
        }
    }
}

impl TryFrom<proto::FieldMatch> for FieldMatch {
    type Error = WireError;

    fn try_from(it: proto::FieldMatch) -> Result<Self, WireError> {
        use proto::field_match::Value;
        Ok(Self {
            name: it.name,
            value: match it.value {
                Some(Value::Exact(value)) => ValueMatch::Exact(value),
                Some(Value::Regex(value)) => ValueMatch::Regex(value),
                Some(Value::Present(_)) => ValueMatch::Present,
                None => return Err(WireError::new("value", Problem::Absent)),
            },
        })
    }
}

impl From<Backend> for proto::Backend {
    fn from(it: Backend) -> Self {
        let protocol = match it.protocol {
            UpstreamProtocol::Http1 => proto::UpstreamProtocol::Http1,
            UpstreamProtocol::Http2 => proto::UpstreamProtocol::Http2,
        };
        Self {
            protocol: protocol.into(),
            endpoints: it.endpoints,
            weight: it.weight,
            tls: it.tls.map(|tls| proto::BackendTls {
                server_name: tls.server_name,
                trust: tls.trust,
                subject_name: tls.subject_name,
            }),
        }
    }
}

impl TryFrom<proto::Backend> for Backend {
    type Error = WireError;

    fn try_from(it: proto::Backend) -> Result<Self, WireError> {
        let protocol = match it.protocol() {
            proto::UpstreamProtocol::Http1 => UpstreamProtocol::Http1,
            proto::UpstreamProtocol::Http2 => UpstreamProtocol::Http2,
            proto::UpstreamProtocol::Unspecified => {
                return Err(WireError::new("protocol", Problem::Unknown));
            }
        };
        Ok(Self {
            protocol,
            endpoints: it.endpoints,
            weight: it.weight,
            tls: it.tls.map(|tls| BackendTls {
                server_name: tls.server_name,
                trust: tls.trust,
                subject_name: tls.subject_name,
            }),
        })
    }
}

impl From<Redirect> for proto::Redirect {
    fn from(it: Redirect) -> Self {
        Self {
            scheme: it.scheme,
            hostname: it.hostname,
            port: it.port.map(u32::from),
            path: it.path.map(Into::into),
            status: it.status.into(),
        }
    }
}

impl TryFrom<proto::Redirect> for Redirect {
    type Error = WireError;

    fn try_from(it: proto::Redirect) -> Result<Self, WireError> {
        Ok(Self {
            scheme: it.scheme,
            hostname: it.hostname,
            port: it.port.map(|it| port("port", it)).transpose()?,
            path: rewrite("path", it.path)?,
            status: status(it.status)?,
        })
    }
}

impl From<Respond> for proto::Respond {
    fn from(it: Respond) -> Self {
        Self {
            status: it.status.into(),
            body: it.body,
            content_type: it.content_type,
        }
    }
}

impl TryFrom<proto::Respond> for Respond {
    type Error = WireError;

    fn try_from(it: proto::Respond) -> Result<Self, WireError> {
        Ok(Self {
            status: status(it.status)?,
            body: it.body,
            content_type: it.content_type,
        })
    }
}

/// RFC 9110 15: three digits, the first of them from 1 to 5.
fn status(status: u32) -> Result<u16, WireError> {
    match u16::try_from(status) {
        Ok(status @ 100..=599) => Ok(status),
        _ => Err(WireError::new("status", Problem::Status)),
    }
}

impl From<PathRewrite> for proto::PathRewrite {
    fn from(it: PathRewrite) -> Self {
        use proto::path_rewrite::Rewrite;
        Self {
            rewrite: Some(match it {
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
    match rewrite.map(|it| it.rewrite) {
        None => Ok(None),
        Some(Some(Rewrite::Prefix(path))) => Ok(Some(PathRewrite::Prefix(path))),
        Some(Some(Rewrite::Full(path))) => Ok(Some(PathRewrite::Full(path))),
        Some(None) => Err(WireError::new("rewrite", Problem::Absent)).within(field),
    }
}

impl From<Timeouts> for proto::Timeouts {
    fn from(it: Timeouts) -> Self {
        Self {
            connect_millis: it.connect.map(millis),
            response_millis: it.response.map(millis),
            request_millis: it.request.map(millis),
            idle_millis: it.idle.map(millis),
        }
    }
}

impl From<proto::Timeouts> for Timeouts {
    fn from(it: proto::Timeouts) -> Self {
        Self {
            connect: it.connect_millis.map(Duration::from_millis),
            response: it.response_millis.map(Duration::from_millis),
            request: it.request_millis.map(Duration::from_millis),
            idle: it.idle_millis.map(Duration::from_millis),
        }
    }
}

/// Durations are written in milliseconds (GEP-2257), so nothing is lost.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<Retries> for proto::Retries {
    fn from(it: Retries) -> Self {
        let retry_on = it.retry_on.into_iter().map(|it| match it {
            RetryOn::ConnectFailure => proto::RetryOn::ConnectFailure.into(),
            RetryOn::Reset => proto::RetryOn::Reset.into(),
            RetryOn::ServerError => proto::RetryOn::ServerError.into(),
        });
        Self {
            count: it.count,
            per_try_timeout_millis: it.per_try_timeout.map(millis),
            retry_on: retry_on.collect(),
        }
    }
}

impl TryFrom<proto::Retries> for Retries {
    type Error = WireError;

    fn try_from(it: proto::Retries) -> Result<Self, WireError> {
        let retry_on = it.retry_on().map(|it| match it {
            proto::RetryOn::ConnectFailure => Ok(RetryOn::ConnectFailure),
            proto::RetryOn::Reset => Ok(RetryOn::Reset),
            proto::RetryOn::ServerError => Ok(RetryOn::ServerError),
            proto::RetryOn::Unspecified => Err(WireError::new("retry_on", Problem::Unknown)),
        });
        Ok(Self {
            retry_on: retry_on.collect::<Result<_, _>>()?,
            count: it.count,
            per_try_timeout: it.per_try_timeout_millis.map(Duration::from_millis),
        })
    }
}

impl From<HeaderEdits> for proto::HeaderEdits {
    fn from(it: HeaderEdits) -> Self {
        let fields = |fields: Vec<(String, String)>| {
            let fields = fields.into_iter();
            fields
                .map(|(name, value)| proto::Field { name, value })
                .collect()
        };
        Self {
            set: fields(it.set),
            add: fields(it.add),
            remove: it.remove,
        }
    }
}

impl From<proto::HeaderEdits> for HeaderEdits {
    fn from(it: proto::HeaderEdits) -> Self {
        let fields = |fields: Vec<proto::Field>| {
            let fields = fields.into_iter();
            fields.map(|field| (field.name, field.value)).collect()
        };
        Self {
            set: fields(it.set),
            add: fields(it.add),
            remove: it.remove,
        }
    }
}

impl From<Cors> for proto::Cors {
    fn from(it: Cors) -> Self {
        let (allow_any_origin, allow_origins) = match it.allow_origins {
            AllowedOrigins::Any => (true, Vec::new()),
            AllowedOrigins::These(origins) => (false, origins),
        };
        Self {
            allow_any_origin,
            allow_origins,
            allow_methods: it.allow_methods,
            allow_headers: it.allow_headers,
            expose_headers: it.expose_headers,
            allow_credentials: it.allow_credentials,
            max_age_seconds: it.max_age.map(|age| age.as_secs()),
        }
    }
}

impl From<proto::Cors> for Cors {
    fn from(it: proto::Cors) -> Self {
        Self {
            allow_origins: match it.allow_any_origin {
                true => AllowedOrigins::Any,
                false => AllowedOrigins::These(it.allow_origins),
            },
            allow_methods: it.allow_methods,
            allow_headers: it.allow_headers,
            expose_headers: it.expose_headers,
            allow_credentials: it.allow_credentials,
            max_age: it.max_age_seconds.map(Duration::from_secs),
        }
    }
}
