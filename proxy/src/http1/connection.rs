//! A client's connection, from its first byte to its close.

use crate::host::Host;
use crate::http1::exchange::{Counted, Ending, Exchange};
use crate::http1::judge::{Answer, Forward, From, Judged, judge};
use crate::http1::timer::Timer;
use crate::http1::transport::Transport;
use crate::http1::tunnel;
use crate::telemetry::access_log::{Outcome, Record};
use crate::upstream::connection::{self as upstream, Upstream};
use crate::worker::Worker;
use crate::worker::buffer::Buffer;
use crate::worker::idle::Waiting;
use jiff::Timestamp;
use portolan_proxy_core::edit::{self, Client, Persistence};
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::request::MAX_TARGET;
use portolan_proxy_core::scan::{HeadScan, MAX_HEAD};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Instant, SystemTime};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// How much is read of a request that was answered before it was read.
const MAX_DISCARDED: usize = 64 * 1024;

/// One client, served until it or we close.
pub(crate) struct Connection<S> {
    worker: Rc<Worker>,
    io: S,
    /// The peer's address, canonical.
    client: String,
    /// The host that the TLS handshake asked for; absent in the clear.
    negotiated: Option<Arc<Host>>,
    input: Option<Buffer>,
    timer: Timer,
    record: Record,
}

/// What comes next on a connection.
enum Next {
    /// A whole head of this length is at the front of the input.
    Head(usize),
    /// What came is no head.
    Refused(Reason),
    /// Nothing more.
    End,
}

/// What becomes of a connection after a request.
enum After {
    /// The next request.
    Kept,
    /// Closed; the client may not have sent all of its request yet.
    Closed,
    /// Reset: the client must see that something is missing.
    Reset,
}

impl<S: Transport> Connection<S> {
    pub(crate) fn new(
        worker: Rc<Worker>,
        io: S,
        client: String,
        negotiated: Option<Arc<Host>>,
    ) -> Self {
        let timer = Timer::new(worker.limits.idle);
        Self {
            worker,
            io,
            client,
            negotiated,
            input: None,
            timer,
            record: Record::default(),
        }
    }

    /// Serves one request after another.
    pub(crate) async fn serve(mut self) {
        loop {
            let after = match self.next_head().await {
                Next::Head(length) => self.request(length).await,
                Next::Refused(reason) => self.refuse(reason).await,
                Next::End => {
                    // The client is gone or idle: a goodbye is a courtesy.
                    let _ = timeout(self.worker.limits.linger, self.io.shutdown()).await;
                    return;
                }
            };
            match after {
                After::Kept => {}
                After::Closed => return self.linger().await,
                After::Reset => return self.io.reset_on_close(),
            }
        }
    }

