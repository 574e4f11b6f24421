//! The connections of one worker to endpoints that speak HTTP/2, each with room for many requests at a
//! time. A request takes a permit on one; when all are full another is opened, by one request for all
//! that wait.

use crate::clock;
use crate::upstream::tls::Connector;
use bytes::Bytes;
use foldhash::fast::RandomState;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use portolan_proxy_core::endpoint::Endpoint;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection may have no request.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// All of a worker's connections, by endpoint and by what it has proved.
#[derive(Debug, Default)]
pub(crate) struct Http2Pool {
    /// The key is made of addresses in memory, which the entry keeps from being reused.
    endpoints: RefCell<HashMap<Key, EndpointConnections, RandomState>>,
}

/// The connections to one endpoint.
#[derive(Debug)]
struct EndpointConnections {
    endpoint: Arc<Endpoint>,
    _proved: Option<Arc<Connector>>,
    open: Vec<Http2Connection>,
    /// One is being opened; requests that wait for a permit are notified.
    opening: bool,
    opened: Rc<Notify>,
}

#[derive(Debug)]
pub(crate) struct Http2Connection {
    sender: SendRequest<Bytes>,
    state: Rc<State>,
}

/// State of a connection.
#[derive(Debug)]
pub(crate) struct State {
    /// Requests that are under way.
    pub(crate) streams: Cell<usize>,
    /// It takes no more requests.
    retired: Cell<bool>,
    used: Cell<Instant>,
}

/// The right to send one request over a connection.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    sender: SendRequest<Bytes>,
    state: Rc<State>,
}

/// Result of looking for a permit.
pub(crate) enum Found {
    Permit(StreamPermit),
    /// Another request opens a connection.
    Opening(Rc<Notify>),
    /// None, and the caller is to open one.
    Nothing(Rc<Notify>),
}

impl Http2Pool {
    pub(crate) fn find(
        &self,
        key: Key,
        endpoint: &Arc<Endpoint>,
        connector: Option<&Arc<Connector>>,
    ) -> Found {
        let mut endpoints = self.endpoints.borrow_mut();
        let connections = endpoints.entry(key).or_insert_with(|| EndpointConnections {
            endpoint: Arc::clone(endpoint),
            _proved: connector.cloned(),
            open: Vec::new(),
            opening: false,
            opened: Rc::default(),
        });
        connections.open.retain_mut(Http2Connection::is_usable);
        if let Some(connection) = connections
            .open
            .iter()
            .find(|connection| connection.has_room())
        {
            return Found::Permit(connection.permit());
        }
        if connections.opening {
            return Found::Opening(Rc::clone(&connections.opened));
        }
        connections.opening = true;
        Found::Nothing(Rc::clone(&connections.opened))
    }

    pub(crate) fn keep(&self, key: Key, connection: Http2Connection) {
        if let Some(connections) = self.endpoints.borrow_mut().get_mut(&key) {
            connections.open.push(connection);
        }
    }

    /// Drops what is not worth keeping: connections to endpoints that are gone, and those that
    /// had no request for long. Each ends with its last request.
    pub(crate) fn sweep(&self, now: Instant) {
        self.endpoints.borrow_mut().retain(|_, connections| {
            let removed = connections.endpoint.is_removed();
            connections.open.retain_mut(|connection| {
                let state = &connection.state;
                let idle = state.streams.get() == 0 && now - state.used.get() >= IDLE_TIME;
                !removed && !idle && connection.is_usable()
            });
            connections.opening || !connections.open.is_empty()
        });
    }

    /// Drops every connection that has no request. Returns whether there was any.
    pub(crate) fn close_idle(&self) -> bool {
        let mut any = false;
        for connections in self.endpoints.borrow_mut().values_mut() {
            let before = connections.open.len();
            connections
                .open
                .retain(|connection| connection.state.streams.get() > 0);
            any |= connections.open.len() < before;
        }
        any
    }
}

impl State {
    /// The state of a connection that was opened now.
    pub(crate) fn new() -> Self {
        Self {
            streams: Cell::new(0),
            retired: Cell::new(false),
            used: Cell::new(clock::now()),
        }
    }
}

impl Http2Connection {
    pub(crate) fn new(sender: SendRequest<Bytes>, state: Rc<State>) -> Self {
        Self { sender, state }
    }

    /// Returns whether it is open and neither side has announced its end.
    fn is_usable(&mut self) -> bool {
        let mut noop = Context::from_waker(Waker::noop());
        let ready = self.sender.poll_ready(&mut noop);
        !self.state.retired.get() && !matches!(ready, std::task::Poll::Ready(Err(_)))
    }

    fn has_room(&self) -> bool {
        self.state.streams.get() < self.sender.current_max_send_streams()
    }

    pub(crate) fn permit(&self) -> StreamPermit {
        let streams = &self.state.streams;
        streams.set(streams.get() + 1);
        StreamPermit {
            sender: self.sender.clone(),
            state: Rc::clone(&self.state),
        }
    }
}

impl StreamPermit {
    /// Opens a stream; `bodiless` when the head says all.
    pub(crate) fn send_request(
        &mut self,
        head: Request<()>,
        bodiless: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.sender.send_request(head, bodiless)
    }

    /// Returns whether WebSockets can be asked for (RFC 8441 3).
    pub(crate) fn offers_tunnels(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// The connection takes no more requests.
    pub(crate) fn retire(&self) {
        self.state.retired.set(true);
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let streams = &self.state.streams;
        streams.set(streams.get().saturating_sub(1));
        self.state.used.set(clock::now());
    }
}

/// Ends the opening of a connection.
pub(crate) struct OpeningGuard<'a> {
    pub(crate) pool: &'a Http2Pool,
    pub(crate) key: Key,
    pub(crate) opened: Rc<Notify>,
}

impl Drop for OpeningGuard<'_> {
    fn drop(&mut self) {
        if let Some(connections) = self.pool.endpoints.borrow_mut().get_mut(&self.key) {
            connections.opening = false;
        }
        self.opened.notify_waiters();
    }
}

/// Of the connections to one endpoint.
pub(crate) type Key = (usize, usize);

pub(crate) fn key(endpoint: &Arc<Endpoint>, proved: Option<&Arc<Connector>>) -> Key {
    let proved = proved.map_or(0, |proved| Arc::as_ptr(proved).addr());
    (Arc::as_ptr(endpoint).addr(), proved)
}
