//! One client's connection that speaks HTTP/2: several operations at a time.

use crate::cases::Exchange;
use crate::http2::{self, Frame, Head, Side};
use crate::load::Target;
use crate::load::wire::Wire;
use crate::message;
use crate::poller::{EventFlags, Poller};
use std::io;
use std::time::Instant;

/// The repeated request.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    head: Head,
    /// Sent behind the head.
    body: Vec<u8>,
    /// The expected response.
    answer: Vec<u8>,
    /// It ends with trailers.
    trailers: bool,
}

impl Question {
    pub(crate) fn new(exchange: Exchange, target: &Target) -> Self {
        // From the static table: :method GET is 2, POST 3; :scheme http 6, https 7.
        let scheme = if target.tls.is_some() { 7 } else { 6 };
        let content = |size| message::content().get(..size).unwrap_or_default();
        match exchange {
            Exchange::Call(size) => {
                let message = http2::message(content(size));
                Self {
                    head: Head::new(
                        &[3, scheme],
                        &[
                            (":authority", &target.host),
                            (":path", "/bench.Echo/Call"),
                            ("te", "trailers"),
                            ("content-type", "application/grpc"),
                            ("user-agent", "grpc-bench/1.0"),
                        ],
                    ),
                    body: message.clone(),
                    answer: message,
                    trailers: true,
                }
            }
            Exchange::Get(size) | Exchange::Echo(size) => {
                let path = format!("/bytes/{size}");
                let mut fields = vec![(":authority", &*target.host), (":path", &*path)];
                let browser = message::BROWSER.map(|(name, value)| (name.to_lowercase(), value));
                fields.extend(browser.iter().map(|(name, value)| (&**name, *value)));
                Self {
                    head: Head::new(&[2, scheme], &fields),
                    body: Vec::new(),
                    answer: content(size).to_vec(),
                    trailers: false,
                }
            }
        }
    }
}

/// Slot of an HTTP/2 connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    wire: Option<Wire>,
    side: Side,
    next: u32,
    open: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    number: u32,
    due: Instant,
    /// Waits for the window.
    body_waits: bool,
    begun: bool,
    /// Received bytes of the body.
    seen: usize,
}

impl Session {
    /// Ends the connection, and what is under way on it.
    pub(crate) fn close(&mut self) -> usize {
        let ended = self.open.len();
        *self = Self::default();
        ended
    }

    pub(crate) fn begin(
        &mut self,
        key: usize,
        due: Instant,
        question: &Question,
        target: &Target,
        poller: &Poller,
    ) -> io::Result<()> {
        let new = self.wire.is_none();
        if new {
            self.wire = Some(Wire::connect(target, key, poller)?);
            self.next = 1;
            self.side.outbox.extend_from_slice(http2::PREFACE);
            http2::write_greeting(&mut self.side.outbox);
        }
        let number = self.next;
        self.next += 2;
        let head = &question.head;
        let block = if new { &head.first } else { &head.again };
        http2::write_head(
            &mut self.side.outbox,
            number,
            block,
            question.body.is_empty(),
        );
        self.open.push(Stream {
            number,
            due,
            body_waits: !question.body.is_empty(),
            begun: false,
            seen: 0,
        });
        self.send(key, question, poller)
    }

    /// Takes what has come; calls `answered` with when each was due that is answered.
    pub(crate) fn handle_event(
        &mut self,
        key: usize,
        flags: EventFlags,
        question: &Question,
        buffer: &mut [u8],
        poller: &Poller,
        answered: impl FnMut(Instant),
    ) -> Result<(), String> {
        let Some(wire) = &mut self.wire else {
            return Ok(());
        };
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let inbox = &mut self.side.inbox;
            let open = wire.receive(buffer, |bytes| {
                inbox.extend_from_slice(bytes);
                Ok(())
            });
            let open = open.map_err(|failed| failed.to_string())?;
            self.read(question, answered)?;
            if !open {
                return Err("the connection was closed".to_owned());
            }
        }
        self.send(key, question, poller)
            .map_err(|error| error.to_string())
    }

    fn read(
        &mut self,
        question: &Question,
        mut answered: impl FnMut(Instant),
    ) -> Result<(), &'static str> {
        let open = &mut self.open;
        self.side.read(|frame| match frame.kind {
            http2::GOAWAY => Err("the proxy sent GOAWAY"),
            http2::RST_STREAM => Err("a stream was reset"),
            http2::HEADERS | http2::DATA => {
                let known = open.iter().position(|stream| stream.number == frame.stream);
                let at = known.ok_or("a frame of no open stream")?;
                let stream = open.get_mut(at).ok_or("no stream")?;
                if stream.take(frame, question)? {
                    answered(stream.due);
                    open.swap_remove(at);
                }
                Ok(())
            }
            _ => Ok(()),
        })
    }

    fn send(&mut self, key: usize, question: &Question, poller: &Poller) -> io::Result<()> {
        let length = question.body.len() as i64;
        for stream in self.open.iter_mut().filter(|stream| stream.body_waits) {
            if self.side.window < length {
                break;
            }
            self.side.window -= length;
            stream.body_waits = false;
            http2::write_body(&mut self.side.outbox, stream.number, &question.body, true);
        }
        let Some(wire) = &mut self.wire else {
            return Ok(());
        };
        if self.side.outbox.is_empty() {
            wire.flush()?;
        } else {
            wire.send(&self.side.outbox)?;
            self.side.outbox.clear();
        }
        wire.watch(key, poller)
    }
}

