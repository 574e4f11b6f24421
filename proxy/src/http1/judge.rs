//! From the bytes of a head to what will be done: everything that borrows the head happens here,
//! between two waits, so that no waiting connection holds on to parsed fields.

use crate::host::Backend;
use crate::http1::exchange::Terms;
use crate::http1::flow::{Coding, Flow};
use crate::telemetry::access_log::Record;
use crate::tls::termination::Negotiated;
use crate::worker::Worker;
use portolan_proxy_core::answer;
use portolan_proxy_core::body::Framing;
use portolan_proxy_core::decide::{Decision, decide};
use portolan_proxy_core::edit::{self, Hop};
use portolan_proxy_core::field::slots;
use portolan_proxy_core::head::Client;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::request::{RequestHead, Version};
use portolan_proxy_core::retry::is_idempotent;
use portolan_proxy_core::route::Route;
use portolan_proxy_core::websocket;
use std::sync::Arc;

/// What will be done with a request.
pub(crate) enum Judged {
    /// Send it on.
    Forward(Forward),
    /// Answer it.
    Answer(Answer),
}

/// A request that is sent on.
pub(crate) struct Forward {
    /// Held until the request has ended, whatever the table says by then.
    pub(crate) route: Arc<Route<Backend>>,
    pub(crate) request: Flow,
    pub(crate) terms: Terms,
    /// The request has a body, so the connection is of no more use when it stays unread.
    pub(crate) has_body: bool,
    /// It may be processed twice (RFC 9110 9.2.2).
    pub(crate) idempotent: bool,
}

/// An answer of our own, and what becomes of the connection.
pub(crate) struct Answer {
    pub(crate) answer: answer::Answer,
    pub(crate) head_only: bool,
    pub(crate) http10: bool,
    /// The connection may go on.
    pub(crate) keep_client: bool,
}

impl Answer {
    /// The end of a connection: what follows on it cannot be trusted.
    pub(crate) fn last(reason: Reason) -> Self {
        Self {
            answer: reason.into(),
            head_only: false,
            http10: false,
            keep_client: false,
        }
    }
}

/// From whom the request comes.
#[derive(Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) client: Client<'a>,
    /// What the TLS handshake settled; absent in the clear.
    pub(crate) negotiated: Option<&'a Negotiated>,
}

/// Judges a whole head.
pub(crate) fn judge(worker: &Worker, bytes: &[u8], from: From<'_>, record: &mut Record) -> Judged {
    let mut room = slots();
    let head = match RequestHead::parse(bytes, &mut room) {
        Ok(head) => head,
        Err(reason) => return Judged::Answer(Answer::last(reason)),
    };
    remember(worker, record, &head);
    let keep_client = head.keeps_alive() && worker.is_serving();
    let answer = |answer| {
        Judged::Answer(Answer {
            answer,
            head_only: head.method == "HEAD",
            http10: head.version == Version::Http10,
            // A body that nobody reads would be taken for the next request.
            keep_client: keep_client && head.framing.is_empty(),
        })
    };
    let refuse = |reason: Reason| answer(reason.into());
    if worker.is_overloaded() {
        worker.cells.overload_refused.add(1);
        return Judged::Answer(Answer {
            head_only: head.method == "HEAD",
            http10: head.version == Version::Http10,
            ..Answer::last(Reason::Overloaded)
        });
    }
    if worker.via.is_looping(head.fields) {
        return refuse(Reason::LoopDetected);
    }
    let Some(authority) = &head.authority else {
        return refuse(Reason::UnknownHost);
    };
    let hosts = worker.hosts.borrow();
    let Some(host) = hosts.get(authority.host()) else {
        return refuse(Reason::UnknownHost);
    };
    if from.negotiated.is_some_and(|it| !host.may_share(it)) {
        return refuse(Reason::MisdirectedRequest);
    }
    let view = head.view(authority, from.client);
    match decide(&view, &host.policy) {
        Decision::Answer(said) => answer(said),
        Decision::Forward { route, response } => {
            let mut upstream_head = worker.buffers.room();
            let hop = Hop {
                request_id: &record.request_id,
                via: &worker.via,
            };
            edit::request(
                &mut upstream_head,
                &view,
                route.request(),
                hop,
                head.framing,
            );
            let coding = match head.framing {
                Framing::Chunked => Coding::Chunked,
                _ => Coding::Plain,
            };
            Judged::Forward(Forward {
                route: Arc::clone(route),
                request: Flow::new(upstream_head, head.framing, coding),
                terms: Terms {
                    head_only: head.method == "HEAD",
                    http10: head.version == Version::Http10,
                    keep_client,
                    expects_continue: head.expects_continue,
                    websocket: head.websocket.map(websocket::accept_for),
                    response,
                },
                has_body: !head.framing.is_empty(),
                idempotent: is_idempotent(head.method),
            })
        }
    }
}

fn remember(worker: &Worker, record: &mut Record, head: &RequestHead<'_, '_>) {
    if !worker.log.is_on() {
        return;
    }
    record.method.push_str(head.method);
    record.path.push_str(&head.target.path);
    if let Some(query) = head.target.query {
        record.path.push('?');
        record.path.push_str(query);
    }
    if let Some(authority) = &head.authority {
        record.host.push_str(authority.host());
    }
}
