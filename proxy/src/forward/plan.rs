//! Routes a parsed request: returns a local response or a plan for an upstream. All that borrows the head is here,
//! between two waits, so that no waiting connection holds on to parsed fields.

use crate::exchange::RequestContext;
use crate::host::Backend;
use crate::host::Negotiated;
use crate::http1::wire::{Coding, Written};
use crate::http2::sent::Sent;
use crate::telemetry::access_log::Record;
use crate::worker::Worker;
use portolan_discovery::table::UpstreamProtocol;
use portolan_proxy_core::body::Framing;
use portolan_proxy_core::decide::{Decision, decide};
use portolan_proxy_core::grpc::Call;
use portolan_proxy_core::head::{Client, Head};
use portolan_proxy_core::headers::{self, Hop};
use portolan_proxy_core::local_response;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::request::{RequestHead, Version};
use portolan_proxy_core::retry::is_idempotent;
use portolan_proxy_core::route::{ResponsePolicy, Route};
use portolan_proxy_core::websocket::{self, Handshake};
use std::sync::Arc;

/// Plan for a request.
pub(crate) enum RequestPlan {
    /// Send it on.
    Forward(ForwardPlan),
    /// Respond locally.
    Local(LocalResponse),
}

/// A request that is sent on.
pub(crate) struct ForwardPlan {
    /// Held until the request has ended, whatever the table says by then.
    pub(crate) route: Arc<Route<Backend>>,
    /// Which of the route's backends it goes to.
    pub(crate) backend: usize,
    /// Message for its endpoint.
    pub(crate) message: Message,
    pub(crate) request: Request,
}

/// The message for an endpoint, in the protocol that its backend speaks.
pub(crate) enum Message {
    Http1(Written),
    Http2(Box<Sent>),
}

/// Properties of a request that all attempts need.
pub(crate) struct Request {
    pub(crate) context: RequestContext,
    /// How its body is framed by the client.
    pub(crate) framing: Framing,
    /// It may be processed twice (RFC 9110 9.2.2).
    pub(crate) idempotent: bool,
    /// It is a gRPC call.
    pub(crate) call: Option<Call>,
}

/// A local response, and how the connection continues.
pub(crate) struct LocalResponse {
    pub(crate) response: local_response::LocalResponse,
    pub(crate) head_only: bool,
    pub(crate) http10: bool,
    /// The client gets it as a gRPC status.
    pub(crate) grpc: bool,
    /// The connection may go on.
    pub(crate) keep_client: bool,
}

impl LocalResponse {
    /// The end of a connection: what follows on it cannot be trusted.
    pub(crate) fn last(reason: Reason) -> Self {
        Self {
            response: reason.into(),
            head_only: false,
            http10: false,
            grpc: false,
            keep_client: false,
        }
    }
}

/// From whom the request comes.
#[derive(Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) client: Client<'a>,
    /// Result of the TLS handshake; absent without TLS.
    pub(crate) negotiated: Option<&'a Negotiated>,
}

