//! The origin's half of a connection that speaks HTTP/2: every message of a gRPC call comes back.

use crate::http2::{self, Frame, Side};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;

#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) side: Side,
    /// Calls of which more comes.
    open: HashMap<u32, Vec<u8>>,
    /// Answers that wait for the window.
    waiting: VecDeque<(u32, Vec<u8>)>,
}

impl Speaker {
    /// After the preface.
    pub(super) fn new() -> Self {
        let mut side = Side::default();
        http2::write_greeting(&mut side.outbox);
        Self {
            side,
            open: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Takes what came, and has answers in the outbox afterwards.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.side.inbox.extend_from_slice(bytes);
        let (open, waiting) = (&mut self.open, &mut self.waiting);
        let Ok(()) = self.side.read(|frame| {
            handle_event(open, waiting, frame);
            Ok::<_, Infallible>(())
        });
        self.answer();
    }

    fn answer(&mut self) {
        while let Some((stream, message)) = self.waiting.pop_front() {
            let length = message.len() as i64;
            if self.side.window < length {
                self.waiting.push_front((stream, message));
                break;
            }
            self.side.window -= length;
            let mut head = vec![0x88];
            http2::write_field(&mut head, "content-type", "application/grpc");
            http2::write_head(&mut self.side.outbox, stream, &head, false);
            http2::write_body(&mut self.side.outbox, stream, &message, false);
            let mut trailers = Vec::new();
            http2::write_field(&mut trailers, "grpc-status", "0");
            http2::write_head(&mut self.side.outbox, stream, &trailers, true);
        }
    }
}

fn handle_event(
    open: &mut HashMap<u32, Vec<u8>>,
    waiting: &mut VecDeque<(u32, Vec<u8>)>,
    frame: &Frame<'_>,
) {
    match frame.kind {
        http2::HEADERS => drop(open.entry(frame.stream).or_default()),
        http2::DATA => {
            let message = open.entry(frame.stream).or_default();
            message.extend_from_slice(frame.payload);
        }
        http2::RST_STREAM => drop(open.remove(&frame.stream)),
        _ => return,
    }
    if frame.ends_stream()
        && let Some(message) = open.remove(&frame.stream)
    {
        waiting.push_back((frame.stream, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_once_the_window_allows_it() {
        let message = vec![7; 70_000];
        let mut call = Vec::new();
        http2::write_head(&mut call, 1, &[0x83], false);
        http2::write_body(&mut call, 1, &message, true);
        let mut origin = Speaker::new();
        origin.hear(&call);
        assert!(!origin.side.outbox.windows(2).any(|window| window == [7, 7]));
        let mut more = Vec::new();
        http2::write_allowance(&mut more, 1 << 20);
        origin.hear(&more);
        let outbox = std::mem::take(&mut origin.side.outbox);
        let mut rest = &outbox[..];
        let (mut body, mut ended) = (Vec::new(), false);
        while let Some((frame, after)) = Frame::take(rest) {
            if frame.kind == http2::DATA {
                body.extend_from_slice(frame.payload);
            }
            ended |= frame.ends_stream();
            rest = after;
        }
        assert!(ended && body == message);
    }
}
