//! A row of a virtual host, compiled once and shared by all workers: which requests it takes
//! ([`condition`], [`index`]), and what is done with them ([`redirect`], [`rewrite`], [`edits`],
//! [`cors`]). Everything is judged in [`compile`], so nothing can fail with a request at hand.

pub(crate) mod compile;
mod condition;
pub(crate) mod cors;
mod edits;
mod index;
pub(crate) mod redirect;
mod rewrite;

pub use compile::Fault;
pub(crate) use condition::Conditions;
pub(crate) use index::RouteIndex;

use crate::edit::FieldSink;
use crate::endpoint::{Backends, EndpointSet};
use crate::head::Head;
use crate::reason::Reason;
use crate::retry::RetryPolicy;
use cors::Cors;
use edits::{Edits, RequestEdits};
use portolan_discovery::table;
use redirect::Redirect;
use rewrite::{PathParts, Rewrite};
use std::sync::Arc;

/// What is done with the requests that a row takes. A request holds the route it was given until
/// it ends, whatever the table says by then.
#[derive(Debug)]
pub struct Route {
    pub(crate) action: Action,
    pub(crate) permit_insecure: bool,
    pub(crate) websockets: bool,
    rewrite: Option<Rewrite>,
    request: RequestEdits,
    response: Edits,
    pub(crate) cors: Option<Cors>,
    timeouts: table::Timeouts,
    retries: Option<RetryPolicy>,
}

#[derive(Debug)]
pub(crate) enum Action {
    /// Sends the request to an endpoint.
    Forward(Backends),
    /// Sends the client elsewhere.
    Redirect(Redirect),
    /// Answers with what the route says.
    Respond(Respond),
    /// Answers with a reason of ours.
    Refuse(Reason),
    /// Answers 503 with the operator's reason.
    Unavailable(Box<str>),
}

/// What a route answers.
#[derive(Debug)]
pub(crate) struct Respond {
    pub(crate) status: u16,
    pub(crate) content: Arc<Content>,
}

/// A body, and what it is.
#[derive(Debug)]
pub struct Content {
    /// The value of `Content-Type`.
    pub media_type: Box<str>,
    /// The body.
    pub body: Box<str>,
}

impl Route {
    /// How long the steps of a request may take, where the route says so.
    pub fn timeouts(&self) -> &table::Timeouts {
        &self.timeouts
    }

    /// When a request may be sent more than once.
    pub fn retries(&self) -> Option<&RetryPolicy> {
        self.retries.as_ref()
    }

    /// The backend that the worker's next request on this route goes to; `None` when none takes any.
    pub fn next_backend(&self, worker: usize) -> Option<&Arc<EndpointSet>> {
        match &self.action {
            Action::Forward(backends) => backends.next(worker),
            Action::Redirect(_)
            | Action::Respond(_)
            | Action::Refuse(_)
            | Action::Unavailable(_) => None,
        }
    }

    /// The path that the endpoint is asked for.
    pub(crate) fn upstream_path<'a>(&'a self, path: &'a str) -> PathParts<'a> {
        match &self.rewrite {
            Some(rewrite) => rewrite.apply(path),
            None => path.into(),
        }
    }

    /// Whether the endpoint must be told what the path was before.
    pub(crate) fn rewrites(&self) -> bool {
        self.rewrite.is_some()
    }

    /// The host that the endpoint is asked for, when the route says which.
    pub(crate) fn upstream_host(&self) -> Option<&str> {
        self.request.host.as_deref()
    }

    /// Whether a field of the client's is not passed on.
    pub(crate) fn drops_request_field(&self, name: &str) -> bool {
        self.request.fields.drops(name)
    }

    /// What the route adds to a request.
    pub(crate) fn put_request_fields(&self, out: &mut impl FieldSink) {
        self.request.fields.put(out);
    }
}

/// What is done to every response to one request, whoever gives it: an endpoint, a route, or the
/// proxy for want of either. Empty for most routes, and then costs nothing.
#[derive(Clone, Debug, Default)]
pub struct ResponsePolicy {
    /// One that has something to say about responses.
    route: Option<Arc<Route>>,
    /// The origin that may read the response.
    origin: Option<Box<str>>,
    /// `Strict-Transport-Security`, for a client that came over TLS.
    hsts: Option<Arc<str>>,
}

impl ResponsePolicy {
    pub(crate) fn new(
        head: &Head<'_>,
        route: Option<&Arc<Route>>,
        hsts: Option<&Arc<str>>,
    ) -> Self {
        let speaks = |it: &&Arc<Route>| it.cors.is_some() || !it.response.is_empty();
        let route = route.filter(speaks);
        let cors = route.and_then(|it| it.cors.as_ref());
        Self {
            origin: cors.and_then(|it| it.named(head)),
            route: route.cloned(),
            // RFC 6797 7.2: never on a connection that somebody may have changed.
            hsts: hsts.filter(|_| head.client.secure).cloned(),
        }
    }

    /// The origin that may read the response, when it is named in it.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Whether the route wants no such field.
    pub(crate) fn removes(&self, name: &str) -> bool {
        let route = self.route.as_ref();
        route.is_some_and(|route| route.response.drops(name))
    }

    /// Whether such a field of an endpoint's response is not passed on.
    pub(crate) fn drops(&self, name: &str) -> bool {
        let cors = self.route.as_ref().and_then(|route| route.cors.as_ref());
        self.removes(name)
            || cors.is_some_and(|cors| cors.drops(name))
            || self.hsts.is_some() && name.eq_ignore_ascii_case(HSTS)
    }

    /// What is added to the response.
    pub(crate) fn put(&self, out: &mut impl FieldSink) {
        let route = self.route.as_deref();
        // What the route says of it counts, be it more or less.
        let hsts = self.hsts.as_deref();
        let hsts = hsts.filter(|_| !route.is_some_and(|it| it.response.drops(HSTS)));
        if let Some(hsts) = hsts {
            out.field("Strict-Transport-Security", &[hsts.as_bytes()]);
        }
        if let Some(route) = route {
            if let Some(cors) = &route.cors {
                cors.put(self.origin(), out);
            }
            route.response.put(out);
        }
    }
}

const HSTS: &str = "strict-transport-security";
