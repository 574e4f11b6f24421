//! One request of a client's connection, on a task of its own.

use crate::clock;
use crate::exchange::io::Downstream as _;
use crate::exchange::timer::Timer;
use crate::exchange::{Counted, RequestLog};
use crate::forward::attempts::{self, Outcome};
use crate::forward::plan::{From, LocalResponse, RequestPlan, plan_request};
use crate::host::Negotiated;
use crate::http2::client::Client;
use crate::http2::fields::{Fields, headers, joined_cookies};
use crate::server::http2::wake;
use crate::telemetry::access_log::Record;
use crate::worker::Worker;
use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason as Code, RecvStream};
use http::{Request, request};
use portolan_proxy_core::head;
use portolan_proxy_core::http2::Pseudo;
use portolan_proxy_core::request::RequestHead;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How many requests a client may take back while an endpoint works on them, in `CALM`: each costs the
/// endpoint more than the client (CVE-2023-44487).
const CANCELLED: u32 = 100;
const CALM: Duration = Duration::from_secs(10);

/// State that the streams of a connection share.
pub(super) struct Common {
    pub(super) worker: Rc<Worker>,
    /// The peer's address, canonical.
    pub(super) client: Rc<str>,
    /// Result of the TLS handshake; absent without TLS.
    negotiated: Option<Negotiated>,
    /// How many are being served.
    pub(super) streams: Cell<usize>,
    /// Waits for the last of them.
    pub(super) driver: RefCell<Option<Waker>>,
    /// Requests that were taken back, since when.
    cancelled: Cell<(u32, Instant)>,
}

impl Common {
    pub(super) fn new(worker: Rc<Worker>, client: Rc<str>, negotiated: Option<Negotiated>) -> Self {
        Self {
            worker,
            client,
            negotiated,
            streams: Cell::new(0),
            driver: RefCell::default(),
            cancelled: Cell::new((0, clock::now())),
        }
    }

    /// Returns whether the client cancels more than one in good faith would.
    pub(super) fn is_too_much(&self) -> bool {
        self.cancelled.get().0 > CANCELLED
    }

    fn count_cancelled(&self) {
        let now = clock::now();
        let (count, since) = self.cancelled.get();
        self.cancelled.set(if now - since < CALM {
            (count + 1, since)
        } else {
            (1, now)
        });
        if self.is_too_much() {
            wake(&self.driver);
        }
    }
}

/// A stream that is being served; dropping it ends that.
struct Counting(Rc<Common>);

impl Counting {
    fn new(common: Rc<Common>) -> Self {
        common.streams.set(common.streams.get() + 1);
        Self(common)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let left = self.0.streams.get().saturating_sub(1);
        self.0.streams.set(left);
        if left == 0 {
            wake(&self.0.driver);
        }
    }
}

/// Serves one request.
pub(super) fn serve(
    common: Rc<Common>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) -> impl Future<Output = ()> {
    // Counted from now on, before its task first runs.
    let counting = Counting::new(common);
    async move {
        let common = &*counting.0;
        let (parts, body) = request.into_parts();
        let ended = body.is_end_stream();
        let mut client = Client::new(body, respond);
        // Nothing is begun for a request that was taken back before its turn came.
        if poll_fn(|cx| Poll::Ready(client.poll_cancelled(cx))).await {
            return common.worker.counters.clients_gone.add(1);
        }
        let started = clock::now().into_std();
        let mut record = Record::default();
        common.worker.new_request_id(&mut record.request_id);
        let plan = plan(common, &parts, ended, &mut record);
        drop(parts);
        let (status, counted) = match plan {
            RequestPlan::Local(local) => send_local(common, &mut client, &local, &mut record).await,
            RequestPlan::Forward(forward) => {
                let worker = &common.worker;
                let mut timer = Timer::new(worker.limits.progress);
                let seen = &mut record.endpoint;
                match attempts::run(worker, &mut client, &mut timer, forward, seen).await {
                    Outcome::Local(local, counted) => {
                        let (status, own) =
                            send_local(common, &mut client, &local, &mut record).await;
                        (status, counted.unwrap_or(own))
                    }
                    Outcome::Finished {
                        status, counted, ..
                    } => (status, counted),
                    Outcome::Tunnelled(carried) => {
                        if !carried.whole {
                            // At once, so that the client does not wait for the rest: with the endpoint's code, or as
                            // RFC 8441 5 has it for a connection of HTTP/1.1.
                            client.reset(carried.code.map_or(Code::CANCEL, Code::from));
                        }
                        (101, carried.counted)
                    }
                    Outcome::BrokenOff {
                        status,
                        code,
                        counted,
                    } => {
                        // The endpoint's code, or that it is not the client's fault.
                        client.reset(code.map_or(Code::INTERNAL_ERROR, Code::from));
                        (status, counted)
                    }
                    Outcome::ClientGone(counted) => {
                        worker.counters.clients_gone.add(1);
                        common.count_cancelled();
                        client.reset(Code::CANCEL);
                        (0, counted)
                    }
                }
            }
        };
        RequestLog {
            client: &common.client,
            secure: common.negotiated.is_some(),
            started,
            status,
            counted,
        }
        .record(&common.worker, &record);
        client.linger(&common.worker).await;
    }
}

fn plan(common: &Common, parts: &request::Parts, ended: bool, record: &mut Record) -> RequestPlan {
    let cookies = joined_cookies(&parts.headers);
    let fields = headers(&parts.headers, &cookies);
    let pseudo = Pseudo {
        method: parts.method.as_str(),
        scheme: parts.uri.scheme_str(),
        authority: parts.uri.authority().map(http::uri::Authority::as_str),
        path: parts
            .uri
            .path_and_query()
            .map_or("", http::uri::PathAndQuery::as_str),
        protocol: parts.extensions.get::<Protocol>().map(Protocol::as_str),
    };
    let from = From {
        client: head::Client {
            address: &common.client,
            secure: common.negotiated.is_some(),
        },
        negotiated: common.negotiated.as_ref(),
    };
    match RequestHead::of_http2(pseudo, &fields, ended) {
        Ok(head) => plan_request(&common.worker, &head, from, record),
        Err(reason) => RequestPlan::Local(LocalResponse::last(reason)),
    }
}

/// Answers a request ourselves.
async fn send_local(
    common: &Common,
    client: &mut Client,
    local: &LocalResponse,
    record: &mut Record,
) -> (u16, Counted) {
    let response = &local.response;
    record.reason.push_str(response.reason.as_str());
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut fields = Fields::default();
    let grpc = response.grpc_status().filter(|_| local.grpc);
    if let Some(status) = grpc {
        response.put_grpc_fields(&mut fields, status, &record.request_id, &date);
        client.respond(200, fields, true);
        return (200, Counted::default());
    }
    response.put_fields(&mut fields, &record.request_id, &date);
    if let Some(length) = response.length() {
        fields.length(length);
    }
    let body = if local.head_only {
        Bytes::new()
    } else {
        response.body().concat().into()
    };
    let counted = Counted {
        received: 0,
        sent: body.len() as u64,
    };
    client.respond(response.status, fields, body.is_empty());
    if !body.is_empty() {
        client.send_whole(body, &common.worker).await;
    }
    (response.status, counted)
}
