//! Finds the end of a message head and rejects bare CR or LF.
//!
//! httparse accepts a bare LF as a line end; another proxy or server may not, and two readings of
//! one message are request smuggling. So a head reaches httparse only after this pass.

use memchr::memchr2;
use thiserror::Error;

/// Maximum size of a head, in bytes.
pub const MAX_HEAD: usize = 64 * 1024;

/// A CR without LF, or an LF without CR.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a line does not end in CR LF")]
pub struct BadLineEnd;

/// Finds the end of a head that arrives in pieces, scanning each byte once.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    scanned: usize,
    line_start: usize,
}

impl HeadScan {
    /// Returns the length of the head, including its empty line, once `bytes` holds all of it.
    /// `bytes` must begin with the bytes of the previous call.
    ///
    /// # Errors
    /// A line that does not end in CR LF.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadLineEnd> {
        while let Some(rest) = bytes.get(self.scanned..) {
            let Some(at) = memchr2(b'\r', b'\n', rest) else {
                self.scanned = bytes.len();
                return Ok(None);
            };
            let end = match rest.get(at..).unwrap_or_default() {
                [b'\r', b'\n', ..] => self.scanned + at + 2,
                [b'\r'] => {
                    self.scanned += at;
                    return Ok(None);
                }
                _ => return Err(BadLineEnd),
            };
            let empty = end == self.line_start + 2;
            self.scanned = end;
            self.line_start = end;
            if empty {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Returns true once the first line has ended: distinguishes an overlong target from overlong fields.
    pub fn past_first_line(&self) -> bool {
        self.line_start > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> Result<Option<usize>, BadLineEnd> {
        HeadScan::default().find(bytes)
    }

    #[test]
    fn the_head_ends_with_its_empty_line() {
        assert_eq!(
            whole(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n"),
            Ok(Some(27))
        );
        assert_eq!(whole(b"GET / HTTP/1.1\r\nHost: a\r\n\r"), Ok(None));
        assert_eq!(whole(b"\r\n"), Ok(Some(2)));
        assert_eq!(whole(b""), Ok(None));
    }

    #[test]
    fn rejects_bare_line_ends() {
        for bytes in [
            &b"GET / HTTP/1.1\n"[..],
            b"a\r\rb",
            b"a\r\nb\n\r\n",
            b"a\rb\r\n",
            b"\n",
        ] {
            assert_eq!(whole(bytes), Err(BadLineEnd), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn input_may_be_split_anywhere(text in "(a|b|\r\n|\r|\n){0,24}", cuts in prop::collection::vec(0usize..40, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut scan = HeadScan::default();
            let mut found = Ok(None);
            for cut in cuts {
                found = scan.find(&bytes[..cut]);
                if found != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(found, whole(bytes));
        }
    }
}
