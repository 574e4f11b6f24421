//! As much of HTTP/2 (RFC 9113) as clients and origin need between themselves and a proxy: frames, and
//! fields of which the other side may, but they need not, keep a table.

use std::mem::size_of;

/// Client connection preface (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length, the kind, the flags and the stream of a frame (RFC 9113, 4.1).
const HEAD: usize = 9;
/// The longest payload that everybody takes (RFC 9113, 4.2).
const LONGEST: usize = 16_384;
/// Initial window of the connection and of a stream (RFC 9113, 6.9.2).
const WINDOW: i64 = 65_535;
/// Window granted at once; received bytes are granted again at half of that.
const ALLOWANCE: u32 = 1 << 30;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// `:status: 200`, as every proxy writes it (RFC 7541, appendix A).
const OK: u8 = 0x88;

/// One frame of what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame, and what comes after it; nothing while it is not whole.
    pub(crate) fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let (payload, rest) = rest.split_at_checked(length)?;
        let frame = Self {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            payload,
        };
        Some((frame, rest))
    }

    pub(crate) fn ends_stream(&self) -> bool {
        self.flags & END_STREAM != 0
    }

    /// Writes the acknowledgement of SETTINGS and PING.
    pub(crate) fn answer(&self, out: &mut Vec<u8>) {
        if matches!(self.kind, SETTINGS | PING) && self.flags & ACK == 0 {
            let payload = if self.kind == PING { self.payload } else { &[] };
            write(out, self.kind, ACK, 0, payload);
        }
    }

    /// Returns the increment of the connection's window.
    pub(crate) fn allowance(&self) -> Option<i64> {
        let number = self.payload.first_chunk::<4>()?;
        let allowed = i64::from(u32::from_be_bytes(*number));
        (self.kind == WINDOW_UPDATE && self.stream == 0).then_some(allowed)
    }

    /// Returns true for a head with status 200.
    pub(crate) fn is_ok(&self) -> bool {
        // What changes the table's size comes before all fields (RFC 7541, 4.2).
        let mut fields = self.payload.iter().skip_while(|byte| **byte & 0xe0 == 0x20);
        self.flags & PADDED == 0 && fields.next() == Some(&OK)
    }
}

/// One side of a connection: what has come, what is to be sent, and how much may be.
#[derive(Debug)]
pub(crate) struct Side {
    /// Received bytes that are no whole frame yet.
    pub(crate) inbox: Vec<u8>,
    pub(crate) outbox: Vec<u8>,
    /// Send window of the connection.
    pub(crate) window: i64,
    /// Bytes of bodies received since the last WINDOW_UPDATE.
    received: u32,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            inbox: Vec::new(),
            outbox: Vec::new(),
            window: WINDOW,
            received: 0,
        }
    }
}

impl Side {
    /// Takes every whole frame that has come, and writes the acknowledgements.
    pub(crate) fn read<E>(
        &mut self,
        mut each: impl FnMut(&Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut rest = &inbox[..];
        while let Some((frame, after)) = Frame::take(rest) {
            rest = after;
            frame.answer(&mut self.outbox);
            self.window += frame.allowance().unwrap_or_default();
            if frame.kind == DATA {
                self.received += frame.payload.len() as u32;
            }
            each(&frame)?;
        }
        let gone = inbox.len() - rest.len();
        inbox.drain(..gone);
        self.inbox = inbox;
        if self.received > ALLOWANCE / 2 {
            // What has come, so that the window stays below its bound (RFC 9113, 6.9.1).
            write_allowance(&mut self.outbox, self.received);
            self.received = 0;
        }
        Ok(())
    }
}

/// Appends a frame.
pub(crate) fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends a head.
pub(crate) fn write_head(out: &mut Vec<u8>, stream: u32, block: &[u8], ends: bool) {
    let flags = END_HEADERS | if ends { END_STREAM } else { 0 };
    write(out, HEADERS, flags, stream, block);
}

/// Appends a body.
pub(crate) fn write_body(out: &mut Vec<u8>, stream: u32, body: &[u8], ends: bool) {
    let mut parts = body.chunks(LONGEST).peekable();
    while let Some(part) = parts.next() {
        let last = ends && parts.peek().is_none();
        write(out, DATA, u8::from(last) * END_STREAM, stream, part);
    }
}

/// Settings of either side after the preface: no pushes, and large windows.
pub(crate) fn write_greeting(out: &mut Vec<u8>) {
    let mut settings = Vec::with_capacity(2 * (size_of::<u16>() + size_of::<u32>()));
    for (name, value) in [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, 2 << 20)] {
        settings.extend_from_slice(&name.to_be_bytes());
        settings.extend_from_slice(&u32::to_be_bytes(value));
    }
    write(out, SETTINGS, 0, 0, &settings);
    write_allowance(out, ALLOWANCE);
}

