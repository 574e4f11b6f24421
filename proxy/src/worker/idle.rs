//! The connections of a worker that wait for their next request: woken when it closes, and asked to
//! leave when others need their place. Those of HTTP/2 stay here while they have requests, to be woken
//! all the same: they say goodbye while these run.

use slab::Slab;
use std::cell::RefCell;
use std::task::{Context, Waker};
use std::time::Instant;

/// Who waits.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    waiting: RefCell<Slab<Place>>,
}

#[derive(Debug)]
struct Place {
    waker: Waker,
    since: Instant,
    asked_to_leave: bool,
    /// It has requests.
    busy: bool,
}

impl Idle {
    /// Wakes every connection that is here.
    pub(crate) fn wake_all(&self) {
        for (_, place) in self.waiting.borrow().iter() {
            place.waker.wake_by_ref();
        }
    }

    /// Asks those that have waited longest to leave: one of eight, at least one and at most `most`, so
    /// that whoever asks for something now and then stays. Gives how many were asked.
    pub(crate) fn ask_longest(&self, most: usize) -> usize {
        let mut waiting = self.waiting.borrow_mut();
        let mut by_age: Vec<(Instant, usize)> = waiting
            .iter()
            .filter(|(_, place)| !place.asked_to_leave && !place.busy)
            .map(|(key, place)| (place.since, key))
            .collect();
        let idle = waiting.iter().filter(|(_, place)| !place.busy).count();
        let most = (idle / 8).clamp(1, most);
        if by_age.len() > most {
            by_age.select_nth_unstable(most);
            by_age.truncate(most);
        }
        for (_, key) in &by_age {
            if let Some(place) = waiting.get_mut(*key) {
                place.asked_to_leave = true;
                place.waker.wake_by_ref();
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

    /// Called by a poll that found nothing to do. Gives whether to go on waiting.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) -> bool {
        self.stand(cx, false)
    }

    /// Called by a poll of a connection that has requests.
    pub(crate) fn work(&mut self, cx: &Context<'_>) {
        self.stand(cx, true);
    }

    fn stand(&mut self, cx: &Context<'_>, busy: bool) -> bool {
        let mut waiting = self.idle.waiting.borrow_mut();
        let Some(place) = self.key.and_then(|key| waiting.get_mut(key)) else {
            self.key = Some(waiting.insert(Place {
                waker: cx.waker().clone(),
                since: Instant::now(),
                asked_to_leave: false,
                busy,
            }));
            return true;
        };
        place.waker.clone_from(cx.waker());
        if place.busy && !busy {
            place.since = Instant::now();
        }
        place.busy = busy;
        !place.asked_to_leave
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
        for place in &mut waiting {
            assert!(place.wait(&cx));
        }
        drop(waiting.remove(0));
        assert_eq!(idle.ask_longest(2), 2, "of 24, three were too many");
        let stay: Vec<_> = waiting.iter_mut().map(|place| place.wait(&cx)).collect();
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
