//! A client's connection, from its first byte to its close.

use crate::clock;
use crate::exchange::timer::Timer;
use crate::exchange::{Counted, RequestLog};
use crate::forward::attempts::{self, Outcome};
use crate::forward::plan::{ForwardPlan, From, LocalResponse, RequestPlan, plan_request};
use crate::host::Negotiated;
use crate::http1::client::Client;
use crate::http1::wire::Wire;
use crate::server::http2;
use crate::telemetry::access_log::Record;
use crate::transport::Transport;
use crate::worker::Worker;
use crate::worker::buffer::Buffer;
use crate::worker::idle::Waiting;
use crate::worker::linger::linger;
use portolan_proxy_core::field::slots;
use portolan_proxy_core::head;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::request::{MAX_TARGET, RequestHead, may_be_http, settle_version};
use portolan_proxy_core::scan::{HeadScan, MAX_HEAD};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// One client, served until it or we close.
pub(crate) struct Connection<S> {
    pub(super) worker: Rc<Worker>,
    pub(super) wire: Wire<S>,
    /// The peer's address, canonical.
    client: Rc<str>,
    /// Result of the TLS handshake; absent without TLS.
    negotiated: Option<Negotiated>,
    timer: Timer,
    /// The client announced that no request follows.
    last_request: bool,
    pub(super) record: Record,
}

/// With which a client says that it speaks HTTP/2 without having asked (RFC 9113 3.4): up to where it
/// looks like a head of HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Next event on a connection.
enum Next {
    /// A whole head of this length is at the front of the input.
    Head(usize),
    /// The input is not a valid head.
    Refused(Reason),
    /// Nothing more.
    End,
}

/// How far a connection was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// To its end.
    All,
    /// The client speaks HTTP/2: its preface is still there.
    UpToHttp2,
}

/// State of a connection after a request.
pub(super) enum After {
    /// The next request.
    KeepAlive,
    /// Closed, as the client wanted it, after all that it had to say.
    ClientDone,
    /// Closed; the client may not have sent all of its request yet.
    Linger,
    /// Reset: the client must see that something is missing.
    Reset,
}

impl<S: Transport> Connection<S> {
    pub(crate) fn new(
        worker: Rc<Worker>,
        stream: S,
        client: Rc<str>,
        negotiated: Option<Negotiated>,
    ) -> Self {
        let timer = Timer::new(worker.limits.idle);
        Self {
            worker,
            wire: Wire {
                stream,
                input: None,
            },
            client,
            negotiated,
            timer,
            last_request: false,
            record: Record::default(),
        }
    }

    /// Serves one request after another.
    pub(crate) async fn serve(&mut self) -> Served {
        let mut first = self.negotiated.is_none();
        loop {
            let after = match self.next_head().await {
                Next::Head(length) if first && self.head(length) == PREFACE => {
                    return Served::UpToHttp2;
                }
                Next::Head(length) if first && !may_be_http(self.head(length)) => After::Linger,
                Next::Head(length) => self.request(length).await,
                Next::Refused(reason) => self.refuse(reason).await,
                Next::End => {
                    // The client is gone or idle: a goodbye is a courtesy.
                    let goodbye = self.wire.stream.shutdown();
                    let _ = timeout(self.worker.limits.linger, goodbye).await;
                    return Served::All;
                }
            };
            first = false;
            match after {
                After::KeepAlive => continue,
                After::ClientDone if self.has_sent_no_more() => self.end().await,
                After::ClientDone | After::Linger => {
                    let Wire { stream, input } = &mut self.wire;
                    linger(&self.worker, stream, input).await;
                }
                After::Reset => self.wire.stream.reset_on_close(),
            }
            return Served::All;
        }
    }

    /// Returns whether nothing came after the request that the client announced as its last.
    fn has_sent_no_more(&self) -> bool {
        self.wire.input.is_none() && !self.wire.stream.has_unread()
    }

    /// Closes on a client that says nothing more: nothing that could still come needs to be waited
    /// for. Only TLS has a goodbye of its own.
    async fn end(&mut self) {
        if self.negotiated.is_some() {
            let goodbye = self.wire.stream.shutdown();
            let _ = timeout(self.worker.limits.linger, goodbye).await;
        }
    }

