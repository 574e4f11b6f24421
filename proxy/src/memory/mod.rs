//! Memory is counted against a limit, and the nearer it comes the less is taken on.
//!
//! Counted is what grows with clients: buffers, connections, TLS, bodies that are kept. What else
//! the process has in memory (its program, hosts, certificates) is what the kernel says beyond that.
//! The kernel's word alone would not do: it comes late, and memory that was given back to the
//! allocator stays with the process.

pub mod limit;

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Waker};
use tokio::task::Id;

/// Level of memory use. Each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MemoryPressure {
    /// All is well.
    Normal,
    /// From 80 %: bodies are read a few at a time, so that clients and endpoints are held up instead.
    HoldUp,
    /// From 90 %: new requests are refused, and heads that are longer than most.
    Refuse,
    /// From 95 %: no connection is accepted, and of those that are there a few at a time are read.
    Pause,
}

/// A worker reports its changes in portions of this size.
const PORTION: i64 = 64 * 1024;
/// So many buffers a worker lends however little memory there is: what is under way moves on, if slowly,
/// and gives back what it holds.
const ALWAYS_LENT: usize = 8;

/// The memory of a data plane.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    limit: u64,
    /// From how many bytes each step after the first begins.
    thresholds: [(u64, MemoryPressure); 3],
    /// Memory that is not counted here: the rest of the process.
    rest: AtomicU64,
    counted: Counted,
    most_counted: AtomicI64,
}

/// Written by all workers, if seldom: on a line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counted(AtomicI64);

