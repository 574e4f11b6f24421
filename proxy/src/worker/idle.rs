//! The connections of a worker that wait for their next request, to be woken when it closes.

use slab::Slab;
use std::cell::RefCell;
use std::task::{Context, Waker};

/// Who waits.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    wakers: RefCell<Slab<Waker>>,
}

impl Idle {
    /// Wakes every connection that waits.
    pub(crate) fn wake_all(&self) {
        for (_, waker) in self.wakers.borrow().iter() {
            waker.wake_by_ref();
        }
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

    /// Called by a poll that found nothing to do.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) {
        let mut wakers = self.idle.wakers.borrow_mut();
        match self.key.and_then(|key| wakers.get_mut(key)) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.key = Some(wakers.insert(cx.waker().clone())),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.idle.wakers.borrow_mut().try_remove(key);
        }
    }
}
