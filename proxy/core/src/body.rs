//! Framing of bodies, and readers that follow it.

use crate::chunk::{ChunkDecoder, ChunkError, Decoded};

/// Framing of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// A response that ends when the connection closes.
    UntilClose,
}

impl Framing {
    /// Returns true if the body is empty.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// Reads a body according to its framing.
#[derive(Clone, Debug)]
pub enum BodyReader {
    /// Remaining bytes; 0 means done.
    Length(u64),
    /// In chunked transfer coding.
    Chunked(Box<ChunkDecoder>),
    /// Everything until the connection closes.
    UntilClose,
}

impl From<Framing> for BodyReader {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Box::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }
}

impl BodyReader {
    /// Returns the next run of body bytes in the input; see [`ChunkDecoder::decode`].
    ///
    /// # Errors
    /// The chunked coding is malformed.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, ChunkError> {
        match self {
            Self::Length(left) => {
                let length =
                    usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= length as u64;
                Ok(Decoded {
                    consumed: length,
                    data: 0..length,
                    done: *left == 0,
                })
            }
            Self::Chunked(decoder) => decoder.decode(input),
            Self::UntilClose => Ok(Decoded {
                consumed: input.len(),
                data: 0..input.len(),
                done: false,
            }),
        }
    }

    /// Returns the trailer section, once the body is done.
    pub fn trailers(&self) -> &[u8] {
        match self {
            Self::Chunked(decoder) => decoder.trailers(),
            Self::Length(_) | Self::UntilClose => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_ends_after_its_bytes() {
        let mut body = BodyReader::from(Framing::Length(5));
        let first = body.decode(b"abc").unwrap();
        assert_eq!((first.consumed, first.done), (3, false));
        let last = body.decode(b"deGET /").unwrap();
        assert_eq!((last.data, last.consumed, last.done), (0..2, 2, true));
    }

    #[test]
    fn no_body_is_done_at_once() {
        let decoded = BodyReader::from(Framing::None).decode(b"GET /").unwrap();
        assert_eq!((decoded.consumed, decoded.done), (0, true));
    }

    #[test]
    fn until_close_never_ends_by_itself() {
        let decoded = BodyReader::from(Framing::UntilClose)
            .decode(b"abc")
            .unwrap();
        assert_eq!((decoded.consumed, decoded.done), (3, false));
    }
}
