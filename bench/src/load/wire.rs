//! One client's connection, with or without TLS.

use crate::load::Target;
use crate::poller::{EventFlags, Poller};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, HandshakeKind};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// A connection, and what could not be written to it yet.
#[derive(Debug)]
pub(crate) struct Wire {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
    unsent: Vec<u8>,
    watched: EventFlags,
}

/// Why nothing more can be received.
#[derive(Debug)]
pub(crate) enum Failed {
    Io(io::Error),
    Tls(rustls::Error),
    /// The response is not the expected one.
    Answer(&'static str),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Answer(why) => f.write_str(why),
        }
    }
}

impl Wire {
    /// Over loopback a connection is made before the call returns.
    pub(crate) fn connect(target: &Target, key: usize, poller: &Poller) -> io::Result<Self> {
        let tcp = TcpStream::connect(target.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_nonblocking(true)?;
        let tls = match &target.tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
                let tls = ClientConnection::new(Arc::clone(config), name);
                Some(Box::new(tls.map_err(io::Error::other)?))
            }
        };
        let watched = EventFlags::IN;
        poller.add(&tcp, key, watched)?;
        Ok(Self {
            tcp,
            tls,
            unsent: Vec::new(),
            watched,
        })
    }

    /// Sends now what can be sent, and keeps the rest.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes)?,
            None if self.unsent.is_empty() => {
                let sent = write(&self.tcp, bytes)?;
                self.unsent
                    .extend_from_slice(bytes.get(sent..).unwrap_or_default());
                return Ok(());
            }
            None => self.unsent.extend_from_slice(bytes),
        }
        self.flush()
    }

    /// Sends what was kept.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => {
                while tls.wants_write() {
                    match tls.write_tls(&mut self.tcp) {
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    }
                }
            }
            None if self.unsent.is_empty() => {}
            None => {
                let sent = write(&self.tcp, &self.unsent)?;
                self.unsent.drain(..sent);
            }
        }
        Ok(())
    }

    /// Watches for what the connection waits for.
    pub(crate) fn watch(&mut self, key: usize, poller: &Poller) -> io::Result<()> {
        let stuck = match &self.tls {
            Some(tls) => tls.wants_write(),
            None => !self.unsent.is_empty(),
        };
        let flags = match stuck {
            true => EventFlags::IN | EventFlags::OUT,
            false => EventFlags::IN,
        };
        if flags != self.watched {
            poller.change(&self.tcp, key, flags)?;
            self.watched = flags;
        }
        Ok(())
    }

    /// Gives `taker` what has come; whether more may come.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        mut taker: impl FnMut(&[u8]) -> Result<(), &'static str>,
    ) -> Result<bool, Failed> {
        let Some(tls) = &mut self.tls else {
            return match read(&mut self.tcp, buffer).map_err(Failed::Io)? {
                None => Ok(true),
                Some(0) => Ok(false),
                Some(count) => {
                    taker(buffer.get(..count).unwrap_or_default()).map_err(Failed::Answer)?;
                    Ok(true)
                }
            };
        };
        let came = match tls.read_tls(&mut self.tcp) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(Failed::Io(error)),
        };
        tls.process_new_packets().map_err(Failed::Tls)?;
        loop {
            match read(&mut tls.reader(), buffer).map_err(Failed::Io)? {
                None => return Ok(came > 0),
                Some(0) => return Ok(false),
                Some(count) => {
                    taker(buffer.get(..count).unwrap_or_default()).map_err(Failed::Answer)?;
                }
            }
        }
    }

    /// The handshake that was made.
    pub(crate) fn handshake(&self) -> Option<HandshakeKind> {
        self.tls.as_ref()?.handshake_kind()
    }
}

fn read(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match from.read(buffer) {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(mut to: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while let Some(rest @ [_, ..]) = bytes.get(sent..) {
        match to.write(rest) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