    async fn next_head(&mut self) -> Next {
        let Self {
            worker,
            io,
            input,
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
                            worker.buffers.tidy(input);
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
                        buffer.grow(MAX_HEAD);
                    }
                }
                match worker.buffers.poll_fill(cx, io, input) {
                    Poll::Ready(Ok(1..)) => {
                        if !begun {
                            begun = true;
                            timer.set(limits.head);
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(Next::End),
                    Poll::Pending => {
                        if timer.poll(cx).is_ready() {
                            return Poll::Ready(match begun {
                                true => Next::Refused(Reason::RequestTimeout),
                                false => Next::End,
                            });
                        }
                        if !begun {
                            // Only now: what the client has sent by then is answered.
                            if worker.is_closing() {
                                return Poll::Ready(Next::End);
                            }
                            waiting.wait(cx);
                        }
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }

    async fn request(&mut self, length: usize) -> After {
        let started = Instant::now();
        self.record.clear();
        self.worker.new_request_id(&mut self.record.request_id);
        let from = From {
            client: Client {
                address: &self.client,
                secure: self.negotiated.is_some(),
            },
            negotiated: self.negotiated.as_ref(),
        };
        let unread = self.input.as_ref().map_or(&[][..], Buffer::unread);
        let bytes = unread.get(..length).unwrap_or_default();
        let judged = judge(&self.worker, bytes, from, &mut self.record);
        if let Some(input) = &mut self.input {
            input.consume(length);
        }
        self.worker.buffers.tidy(&mut self.input);
        let (after, status, counted) = match judged {
            Judged::Forward(forward) => self.forward(forward).await,
            Judged::Answer(answer) => self.answer(answer).await,
        };
        self.finished(started, status, counted);
        after
    }

    async fn refuse(&mut self, reason: Reason) -> After {
        self.record.clear();
        self.worker.new_request_id(&mut self.record.request_id);
        let (after, status, counted) = self.answer(Answer::last(reason)).await;
        self.finished(Instant::now(), status, counted);
        after
    }

    async fn forward(&mut self, forward: Forward) -> (After, u16, Counted) {
        let Forward {
            route,
            mut request,
            terms,
            has_body,
        } = forward;
        let worker = Rc::clone(&self.worker);
        let failed = |reason: Reason| Answer {
            head_only: terms.head_only,
            http10: terms.http10,
            keep_client: terms.keep_client && !has_body,
            ..Answer::last(reason)
        };
        let connected = match route.next_backend(worker.index) {
            Some(endpoints) => upstream::connect(&worker, endpoints).await,
            None => Err(Reason::NoReadyEndpoints),
        };
        let mut upstream = match connected {
            Ok(upstream) => upstream,
            Err(reason) => return self.answer(failed(reason)).await,
        };
        loop {
            self.record.endpoint = Some(upstream.in_flight.endpoint().address());
            let mut upstream_input = None;
            let exchange = Exchange::new(
                &mut self.io,
                &mut self.input,
                &mut upstream.stream,
                &mut upstream_input,
                request,
                &terms,
                &mut self.timer,
                &worker.buffers,
                &worker.limits,
            );
            let (ending, counted) = exchange.run().await;
            if let Some(rest) = upstream_input.take_if(|_| !matches!(ending, Ending::Tunnel { .. }))
            {
                worker.buffers.take_back(rest);
            }
            return match ending {
                Ending::Finished {
                    status,
                    keep_client,
                    keep_upstream,
                } => {
                    if keep_upstream {
                        let Upstream {
                            stream, in_flight, ..
                        } = upstream;
                        worker
                            .pool
                            .keep(in_flight.endpoint(), stream, Instant::now());
                    }
                    let after = match keep_client {
                        true => After::Kept,
                        false => After::Closed,
                    };
                    (after, status, counted)
                }
                Ending::NothingTaken(untaken) if upstream.reused => {
                    upstream = match upstream::reconnect(&worker, upstream).await {
                        Ok(upstream) => upstream,
                        Err(reason) => return self.answer(failed(reason)).await,
                    };
                    request = untaken;
                    continue;
                }
                Ending::NothingTaken(_) => {
                    worker.cells.upstream_closed.add(1);
                    self.answer(failed(Reason::UpstreamClosed)).await
                }
                Ending::Failed(reason) => {
                    worker.count_upstream_error(reason);
                    // Dropped first: what the endpoint still works on, nobody waits for.
                    drop(upstream);
                    let (after, status, _) = self.answer(failed(reason)).await;
                    (after, status, counted)
                }
                Ending::BrokenOff { status } => {
                    worker.cells.upstream_closed.add(1);
                    (After::Reset, status, counted)
                }
                Ending::ClientGone => {
                    worker.cells.clients_gone.add(1);
                    (After::Reset, 0, counted)
                }
                Ending::Tunnel { head } => {
                    let carried = tunnel::run(
                        tunnel::End {
                            stream: &mut self.io,
                            input: &mut self.input,
                        },
                        tunnel::End {
                            stream: &mut upstream.stream,
                            input: &mut upstream_input,
                        },
                        head,
                        &mut self.timer,
                        worker.limits.tunnel_idle,
                        &worker.buffers,
                    );
                    (After::Closed, 101, carried.await)
                }
            };
        }
    }

    async fn answer(&mut self, answer: Answer) -> (After, u16, Counted) {
        let reason = answer.reason.as_str();
        let sentence = answer.reason.sentence();
        self.record.reason.push_str(reason);
        let persistence = match (answer.keep_client, answer.http10) {
            (false, _) => Persistence::Closed,
            (true, true) => Persistence::KeptAloud,
            (true, false) => Persistence::Kept,
        };
        let date = httpdate::fmt_http_date(SystemTime::now());
        let mut out = self.worker.buffers.room();
        edit::Answer {
            status: answer.status,
            reason,
            sentence,
            request_id: &self.record.request_id,
            date: &date,
            location: answer.location.as_deref(),
            head_only: answer.head_only,
            persistence,
        }
        .write(&mut out);
        let io = &mut self.io;
        let writing = async {
            io.write_all(&out).await?;
            io.flush().await
        };
        let written = timeout(self.worker.limits.head, writing).await;
        let counted = Counted {
            received: 0,
            sent: sentence.len() as u64 + 1,
        };
        self.worker.buffers.take_back_room(out);
        let after = match written {
            Ok(Ok(())) if answer.keep_client => After::Kept,
            Ok(Ok(())) => After::Closed,
            _ => After::Reset,
        };
        (after, answer.status, counted)
    }

    /// Closes so that the client gets to read the response: a socket that is closed with unread
    /// bytes sends a reset, which takes the response away from the client (RFC 9112 9.6).
    async fn linger(mut self) {
        let patience = self.worker.limits.linger;
        let Self {
            worker, io, input, ..
        } = &mut self;
        let discarding = async {
            io.shutdown().await?;
            let mut left = MAX_DISCARDED;
            while left > 0 {
                if let Some(unread) = input.take() {
                    worker.buffers.take_back(unread);
                }
                match poll_fn(|cx| worker.buffers.poll_fill(cx, io, input)).await? {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
            std::io::Result::Ok(())
        };
        // However it ends, the connection is closed now.
        let _ = timeout(patience, discarding).await;
    }

    fn finished(&self, started: Instant, status: u16, counted: Counted) {
        let cells = &self.worker.cells;
        cells.finished(status);
        cells.bytes_received.add(counted.received);
        cells.bytes_sent.add(counted.sent);
        if !self.worker.log.is_on() {
            return;
        }
        let outcome = Outcome {
            client: &self.client,
            scheme: match self.negotiated {
                Some(_) => "https",
                None => "http",
            },
            status,
            received: counted.received,
            sent: counted.sent,
            took: started.elapsed(),
        };
        self.worker
            .log
            .write(Timestamp::now(), &self.record, outcome, cells);
    }
}
