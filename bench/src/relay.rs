//! The limit: bytes carried both ways by one thread that looks at none of them.

use crate::poller::{EventFlags, Poller};
use slab::Slab;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// The listener's key; pairs take two keys each from 0 on.
const LISTENER: usize = usize::MAX;

/// A client's connection and the one to the origin.
#[derive(Debug)]
struct Pair {
    sides: [TcpStream; 2],
    /// Bytes from each side that could not be forwarded yet.
    unsent: [Vec<u8>; 2],
}

/// Serves until it is killed.
pub(crate) fn serve(port: u16, origin: SocketAddr) -> anyhow::Result<()> {
    let mut poller = Poller::new()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    poller.add(&listener, LISTENER, EventFlags::IN)?;
    let mut pairs: Slab<Pair> = Slab::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        for index in 0..poller.wait(None)? {
            match poller.event(index) {
                Some((LISTENER, _)) => accept(&poller, &listener, origin, &mut pairs)?,
                Some((key, flags)) => {
                    let (pair, side) = (key / 2, key % 2);
                    let Some(found) = pairs.get_mut(pair) else {
                        continue;
                    };
                    if found.handle_event(side, flags, &mut buffer).is_err() {
                        pairs.remove(pair);
                    }
                }
                None => {}
            }
        }
    }
}

fn accept(
    poller: &Poller,
    listener: &TcpListener,
    origin: SocketAddr,
    pairs: &mut Slab<Pair>,
) -> io::Result<()> {
    loop {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        // Over loopback a connection is made before the call returns.
        let sides = [client, TcpStream::connect(origin)?];
        let entry = pairs.vacant_entry();
        for (side, stream) in sides.iter().enumerate() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            // Edge-triggered, and registered once: no call but reading and writing from here on.
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            poller.add(stream, entry.key() * 2 + side, flags)?;
        }
        entry.insert(Pair {
            sides,
            unsent: [Vec::new(), Vec::new()],
        });
    }
}

impl Pair {
    fn handle_event(
        &mut self,
        side: usize,
        flags: EventFlags,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let stuck = self
            .unsent
            .get(1 - side)
            .is_some_and(|bytes| !bytes.is_empty());
        if stuck && flags.intersects(EventFlags::OUT) {
            self.carry(1 - side, buffer)?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.carry(side, buffer)?;
        }
        Ok(())
    }

    /// Passes on what one side has sent; an error is the pair's end.
    fn carry(&mut self, side: usize, buffer: &mut [u8]) -> io::Result<()> {
        let Self {
            sides: [client, origin],
            unsent: [from_client, from_origin],
        } = self;
        let (mut from, mut to, unsent) = match side {
            0 => (&*client, &*origin, from_client),
            _ => (&*origin, &*client, from_origin),
        };
        loop {
            if !unsent.is_empty() {
                match to.write(unsent) {
                    Ok(count) => drop(unsent.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
                continue;
            }
            let count = match from.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            let written = match to.write(bytes) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            unsent.extend_from_slice(bytes.get(written..).unwrap_or_default());
            // A read that did not fill the buffer has taken what was there (epoll(7), Q9).
            if unsent.is_empty() && count < buffer.len() {
                return Ok(());
            }
        }
    }
}
