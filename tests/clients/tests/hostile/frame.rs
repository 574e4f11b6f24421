//! Frames (RFC 9113, 4.1), byte by byte: what no library would send can be sent.

/// The kinds of frames (RFC 9113, 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Their flags.
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;

/// The codes of errors (RFC 9113, 7).
pub(crate) const CANCEL: u32 = 0x8;

/// SETTINGS_HEADER_TABLE_SIZE and SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, 6.5.2).
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
/// SETTINGS_MAX_CONCURRENT_STREAMS: the lower half of its number.
pub(crate) const MAX_CONCURRENT_STREAMS: u8 = 3;

/// Client connection preface (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length of a frame's head.
pub(crate) const HEAD: usize = 9;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            flags,
            stream,
            payload: payload.into(),
        }
    }

    /// A whole head.
    pub(crate) fn headers(stream: u32, block: impl Into<Vec<u8>>, ended: bool) -> Self {
        let flags = if ended { END_STREAM } else { 0 };
        Self::new(HEADERS, flags | END_HEADERS, stream, block)
    }

    pub(crate) fn data(stream: u32, data: impl Into<Vec<u8>>, ended: bool) -> Self {
        Self::new(DATA, if ended { END_STREAM } else { 0 }, stream, data)
    }

    pub(crate) fn reset(stream: u32, code: u32) -> Self {
        Self::new(RST_STREAM, 0, stream, code.to_be_bytes())
    }

    pub(crate) fn window(stream: u32, increment: u32) -> Self {
        Self::new(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
    }

    pub(crate) fn settings(settings: &[(u16, u32)]) -> Self {
        let bytes = |(name, value): &(u16, u32)| {
            let (name, value) = (name.to_be_bytes(), value.to_be_bytes());
            [name.as_slice(), &value].concat()
        };
        Self::new(
            SETTINGS,
            0,
            0,
            settings.iter().map(bytes).collect::<Vec<_>>().concat(),
        )
    }

    pub(crate) fn ping(data: u64) -> Self {
        Self::new(PING, 0, 0, data.to_be_bytes())
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let length = (self.payload.len() as u32).to_be_bytes();
        out.extend_from_slice(&length[1..]);
        out.extend([self.kind, self.flags]);
        out.extend(self.stream.to_be_bytes());
        out.extend_from_slice(&self.payload);
    }

    /// Takes a whole frame off the front, once it is there.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let head = bytes.first_chunk::<HEAD>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        if bytes.len() < HEAD + length {
            return None;
        }
        let payload = bytes.drain(..HEAD + length).skip(HEAD).collect();
        Some(Self {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// The number that the payload has at a place.
    pub(crate) fn number(&self, at: usize) -> Option<u32> {
        let four = self.payload.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*four))
    }
}

#[test]
fn a_frame_is_read_as_it_was_written() {
    let frame = Frame::headers(5, *b"block", true);
    let mut bytes = Vec::new();
    frame.write(&mut bytes);
    assert_eq!(bytes, b"\x00\x00\x05\x01\x05\x00\x00\x00\x05block");
    let mut part = bytes[..bytes.len() - 1].to_vec();
    assert_eq!(Frame::take(&mut part), None);
    assert_eq!(Frame::take(&mut bytes), Some(frame));
    assert!(bytes.is_empty());
}
