//! How long a body is, and how much of it is still to come.

use crate::chunk::{ChunkDecoder, ChunkError, Decoded};

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// A response that ends with its connection.
    UntilClose,
}

impl Framing {
    /// No byte of body can come.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// Reads a body by its framing.
#[derive(Clone, Debug)]
pub enum BodyReader {
    /// So many bytes to come; none means done.
    Length(u64),
    /// In the chunked coding.
    Chunked(Box<ChunkDecoder>),
    /// All that comes.
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
    /// The next run of body bytes in the input; see [`ChunkDecoder::decode`].
    ///
    /// # Errors
    /// The chunked coding is broken.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, ChunkError> {
        match self {
            Self::Length(left) => {
                let length = usize::try_from(*left).map_or(input.len(), |it| it.min(input.len()));
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

    /// The trailer section, once the body is done.
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
    fn a_length_ends_where_it_says() {
        let mut body = BodyReader::from(Framing::Length(5));
        let first = body.decode(b"abc").unwrap();
        assert_eq!((first.consumed, first.done), (3, false));
        let last = body.decode(b"deGET /").unwrap();
        assert_eq!((last.data, last.consumed, last.done), (0..2, 2, true));
    }

    #[test]
    fn no_body_is_done_at_once_and_takes_nothing() {
        let decoded = BodyReader::from(Framing::None).decode(b"GET /").unwrap();
        assert_eq!((decoded.consumed, decoded.done), (0, true));
    }

    #[test]
    fn until_close_takes_all_and_never_ends_by_itself() {
        let decoded = BodyReader::from(Framing::UntilClose)
            .decode(b"abc")
            .unwrap();
        assert_eq!((decoded.consumed, decoded.done), (3, false));
    }
}
