//! One route through one proxy: a listener, and behind it an origin of its own, so that
//! whatever arrives there came from the case under way. One thread serves both ends.

use crate::case::Case;
use crate::strict::{Message, Step, read};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Timeout that only a hang exceeds.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two pieces, so that they are not read as one.
const BETWEEN_PIECES: Duration = Duration::from_millis(1);

/// A route through one proxy.
#[derive(Debug)]
pub struct Lane {
    origin: TcpListener,
    listener: SocketAddr,
}

/// Bytes received at both ends.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The whole requests that the origin got, in the order of their arrival.
    pub requests: Vec<Message>,
    /// Bytes that the origin cannot parse, and why.
    pub malformed: Vec<String>,
    /// Requests that ended before their end.
    pub unfinished: usize,
    /// The statuses that the client got.
    pub answers: Vec<u16>,
    /// Neither side was ended by the proxy.
    pub hung: bool,
}

struct Conversation<'a> {
    lane: &'a Lane,
    client: TcpStream,
    heard: Vec<u8>,
    client_ended: bool,
    upstreams: Vec<Upstream>,
    observed: Observed,
}

struct Upstream {
    stream: TcpStream,
    unread: Vec<u8>,
    /// The request before was answered; what follows on the same connection is only counted.
    answered: bool,
    ended: bool,
}

impl Lane {
    /// A lane to the proxy that will listen at `listener`.
    ///
    /// # Errors
    /// No port can be bound.
    pub fn new(listener: SocketAddr) -> io::Result<Self> {
        let origin = TcpListener::bind(("127.0.0.1", 0))?;
        origin.set_nonblocking(true)?;
        Ok(Self { origin, listener })
    }

    /// Address of its proxy.
    pub fn listener(&self) -> SocketAddr {
        self.listener
    }

    /// Address of its origin.
    ///
    /// # Errors
    /// The socket has no address.
    pub fn origin(&self) -> io::Result<SocketAddr> {
        self.origin.local_addr()
    }

    /// Sends a case, waits until all is answered or nothing has happened for `quiet`, ends its
    /// direction, and reads to the end.
    ///
    /// # Errors
    /// The proxy does not take the connection, or the system is out of something.
    pub fn ask(&self, case: &Case, quiet: Duration) -> io::Result<Observed> {
        let client = TcpStream::connect(self.listener)?;
        client.set_nodelay(true)?;
        client.set_write_timeout(Some(DEADLINE))?;
        let mut conversation = Conversation {
            lane: self,
            client,
            heard: Vec::new(),
            client_ended: false,
            upstreams: Vec::new(),
            observed: Observed::default(),
        };
        conversation.say(&case.pieces)?;
        conversation.listen(case.requests, quiet)
    }
}

impl Conversation<'_> {
    fn say(&mut self, pieces: &[Vec<u8>]) -> io::Result<()> {
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                self.client.set_nonblocking(true)?;
                self.turn(BETWEEN_PIECES)?;
                self.client.set_nonblocking(false)?;
            }
            // Who has refused already may have closed.
            let _ = self.client.write_all(piece);
        }
        self.client.set_nonblocking(true)
    }

    fn listen(mut self, expected: usize, quiet: Duration) -> io::Result<Observed> {
        let deadline = Instant::now() + DEADLINE;
        let mut finished = false;
        loop {
            let idle = !self.turn(quiet)?;
            if self.client_ended && self.upstreams.is_empty() && !self.accept()? {
                break;
            }
            let all_answered = self.observed.requests.len() >= expected
                && answers(&self.heard)
                    .iter()
                    .filter(|status| **status >= 200)
                    .count()
                    >= expected;
            if !finished && (idle || all_answered) {
                finished = true;
                // A side that has closed already needs no shutdown.
                let _ = self.client.shutdown(Shutdown::Write);
            }
            if Instant::now() > deadline {
                self.observed.hung = true;
                break;
            }
        }
        self.observed.answers = answers(&self.heard);
        Ok(self.observed)
    }

    /// Waits until something happens, and takes it in. Gives whether something did.
    fn turn(&mut self, quiet: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: quiet.subsec_nanos().into(),
        };
        let mut watched = vec![PollFd::new(&self.lane.origin, PollFlags::IN)];
        if !self.client_ended {
            watched.push(PollFd::new(&self.client, PollFlags::IN));
        }
        watched.extend(
            self.upstreams
                .iter()
                .map(|upstream| PollFd::new(&upstream.stream, PollFlags::IN)),
        );
        let ready = poll(&mut watched, Some(&timeout))?;
        self.accept()?;
        if !self.client_ended {
            self.client_ended = drain(&mut self.client, &mut self.heard);
        }
        for upstream in &mut self.upstreams {
            upstream.take_in(&mut self.observed);
        }
        self.upstreams.retain(|upstream| !upstream.ended);
        Ok(ready > 0)
    }

    fn accept(&mut self) -> io::Result<bool> {
        let mut some = false;
        loop {
            match self.lane.origin.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    some = true;
                    self.upstreams.push(Upstream {
                        stream,
                        unread: Vec::new(),
                        answered: false,
                        ended: false,
                    });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(some),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Upstream {
    fn take_in(&mut self, observed: &mut Observed) {
        self.ended = drain(&mut self.stream, &mut self.unread);
        while !self.unread.is_empty() {
            match read(&self.unread) {
                Step::Request { message, used } => {
                    self.unread.drain(..used);
                    self.answer(message.line.starts_with("HEAD "));
                    observed.requests.push(message);
                }
                Step::NeedMore => break,
                Step::Malformed(why) => {
                    let shown = self.unread.escape_ascii();
                    observed.malformed.push(format!("{why}: {shown}"));
                    // Nothing behind it can be parsed; the close reports that to the sender.
                    self.unread.clear();
                    self.ended = true;
                }
            }
        }
        if self.ended && !self.unread.is_empty() {
            observed.unfinished += 1;
        }
    }

    /// One answer for each connection: so each request comes on one of its own, and whatever
    /// else comes on it was smuggled.
    fn answer(&mut self, head_only: bool) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        let body = if head_only { "" } else { "ok" };
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
        // Who does not wait for the answer is not kept waiting.
        let _ = self.stream.write_all([head, body].concat().as_bytes());
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Reads what is there; gives whether that was the end.
fn drain(stream: &mut TcpStream, into: &mut Vec<u8>) -> bool {
    let mut block = [0; 16 * 1024];
    loop {
        match stream.read(&mut block) {
            Ok(0) => return true,
            Ok(count) => into.extend_from_slice(block.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}

/// Every status line in what the client heard; no body of the origin looks like one.
fn answers(heard: &[u8]) -> Vec<u16> {
    heard
        .windows(12)
        .filter(|line| line.starts_with(b"HTTP/1."))
        .filter_map(|line| std::str::from_utf8(line.get(9..)?).ok()?.parse().ok())
        .collect()
}
