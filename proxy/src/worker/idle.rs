//! The connections of a worker that wait for their next request: woken when it closes, and asked to
//! leave when others need their place. Those of HTTP/2 stay here while they have requests, to be woken
//! all the same: they say goodbye while these run.

use slab::Slab;
use std::cell::RefCell;
use std::task::{Context, Waker};
use std::time::Instant;

/// Connections that wait.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    waiting: RefCell<Slab<Entry>>,
}

#[derive(Debug)]
struct Entry {
    waker: Waker,
    since: Instant,
    asked_to_leave: bool,
    /// It has requests.
    busy: bool,
}

impl Idle {
    /// Wakes every connection that is here.
    pub(crate) fn wake_all(&self) {
        for (_, entry) in self.waiting.borrow().iter() {
            entry.waker.wake_by_ref();
        }
    }

    /// Asks those that have waited longest to leave: one of eight, at least one and at most `most`, so
    /// that connections in occasional use stay. Returns how many were asked.
    pub(crate) fn ask_longest(&self, most: usize) -> usize {
        let mut waiting = self.waiting.borrow_mut();
        let mut by_age: Vec<(Instant, usize)> = waiting
            .iter()
            .filter(|(_, entry)| !entry.asked_to_leave && !entry.busy)
            .map(|(key, entry)| (entry.since, key))
            .collect();
        let idle = waiting.iter().filter(|(_, entry)| !entry.busy).count();
        let most = (idle / 8).clamp(1, most);
        if by_age.len() > most {
            by_age.select_nth_unstable(most);
            by_age.truncate(most);
        }
        for (_, key) in &by_age {
            if let Some(entry) = waiting.get_mut(*key) {
                entry.asked_to_leave = true;
                entry.waker.wake_by_ref();
            }
        }
        by_age.len()
    }
}

/// The place of one connection in [`Idle`] while it waits; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    idle: &'a Idle,
    key: Option<usize>,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(idle: &'a Idle) -> Self {
        Self { idle, key: None }
    }

    /// Called by a poll that found nothing to do. Returns whether to go on waiting.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) -> bool {
        self.stand(cx, false)
    }

    /// Called by a poll of a connection that has requests.
    pub(crate) fn work(&mut self, cx: &Context<'_>) {
        self.stand(cx, true);
    }

    fn stand(&mut self, cx: &Context<'_>, busy: bool) -> bool {
        let mut waiting = self.idle.waiting.borrow_mut();
        let Some(entry) = self.key.and_then(|key| waiting.get_mut(key)) else {
            self.key = Some(waiting.insert(Entry {
                waker: cx.waker().clone(),
                since: Instant::now(),
                asked_to_leave: false,
                busy,
            }));
            return true;
        };
        entry.waker.clone_from(cx.waker());
        if entry.busy && !busy {
            entry.since = Instant::now();
        }
        entry.busy = busy;
        !entry.asked_to_leave
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.idle.waiting.borrow_mut().try_remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_have_waited_longest_are_asked_first_and_once() {
        let idle = Idle::default();
        let cx = Context::from_waker(Waker::noop());
        let mut waiting: Vec<_> = (0..25).map(|_| Waiting::new(&idle)).collect();
        for entry in &mut waiting {
            assert!(entry.wait(&cx));
        }
        drop(waiting.remove(0));
        assert_eq!(idle.ask_longest(2), 2, "of 24, three were too many");
        let stay: Vec<_> = waiting.iter_mut().map(|entry| entry.wait(&cx)).collect();
        assert_eq!(stay[..3], [false, false, true]);
        waiting.truncate(3);
        waiting[2].work(&cx);
        assert_eq!(
            idle.ask_longest(9),
            0,
            "two have been asked, one has a request"
        );
        assert!(waiting[2].wait(&cx));
        assert_eq!(idle.ask_longest(9), 1, "one always");
        assert_eq!(idle.ask_longest(9), 0);
    }
}
