//! Endpoints, shared by all workers, and load balancing between them.

use arc_swap::ArcSwap;
use portolan_discovery::table;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// One endpoint. It keeps its identity and counters across changes of its set, as long as it is a
/// member.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    uid: Box<str>,
    state: State,
}

/// Counters that change with every request, on a cache line of their own so that reading the address
/// of an endpoint never waits for another core.
#[derive(Debug, Default)]
#[repr(align(128))]
struct State {
    in_flight: AtomicU32,
    idle: AtomicU32,
    removed: AtomicBool,
}

impl Endpoint {
    fn new(address: SocketAddr, uid: &str) -> Self {
        Self {
            address,
            uid: uid.into(),
            state: State::default(),
        }
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the requests in flight, over all workers.
    pub fn in_flight(&self) -> u32 {
        self.state.in_flight.load(Ordering::Relaxed)
    }

    /// Returns the idle connections, over all workers.
    pub fn idle(&self) -> u32 {
        self.state.idle.load(Ordering::Relaxed)
    }

    /// Returns true once it is in no set: its connections need not be kept.
    pub fn is_removed(&self) -> bool {
        self.state.removed.load(Ordering::Acquire)
    }
}

/// Counts a request in flight at an endpoint until dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Endpoint>);

impl InFlight {
    /// Counts a request.
    pub fn begin(endpoint: &Arc<Endpoint>) -> Self {
        endpoint.state.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(endpoint))
    }

