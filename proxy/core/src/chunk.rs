//! Strict decoder and encoder of the chunked coding (RFC 9112 7.1), for input in pieces of any size.
//!
//! httparse's chunk-size function reads an empty line as 0 and accepts more than the
//! grammar; this state machine accepts exactly the grammar.

use std::ops::Range;
use thiserror::Error;

/// Maximum length of an extension, in bytes; extensions are ignored.
const MAX_EXTENSION: u16 = 256;
/// Maximum length of the trailer section, in bytes.
pub const MAX_TRAILERS: usize = 8 * 1024;
/// Maximum excess of framing over data, in bytes: a flood of tiny chunks with long extensions wastes
/// CPU and is rejected (CVE-2023-39326).
const MAX_EXCESS: u64 = 16 * 1024;
/// Framing per chunk that does not count, so that a legitimate stream of tiny chunks, such as
/// a terminal's, is never rejected.
const FREE_FRAMING: u64 = 16;

/// Reason why a chunked body is rejected. Nothing after it may be read as a message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ChunkError {
    /// Not 1 to 16 hexadecimal digits followed by a line end or an extension.
    #[error("a chunk size is not 1 to 16 hexadecimal digits")]
    Size,
    /// Longer than 256 bytes, or with a control character.
    #[error("a chunk extension is too long or has control characters")]
    Extension,
    /// CR LF is missing.
    #[error("a chunk does not end in CR LF")]
    LineEnd,
    /// Longer than 8 KiB, or a line that does not end in CR LF.
    #[error("the trailer section is too long or malformed")]
    Trailers,
    /// Far more framing than data.
    #[error("the body has far more framing than data")]
    Flood,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8, size: u64 },
    Extension { size: u64, length: u16 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// Decoder of a chunked body.
#[derive(Clone, Debug)]
pub struct ChunkDecoder {
    state: State,
    trailers: Vec<u8>,
    excess: u64,
}

/// Result of decoding a piece of input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that were consumed; more than `data.end` only when framing follows the data.
    pub consumed: usize,
    /// Range of the input that is body data.
    pub data: Range<usize>,
    /// The body is complete; input after `consumed` is the next message's.
    pub done: bool,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self {
            state: State::Size { digits: 0, size: 0 },
            trailers: Vec::new(),
            excess: 0,
        }
    }
}

impl ChunkDecoder {
    /// Reads framing up to the next run of data, and that run. Call again with the rest until
    /// nothing is consumed.
    ///
    /// # Errors
    /// The first byte that the grammar does not allow.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, ChunkError> {
        let mut at = 0;
        while let Some(byte) = input.get(at).copied() {
            match self.state {
                State::Data { left } => {
                    let available = input.len() - at;
                    let length =
                        usize::try_from(left).map_or(available, |left| left.min(available));
                    let left = left - length as u64;
                    self.state = match left {
                        0 => State::DataCr,
                        left => State::Data { left },
                    };
                    self.excess = self.excess.saturating_sub(2 * length as u64);
                    let data = at..at + length;
                    return Ok(Decoded {
                        consumed: data.end,
                        data,
                        done: false,
                    });
                }
                State::Done => break,
                state => self.state = self.framing(state, byte)?,
            }
            at += 1;
        }
        Ok(Decoded {
            consumed: at,
            data: at..at,
            done: self.state == State::Done,
        })
    }

    /// Returns the trailer section as received, without its empty line.
    pub fn trailers(&self) -> &[u8] {
        self.trailers.strip_suffix(b"\r\n").unwrap_or_default()
    }

    fn framing(&mut self, state: State, byte: u8) -> Result<State, ChunkError> {
        self.excess += 1;
        // The trailer section has a bound of its own.
        if self.excess > MAX_EXCESS && state != State::Trailers {
            return Err(ChunkError::Flood);
        }
        Ok(match (state, byte) {
            (State::Size { digits, size }, byte) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(ChunkError::Size);
                }
                let digit = char::from(byte).to_digit(16).ok_or(ChunkError::Size)?;
                State::Size {
                    digits: digits + 1,
                    size: (size << 4) | u64::from(digit),
                }
            }
            (State::Size { digits: 1.., size }, b'\r') => State::SizeLf { size },
            (State::Size { digits: 1.., size }, b';') => State::Extension { size, length: 0 },
            (State::Size { .. }, _) => return Err(ChunkError::Size),
            (State::Extension { size, .. }, b'\r') => State::SizeLf { size },
            (State::Extension { size, length }, byte) => {
                if byte.is_ascii_control() || length == MAX_EXTENSION {
                    return Err(ChunkError::Extension);
                }
                State::Extension {
                    size,
                    length: length + 1,
                }
            }
            (State::SizeLf { size: 0 }, b'\n') => State::Trailers,
            (State::SizeLf { size }, b'\n') => {
                self.excess = self.excess.saturating_sub(FREE_FRAMING);
                State::Data { left: size }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { digits: 0, size: 0 },
            (State::SizeLf { .. } | State::DataCr | State::DataLf, _) => {
                return Err(ChunkError::LineEnd);
            }
            (State::Trailers, byte) => self.trailer(byte)?,
            (State::Data { .. } | State::Done, _) => state,
        })
    }

    fn trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        let after_cr = self.trailers.last() == Some(&b'\r');
        if (byte == b'\n') != after_cr || self.trailers.len() >= MAX_TRAILERS {
            return Err(ChunkError::Trailers);
        }
        self.trailers.push(byte);
        let ended = self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n");
        Ok(if ended { State::Done } else { State::Trailers })
    }
}

