//! Compiles routes of the table.

use crate::authority::AuthorityError;
use crate::decide::CompileContext;
use crate::endpoint::Backends;
use crate::reason::Reason;
use crate::retry::RetryPolicy;
use crate::route::redirect::Redirect;
use crate::route::rules::{RequestRules, ResponseRules};
use crate::route::{Action, Content, Respond, Route};
use portolan_discovery::field::{self, FieldError};
use portolan_discovery::path::PathError;
use portolan_discovery::pattern::PatternError;
use portolan_discovery::table;
use std::sync::Arc;
use thiserror::Error;

/// Reason why a route cannot be compiled. The operator rejects each of these, so that one bad route
/// takes down no host; the proxy checks again because it trusts no input.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RouteError {
    /// A path is invalid.
    #[error("path: {0}")]
    Path(#[from] PathError),
    /// A prefix is to be replaced, but the path is matched by a regular expression.
    #[error("rewrite: a regular expression has no prefix to replace")]
    PrefixOfExpression,
    /// A regular expression is invalid.
    #[error("regex: {0}")]
    Pattern(#[from] PatternError),
    /// A header field is invalid, by name.
    #[error("header field {0:?}: {1}")]
    Field(String, FieldError),
    /// A method is invalid.
    #[error("method {0:?}: not a token")]
    Method(String),
    /// A hostname of a redirect or for the endpoint is invalid.
    #[error("hostname: {0}")]
    Hostname(AuthorityError),
    /// A hostname is not in canonical form.
    #[error("hostname: not in lower case, or with a port")]
    HostnameForm,
    /// The scheme of a redirect is invalid.
    #[error("redirect.scheme: neither http nor https")]
    Scheme,
    /// The status of a redirect or response is invalid.
    #[error("status: not allowed for this action")]
    Status,
    /// Not an origin as browsers send it.
    #[error("cors: {0:?} is not an origin")]
    Origin(String),
    /// The referenced endpoints do not exist.
    #[error("endpoints {0:?} not found")]
    Endpoints(String),
}

/// Resolves a backend of the table; `None` if its endpoints are missing.
pub(crate) type ResolveBackend<'a, B> = &'a dyn Fn(&table::Backend) -> Option<B>;

impl<B> Route<B> {
    pub(crate) fn compile(
        route: &table::Route,
        resolve: ResolveBackend<'_, B>,
        context: CompileContext,
    ) -> Result<Self, RouteError> {
        let path = &route.matches.path;
        Ok(Self {
            action: Action::compile(&route.action, path, resolve, context)?,
            permit_insecure: route.permit_insecure,
            websockets: route.websockets,
            request: RequestRules::compile(route)?,
            response: ResponseRules::compile(route)?,
            timeouts: route.timeouts,
            retries: route.retries.as_ref().map(RetryPolicy::from),
        })
    }
}

impl<B> Action<B> {
    fn compile(
        action: &table::Action,
        path: &table::PathMatch,
        resolve: ResolveBackend<'_, B>,
        context: CompileContext,
    ) -> Result<Self, RouteError> {
        Ok(match action {
            table::Action::Forward { backends } => {
                let find = |backend: &table::Backend| {
                    let found = resolve(backend);
                    let missing = || RouteError::Endpoints(backend.endpoints.clone());
                    Ok((backend.weight, found.ok_or_else(missing)?))
                };
                let found: Vec<_> = backends
                    .iter()
                    .map(find)
                    .collect::<Result<_, RouteError>>()?;
                if found.iter().all(|(weight, _)| *weight == 0) {
                    return Ok(Self::Reject(Reason::AllWeightsZero));
                }
                Self::Forward(Backends::new(found, context.workers, context.seed))
            }
            table::Action::Redirect(redirect) => Self::Redirect(Redirect::compile(redirect, path)?),
            table::Action::Respond(respond) => Self::Respond(Respond::compile(respond)?),
            table::Action::Unavailable { reason } => {
                let invalid = |source| RouteError::Field("x-portolan-reason".into(), source);
                field::value(reason).map_err(invalid)?;
                Self::Unavailable(reason.as_str().into())
            }
        })
    }
}

impl Respond {
    fn compile(respond: &table::Respond) -> Result<Self, RouteError> {
        if !(200..600).contains(&respond.status) {
            return Err(RouteError::Status);
        }
        let invalid = |source| RouteError::Field("content-type".into(), source);
        field::value(&respond.content_type).map_err(invalid)?;
        Ok(Self {
            status: respond.status,
            content: Arc::new(Content {
                media_type: respond.content_type.as_str().into(),
                body: respond.body.as_str().into(),
            }),
        })
    }
}
