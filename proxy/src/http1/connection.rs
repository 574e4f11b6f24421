//! A client's connection, from its first byte to its close.

use crate::http1::exchange::Counted;
use crate::http1::judge::{Answer, From, Judged, judge};
use crate::http1::timer::Timer;
use crate::http1::transport::Transport;
use crate::telemetry::access_log::{Outcome, Record};
use crate::tls::termination::Negotiated;
use crate::worker::Worker;
use crate::worker::buffer::Buffer;
use crate::worker::clock;
use crate::worker::idle::Waiting;
use jiff::Timestamp;
use portolan_proxy_core::head::Client;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::request::MAX_TARGET;
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
    pub(super) io: S,
    /// The peer's address, canonical.
    client: String,
    /// What the TLS handshake settled; absent in the clear.
    negotiated: Option<Negotiated>,
    pub(super) input: Option<Buffer>,
    pub(super) timer: Timer,
    pub(super) record: Record,
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
pub(super) enum After {
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
        negotiated: Option<Negotiated>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Ledger;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    /// What a worker says that has used so much of 1000 bytes.
    async fn answer(used: u64) -> String {
        let memory = Ledger::new(Some(1000));
        memory.observe(used);
        let worker = Rc::new(Worker::alone(memory));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (near, _) = listener.accept().await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";
        client.write_all(request).await.unwrap();
        client.shutdown().await.unwrap();
        let connection = Connection::new(Rc::clone(&worker), near, "client".into(), None);
        let mut said = String::new();
        let (_, read) = tokio::join!(connection.serve(), client.read_to_string(&mut said));
        read.unwrap();
        let refused = worker.cells.overload_refused.get();
        assert_eq!(refused, u64::from(said.contains("Overloaded")));
        said
    }

    #[tokio::test]
    async fn requests_are_refused_when_nine_tenths_of_the_memory_are_used() {
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
}