    /// Goes on with a client whose first bytes were the preface of HTTP/2.
    pub(crate) async fn speak_http2(self) {
        let Wire { stream, input } = self.wire;
        http2::serve(self.worker, stream, input, self.client, None).await;
    }

    /// The head at the front of the input.
    fn head(&self, length: usize) -> &[u8] {
        let unread = self.wire.input.as_ref().map_or(&[][..], Buffer::unread);
        unread.get(..length).unwrap_or_default()
    }

    async fn next_head(&mut self) -> Next {
        let Self {
            worker,
            wire: Wire { stream: io, input },
            timer,
            ..
        } = self;
        let worker: &Worker = worker;
        let limits = &worker.limits;
        let mut waiting = Waiting::new(&worker.idle);
        let mut scan = HeadScan::default();
        let mut empty_line_seen = false;
        let mut begun = input.is_some();
        timer.set(if begun { limits.head } else { limits.idle });
        poll_fn(move |cx| {
            loop {
                if let Some(buffer) = input {
                    let unread = buffer.unread();
                    match scan.find(unread) {
                        // RFC 9112 2.2: one empty line before a request is forgiven.
                        Ok(Some(2)) if !empty_line_seen => {
                            empty_line_seen = true;
                            scan = HeadScan::default();
                            buffer.consume(2);
                            worker.buffers.release_if_empty(input);
                            continue;
                        }
                        Ok(Some(length)) if length <= MAX_HEAD => {
                            return Poll::Ready(Next::Head(length));
                        }
                        Ok(Some(_)) => return Poll::Ready(Next::Refused(Reason::HeadTooLarge)),
                        Ok(None) => {
                            let long = unread.len();
                            // Room for a method and a version beside the target.
                            if !scan.past_first_line() && long > MAX_TARGET + 256 {
                                return Poll::Ready(Next::Refused(Reason::TargetTooLong));
                            }
                            if long >= MAX_HEAD {
                                return Poll::Ready(Next::Refused(Reason::HeadTooLarge));
                            }
                        }
                        Err(_) => return Poll::Ready(Next::Refused(Reason::MalformedRequest)),
                    }
                    if buffer.is_full() {
                        if worker.is_overloaded() {
                            worker.counters.overload_refused.add(1);
                            return Poll::Ready(Next::Refused(Reason::Overloaded));
                        }
                        buffer.grow(MAX_HEAD);
                    }
                }
                match worker.buffers.poll_fill_head(cx, io, input) {
                    Poll::Ready(Ok(1..)) => {
                        if !begun {
                            begun = true;
                            timer.set(limits.head);
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(Next::End),
                    Poll::Pending => {
                        if timer.poll(cx).is_ready() {
                            return Poll::Ready(if begun {
                                Next::Refused(Reason::RequestTimeout)
                            } else {
                                Next::End
                            });
                        }
                        if !begun {
                            // Only now: what the client has sent by then is answered.
                            let leaves = !waiting.wait(cx) || worker.is_closing();
                            if leaves && !io.has_unread() {
                                return Poll::Ready(Next::End);
                            }
                        }
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }

    async fn request(&mut self, length: usize) -> After {
        let started = clock::now().into_std();
        self.record.clear();
        self.worker.new_request_id(&mut self.record.request_id);
        if let Some(input) = &mut self.wire.input {
            settle_version(input.unread_mut());
        }
        let plan = self.plan(length);
        if let Some(input) = &mut self.wire.input {
            input.consume(length);
        }
        self.worker.buffers.release_if_empty(&mut self.wire.input);
        let (after, status, counted) = match plan {
            RequestPlan::Forward(forward) => self.forward(forward).await,
            RequestPlan::Local(response) => self.respond(response).await,
        };
        self.finished(started, status, counted);
        after
    }

    fn plan(&mut self, length: usize) -> RequestPlan {
        let unread = self.wire.input.as_ref().map_or(&[][..], Buffer::unread);
        let bytes = unread.get(..length).unwrap_or_default();
        let from = From {
            client: head::Client {
                address: &self.client,
                secure: self.negotiated.is_some(),
            },
            negotiated: self.negotiated.as_ref(),
        };
        let mut room = slots();
        match RequestHead::parse(bytes, &mut room) {
            Ok(head) => {
                self.last_request = !head.keeps_alive();
                plan_request(&self.worker, &head, from, &mut self.record)
            }
            Err(reason) => RequestPlan::Local(LocalResponse::last(reason)),
        }
    }

    /// Sends the request on and the response back.
    async fn forward(&mut self, forward: ForwardPlan) -> (After, u16, Counted) {
        let Self {
            worker,
            wire,
            timer,
            record,
            last_request,
            ..
        } = self;
        let mut client = Client::new(wire);
        let seen = &mut record.endpoint;
        match attempts::run(worker, &mut client, timer, forward, seen).await {
            Outcome::Local(response, counted) => {
                let (after, status, own) = self.respond(response).await;
                (after, status, counted.unwrap_or(own))
            }
            Outcome::Finished {
                status,
                keep_client,
                whole,
                counted,
            } => match keep_client {
                true => (After::KeepAlive, status, counted),
                false if whole && *last_request => (After::ClientDone, status, counted),
                false => (After::Linger, status, counted),
            },
            Outcome::BrokenOff {
                status, counted, ..
            } => (After::Reset, status, counted),
            Outcome::Tunnelled(carried) => (After::Linger, 101, carried.counted),
            Outcome::ClientGone(counted) => {
                worker.counters.clients_gone.add(1);
                (After::Reset, 0, counted)
            }
        }
    }

    async fn refuse(&mut self, reason: Reason) -> After {
        self.record.clear();
        self.worker.new_request_id(&mut self.record.request_id);
        let (after, status, counted) = self.respond(LocalResponse::last(reason)).await;
        self.finished(Instant::now(), status, counted);
        after
    }

    fn finished(&self, started: Instant, status: u16, counted: Counted) {
        RequestLog {
            client: &self.client,
            secure: self.negotiated.is_some(),
            started,
            status,
            counted,
        }
        .record(&self.worker, &self.record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::server::TlsStream;

    /// Response of a worker that has used so much of 1000 bytes.
    async fn answer(used: u64) -> String {
        answer_to("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n", used).await
    }

    async fn answer_to(request: &str, used: u64) -> String {
        let memory = MemoryBudget::new(Some(1000));
        memory.observe(used);
        let worker = Rc::new(Worker::alone(memory));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (near, _) = listener.accept().await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut connection = Connection::new(Rc::clone(&worker), near, "client".into(), None);
        let mut response = String::new();
        let (_, read) = tokio::join!(connection.serve(), client.read_to_string(&mut response));
        read.unwrap();
        let refused = worker.counters.overload_refused.get();
        assert_eq!(refused, u64::from(response.contains("Overloaded")));
        response
    }

    /// Of what serves a connection, which is held as long as that is idle.
    fn size<S: Transport + 'static, F>(_: impl FnOnce(&'static mut Connection<S>) -> F) -> usize {
        size_of::<Connection<S>>() + size_of::<F>()
    }

    #[test]
    fn an_idle_connection_is_small() {
        // In the room that the longest of its states takes; rare ones have a box of their own.
        let plain = size(Connection::<TcpStream>::serve);
        assert!(plain <= 4096, "{plain} bytes");
        let secure = size(Connection::<TlsStream<TcpStream>>::serve);
        assert!(secure <= 5120 + 512, "{secure} bytes");
    }

    #[tokio::test]
    async fn rejects_requests_at_90_percent_of_memory() {
        assert!(answer(899).await.starts_with("HTTP/1.1 404 "));
        let refused = answer(900).await;
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        for field in [
            "x-portolan-reason: Overloaded",
            "Connection: close",
            "Retry-After: ",
        ] {
            let field = field.to_ascii_lowercase();
            assert!(refused.to_ascii_lowercase().contains(&field), "{refused}");
        }
    }

    /// Memory must not be held by heads that never end.
    #[tokio::test]
    async fn rejects_a_long_head_at_90_percent_of_memory() {
        let filler = "x".repeat(20 * 1024);
        let begun = format!("GET / HTTP/1.1\r\nHost: shop.test\r\nX-Filler: {filler}");
        assert_eq!(answer_to(&begun, 899).await, "", "it never ends");
        let refused = answer_to(&begun, 900).await;
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    }
}
