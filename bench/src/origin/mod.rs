//! The origin behind every proxy: `GET /bytes/N` is answered with N bytes, a WebSocket and a gRPC
//! call with their own. One thread, answers made beforehand: never what a measurement waits for.

mod speaker;

use crate::http2::PREFACE;
use crate::message;
use crate::poller::{EventFlags, Poller};
use anyhow::Context as _;
use slab::Slab;
use speaker::Speaker;
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// The listener's key.
const LISTENER: usize = usize::MAX;
/// A head that does not fit is none of ours.
const MAX_HEAD: usize = 16 * 1024;

/// Serves until it is killed.
pub(crate) fn serve(port: u16) -> anyhow::Result<()> {
    let mut poller = Poller::new()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("binding port {port}"))?;
    // The standard library's backlog is 128: bursts of new connections would wait a second.
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    poller.add(&listener, LISTENER, EventFlags::IN)?;
    let mut origin = Origin {
        connections: Slab::new(),
        answers: HashMap::new(),
        buffer: vec![0; 256 * 1024],
    };
    loop {
        for index in 0..poller.wait(None)? {
            match poller.event(index) {
                Some((LISTENER, _)) => origin.accept(&poller, &listener)?,
                Some((key, flags)) => origin.handle_event(&poller, key, flags),
                None => {}
            }
        }
    }
}

#[derive(Debug)]
struct Origin {
    connections: Slab<Connection>,
    /// Whole responses by the size of their bodies.
    answers: HashMap<usize, Vec<u8>>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    state: State,
    writing: bool,
}

#[derive(Debug)]
enum State {
    /// Received bytes of a head.
    Reading(Vec<u8>),
    /// Sent bytes of a response.
    Answering { size: usize, gone: usize },
    /// Bytes still to be sent back.
    Echoing(Vec<u8>),
    /// HTTP/2, by prior knowledge.
    Speaking(Box<Speaker>),
}

impl Origin {
    fn accept(&mut self, poller: &Poller, listener: &TcpListener) -> io::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let entry = self.connections.vacant_entry();
            poller.add(&stream, entry.key(), EventFlags::IN)?;
            entry.insert(Connection {
                stream,
                state: State::Reading(Vec::new()),
                writing: false,
            });
        }
    }

    fn handle_event(&mut self, poller: &Poller, key: usize, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let may_read = flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR);
        let served = connection
            .read(may_read, &mut self.buffer)
            .and_then(|()| connection.write(&mut self.answers))
            .and_then(|unsent| connection.watch(poller, key, unsent));
        if served.is_err() {
            self.connections.remove(key);
        }
    }
}

impl Connection {
    fn read(&mut self, may_read: bool, buffer: &mut [u8]) -> io::Result<()> {
        let ready = match &self.state {
            State::Reading(_) => true,
            State::Answering { .. } => false,
            State::Echoing(unsent) => unsent.is_empty(),
            State::Speaking(speaker) => speaker.side.outbox.is_empty(),
        };
        if !may_read || !ready {
            return Ok(());
        }
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        match &mut self.state {
            State::Reading(head) => {
                head.extend_from_slice(bytes);
                if let Some(frames) = head.strip_prefix(PREFACE) {
                    let mut speaker = Box::new(Speaker::new());
                    speaker.hear(frames);
                    self.state = State::Speaking(speaker);
                } else if PREFACE.starts_with(head) {
                    // The rest of it comes.
                } else if message::head_length(head).is_some_and(|length| length == head.len()) {
                    self.state = next(head).ok_or(ErrorKind::InvalidData)?;
                } else if head.len() > MAX_HEAD {
                    return Err(ErrorKind::InvalidData.into());
                }
            }
            State::Echoing(unsent) => unsent.extend_from_slice(bytes),
            State::Speaking(speaker) => speaker.hear(bytes),
            State::Answering { .. } => {}
        }
        Ok(())
    }

    /// Sends what can be sent; whether something is left.
    fn write(&mut self, answers: &mut HashMap<usize, Vec<u8>>) -> io::Result<bool> {
        match &mut self.state {
            State::Reading(_) => Ok(false),
            State::Answering { size, gone } => {
                let answer = answers
                    .entry(*size)
                    .or_insert_with_key(|size| message::response(*size));
                *gone += send(&self.stream, answer.get(*gone..).unwrap_or_default())?;
                if *gone < answer.len() {
                    return Ok(true);
                }
                self.state = State::Reading(Vec::with_capacity(1024));
                Ok(false)
            }
            State::Echoing(unsent) => {
                let gone = send(&self.stream, unsent)?;
                unsent.drain(..gone);
                Ok(!unsent.is_empty())
            }
            State::Speaking(speaker) => {
                let outbox = &mut speaker.side.outbox;
                let gone = send(&self.stream, outbox)?;
                outbox.drain(..gone);
                Ok(!outbox.is_empty())
            }
        }
    }

    fn watch(&mut self, poller: &Poller, key: usize, unsent: bool) -> io::Result<()> {
        if unsent != self.writing {
            self.writing = unsent;
            let flags = if unsent {
                EventFlags::OUT
            } else {
                EventFlags::IN
            };
            poller.change(&self.stream, key, flags)?;
        }
        Ok(())
    }
}

/// Returns the response to a request, if it is a known one.
fn next(head: &[u8]) -> Option<State> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let path = line.strip_prefix(b"GET ")?.strip_suffix(b" HTTP/1.1")?;
    if path == b"/echo" {
        return Some(State::Echoing(message::switching()));
    }
    let size = std::str::from_utf8(path.strip_prefix(b"/bytes/")?).ok()?;
    let size = size.parse().ok().filter(|size| *size <= message::LONGEST)?;
    Some(State::Answering { size, gone: 0 })
}

fn send(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut gone = 0;
    while let Some(rest @ [_, ..]) = bytes.get(gone..) {
        match stream.write(rest) {
            Ok(count) => gone += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}
