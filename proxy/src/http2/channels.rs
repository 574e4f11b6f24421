//! The connections of one worker to endpoints that speak HTTP/2, each with room for many requests at a
//! time. A request takes a place on one; when all are full another is opened, by one request for all
//! that wait.

use crate::clock;
use crate::exchange::budget::Effort;
use crate::exchange::connect;
use crate::http2::driver;
use crate::http2::link::Link;
use crate::http2::{CONNECTION_WINDOW, SEND_BUFFER, STREAM_WINDOW};
use crate::upstream::tls::Connector;
use crate::worker::Worker;
use bytes::Bytes;
use foldhash::fast::RandomState;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use portolan_proxy_core::endpoint::Endpoint;
use portolan_proxy_core::reason::Reason;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

/// How long a connection may have no request.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// All of a worker's connections, by endpoint and by what it has proved.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// The key is made of addresses in memory, which the shelf keeps from being given anew.
    shelves: RefCell<HashMap<(usize, usize), Shelf, RandomState>>,
}

/// The connections to one endpoint.
#[derive(Debug)]
struct Shelf {
    endpoint: Arc<Endpoint>,
    _proved: Option<Arc<Connector>>,
    channels: Vec<Channel>,
    /// One is being opened; who waits for a place hears of it.
    opening: bool,
    opened: Rc<Notify>,
}

