//! The messages of one run, from its seed.

use super::Amount;
use fastrand::Rng;
use tokio_tungstenite::tungstenite::Bytes;

/// One message, and in how many frames it goes.
pub(super) struct Message {
    pub(super) binary: bool,
    pub(super) data: Bytes,
    pub(super) frames: usize,
}

/// Shares of a hundred, and the sizes of each class in bytes.
const CLASSES: [(usize, usize, usize); 5] = [
    (5, 0, 1),
    (35, 1, 126),
    (50, 126, 4096),
    (9, 4096, 65_536),
    (1, 65_536, 262_144),
];

/// Gives the messages one by one.
pub(super) struct Plan {
    rng: Rng,
    amount: Amount,
    next: usize,
    pool: Bytes,
}

impl Plan {
    pub(super) fn new(seed: u32, amount: Amount) -> Self {
        let mut rng = Rng::with_seed(seed.into());
        let mut pool = vec![0; amount.largest.max(1 << 20)];
        rng.fill(&mut pool);
        Self {
            rng,
            amount,
            next: 0,
            pool: pool.into(),
        }
    }

    /// Returns true if a ping goes out now.
    pub(super) fn pings(&mut self) -> bool {
        self.rng.u8(..20) == 0
    }

    fn size(&mut self) -> usize {
        let mut at = self.rng.usize(..100);
        for (share, from, to) in CLASSES {
            if at < share {
                return self.rng.usize(from..to);
            }
            at -= share;
        }
        unreachable!("the shares add up to 100")
    }

    fn text(&mut self, size: usize) -> Bytes {
        // Letters of two bytes at both ends, so that a frame may end within one.
        let mut text = String::from("é");
        let from = self.rng.usize(..self.pool.len() - size);
        let letters = self.pool[from..from + size].iter();
        text.extend(letters.map(|byte| char::from(b'a' + byte % 26)));
        text.push('ü');
        text.into()
    }
}

impl Iterator for Plan {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let index = self.next;
        self.next += 1;
        if index == self.amount.messages {
            return None;
        }
        if index == self.amount.messages / 2 {
            return Some(Message {
                binary: true,
                data: self.pool.slice(..self.amount.largest),
                frames: 1,
            });
        }
        let binary = self.rng.bool();
        let size = self.size();
        let data = if binary {
            let from = self.rng.usize(..self.pool.len() - size);
            self.pool.slice(from..from + size)
        } else {
            self.text(size)
        };
        let fragmented = self.rng.u8(..10) == 0;
        let frames = if fragmented { self.rng.usize(2..6) } else { 1 };
        Some(Message {
            binary,
            data,
            frames,
        })
    }
}
