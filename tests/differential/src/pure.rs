//! Portolan's pure half alone, without sockets: bytes in, and the bytes that it would send on.
//! Fast enough for a hundred thousand cases within seconds.

use crate::grammar::HOSTS;
use crate::peer;
use portolan_proxy_core::body::{BodyReader, Framing};
use portolan_proxy_core::chunk::{ChunkError, OpenChunk};
use portolan_proxy_core::decide::{CompileContext, Decision, VirtualHost, decide};
use portolan_proxy_core::field::slots;
use portolan_proxy_core::head::Client;
use portolan_proxy_core::headers::{self, Hop};
use portolan_proxy_core::request::{RequestHead, settle_version};
use portolan_proxy_core::scan::{HeadScan, MAX_HEAD};
use portolan_proxy_core::via::Pseudonym;

/// Result of parsing the bytes at the front of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// A whole request: as it is sent on, how many bytes it was, and whether another may follow.
    On {
        /// Head and body.
        sent: Vec<u8>,
        /// Length of the parsed input.
        used: usize,
        /// The next request may be read.
        kept: bool,
    },
    /// More must come.
    Wanting,
    /// Refused.
    Refused,
}

/// Routing table: the hosts of the grammar, each with one route for every path.
#[derive(Debug)]
pub struct Pure(VirtualHost<()>);

impl Pure {
    /// With the table that the lanes' data planes have.
    ///
    /// # Errors
    /// The table cannot be compiled.
    pub fn new() -> anyhow::Result<Self> {
        let context = CompileContext {
            workers: 1,
            seed: 0,
            https_port: 443,
        };
        let table = peer::host_to_origin(HOSTS[0]);
        Ok(Self(VirtualHost::compile(&table, |_| Some(()), context)?))
    }

    /// Reads one request in pieces of this size, as a connection does.
    pub fn pass(&self, bytes: &[u8], piece: usize) -> Passed {
        let (skipped, head) = match head(bytes, piece) {
            Ok(Some(found)) => found,
            Ok(None) => return Passed::Wanting,
            Err(()) => return Passed::Refused,
        };
        let (front, rest) = bytes.split_at(skipped + head);
        let mut room = slots();
        let mut front = front.get(skipped..).unwrap_or_default().to_vec();
        settle_version(&mut front);
        let Ok(parsed) = RequestHead::parse(&front, &mut room) else {
            return Passed::Refused;
        };
        let Some(mut sent) = self.rewritten(&parsed) else {
            return Passed::Refused;
        };
        match body(parsed.framing, rest, piece, &mut sent) {
            Ok(Some(used)) => Passed::On {
                sent,
                used: skipped + head + used,
                kept: parsed.keeps_alive(),
            },
            Ok(None) => Passed::Wanting,
            Err(_) => Passed::Refused,
        }
    }

    /// The head that an endpoint gets; `None` when it gets none.
    fn rewritten(&self, parsed: &RequestHead<'_, '_>) -> Option<Vec<u8>> {
        let authority = parsed.authority.as_ref()?;
        if !HOSTS.contains(&authority.host()) {
            return None;
        }
        let client = Client {
            address: "192.0.2.7",
            secure: false,
        };
        let view = parsed.view(authority, client);
        let Decision::Forward { route, .. } = decide(&view, &self.0) else {
            return None;
        };
        let hop = Hop {
            request_id: "id",
            via: &Pseudonym::default(),
        };
        let mut sent = Vec::new();
        headers::request(&mut sent, &view, route.request(), hop, parsed.framing, None);
        Some(sent)
    }
}

/// Returns the number of bytes before the head, and its length.
fn head(bytes: &[u8], piece: usize) -> Result<Option<(usize, usize)>, ()> {
    let mut scan = HeadScan::default();
    let mut skipped = 0;
    let mut seen = 0;
    loop {
        let unread = bytes.get(skipped..seen).unwrap_or_default();
        match scan.find(unread).map_err(|_| ())? {
            Some(2) if skipped == 0 => {
                skipped = 2;
                scan = HeadScan::default();
            }
            Some(length) if length <= MAX_HEAD => return Ok(Some((skipped, length))),
            Some(_) => return Err(()),
            None if seen == bytes.len() => return Ok(None),
            None => seen = bytes.len().min(seen + piece),
        }
    }
}

/// Appends the body as it is sent on; gives how much of the input it was.
fn body(
    framing: Framing,
    bytes: &[u8],
    piece: usize,
    sent: &mut Vec<u8>,
) -> Result<Option<usize>, ChunkError> {
    if framing.is_empty() {
        return Ok(Some(0));
    }
    let mut reader = BodyReader::from(framing);
    let (mut used, mut seen) = (0, 0);
    let chunked = framing == Framing::Chunked;
    while seen < bytes.len() {
        seen = bytes.len().min(seen + piece);
        loop {
            let unread = bytes.get(used..seen).unwrap_or_default();
            let decoded = reader.decode(unread)?;
            let data = unread.get(decoded.data).unwrap_or_default();
            used += decoded.consumed;
            for part in data.chunks(OpenChunk::MAX) {
                write(part, chunked, sent);
            }
            if decoded.done {
                if chunked {
                    sent.extend_from_slice(b"0\r\n");
                    headers::trailers(sent, reader.trailers())?;
                    sent.extend_from_slice(b"\r\n");
                }
                return Ok(Some(used));
            }
            if decoded.consumed == 0 || used == seen {
                break;
            }
        }
    }
    Ok(None)
}

fn write(data: &[u8], chunked: bool, sent: &mut Vec<u8>) {
    if !chunked {
        sent.extend_from_slice(data);
        return;
    }
    let chunk = OpenChunk::begin(sent);
    sent.extend_from_slice(data);
    chunk.end(sent);
}