#[derive(Debug)]
struct Channel {
    sender: SendRequest<Bytes>,
    state: Rc<State>,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct State {
    /// Requests that are under way.
    pub(super) streams: Cell<usize>,
    /// It takes no more requests.
    retired: Cell<bool>,
    used: Cell<Instant>,
}

/// The right to send one request over a connection.
#[derive(Debug)]
pub(super) struct Place {
    sender: SendRequest<Bytes>,
    state: Rc<State>,
}

/// What a look for a place found.
enum Found {
    Place(Place),
    /// Somebody opens a connection.
    Opening(Rc<Notify>),
    /// Nothing, and whoever looked is to open one.
    Nothing(Rc<Notify>),
}

/// A place on a connection to the endpoint, with whether the connection was used before.
pub(super) async fn place(
    worker: &Rc<Worker>,
    endpoint: &Arc<Endpoint>,
    connector: Option<&Arc<Connector>>,
    effort: &Effort<'_>,
) -> Result<(Place, bool), Reason> {
    let key = key(endpoint, connector);
    let finding = async {
        loop {
            match worker.channels.find(key, endpoint, connector) {
                Found::Place(place) => {
                    worker.cells.upstream_connections_reused.add(1);
                    return Ok((place, true));
                }
                Found::Opening(opened) => opened.notified().await,
                Found::Nothing(opened) => {
                    // Those that wait look again however this ends, also when nobody waits for it.
                    let _told = Told {
                        channels: &worker.channels,
                        key,
                        opened,
                    };
                    let channel = open(worker, endpoint, connector, effort).await?;
                    let place = channel.place();
                    worker.channels.keep(key, channel);
                    return Ok((place, false));
                }
            }
        }
    };
    let found = timeout(effort.for_connecting(), finding).await;
    found.unwrap_or(Err(Reason::ConnectTimeout))
}

/// Opens a connection, which is of use once the endpoint has told its settings (RFC 9113 3.4): how
/// many streams it allows, and whether there are tunnels.
async fn open(
    worker: &Rc<Worker>,
    endpoint: &Arc<Endpoint>,
    connector: Option<&Arc<Connector>>,
    effort: &Effort<'_>,
) -> Result<Channel, Reason> {
    let connected = connect::new(worker, endpoint, connector, effort).await?;
    if !connected.stream.may_speak_http2() {
        worker.cells.upstream_tls_failed.add(1);
        return Err(Reason::UpstreamTlsFailed);
    }
    let link = Link::new(Rc::clone(worker), connected.stream, None);
    let (sender, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake::<_, Bytes>(link.clone())
        .await
        .map_err(|_| Reason::UpstreamClosed)?;
    let state = Rc::new(State {
        streams: Cell::new(0),
        retired: Cell::new(false),
        used: Cell::new(clock::now()),
    });
    let (settled, heard) = oneshot::channel();
    let driving = driver::drive(connection, link, Rc::clone(&state), settled);
    spawn_local(clock::once_a_poll(driving));
    match heard.await {
        Ok(()) => Ok(Channel { sender, state }),
        Err(_) => Err(Reason::UpstreamClosed),
    }
}

impl Channels {
    fn find(
        &self,
        key: (usize, usize),
        endpoint: &Arc<Endpoint>,
        connector: Option<&Arc<Connector>>,
    ) -> Found {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.entry(key).or_insert_with(|| Shelf {
            endpoint: Arc::clone(endpoint),
            _proved: connector.cloned(),
            channels: Vec::new(),
            opening: false,
            opened: Rc::default(),
        });
        shelf.channels.retain_mut(Channel::is_usable);
        if let Some(channel) = shelf.channels.iter().find(|it| it.has_room()) {
            return Found::Place(channel.place());
        }
        if shelf.opening {
            return Found::Opening(Rc::clone(&shelf.opened));
        }
        shelf.opening = true;
        Found::Nothing(Rc::clone(&shelf.opened))
    }

    fn keep(&self, key: (usize, usize), channel: Channel) {
        if let Some(shelf) = self.shelves.borrow_mut().get_mut(&key) {
            shelf.channels.push(channel);
        }
    }

    /// Lets go of what is not worth keeping: connections to endpoints that are gone, and those that
    /// had no request for long. Each ends with its last request.
    pub(crate) fn sweep(&self, now: Instant) {
        self.shelves.borrow_mut().retain(|_, shelf| {
            let removed = shelf.endpoint.is_removed();
            shelf.channels.retain_mut(|channel| {
                let state = &channel.state;
                let idle = state.streams.get() == 0 && now - state.used.get() >= IDLE_TIME;
                !removed && !idle && channel.is_usable()
            });
            shelf.opening || !shelf.channels.is_empty()
        });
    }

    /// Lets go of every connection that has no request. Gives whether there was any.
    pub(crate) fn close_idle(&self) -> bool {
        let mut any = false;
        for shelf in self.shelves.borrow_mut().values_mut() {
            let before = shelf.channels.len();
            shelf.channels.retain(|it| it.state.streams.get() > 0);
            any |= shelf.channels.len() < before;
        }
        any
    }
}

impl Channel {
    /// It has not ended, and neither side has said that it will.
    fn is_usable(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        let ready = self.sender.poll_ready(&mut nobody);
        !self.state.retired.get() && !matches!(ready, std::task::Poll::Ready(Err(_)))
    }

    fn has_room(&self) -> bool {
        self.state.streams.get() < self.sender.current_max_send_streams()
    }

    fn place(&self) -> Place {
        let streams = &self.state.streams;
        streams.set(streams.get() + 1);
        Place {
            sender: self.sender.clone(),
            state: Rc::clone(&self.state),
        }
    }
}

impl Place {
    /// Opens a stream; `bodiless` when the head says all.
    pub(super) fn send_request(
        &mut self,
        head: Request<()>,
        bodiless: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.sender.send_request(head, bodiless)
    }

    /// Whether WebSockets can be asked for (RFC 8441 3).
    pub(super) fn offers_tunnels(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// The connection takes no more requests.
    pub(super) fn retire(&self) {
        self.state.retired.set(true);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let streams = &self.state.streams;
        streams.set(streams.get().saturating_sub(1));
        self.state.used.set(clock::now());
    }
}

/// Ends the opening of a connection.
struct Told<'a> {
    channels: &'a Channels,
    key: (usize, usize),
    opened: Rc<Notify>,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if let Some(shelf) = self.channels.shelves.borrow_mut().get_mut(&self.key) {
            shelf.opening = false;
        }
        self.opened.notify_waiters();
    }
}

fn key(endpoint: &Arc<Endpoint>, proved: Option<&Arc<Connector>>) -> (usize, usize) {
    let proved = proved.map_or(0, |proved| Arc::as_ptr(proved).addr());
    (Arc::as_ptr(endpoint).addr(), proved)
}