impl MemoryBudget {
    /// `None` is no limit.
    pub(crate) fn new(limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        let share = |percent: u64| limit / 100 * percent;
        Self {
            limit,
            thresholds: [
                (share(95), MemoryPressure::Pause),
                (share(90), MemoryPressure::Refuse),
                (share(80), MemoryPressure::HoldUp),
            ],
            rest: AtomicU64::new(0),
            counted: Counted::default(),
            most_counted: AtomicI64::new(0),
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the memory in use, in bytes.
    pub(crate) fn used(&self) -> u64 {
        let counted = self.counted.0.load(Ordering::Relaxed);
        let rest = self.rest.load(Ordering::Relaxed);
        rest.saturating_add(u64::try_from(counted).unwrap_or(0))
    }

    pub(crate) fn pressure(&self) -> MemoryPressure {
        let used = self.used();
        let reached = self.thresholds.iter().find(|(from, _)| used >= *from);
        reached.map_or(MemoryPressure::Normal, |(_, pressure)| *pressure)
    }

    /// Takes in the resident memory of the process, now and then. What was counted at its most may still be
    /// with the allocator, and is there for the taking.
    pub(crate) fn observe(&self, resident: u64) {
        let counted = self.counted.0.load(Ordering::Relaxed);
        let most = self.most_counted.fetch_max(counted, Ordering::Relaxed);
        let most = u64::try_from(most.max(counted)).unwrap_or(0);
        self.rest
            .store(resident.saturating_sub(most), Ordering::Relaxed);
    }
}

/// The part of the memory that one worker uses.
#[derive(Debug)]
pub(crate) struct WorkerMemory {
    budget: Arc<MemoryBudget>,
    unreported: Cell<i64>,
    lent: Cell<usize>,
    waiting: RefCell<Waiting>,
}

/// Bodies and heads that wait for memory, in the order in which they came.
#[derive(Debug, Default)]
struct Waiting {
    queue: VecDeque<(Option<Id>, Waker)>,
    /// A task is polled more often than it is woken from here.
    present: HashSet<Option<Id>>,
}

impl WorkerMemory {
    pub(crate) fn new(budget: Arc<MemoryBudget>) -> Self {
        Self {
            budget,
            unreported: Cell::new(0),
            lent: Cell::new(0),
            waiting: RefCell::default(),
        }
    }

    /// Of a test that has nothing to do with memory.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Rc<Self> {
        Rc::new(Self::new(Arc::new(MemoryBudget::new(None))))
    }

    pub(crate) fn pressure(&self) -> MemoryPressure {
        self.budget.pressure()
    }

    fn add(&self, bytes: i64) {
        let unreported = self.unreported.get() + bytes;
        if unreported.abs() < PORTION {
            return self.unreported.set(unreported);
        }
        self.budget
            .counted
            .0
            .fetch_add(unreported, Ordering::Relaxed);
        self.unreported.set(0);
    }

    /// Counts so many bytes until the charge is dropped.
    pub(crate) fn charge(self: &Rc<Self>, bytes: usize) -> Charge {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.add(bytes);
        Charge {
            memory: Rc::clone(self),
            bytes,
        }
    }

    /// A buffer is in use.
    pub(crate) fn lend(&self) {
        self.lent.set(self.lent.get() + 1);
    }

    /// A buffer is not in use any more.
    pub(crate) fn give_back(&self) {
        self.lent.set(self.lent.get().saturating_sub(1));
        self.wake();
    }

    /// Returns whether a task that has to wait from this pressure on may have one more buffer; if not, it is
    /// woken when it is worth asking again.
    pub(crate) fn may_lend(&self, cx: &Context<'_>, from: MemoryPressure) -> bool {
        if self.pressure() < from || self.lent.get() < ALWAYS_LENT {
            return true;
        }
        let mut waiting = self.waiting.borrow_mut();
        let task = tokio::task::try_id();
        if waiting.present.insert(task) {
            waiting.queue.push_back((task, cx.waker().clone()));
        }
        false
    }

    /// Wakes who waits: the first for each buffer that comes back, all when there is memory again.
    pub(crate) fn wake(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some((task, waker)) = waiting.queue.pop_front() {
            waiting.present.remove(&task);
            waker.wake();
            if self.pressure() >= MemoryPressure::HoldUp {
                return;
            }
        }
    }
}

impl Drop for WorkerMemory {
    fn drop(&mut self) {
        let unreported = self.unreported.get();
        self.budget
            .counted
            .0
            .fetch_add(unreported, Ordering::Relaxed);
    }
}

/// Room that a body has, counted as long as this lives like a buffer that was lent.
#[derive(Debug)]
pub(crate) struct Lent(Rc<WorkerMemory>);

impl Lent {
    pub(crate) fn new(memory: &Rc<WorkerMemory>) -> Self {
        memory.lend();
        Self(Rc::clone(memory))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// Bytes that are counted as long as this lives.
#[derive(Debug)]
pub(crate) struct Charge {
    memory: Rc<WorkerMemory>,
    bytes: i64,
}

impl Charge {
    pub(crate) fn memory(&self) -> &Rc<WorkerMemory> {
        &self.memory
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.add(-self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_taken_at_their_shares_of_the_limit() {
        let budget = MemoryBudget::new(Some(1000));
        for (used, pressure) in [
            (0, MemoryPressure::Normal),
            (799, MemoryPressure::Normal),
            (800, MemoryPressure::HoldUp),
            (900, MemoryPressure::Refuse),
            (950, MemoryPressure::Pause),
            (5000, MemoryPressure::Pause),
        ] {
            budget.observe(used);
            assert_eq!(budget.pressure(), pressure, "{used}");
        }
        let unlimited = MemoryBudget::new(None);
        unlimited.observe(1 << 50);
        assert_eq!(unlimited.pressure(), MemoryPressure::Normal);
    }

    #[test]
    fn what_workers_use_is_counted_together_and_given_back() {
        let budget = Arc::new(MemoryBudget::new(None));
        let workers = [(); 2].map(|()| Rc::new(WorkerMemory::new(Arc::clone(&budget))));
        let charges = workers.each_ref().map(|memory| memory.charge(100_000));
        let small = workers[0].charge(1);
        assert_eq!(budget.used(), 200_000, "a single byte is not reported yet");
        drop((charges, small, workers));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn excludes_memory_kept_by_the_allocator() {
        let budget = Arc::new(MemoryBudget::new(Some(1_000_000)));
        budget.observe(100_000);
        let memory = Rc::new(WorkerMemory::new(Arc::clone(&budget)));
        let surge = memory.charge(800_000);
        budget.observe(900_000);
        assert_eq!(
            (budget.used(), budget.pressure()),
            (900_000, MemoryPressure::Refuse)
        );
        drop(surge);
        budget.observe(900_000);
        assert_eq!(
            (budget.used(), budget.pressure()),
            (100_000, MemoryPressure::Normal)
        );
    }

    #[test]
    fn bodies_wait_their_turn_and_never_all_of_them() {
        let budget = Arc::new(MemoryBudget::new(Some(100)));
        let memory = Rc::new(WorkerMemory::new(Arc::clone(&budget)));
        let cx = Context::from_waker(Waker::noop());
        budget.observe(85);
        for _ in 0..ALWAYS_LENT {
            assert!(memory.may_lend(&cx, MemoryPressure::HoldUp));
            memory.lend();
        }
        assert!(!memory.may_lend(&cx, MemoryPressure::HoldUp));
        assert!(
            !memory.may_lend(&cx, MemoryPressure::HoldUp),
            "asked twice, waits once"
        );
        assert_eq!(memory.waiting.borrow().queue.len(), 1);
        memory.give_back();
        assert!(memory.waiting.borrow().queue.is_empty());
        assert!(memory.may_lend(&cx, MemoryPressure::HoldUp));
        memory.lend();
        assert!(
            memory.may_lend(&cx, MemoryPressure::Pause),
            "waits only from Pause on"
        );
        budget.observe(10);
        assert!(memory.may_lend(&cx, MemoryPressure::HoldUp));
    }
}
