//! Unfinished input of a peer, as the boundaries of frames show it (RFC 9113 4.1): a
//! preface, a frame that is not DATA, or a head that goes on in CONTINUATION. The codec waits for the
//! rest of them without a bound.

use tokio::time::Instant;

const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Follows what is read.
#[derive(Debug)]
pub(super) struct FrameProgress {
    /// Bytes to come of the preface or of a frame's payload.
    left: usize,
    /// The head of the frame that is read, as far as it has come.
    head: [u8; FRAME_HEAD],
    have: usize,
    /// The payload that is read is of DATA, whose pace is judged with its stream.
    is_data: bool,
    /// A header block has not ended.
    open_block: bool,
    since: Option<Instant>,
}

impl FrameProgress {
    /// With a client's preface to come, and the settings behind it.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: PREFACE,
            head: [0; FRAME_HEAD],
            have: 0,
            is_data: false,
            // Until the first frame has come.
            open_block: true,
            since: Some(now),
        }
    }

    /// Since when something is unfinished.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Takes in what was read.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = self.left.min(bytes.len());
                self.left -= count;
                bytes = bytes.get(count..).unwrap_or_default();
                continue;
            }
            let (Some((first, rest)), Some(place)) =
                (bytes.split_first(), self.head.get_mut(self.have))
            else {
                return;
            };
            *place = *first;
            self.have += 1;
            bytes = rest;
            if self.have == FRAME_HEAD {
                self.begin_frame();
            }
        }
        let unfinished = self.have > 0 || self.open_block || self.left > 0 && !self.is_data;
        self.since = unfinished.then(|| self.since.unwrap_or(now));
    }

    fn begin_frame(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.have = 0;
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.is_data = kind == DATA;
        let block = matches!(kind, HEADERS | CONTINUATION);
        self.open_block = block && flags & END_HEADERS == 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + usize::from(length), 7);
        frame
    }

    /// Returns whether something is unfinished after this, read in pieces of each size.
    fn unfinished(bytes: &[u8]) -> bool {
        let now = Instant::now();
        let after = |piece: usize| {
            let mut frame_progress = FrameProgress::new(now);
            bytes
                .chunks(piece)
                .for_each(|piece| frame_progress.read(piece, now));
            frame_progress.since().is_some()
        };
        let whole = after(bytes.len().max(1));
        for piece in 1..20 {
            assert_eq!(after(piece), whole, "{piece}");
        }
        whole
    }

    #[test]
    fn a_preface_is_finished_with_the_first_frame() {
        let mut input = vec![b'P'; PREFACE];
        assert!(unfinished(&input[..5]));
        assert!(unfinished(&input));
        input.extend(frame(4, 0, 0));
        assert!(!unfinished(&input));
    }

    #[test]
    fn a_head_is_finished_with_its_last_continuation() {
        let mut input = vec![b'P'; PREFACE];
        input.extend(frame(4, 0, 6));
        for (next, open) in [
            (frame(HEADERS, 0, 3), true),
            (frame(CONTINUATION, 0, 2), true),
            (frame(CONTINUATION, END_HEADERS, 0), false),
            (frame(6, 0, 8), false),
        ] {
            input.extend(next);
            assert_eq!(unfinished(&input), open);
        }
        let half = frame(HEADERS, END_HEADERS, 30);
        input.extend(&half[..20]);
        assert!(unfinished(&input));
    }

    #[test]
    fn ignores_data_and_counts_from_the_beginning() {
        let mut input = vec![b'P'; PREFACE];
        input.extend(frame(4, 0, 0));
        input.extend(&frame(DATA, 0, 30)[..20]);
        assert!(!unfinished(&input));
        let start = Instant::now();
        let later = start + std::time::Duration::from_secs(5);
        let mut frame_progress = FrameProgress::new(start);
        frame_progress.read(b"PRI", later);
        assert_eq!(frame_progress.since(), Some(start));
    }
}
