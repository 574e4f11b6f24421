//! epoll(7), level-triggered, for the programs on the generator's core: origin, relay, clients.

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
pub(crate) use rustix::event::epoll::EventFlags;
use rustix::event::epoll::{self, CreateFlags, Event, EventData};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Limit of events of one wait.
const EVENTS: usize = 256;

/// Descriptors that are watched, each under a key.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
        })
    }

    pub(crate) fn add(&self, fd: impl AsFd, key: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            EventData::new_u64(key as u64),
            flags,
        )?)
    }

    pub(crate) fn change(&self, fd: impl AsFd, key: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            fd,
            EventData::new_u64(key as u64),
            flags,
        )?)
    }

    /// Waits until something happens or the time is over; how many events there are.
    pub(crate) fn wait(&mut self, at_most: Option<Duration>) -> io::Result<usize> {
        self.events.clear();
        let timeout = at_most.map(|time| Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: i64::from(time.subsec_nanos()),
        });
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Ok(count) => Ok(count),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// One event of the last wait: its key and what happened.
    pub(crate) fn event(&self, index: usize) -> Option<(usize, EventFlags)> {
        // The fields of a packed value are copied out.
        let event = self.events.get(index)?;
        let (data, flags) = (event.data, event.flags);
        Some((data.u64() as usize, flags))
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Poller").field(&self.epoll).finish()
    }
}
