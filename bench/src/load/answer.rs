//! Compares a response with the expected one, byte by byte.

use crate::cases::Exchange;
use crate::message::{content, head_length};

/// The answer to one exchange, as far as it has come.
#[derive(Debug)]
pub(crate) struct Answer {
    exchange: Exchange,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(Vec<u8>),
    Body(usize),
}

const CALL: &str = "a call over HTTP/1.1";

impl Answer {
    /// An answer with a head first, also where it is the head of a WebSocket.
    pub(crate) fn with_head(exchange: Exchange) -> Self {
        Self {
            exchange,
            stage: Stage::Head(Vec::new()),
        }
    }

    /// An answer within a WebSocket.
    pub(crate) fn without_head(exchange: Exchange) -> Self {
        Self {
            exchange,
            stage: Stage::Body(0),
        }
    }

    /// Takes what came; whether the answer is whole.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<bool, &'static str> {
        match &mut self.stage {
            Stage::Head(head) => {
                head.extend_from_slice(bytes);
                let Some(length) = head_length(head) else {
                    return Ok(false);
                };
                let head = std::mem::take(head);
                let (head, rest) = head.split_at_checked(length).ok_or("no head")?;
                match self.exchange {
                    Exchange::Get(size) => {
                        check_head(head, size)?;
                        self.stage = Stage::Body(0);
                        self.body(rest, size)
                    }
                    Exchange::Echo(_) if !head.starts_with(b"HTTP/1.1 101 ") => Err("no upgrade"),
                    Exchange::Echo(_) if rest.is_empty() => Ok(true),
                    Exchange::Echo(_) => Err("more than a head"),
                    Exchange::Call(_) => Err(CALL),
                }
            }
            Stage::Body(_) => match self.exchange {
                Exchange::Get(size) | Exchange::Echo(size) => self.body(bytes, size),
                Exchange::Call(_) => Err(CALL),
            },
        }
    }

    fn body(&mut self, bytes: &[u8], size: usize) -> Result<bool, &'static str> {
        let Stage::Body(seen) = &mut self.stage else {
            return Err("a body before its head");
        };
        let until = *seen + bytes.len();
        if content().get(*seen..until) != Some(bytes) || until > size {
            return Err("another body");
        }
        *seen = until;
        Ok(until == size)
    }
}

fn check_head(head: &[u8], size: usize) -> Result<(), &'static str> {
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Err("another status");
    }
    let declared = head
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split_at_checked("content-length:".len()))
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"content-length:"))
        .filter_map(|(_, value)| {
            std::str::from_utf8(value)
                .ok()?
                .trim()
                .parse::<usize>()
                .ok()
        });
    match declared.eq([size]) {
        true => Ok(()),
        false => Err("another length"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{response, switching};

    fn whole(exchange: Exchange, bytes: &[u8], step: usize) -> Result<bool, &'static str> {
        let mut answer = Answer::with_head(exchange);
        let mut done = false;
        for part in bytes.chunks(step) {
            done = answer.take(part)?;
        }
        Ok(done)
    }

    #[test]
    fn the_answer_is_taken_in_any_portions() {
        for step in [1, 7, 100_000] {
            assert_eq!(whole(Exchange::Get(1024), &response(1024), step), Ok(true));
            assert_eq!(whole(Exchange::Echo(10), &switching(), step), Ok(true));
        }
    }

    #[test]
    fn detects_a_wrong_response() {
        let right = response(1024);
        let ask = Exchange::Get(1024);
        assert_eq!(whole(ask, &right[..right.len() - 1], 4096), Ok(false));
        let mut changed = right.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(whole(ask, &changed, 4096), Err("another body"));
        let longer = [&right[..], b"x"].concat();
        assert_eq!(whole(ask, &longer, 4096), Err("another body"));
        assert_eq!(whole(ask, &response(1023), 4096), Err("another length"));
        let failed = String::from_utf8_lossy(&right[..200]).replacen("200 OK", "503 No", 1);
        assert_eq!(whole(ask, failed.as_bytes(), 4096), Err("another status"));
        assert_eq!(whole(Exchange::Echo(8), &right, 4096), Err("no upgrade"));
    }

    #[test]
    fn an_echo_is_what_was_sent() {
        let mut answer = Answer::without_head(Exchange::Echo(4));
        assert_eq!(answer.take(&content()[..3]), Ok(false));
        assert_eq!(answer.take(&content()[3..4]), Ok(true));
        let mut answer = Answer::without_head(Exchange::Echo(4));
        assert_eq!(answer.take(&content()[1..4]), Err("another body"));
    }
}