impl Stream {
    /// Takes a frame of this stream; whether the answer is whole.
    fn take(&mut self, frame: &Frame<'_>, question: &Question) -> Result<bool, &'static str> {
        if frame.kind == http2::HEADERS && !self.begun {
            self.begun = true;
            if !frame.is_ok() {
                return Err("another status");
            }
        } else if frame.kind == http2::DATA {
            let until = self.seen + frame.payload.len();
            if question.answer.get(self.seen..until) != Some(frame.payload) {
                return Err("another body");
            }
            self.seen = until;
        } else if !frame.ends_stream() {
            return Err("trailers that end nothing");
        }
        if !frame.ends_stream() {
            return Ok(false);
        }
        let trailers = frame.kind == http2::HEADERS && self.seen > 0;
        match self.seen == question.answer.len() && trailers == question.trailers {
            true => Ok(true),
            false => Err("another length"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    fn session(exchange: Exchange) -> (Session, Question) {
        let target = Target {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            host: "shop.test".to_owned(),
            tls: None,
        };
        let stream = Stream {
            number: 1,
            due: Instant::now(),
            body_waits: false,
            begun: false,
            seen: 0,
        };
        let session = Session {
            open: vec![stream],
            ..Session::default()
        };
        (session, Question::new(exchange, &target))
    }

    fn read(exchange: Exchange, bytes: &[u8], step: usize) -> Result<usize, &'static str> {
        let (mut session, question) = session(exchange);
        let mut answers = 0;
        for part in bytes.chunks(step) {
            session.side.inbox.extend_from_slice(part);
            session.read(&question, |_| answers += 1)?;
        }
        Ok(answers)
    }

    fn answer(size: usize, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        http2::write_greeting(&mut out);
        http2::write_head(&mut out, 1, &[0x88], false);
        http2::write_body(&mut out, 1, body.get(..size).unwrap_or(body), true);
        out
    }

    #[test]
    fn an_answer_is_taken_in_any_portions() {
        let right = answer(40_000, message::content());
        for step in [1, 7, 100_000] {
            assert_eq!(read(Exchange::Get(40_000), &right, step), Ok(1));
        }
    }

    #[test]
    fn detects_a_wrong_response() {
        let ask = Exchange::Get(1024);
        let wrong = |bytes: &[u8]| read(ask, bytes, 4096).unwrap_err();
        assert_eq!(wrong(&answer(1023, message::content())), "another length");
        assert_eq!(wrong(&answer(1025, message::content())), "another body");
        assert_eq!(wrong(&answer(1024, &[0; 1024])), "another body");
        let mut failed = Vec::new();
        http2::write_head(&mut failed, 1, &[0x8d], true);
        assert_eq!(wrong(&failed), "another status");
        let right = answer(1024, message::content());
        assert_eq!(read(ask, &right[..right.len() - 1], 4096), Ok(0));
    }

    #[test]
    fn a_call_ends_with_trailers() {
        let message = http2::message(&message::content()[..10]);
        let mut out = Vec::new();
        http2::write_head(&mut out, 1, &[0x88], false);
        http2::write_body(&mut out, 1, &message, false);
        assert_eq!(read(Exchange::Call(10), &out, 4096), Ok(0));
        http2::write_head(&mut out, 1, &[0], true);
        assert_eq!(read(Exchange::Call(10), &out, 3), Ok(1));
        let without = answer(message.len(), &message);
        assert_eq!(
            read(Exchange::Call(10), &without, 4096).unwrap_err(),
            "another length"
        );
    }
}