/// Appends that so much more may be sent.
pub(crate) fn write_allowance(out: &mut Vec<u8>, more: u32) {
    write(out, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
}

/// A head that is sent again and again on a connection, as browsers do it: the first time each field is
/// put into the table, from then on its number there is sent (RFC 7541, 6.1 and 6.2.1).
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) first: Vec<u8>,
    pub(crate) again: Vec<u8>,
}

impl Head {
    /// `indexed` are numbers of the static table.
    pub(crate) fn new(indexed: &[u8], fields: &[(&str, &str)]) -> Self {
        let mut first: Vec<u8> = indexed.iter().map(|number| 0x80 | number).collect();
        let mut again = first.clone();
        for (name, value) in fields {
            first.push(0x40);
            write_string(&mut first, name);
            write_string(&mut first, value);
        }
        // The latest has the lowest number, behind the static table's 61.
        again.extend((0..fields.len() as u8).rev().map(|age| 0x80 | (62 + age)));
        Self { first, again }
    }
}

/// A field without indexing (RFC 7541, 6.2.2).
pub(crate) fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0);
    write_string(out, name);
    write_string(out, value);
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    const MOST: usize = 127;
    let length = text.len();
    out.push(length.min(MOST) as u8);
    if let Some(mut rest) = length.checked_sub(MOST) {
        while rest >= 128 {
            out.push(0x80 | (rest % 128) as u8);
            rest /= 128;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text.as_bytes());
}

/// The message of a gRPC call that carries so many bytes.
pub(crate) fn message(content: &[u8]) -> Vec<u8> {
    let mut message = vec![0];
    message.extend_from_slice(&(content.len() as u32).to_be_bytes());
    message.extend_from_slice(content);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        write_body(&mut out, 5, &[7; 20_000], true);
        let (first, rest) = Frame::take(&out).unwrap();
        assert_eq!(
            (first.kind, first.stream, first.payload.len()),
            (DATA, 5, 16_384)
        );
        assert!(!first.ends_stream());
        assert_eq!(Frame::take(&rest[..rest.len() - 1]), None);
        let (second, rest) = Frame::take(rest).unwrap();
        assert!(second.ends_stream() && second.payload.len() == 3_616 && rest.is_empty());
    }

    #[test]
    fn settings_and_pings_are_answered_once() {
        let mut out = Vec::new();
        write(&mut out, PING, 0, 0, &[9; 8]);
        write_greeting(&mut out);
        let mut answers = Vec::new();
        let mut rest = &out[..];
        let mut allowed = 0;
        while let Some((frame, after)) = Frame::take(rest) {
            frame.answer(&mut answers);
            allowed += frame.allowance().unwrap_or_default();
            rest = after;
        }
        assert_eq!(allowed, i64::from(ALLOWANCE));
        let (ping, rest) = Frame::take(&answers).unwrap();
        assert_eq!(
            (ping.kind, ping.flags, ping.payload),
            (PING, ACK, &[9; 8][..])
        );
        let (settings, rest) = Frame::take(rest).unwrap();
        assert_eq!((settings.kind, settings.flags), (SETTINGS, ACK));
        assert!(settings.payload.is_empty() && rest.is_empty());
        let mut none = Vec::new();
        ping.answer(&mut none);
        settings.answer(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn received_bytes_are_granted_again() {
        let mut bytes = Vec::new();
        write_body(&mut bytes, 1, &[7; LONGEST], false);
        let mut side = Side::default();
        let mut again = 0;
        let all = 3 * (ALLOWANCE as usize / 2);
        for _ in 0..all / LONGEST {
            side.inbox.extend_from_slice(&bytes);
            side.read(|_| Ok::<_, ()>(())).unwrap();
            if let Some((frame, _)) = Frame::take(&side.outbox) {
                again += frame.allowance().unwrap();
                side.outbox.clear();
            }
        }
        assert!(side.inbox.is_empty());
        assert_eq!(again + i64::from(side.received), all as i64);
    }

    #[test]
    fn a_head_is_short_the_second_time() {
        let long = "x".repeat(300);
        let head = Head::new(&[2, 7], &[("a", "b"), ("c", &long)]);
        assert_eq!(head.first[..6], [0x82, 0x87, 0x40, 1, b'a', 1]);
        // 300 = 127 + 173, and 173 = 45 + 128 (RFC 7541, 5.1).
        let length = [127, 0x80 | 45, 1];
        assert!(head.first.windows(3).any(|window| window == length));
        assert_eq!(head.again, [0x82, 0x87, 0x80 | 63, 0x80 | 62]);
    }

    #[test]
    fn only_200_is_ok() {
        let mut out = Vec::new();
        write_head(&mut out, 1, &[0x20, 0x88, 1], false);
        write_head(&mut out, 1, &[0x8d], false);
        let (ok, rest) = Frame::take(&out).unwrap();
        assert!(ok.is_ok());
        assert!(!Frame::take(rest).unwrap().0.is_ok());
    }
}
