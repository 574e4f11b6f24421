//! Routes, compiled once and shared by all workers: matches ([`condition`], [`index`]) and actions
//! ([`redirect`], [`rewrite`], [`edits`], [`cors`]). Everything is checked in [`compile`], so nothing
//! can fail while a request is handled.

pub(crate) mod compile;
mod condition;
pub(crate) mod cors;
mod edits;
mod index;
pub(crate) mod redirect;
mod rewrite;
mod rules;

pub use compile::RouteError;
pub(crate) use condition::Conditions;
pub(crate) use index::RouteIndex;
pub use rules::{RequestRules, ResponsePolicy};

use crate::endpoint::Backends;
use crate::reason::Reason;
use crate::retry::RetryPolicy;
use cors::Cors;
use portolan_discovery::table;
use redirect::Redirect;
use rules::ResponseRules;
use std::sync::Arc;

/// Action and policies for the requests that match a route. A request holds its route until it ends,
/// even if the table changes. The caller chooses the type of a backend.
#[derive(Debug)]
pub struct Route<B> {
    pub(crate) action: Action<B>,
    pub(crate) permit_insecure: bool,
    pub(crate) websockets: bool,
    request: RequestRules,
    pub(crate) response: Option<Arc<ResponseRules>>,
    timeouts: table::Timeouts,
    retries: Option<RetryPolicy>,
}

#[derive(Debug)]
pub(crate) enum Action<B> {
    /// Sends the request to an endpoint.
    Forward(Backends<B>),
    /// Redirects the client.
    Redirect(Redirect),
    /// Sends the configured response.
    Respond(Respond),
    /// Sends a local response with a reason of the proxy.
    Reject(Reason),
    /// Sends 503 with the operator's reason.
    Unavailable(Box<str>),
}

/// Configured response of a route.
#[derive(Debug)]
pub(crate) struct Respond {
    pub(crate) status: u16,
    pub(crate) content: Arc<Content>,
}

/// Body with its content type.
#[derive(Debug)]
pub struct Content {
    /// Value of `Content-Type`.
    pub media_type: Box<str>,
    /// The body.
    pub body: Box<str>,
}

impl<B> Route<B> {
    /// Returns the timeouts that the route sets.
    pub fn timeouts(&self) -> &table::Timeouts {
        &self.timeouts
    }

    /// Returns the retry policy.
    pub fn retries(&self) -> Option<&RetryPolicy> {
        self.retries.as_ref()
    }

    /// Returns the changes to requests.
    pub fn request(&self) -> &RequestRules {
        &self.request
    }

    /// Chooses the backend of the worker's next request on this route; `None` if none has a weight.
    pub fn choose_backend(&self, worker: usize) -> Option<usize> {
        self.backends()?.choose(worker)
    }

    /// Returns a chosen backend.
    pub fn backend(&self, chosen: usize) -> Option<&B> {
        self.backends()?.get(chosen)
    }

    fn backends(&self) -> Option<&Backends<B>> {
        match &self.action {
            Action::Forward(backends) => Some(backends),
            Action::Redirect(_)
            | Action::Respond(_)
            | Action::Reject(_)
            | Action::Unavailable(_) => None,
        }
    }

    pub(crate) fn cors(&self) -> Option<&Cors> {
        self.response.as_ref()?.cors.as_ref()
    }
}
