//! Connections to endpoints that wait for their next request.
//!
//! Each worker has a pool of its own, which it alone fills. A worker that finds its own empty
//! takes a connection out of another's rather than opening one: an endpoint then sees as many
//! connections as requests at a time, however many workers there are.
//!
//! A connection is looked at before it is used again: any byte or end of stream that is
//! already there was not asked for, and would be taken for the answer to the next request.

use crate::upstream::stream::Stream;
use crate::upstream::tls::Connector;
use foldhash::fast::RandomState;
use portolan_proxy_core::endpoint::{Endpoint, IdlePlace};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// How many connections to one endpoint may wait, over all workers.
const IDLE_PER_ENDPOINT: u32 = 256;
/// How long one may wait.
const IDLE_TIME: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct IdleConnection {
    stream: Stream,
    since: Instant,
    _place: IdlePlace,
}

/// The connections of one endpoint that have proved the same; the last one used is used first, so
/// that the others age.
#[derive(Debug)]
struct IdleConnections {
    endpoint: Arc<Endpoint>,
    _proved: Option<Arc<Connector>>,
    kept: Vec<IdleConnection>,
}

/// The waiting connections of one worker, by endpoint.
///
/// The lock is the owner's, which finds it free: others only try it, and only when they have
/// nothing themselves.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Pool {
    /// The key is made of addresses in memory, which the entry keeps from being reused.
    idle: Mutex<HashMap<Key, IdleConnections, RandomState>>,
}

impl Pool {
    /// A connection to the endpoint that can be written to, as far as is known. Over TLS
    /// one whose handshake was made by `connector`: what was proved to another is worth nothing.
    pub(crate) fn take(
        &self,
        endpoint: &Arc<Endpoint>,
        connector: Option<&Arc<Connector>>,
    ) -> Option<Stream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.get_mut(&key(endpoint, connector))?.take()
    }

    /// Returns a plaintext connection to another worker, on whose thread this is called. Not worth waiting for.
    pub(crate) fn give_away(&self, endpoint: &Arc<Endpoint>) -> Option<TcpStream> {
        let taken = {
            let mut idle = self.idle.try_lock().ok()?;
            idle.get_mut(&key(endpoint, None))?.take()?
        };
        // A socket belongs to the reactor that it was registered with: it has to change over.
        let Stream::Plain(taken) = taken else {
            return None;
        };
        let socket = taken.into_std().ok()?;
        TcpStream::from_std(socket).ok()
    }

    /// Keeps a connection whose last response was read to its end and not a byte further.
    pub(crate) fn keep(&self, endpoint: &Arc<Endpoint>, stream: Stream, now: Instant) {
        if endpoint.is_removed() {
            return;
        }
        let Some(place) = IdlePlace::claim(endpoint, IDLE_PER_ENDPOINT) else {
            return;
        };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.entry(key(endpoint, stream.proved()));
        let connections = connections.or_insert_with(|| IdleConnections {
            endpoint: Arc::clone(endpoint),
            _proved: stream.proved().cloned(),
            kept: Vec::new(),
        });
        connections.kept.push(IdleConnection {
            stream,
            since: now,
            _place: place,
        });
    }

    /// Closes every waiting connection, unless another worker is at them. Returns whether any was.
    pub(crate) fn close_all(&self) -> bool {
        self.idle
            .try_lock()
            .is_ok_and(|mut idle| idle.drain().count() > 0)
    }

    /// Closes what is not worth keeping: to endpoints that are gone, closed by the endpoint, or
    /// unused for long.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, connections| {
            connections.kept.retain_mut(|kept| {
                now.duration_since(kept.since) < IDLE_TIME
                    && (!kept.stream.has_news() || kept.stream.is_quiet())
            });
            !connections.endpoint.is_removed() && !connections.kept.is_empty()
        });
    }
}

impl IdleConnections {
    fn take(&mut self) -> Option<Stream> {
        while let Some(IdleConnection { mut stream, .. }) = self.kept.pop() {
            if stream.is_quiet() {
                return Some(stream);
            }
        }
        None
    }
}

/// Endpoint and connector, by their addresses in memory.
type Key = (usize, usize);

fn key(endpoint: &Arc<Endpoint>, proved: Option<&Arc<Connector>>) -> Key {
    let proved = proved.map_or(0, |proved| Arc::as_ptr(proved).addr());
    (Arc::as_ptr(endpoint).addr(), proved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table;
    use portolan_proxy_core::endpoint::EndpointSet;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        pool.keep(&endpoint, Stream::Plain(near), Instant::now());
        pool.sweep(Instant::now());
        assert_eq!(endpoint.idle(), 1);
        assert!(pool.take(&endpoint, None).is_some());
        assert!(pool.take(&endpoint, None).is_none());
        assert_eq!(endpoint.idle(), 0);
    }

    #[tokio::test]
    async fn discards_a_connection_with_an_unsolicited_byte() {
        let (_set, endpoint, near, mut far) = connected().await;
        far.write_all(b"H").await.unwrap();
        until_loud(&near).await;
        let pool = Pool::default();
        pool.keep(&endpoint, Stream::Plain(near), Instant::now());
        assert!(pool.take(&endpoint, None).is_none());
    }

    #[tokio::test]
    async fn a_connection_that_the_endpoint_closed_is_discarded() {
        let (_set, endpoint, near, far) = connected().await;
        drop(far);
        until_loud(&near).await;
        let pool = Pool::default();
        pool.keep(&endpoint, Stream::Plain(near), Instant::now());
        pool.sweep(Instant::now());
        assert!(pool.idle.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn age_and_removal_end_a_connection() {
        let (_set, endpoint, near, _far) = connected().await;
        let pool = Pool::default();
        pool.keep(&endpoint, Stream::Plain(near), Instant::now());
        pool.sweep(Instant::now() + IDLE_TIME);
        assert!(pool.take(&endpoint, None).is_none());
        let (set, endpoint, near, _far) = connected().await;
        set.replace(&[]);
        pool.keep(&endpoint, Stream::Plain(near), Instant::now());
        assert!(pool.take(&endpoint, None).is_none());
    }

    #[tokio::test]
    async fn the_bound_holds_over_all_pools() {
        let (_set, endpoint, near, _far) = connected().await;
        let taken: Vec<_> = (0..IDLE_PER_ENDPOINT)
            .filter_map(|_| IdlePlace::claim(&endpoint, IDLE_PER_ENDPOINT))
            .collect();
        let pool = Pool::default();
        pool.keep(&endpoint, Stream::Plain(near), Instant::now());
        assert!(pool.take(&endpoint, None).is_none());
        drop(taken);
    }

    /// The connection of another thread's runtime works on after it changed over, even when that
    /// runtime has ended.
    #[test]
    fn a_connection_is_taken_over_from_another_reactor() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
        };
        let pool = Arc::new(Pool::default());
        let lender = Arc::clone(&pool);
        let (set, endpoint, far) = std::thread::spawn(move || {
            runtime().block_on(async {
                let (set, endpoint, near, far) = connected().await;
                lender.keep(&endpoint, Stream::Plain(near), Instant::now());
                (set, endpoint, far.into_std().unwrap())
            })
        })
        .join()
        .unwrap();
        runtime().block_on(async {
            let mut near = pool.give_away(&endpoint).unwrap();
            let mut far = TcpStream::from_std(far).unwrap();
            let mut got = [0; 4];
            near.write_all(b"ping").await.unwrap();
            far.read_exact(&mut got).await.unwrap();
            far.write_all(b"pong").await.unwrap();
            near.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"pong");
        });
        assert_eq!((set.len(), endpoint.idle()), (1, 0));
    }
}
