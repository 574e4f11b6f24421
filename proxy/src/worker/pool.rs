//! Connections to endpoints that wait for their next request. Each worker has its own.
//!
//! A connection is looked at before it is used again: any byte or end of stream that is
//! already there was not asked for, and would be taken for the answer to the next request.

use portolan_proxy_core::endpoint::Endpoint;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How many connections to one endpoint may wait.
const IDLE_PER_ENDPOINT: usize = 64;
/// How long one may wait.
const IDLE_TIME: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Kept {
    stream: TcpStream,
    since: Instant,
}

/// The connections of one endpoint; the last one used is used first, so that the others age.
#[derive(Debug)]
struct Shelf {
    endpoint: Arc<Endpoint>,
    kept: Vec<Kept>,
}

/// The waiting connections of one worker, by endpoint.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// The key is the endpoint's address in memory, which the shelf keeps from being given anew.
    shelves: RefCell<HashMap<*const Endpoint, Shelf>>,
}

impl Pool {
    /// A connection to the endpoint that can be written to, as far as anybody can know.
    pub(crate) fn take(&self, endpoint: &Arc<Endpoint>) -> Option<TcpStream> {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.get_mut(&Arc::as_ptr(endpoint))?;
        while let Some(kept) = shelf.kept.pop() {
            if is_quiet(&kept.stream) {
                return Some(kept.stream);
            }
        }
        None
    }

    /// Keeps a connection whose last response was read to its end and not a byte further.
    pub(crate) fn keep(&self, endpoint: &Arc<Endpoint>, stream: TcpStream, now: Instant) {
        if endpoint.is_removed() {
            return;
        }
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves
            .entry(Arc::as_ptr(endpoint))
            .or_insert_with(|| Shelf {
                endpoint: Arc::clone(endpoint),
                kept: Vec::new(),
            });
        if shelf.kept.len() < IDLE_PER_ENDPOINT {
            shelf.kept.push(Kept { stream, since: now });
        }
    }

    /// Closes what is not worth keeping: to endpoints that are gone, closed by the endpoint, or
    /// unused for long.
    pub(crate) fn sweep(&self, now: Instant) {
        self.shelves.borrow_mut().retain(|_, shelf| {
            shelf.kept.retain(|kept| {
                now.duration_since(kept.since) < IDLE_TIME && is_quiet(&kept.stream)
            });
            !shelf.endpoint.is_removed() && !shelf.kept.is_empty()
        });
    }
}

/// Nothing has arrived and the peer has not closed. Asks the kernel: what the reactor knows may
/// be older than a byte that already waits.
fn is_quiet(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(recv(stream, &mut byte, flags), Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table;
    use portolan_proxy_core::endpoint::EndpointSet;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn connected() -> (Arc<EndpointSet>, Arc<Endpoint>, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let set = Arc::new(EndpointSet::new(1, 0));
        set.replace(&[table::Endpoint {
            address,
            uid: "pod".into(),
        }]);
        let endpoint = set.next(0, None).unwrap();
        let near = TcpStream::connect(address).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        (set, endpoint, near, far)
    }

    async fn until_loud(stream: &TcpStream) {
        tokio::time::timeout(Duration::from_secs(10), stream.readable())
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_quiet_connection_is_used_again_once() {
        let (_set, endpoint, near, _far) = connected().await;
        let pool = Pool::default();
        pool.keep(&endpoint, near, Instant::now());
        assert!(pool.take(&endpoint).is_some());
        assert!(pool.take(&endpoint).is_none());
    }

    #[tokio::test]
    async fn a_byte_that_nobody_asked_for_discards_the_connection() {
        let (_set, endpoint, near, mut far) = connected().await;
        far.write_all(b"H").await.unwrap();
        until_loud(&near).await;
        let pool = Pool::default();
        pool.keep(&endpoint, near, Instant::now());
        assert!(pool.take(&endpoint).is_none());
    }

    #[tokio::test]
    async fn a_connection_that_the_endpoint_closed_is_discarded() {
        let (_set, endpoint, near, far) = connected().await;
        drop(far);
        until_loud(&near).await;
        let pool = Pool::default();
        pool.keep(&endpoint, near, Instant::now());
        pool.sweep(Instant::now());
        assert!(pool.shelves.borrow().is_empty());
    }

    #[tokio::test]
    async fn age_and_removal_end_a_connection() {
        let (_set, endpoint, near, _far) = connected().await;
        let pool = Pool::default();
        pool.keep(&endpoint, near, Instant::now());
        pool.sweep(Instant::now() + IDLE_TIME);
        assert!(pool.take(&endpoint).is_none());
        let (set, endpoint, near, _far) = connected().await;
        set.replace(&[]);
        pool.keep(&endpoint, near, Instant::now());
        assert!(pool.take(&endpoint).is_none());
    }
}