    /// Returns the endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Permit for one idle connection to an endpoint; released when dropped.
#[derive(Debug)]
pub struct IdlePlace(Arc<Endpoint>);

impl IdlePlace {
    /// Claims a permit, unless `max` are taken over all workers.
    pub fn claim(endpoint: &Arc<Endpoint>, max: u32) -> Option<Self> {
        let idle = &endpoint.state.idle;
        if idle.fetch_add(1, Ordering::Relaxed) >= max {
            idle.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(Arc::clone(endpoint)))
    }
}

impl Drop for IdlePlace {
    fn drop(&mut self) {
        self.0.state.idle.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Round-robin position of one worker, on its own cache line.
#[derive(Debug)]
#[repr(align(128))]
struct Turn(AtomicU32);

/// Ready endpoints under one name. Hosts reference the set, so that a change of endpoints recompiles
/// no host.
#[derive(Debug)]
pub struct EndpointSet {
    members: ArcSwap<Vec<Arc<Endpoint>>>,
    turns: Box<[Turn]>,
}

impl EndpointSet {
    /// Creates an empty set. Each worker starts round-robin at its own position, derived from `seed`:
    /// if all began at the first endpoint, it would get the most requests after each restart.
    pub fn new(workers: usize, seed: u32) -> Self {
        let turn = |worker: usize| {
            let offset = (worker as u32).wrapping_mul(GOLDEN);
            Turn(AtomicU32::new(seed.wrapping_add(offset)))
        };
        Self {
            members: ArcSwap::default(),
            turns: (0..workers).map(turn).collect(),
        }
    }

    /// Replaces the members. A member that stays (same address, same pod) keeps its value; one that
    /// is gone is marked as removed. Called by one thread only.
    pub fn replace(&self, members: &[table::Endpoint]) {
        let before = self.members.load_full();
        let mut old: HashMap<(SocketAddr, &str), &Arc<Endpoint>> = before
            .iter()
            .map(|endpoint| ((endpoint.address, &*endpoint.uid), endpoint))
            .collect();
        let new: Vec<Arc<Endpoint>> = members
            .iter()
            .map(|member| match old.remove(&(member.address, &*member.uid)) {
                Some(kept) => Arc::clone(kept),
                None => Arc::new(Endpoint::new(member.address, &member.uid)),
            })
            .collect();
        self.members.store(Arc::new(new));
        for gone in old.into_values() {
            gone.state.removed.store(true, Ordering::Release);
        }
    }

    /// Returns the worker's next endpoint (round-robin), avoiding `not` if there is another one.
    pub fn next(&self, worker: usize, not: Option<&Arc<Endpoint>>) -> Option<Arc<Endpoint>> {
        let members = self.members.load();
        let turn = self.turns.get(worker)?;
        for _ in 0..2 {
            let turn = turn.0.fetch_add(1, Ordering::Relaxed) as usize;
            let chosen = members.get(turn.checked_rem(members.len())?)?;
            if not.is_none_or(|not| !Arc::ptr_eq(not, chosen)) {
                return Some(Arc::clone(chosen));
            }
        }
        None
    }

    /// Returns the requests in flight at the members.
    pub fn in_flight(&self) -> u64 {
        self.members
            .load()
            .iter()
            .map(|member| u64::from(member.in_flight()))
            .sum()
    }

    /// Returns the idle connections to the members.
    pub fn idle(&self) -> u64 {
        self.members
            .load()
            .iter()
            .map(|member| u64::from(member.idle()))
            .sum()
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.load().len()
    }

    /// Returns true if no endpoint is ready.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// 2^32 divided by the golden ratio: multiples of it, cut to 32 bits, fall evenly over the
/// circle for any number of them.
const GOLDEN: u32 = 0x9E37_79B9;

/// Backends of a route with their weights.
#[derive(Debug)]
pub struct Backends<B> {
    /// Each with the sum of weights up to and including its own; weights of 0 are left out.
    shares: Box<[(u64, B)]>,
    turns: Box<[Turn]>,
}

impl<B> Backends<B> {
    /// Creates the backends; each worker starts at its own position, derived from `seed`.
    pub fn new(backends: impl IntoIterator<Item = (u32, B)>, workers: usize, seed: u32) -> Self {
        let mut total = 0;
        let shares = backends
            .into_iter()
            .filter(|(weight, _)| *weight > 0)
            .map(|(weight, backend)| {
                total += u64::from(weight);
                (total, backend)
            })
            .collect();
        let turn = |worker: usize| {
            Turn(AtomicU32::new(
                seed.wrapping_add((worker as u32).wrapping_mul(0x5851_F42D)),
            ))
        };
        Self {
            shares,
            turns: (0..workers).map(turn).collect(),
        }
    }

    /// Chooses the backend of the worker's next request; `None` if every weight is 0.
    ///
    /// Uses a low-discrepancy sequence rather than random numbers: after any number of requests the
    /// shares are nearly exact, and no streak overloads a small backend.
    pub fn choose(&self, worker: usize) -> Option<usize> {
        if self.shares.len() == 1 {
            return Some(0);
        }
        let (total, _) = self.shares.last()?;
        let turn = &self.turns.get(worker)?.0;
        let place = turn.fetch_add(GOLDEN, Ordering::Relaxed);
        let place = (u128::from(place) * u128::from(*total)) >> 32;
        let at = self
            .shares
            .partition_point(|(until, _)| u128::from(*until) <= place);
        (at < self.shares.len()).then_some(at)
    }

    /// Returns a chosen backend.
    pub fn get(&self, chosen: usize) -> Option<&B> {
        self.shares.get(chosen).map(|(_, backend)| backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn member(port: u16, uid: &str) -> table::Endpoint {
        table::Endpoint {
            address: SocketAddr::from(([10, 0, 0, 1], port)),
            uid: uid.to_owned(),
        }
    }

    fn members(ports: &[u16]) -> Vec<table::Endpoint> {
        ports.iter().map(|port| member(*port, "pod")).collect()
    }

    fn set(ports: &[u16], seed: u32) -> Arc<EndpointSet> {
        let set = EndpointSet::new(2, seed);
        set.replace(&members(ports));
        Arc::new(set)
    }

    #[test]
    fn round_robin_reaches_every_endpoint() {
        let set = set(&[1, 2, 3], u32::MAX - 1);
        let mut counts = BTreeMap::new();
        for _ in 0..30 {
            let chosen = set.next(0, None).unwrap().address().port();
            *counts.entry(chosen).or_insert(0) += 1;
        }
        // The turn wraps around within these thirty, which costs one turn at most.
        assert!(
            counts.values().all(|count| (9..=11).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn workers_begin_at_different_endpoints() {
        let set = set(&[1, 2, 3, 4, 5, 6, 7], 0);
        assert_ne!(
            set.next(0, None).unwrap().address(),
            set.next(1, None).unwrap().address()
        );
    }

    #[test]
    fn a_retry_avoids_the_failed_endpoint() {
        let pair = set(&[1, 2], 0);
        for _ in 0..4 {
            let first = pair.next(0, None).unwrap();
            assert!(!Arc::ptr_eq(&pair.next(0, Some(&first)).unwrap(), &first));
        }
        let single = set(&[1], 0);
        let first = single.next(0, None).unwrap();
        assert!(single.next(0, Some(&first)).is_none());
        assert!(set(&[], 0).next(0, None).is_none());
    }

    #[test]
    fn idle_permits_are_bounded_and_released() {
        let endpoint = set(&[1], 0).next(0, None).unwrap();
        let places: Vec<_> = (0..3)
            .filter_map(|_| IdlePlace::claim(&endpoint, 2))
            .collect();
        assert_eq!((places.len(), endpoint.idle()), (2, 2));
        drop(places);
        assert_eq!(endpoint.idle(), 0);
    }

    #[test]
    fn members_keep_their_identity_or_are_marked_removed() {
        let set = set(&[1, 2], 0);
        let of = |port| {
            let members = set.members.load();
            members
                .iter()
                .find(|member| member.address.port() == port)
                .cloned()
        };
        let (first, second) = (of(1).unwrap(), of(2).unwrap());
        let _busy = InFlight::begin(&first);
        set.replace(&members(&[1, 3]));
        assert!(Arc::ptr_eq(&of(1).unwrap(), &first));
        assert_eq!(
            (set.in_flight(), first.is_removed(), second.is_removed()),
            (1, false, true)
        );
        // A new pod on an old address is a new endpoint.
        set.replace(&[member(1, "another")]);
        assert!(first.is_removed() && !Arc::ptr_eq(&of(1).unwrap(), &first));
    }

    #[test]
    fn zero_weights_choose_nothing() {
        assert!(Backends::new([(0, set(&[1], 0))], 1, 0).choose(0).is_none());
        assert!(Backends::<()>::new([], 1, 0).choose(0).is_none());
    }

    proptest! {
        #[test]
        fn shares_are_nearly_exact(weights in prop::collection::vec(0u32..100, 2..6), seed in any::<u32>()) {
            let sets: Vec<_> = weights.iter().map(|_| set(&[1], 0)).collect();
            let backends = Backends::new(weights.iter().copied().zip(sets.iter().cloned()), 1, seed);
            let total: u32 = weights.iter().sum();
            let rounds = 1000;
            let mut counts = vec![0u32; weights.len()];
            for _ in 0..rounds {
                match backends.choose(0).and_then(|chosen| backends.get(chosen)) {
                    Some(chosen) => {
                        let index = sets.iter().position(|set| Arc::ptr_eq(set, chosen)).unwrap();
                        counts[index] += 1;
                    }
                    None => prop_assert_eq!(total, 0),
                }
            }
            for (count, weight) in counts.iter().zip(&weights) {
                if total > 0 {
                    let fair = f64::from(rounds) * f64::from(*weight) / f64::from(total);
                    prop_assert!((f64::from(*count) - fair).abs() <= 10.0, "{counts:?} for {weights:?}");
                    prop_assert!(*weight > 0 || *count == 0);
                }
            }
        }
    }
}