/// A chunk being written: everything appended to the output until [`Self::end`] is its data.
///
/// Many small chunks that were received together are sent as one, so that a flood of them is not passed on.
#[derive(Debug)]
#[must_use = "a chunk that is not ended is malformed"]
pub struct OpenChunk {
    at: usize,
}

impl OpenChunk {
    /// Placeholder for the size, which is known at the end; leading zeros are allowed (RFC 9112 7.1).
    const BLANK: &[u8] = b"0000\r\n";
    /// Maximum size of a chunk, which fits the placeholder.
    pub const MAX: usize = 0xffff;

    /// Begins a chunk at the end of the output.
    pub fn begin(out: &mut Vec<u8>) -> Self {
        let at = out.len();
        out.extend_from_slice(Self::BLANK);
        Self { at }
    }

    /// Returns the number of data bytes so far.
    pub fn len(&self, out: &[u8]) -> usize {
        out.len().saturating_sub(self.at + Self::BLANK.len())
    }

    /// Ends the chunk; one without data is removed, as it would end the body.
    pub fn end(self, out: &mut Vec<u8>) {
        let length = self.len(out);
        if length == 0 {
            out.truncate(self.at);
            return;
        }
        debug_assert!(length <= Self::MAX);
        let digits = out.iter_mut().skip(self.at).take(4);
        for (place, digit) in digits.enumerate() {
            let nibble = (length >> (12 - 4 * place)) & 0xf;
            *digit = b"0123456789abcdef".get(nibble).copied().unwrap_or(b'0');
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body, its trailers, and the rest, which belongs to the next message.
    type Read = Result<(Vec<u8>, Vec<u8>, Vec<u8>), ChunkError>;

    /// `None` when the input ends before the body.
    fn read(pieces: &[&[u8]]) -> Option<Read> {
        let mut decoder = ChunkDecoder::default();
        let mut body = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let mut rest = *piece;
            loop {
                let decoded = match decoder.decode(rest) {
                    Ok(decoded) => decoded,
                    Err(error) => return Some(Err(error)),
                };
                body.extend_from_slice(&rest[decoded.data]);
                rest = &rest[decoded.consumed..];
                if decoded.done {
                    let mut next = rest.to_vec();
                    pieces[index + 1..]
                        .iter()
                        .for_each(|piece| next.extend_from_slice(piece));
                    return Some(Ok((body, decoder.trailers().to_vec(), next)));
                }
                if decoded.consumed == 0 || rest.is_empty() {
                    break;
                }
            }
        }
        None
    }

    fn rejection(input: &str) -> ChunkError {
        read(&[input.as_bytes()])
            .expect("decided")
            .expect_err(input)
    }

    #[test]
    fn reads_a_body_with_extensions_and_trailers() {
        let input =
            b"5;name=\"x\"\r\nhello\r\n00a\r\n, chunks!!\r\n0\r\nGrpc-Status: 0\r\n\r\nGET /";
        let (body, trailers, next) = read(&[input]).unwrap().unwrap();
        assert_eq!(body, b"hello, chunks!!");
        assert_eq!(trailers, b"Grpc-Status: 0\r\n");
        assert_eq!(next, b"GET /");
    }

    #[test]
    fn rejects_anything_outside_the_grammar() {
        for input in [
            "\r\n", "g\r\n", " 5\r\n", "5 \r\n", "5\n", "+5\r\n", "0x5\r\n", "-1\r\n", ";\r\n",
        ] {
            assert_eq!(rejection(input), ChunkError::Size, "{input:?}");
        }
        assert_eq!(rejection("00000000000000001\r\n"), ChunkError::Size);
        assert_eq!(rejection("5;a\nb\r\n"), ChunkError::Extension);
        assert_eq!(
            rejection(&format!("5;{}\r\n", "x".repeat(257))),
            ChunkError::Extension
        );
        for input in ["5\rx", "5\r\nhello\n", "5\r\nhelloX", "5\r\nhello\rX"] {
            assert_eq!(rejection(input), ChunkError::LineEnd, "{input:?}");
        }
        for input in ["0\r\n\n", "0\r\na: b\n\r\n", "0\r\na\rb", "0\r\n\r\r"] {
            assert_eq!(rejection(input), ChunkError::Trailers, "{input:?}");
        }
        let long = format!("0\r\na: {}\r\n\r\n", "x".repeat(MAX_TRAILERS));
        assert_eq!(rejection(&long), ChunkError::Trailers);
    }

    #[test]
    fn the_largest_size_does_not_overflow() {
        let mut decoder = ChunkDecoder::default();
        let decoded = decoder.decode(b"ffffffffffffffff\r\nabc").unwrap();
        assert_eq!((decoded.data, decoded.done), (18..21, false));
        assert_eq!(decoder.state, State::Data { left: u64::MAX - 3 });
    }

    #[test]
    fn rejects_a_flood_of_framing_but_not_small_chunks() {
        let extended = "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n".repeat(1000);
        assert_eq!(rejection(&extended), ChunkError::Flood);
        let terminal = "1\r\na\r\n".repeat(100_000) + "0\r\n\r\n";
        let (body, ..) = read(&[terminal.as_bytes()]).unwrap().unwrap();
        assert_eq!(body.len(), 100_000);
    }

    #[test]
    fn written_chunks_can_be_read() {
        for length in [1, 15, 16, 255, 4096, OpenChunk::MAX] {
            let mut out = b"head".to_vec();
            let chunk = OpenChunk::begin(&mut out);
            out.resize(out.len() + length, b'x');
            chunk.end(&mut out);
            out.extend_from_slice(b"0\r\n\r\n");
            assert_eq!(read(&[&out[4..]]).unwrap().unwrap().0.len(), length);
        }
        let mut out = b"head".to_vec();
        OpenChunk::begin(&mut out).end(&mut out);
        assert_eq!(out, b"head", "an empty chunk would end the body");
    }

    fn chunked() -> impl Strategy<Value = Vec<u8>> {
        let chunk = (prop::collection::vec(any::<u8>(), 1..40), "(;[a-z]{0,4})?");
        (
            prop::collection::vec(chunk, 0..8),
            "(X-[A-Z]: [a-z]{0,5}\r\n){0,2}",
            "[A-Z/ ]{0,6}",
        )
            .prop_map(|(chunks, trailers, next)| {
                let mut input = Vec::new();
                for (data, extension) in chunks {
                    input.extend_from_slice(format!("{:x}{extension}\r\n", data.len()).as_bytes());
                    input.extend_from_slice(&data);
                    input.extend_from_slice(b"\r\n");
                }
                input.extend_from_slice(format!("0\r\n{trailers}\r\n{next}").as_bytes());
                input
            })
    }

    fn pieces<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(input.len());
        let mut from = 0;
        cuts.into_iter()
            .map(|to| &input[std::mem::replace(&mut from, to)..to])
            .collect()
    }

    proptest! {
        #[test]
        fn input_may_be_split_anywhere(input in chunked(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
            let whole = read(&[&input]);
            prop_assert!(matches!(whole, Some(Ok(_))));
            prop_assert_eq!(read(&pieces(&input, &cuts)), whole);
        }

        #[test]
        fn damaged_input_may_be_split_anywhere(
            mut input in chunked(), at in any::<usize>(), byte in any::<u8>(),
            cuts in prop::collection::vec(any::<usize>(), 0..12)) {
            let at = at % input.len();
            input[at] = byte;
            prop_assert_eq!(read(&pieces(&input, &cuts)), read(&[&input]));
        }
    }
}
