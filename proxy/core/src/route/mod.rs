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
mod rules;

pub use compile::Fault;
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

/// What is done with the requests that a row takes. A request holds the route it was given until
/// it ends, whatever the table says by then. What a backend is, the caller says.
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

impl<B> Route<B> {
    /// How long the steps of a request may take, where the route says so.
    pub fn timeouts(&self) -> &table::Timeouts {
        &self.timeouts
    }

    /// When a request may be sent more than once.
    pub fn retries(&self) -> Option<&RetryPolicy> {
        self.retries.as_ref()
    }

    /// How requests change on their way to an endpoint.
    pub fn request(&self) -> &RequestRules {
        &self.request
    }

    /// Which backend the worker's next request on this route goes to; `None` when none takes any.
    pub fn choose_backend(&self, worker: usize) -> Option<usize> {
        self.backends()?.choose(worker)
    }

    /// One that was chosen.
    pub fn backend(&self, chosen: usize) -> Option<&B> {
        self.backends()?.get(chosen)
    }

    fn backends(&self) -> Option<&Backends<B>> {
        match &self.action {
            Action::Forward(backends) => Some(backends),
            Action::Redirect(_)
            | Action::Respond(_)
            | Action::Refuse(_)
            | Action::Unavailable(_) => None,
        }
    }

    pub(crate) fn cors(&self) -> Option<&Cors> {
        self.response.as_ref()?.cors.as_ref()
    }
}
