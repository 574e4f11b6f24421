//! From the table's route to the compiled one.

use crate::authority::AuthorityError;
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

/// What a route cannot be compiled for. The operator refuses each of these before, so that one
/// bad route takes down no host; here it is judged again because a proxy believes nobody.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// One of its paths.
    #[error("path: {0}")]
    Path(#[from] PathError),
    /// A prefix is to be replaced, and the path is matched by a regular expression.
    #[error("rewrite: a regular expression has no prefix that could be replaced")]
    PrefixOfExpression,
    /// A regular expression.
    #[error("regex: {0}")]
    Pattern(#[from] PatternError),
    /// A header field, by name.
    #[error("header field {0:?}: {1}")]
    Field(String, FieldError),
    /// A method.
    #[error("method {0:?}: not a token")]
    Method(String),
    /// A hostname, in a redirect or for the endpoint.
    #[error("hostname: {0}")]
    Hostname(AuthorityError),
    /// A hostname that is not in its one form.
    #[error("hostname: not in lower case, or with a port")]
    HostnameForm,
    /// A redirect's scheme.
    #[error("redirect.scheme: neither http nor https")]
    Scheme,
    /// A redirect's or an answer's status.
    #[error("status: not one of this action")]
    Status,
    /// An origin that no browser sends.
    #[error("cors: {0:?} is no origin")]
    Origin(String),
    /// It names endpoints that are not there.
    #[error("the endpoints {0} are absent")]
    Endpoints(String),
}

/// Finds backends and says where turns begin.
pub(crate) struct Surroundings<'a, B> {
    pub(crate) backend: &'a dyn Fn(&table::Backend) -> Option<B>,
    pub(crate) workers: usize,
    pub(crate) seed: u32,
}

impl<B> Route<B> {
    pub(crate) fn compile(
        route: &table::Route,
        surroundings: &Surroundings<'_, B>,
    ) -> Result<Self, Fault> {
        let path = &route.matches.path;
        Ok(Self {
            action: Action::compile(&route.action, path, surroundings)?,
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
        surroundings: &Surroundings<'_, B>,
    ) -> Result<Self, Fault> {
        Ok(match action {
            table::Action::Forward { backends } => {
                let find = |backend: &table::Backend| {
                    let found = (surroundings.backend)(backend);
                    let absent = || Fault::Endpoints(backend.endpoints.clone());
                    Ok((backend.weight, found.ok_or_else(absent)?))
                };
                let found: Vec<_> = backends.iter().map(find).collect::<Result<_, Fault>>()?;
                if found.iter().all(|(weight, _)| *weight == 0) {
                    return Ok(Self::Refuse(Reason::AllWeightsZero));
                }
                let Surroundings { workers, seed, .. } = *surroundings;
                Self::Forward(Backends::new(found, workers, seed))
            }
            table::Action::Redirect(redirect) => Self::Redirect(Redirect::compile(redirect, path)?),
            table::Action::Respond(respond) => Self::Respond(Respond::compile(respond)?),
            table::Action::Unavailable { reason } => {
                let named = |source| Fault::Field("x-portolan-reason".into(), source);
                field::value(reason).map_err(named)?;
                Self::Unavailable(reason.as_str().into())
            }
        })
    }
}

impl Respond {
    fn compile(respond: &table::Respond) -> Result<Self, Fault> {
        if !(200..600).contains(&respond.status) {
            return Err(Fault::Status);
        }
        let named = |source| Fault::Field("content-type".into(), source);
        field::value(&respond.content_type).map_err(named)?;
        Ok(Self {
            status: respond.status,
            content: Arc::new(Content {
                media_type: respond.content_type.as_str().into(),
                body: respond.body.as_str().into(),
            }),
        })
    }
}
