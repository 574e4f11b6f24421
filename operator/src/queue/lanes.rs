//! Fair turns: each namespace waits in a lane of its own, and lanes take turns.
//!
//! Ten thousand keys of one namespace delay a key of another by one key, not by ten thousand.

use std::collections::{HashMap, VecDeque};

/// In which lane a key waits.
pub trait Lane {
    /// The namespace of an object; anything in common for what has none.
    fn lane(&self) -> &str;
}

/// Keys that are due now, in the order of their turns.
#[derive(Debug)]
pub(super) struct Lanes<K> {
    lanes: HashMap<String, VecDeque<K>>,
    turns: VecDeque<String>,
    len: usize,
}

impl<K> Default for Lanes<K> {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            len: 0,
        }
    }
}

impl<K: Lane> Lanes<K> {
    pub(super) fn push(&mut self, key: K) {
        self.len += 1;
        match self.lanes.get_mut(key.lane()) {
            Some(lane) => lane.push_back(key),
            None => {
                let name = key.lane().to_owned();
                self.turns.push_back(name.clone());
                self.lanes.insert(name, VecDeque::from([key]));
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<K> {
        let name = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&name)?;
        let key = lane.pop_front()?;
        self.len -= 1;
        if lane.is_empty() {
            self.lanes.remove(&name);
        } else {
            self.turns.push_back(name);
        }
        Some(key)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_in_one_namespace_delays_another_by_one_key() {
        let mut lanes = Lanes::default();
        for key in ["flood/1", "flood/2", "flood/3", "calm/1"] {
            lanes.push(key);
        }
        let order: Vec<_> = std::iter::from_fn(|| lanes.pop()).collect();
        assert_eq!(order, ["flood/1", "calm/1", "flood/2", "flood/3"]);
        assert_eq!(
            (lanes.len(), lanes.lanes.len()),
            (0, 0),
            "nothing is left behind"
        );
    }
}