/// Plans a request from its whole head.
pub(crate) fn plan_request(
    worker: &Worker,
    head: &RequestHead<'_, '_>,
    from: From<'_>,
    record: &mut Record,
) -> RequestPlan {
    remember(worker, record, head);
    let keep_client = head.keeps_alive() && worker.is_serving();
    let http2 = head.version == Version::Http2;
    let respond = |response, grpc| {
        RequestPlan::Local(LocalResponse {
            response,
            head_only: head.method == "HEAD",
            http10: head.version == Version::Http10,
            grpc,
            // On HTTP/1 an unread body would be taken for the next request.
            keep_client: keep_client && (http2 || head.framing.is_empty()),
        })
    };
    let refuse = |reason: Reason| respond(reason.into(), false);
    if worker.is_overloaded() {
        worker.counters.overload_refused.add(1);
        return RequestPlan::Local(LocalResponse {
            head_only: head.method == "HEAD",
            http10: head.version == Version::Http10,
            ..LocalResponse::last(Reason::Overloaded)
        });
    }
    if worker.via.is_looping(head.fields) {
        return refuse(Reason::LoopDetected);
    }
    let Some(authority) = &head.authority else {
        return refuse(Reason::UnknownHost);
    };
    let view = head.view(authority, from.client);
    // A gRPC client of HTTP/1.1 does not exist; what says so there gets plain answers.
    let call = if http2 { Call::of(&view) } else { None };
    let refuse = |reason: Reason| respond(reason.into(), call.is_some());
    let hosts = worker.hosts.borrow();
    let Some(host) = hosts.get(authority.host()) else {
        return refuse(Reason::UnknownHost);
    };
    if from
        .negotiated
        .is_some_and(|negotiated| !host.may_share(negotiated))
    {
        return refuse(Reason::MisdirectedRequest);
    }
    let (route, response) = match decide(&view, &host.policy) {
        Decision::LocalResponse(response) => return respond(response, call.is_some()),
        Decision::Forward { route, response } => (route, response),
    };
    let chosen = route.choose_backend(worker.index);
    let chosen = chosen.and_then(|index| Some((index, route.backend(index)?)));
    let Some((index, backend)) = chosen else {
        return respond(
            local_response::LocalResponse::new(Reason::NoReadyEndpoints, response),
            call.is_some(),
        );
    };
    let accept = head.websocket.map(|wish| Accept::of(wish, worker));
    let hop = Hop {
        request_id: &record.request_id,
        via: &worker.via,
    };
    let own_key = accept.as_ref().and_then(|accept| accept.own_key.as_deref());
    let Some(message) = message(worker, head, &view, route, backend, hop, own_key) else {
        return refuse(Reason::MalformedRequest);
    };
    RequestPlan::Forward(ForwardPlan {
        route: Arc::clone(route),
        backend: index,
        message,
        request: Request {
            context: context(
                head,
                keep_client,
                accept.map(|accept| accept.expected),
                response,
                call,
            ),
            framing: head.framing,
            idempotent: is_idempotent(head.method),
            call,
        },
    })
}

fn context(
    head: &RequestHead<'_, '_>,
    keep_client: bool,
    accept: Option<String>,
    response: ResponsePolicy,
    call: Option<Call>,
) -> RequestContext {
    RequestContext {
        head_only: head.method == "HEAD",
        http10: head.version == Version::Http10,
        keep_client,
        expects_continue: head.expects_continue,
        grpc: call.is_some(),
        accept,
        response,
    }
}

/// Builds the message for the endpoint; `None` when HTTP/2 cannot express it.
fn message(
    worker: &Worker,
    head: &RequestHead<'_, '_>,
    view: &Head<'_>,
    route: &Route<Backend>,
    backend: &Backend,
    hop: Hop<'_>,
    own_key: Option<&str>,
) -> Option<Message> {
    match backend.protocol {
        UpstreamProtocol::Http1 => {
            let mut written = worker.buffers.room();
            let rules = route.request();
            headers::request(&mut written, view, rules, hop, head.framing, own_key);
            let coding = match head.framing {
                Framing::Chunked => Coding::Chunked,
                _ => Coding::Plain,
            };
            Some(Message::Http1(Written::new(written, coding)))
        }
        UpstreamProtocol::Http2 => {
            let secure = backend.tls.is_some();
            let sent = Sent::request(view, route.request(), hop, head.framing, secure)?;
            Some(Message::Http2(Box::new(sent)))
        }
    }
}

/// How a WebSocket is agreed on over HTTP/1.1.
struct Accept {
    /// Ours, where the client had none.
    own_key: Option<String>,
    /// Value that the endpoint must answer with, and that the client gets.
    expected: String,
}

impl Accept {
    fn of(wish: Handshake<'_>, worker: &Worker) -> Self {
        match wish {
            Handshake::Upgrade(key) => Self {
                own_key: None,
                expected: websocket::accept_for(key),
            },
            Handshake::Connect => {
                let key = websocket::key_of(worker.random());
                Self {
                    expected: websocket::accept_for(key.as_bytes()),
                    own_key: Some(key),
                }
            }
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
