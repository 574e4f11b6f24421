//! The origin's half of a connection that speaks HTTP/2: every message of a gRPC call comes back.

use crate::http2::{self, ALLOWANCE, Frame, WINDOW};
use std::collections::{HashMap, VecDeque};

#[derive(Debug)]
pub(super) struct Speaker {
    /// What came and is no whole frame yet.
    inbox: Vec<u8>,
    /// What is to be sent.
    pub(super) outbox: Vec<u8>,
    /// Calls of which more comes.
    open: HashMap<u32, Vec<u8>>,
    /// Answers that wait for the window.
    waiting: VecDeque<(u32, Vec<u8>)>,
    window: i64,
    /// How much has come since more was allowed.
    received: u32,
}

impl Speaker {
    /// After the preface.
    pub(super) fn new() -> Self {
        let mut outbox = Vec::new();
        http2::write_greeting(&mut outbox);
        Self {
            inbox: Vec::new(),
            outbox,
            open: HashMap::new(),
            waiting: VecDeque::new(),
            window: WINDOW,
            received: 0,
        }
    }

    /// Takes what came, and has answers in the outbox afterwards.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = &inbox[..];
        while let Some((frame, after)) = Frame::take(rest) {
            self.attend(&frame);
            rest = after;
        }
        let gone = inbox.len() - rest.len();
        self.inbox = inbox;
        self.inbox.drain(..gone);
        self.answer();
    }

    fn attend(&mut self, frame: &Frame<'_>) {
        frame.answer(&mut self.outbox);
        self.window += frame.allowance().unwrap_or_default();
        match frame.kind {
            http2::HEADERS => drop(self.open.entry(frame.stream).or_default()),
            http2::DATA => {
                self.received += frame.payload.len() as u32;
                let message = self.open.entry(frame.stream).or_default();
                message.extend_from_slice(frame.payload);
            }
            http2::RST_STREAM => drop(self.open.remove(&frame.stream)),
            _ => return,
        }
        if frame.ends_stream()
            && let Some(message) = self.open.remove(&frame.stream)
        {
            self.waiting.push_back((frame.stream, message));
        }
    }

    fn answer(&mut self) {
        while let Some((stream, message)) = self.waiting.pop_front() {
            let length = message.len() as i64;
            if self.window < length {
                self.waiting.push_front((stream, message));
                break;
            }
            self.window -= length;
            let mut head = vec![0x88];
            http2::write_field(&mut head, "content-type", "application/grpc");
            http2::write_head(&mut self.outbox, stream, &head, false);
            http2::write_body(&mut self.outbox, stream, &message, false);
            let mut trailers = Vec::new();
            http2::write_field(&mut trailers, "grpc-status", "0");
            http2::write_head(&mut self.outbox, stream, &trailers, true);
        }
        if self.received > ALLOWANCE / 2 {
            self.received = 0;
            http2::write_allowance(&mut self.outbox);
        }
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
        assert!(!origin.outbox.windows(2).any(|it| it == [7, 7]));
        let mut more = Vec::new();
        http2::write_allowance(&mut more);
        origin.hear(&more);
        let outbox = std::mem::take(&mut origin.outbox);
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
