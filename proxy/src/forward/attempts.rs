//! A request that goes to an endpoint: one attempt after another, until one ends it.

use crate::exchange::budget::{EffectiveTimeouts, RequestBudget};
use crate::exchange::connect::{self, Open};
use crate::exchange::duplex::{Ending, Exchange, RequestFlow};
use crate::exchange::flow::Flow;
use crate::exchange::io::{Downstream, Sink, Upstream};
use crate::exchange::timer::Timer;
use crate::exchange::tunnel::Carried;
use crate::exchange::{Counted, tunnel};
use crate::forward::plan::{ForwardPlan, LocalResponse, Message, Request};
use crate::host::Backend;
use crate::http1::upstream::Http1Upstream;
use crate::http2::upstream::Http2Upstream;
use crate::memory::MemoryPressure;
use crate::worker::Worker;
use portolan_proxy_core::local_response;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::retry::{Failure, MAX_REPLAYED, Retries};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

/// How a request ended.
pub(crate) enum Outcome {
    /// A local response is due; with the bytes counted, where an endpoint had part of the request.
    Local(LocalResponse, Option<Counted>),
    /// The response went down whole.
    Finished {
        status: u16,
        /// Another request may follow on the client's connection.
        keep_client: bool,
        /// The request was read to its end.
        whole: bool,
        counted: Counted,
    },
    /// The response was broken off, by the endpoint with this code if it gave one.
    BrokenOff {
        status: u16,
        code: Option<u32>,
        counted: Counted,
    },
    /// A tunnel was open, and has ended.
    Tunnelled(Carried),
    /// The client went away.
    ClientGone(Counted),
}

/// Sends the request on and the response back; tells `seen` which endpoints are asked.
pub(crate) async fn run<C: Downstream>(
    worker: &Rc<Worker>,
    client: &mut C,
    timer: &mut Timer,
    forward: ForwardPlan,
    seen: &mut Option<SocketAddr>,
) -> Outcome {
    let ForwardPlan {
        route,
        backend,
        message,
        request,
    } = forward;
    let Some(backend) = route.backend(backend) else {
        return Outcome::Local(request.failed(Reason::NoReadyEndpoints), None);
    };
    let timeouts = EffectiveTimeouts::new(route.timeouts(), &worker.limits, request.call);
    let retries = Retries::new(route.retries(), request.idempotent);
    let attempts = Attempts {
        worker,
        client,
        timer,
        backend,
        request: &request,
        budget: RequestBudget::new(timeouts, retries),
        seen,
    };
    let framing = request.framing;
    match message {
        Message::Http1(written) => {
            let flow = Flow::new::<C::Side>(framing, written);
            attempts.run::<Http1Upstream>(flow).await
        }
        // Boxed: most requests are not the larger for it.
        Message::Http2(sent) => {
            let flow = Flow::new::<C::Side>(framing, *sent);
            Box::pin(attempts.run::<Http2Upstream>(flow)).await
        }
    }
}

/// State that the attempts of one request share.
struct Attempts<'a, 'r, C> {
    worker: &'a Rc<Worker>,
    client: &'a mut C,
    timer: &'a mut Timer,
    backend: &'a Backend,
    request: &'a Request,
    budget: RequestBudget<'r>,
    seen: &'a mut Option<SocketAddr>,
}

impl<C: Downstream> Attempts<'_, '_, C> {
    async fn run<U: Upstream + Open>(mut self, mut flow: RequestFlow<C, U>) -> Outcome {
        let (worker, request) = (self.worker, self.request);
        let context = &request.context;
        let has_body = !request.framing.is_empty();
        if !has_body {
            self.budget.received();
        }
        let mut kept = None;
        // A head alone is there anyhow, and its connection may have been closed as idle.
        let head_alone = !has_body && request.idempotent;
        let wanted = U::KEEPS || self.budget.needs_replay() || head_alone;
        if wanted && worker.memory.pressure() < MemoryPressure::HoldUp {
            flow.keep();
            kept = has_body.then(|| worker.memory.charge(MAX_REPLAYED));
        }
        let connecting = connect::connect::<U>(worker, self.backend, None, &mut self.budget);
        let mut connected = unless_gone(self.client, pin!(connecting)).await;
        loop {
            let mut upstream = match connected {
                None => return Outcome::ClientGone(Counted::default()),
                Some(Err(reason)) => return Outcome::Local(request.failed(reason), None),
                Some(Ok(upstream)) => upstream,
            };
            *self.seen = Some(upstream.in_flight().endpoint().address());
            let exchange = Exchange::new(
                self.client,
                &mut upstream,
                flow,
                context,
                &mut self.budget,
                self.timer,
                &worker.buffers,
                &worker.limits,
            );
            let (ending, counted) = exchange.run().await;
            match ending {
                Ending::Tunnel { opening } => {
                    drop(kept);
                    return Outcome::Tunnelled(self.tunnel(upstream, opening).await);
                }
                Ending::Again {
                    request: same,
                    failure,
                } => {
                    flow = same;
                    upstream.give_back(&worker.buffers);
                    // Boxed: most requests are not the larger for it.
                    connected = match failure {
                        Failure::Unsent if upstream.is_reused() => {
                            Box::pin(self.reconnect(upstream)).await
                        }
                        _ => Box::pin(self.another(upstream)).await,
                    };
                }
                Ending::Failed(reason) => {
                    worker.count_upstream_error(reason);
                    upstream.give_back(&worker.buffers);
                    // Dropped before the response: what the endpoint still works on is not awaited.
                    drop(upstream);
                    return Outcome::Local(request.failed(reason), Some(counted));
                }
                Ending::Finished {
                    status,
                    keep_client,
                    whole,
                    keep_upstream,
                } => {
                    upstream.release(keep_upstream, worker);
                    return Outcome::Finished {
                        status,
                        keep_client,
                        whole,
                        counted,
                    };
                }
                Ending::BrokenOff { status } => {
                    worker.counters.upstream_closed.add(1);
                    upstream.give_back(&worker.buffers);
                    let code = upstream.reset_code();
                    return Outcome::BrokenOff {
                        status,
                        code,
                        counted,
                    };
                }
                Ending::ClientGone => {
                    upstream.give_back(&worker.buffers);
                    return Outcome::ClientGone(counted);
                }
            }
        }
    }

    /// Reconnects when a kept connection took nothing; see [`connect::reconnect`].
    async fn reconnect<U: Upstream + Open>(&mut self, closed: U) -> Option<Result<U, Reason>> {
        let endpoint = closed.in_flight().endpoint().clone();
        let (worker, backend, budget) = (self.worker, self.backend, &mut self.budget);
        let connecting = connect::reconnect(worker, backend, endpoint, closed, budget);
        unless_gone(self.client, pin!(connecting)).await
    }

    /// Connects to another endpoint, after a pause.
    async fn another<U: Upstream + Open>(&mut self, failed: U) -> Option<Result<U, Reason>> {
        let endpoint = failed.in_flight().endpoint().clone();
        // What it still works on is not awaited.
        drop(failed);
        let (worker, backend, budget) = (self.worker, self.backend, &mut self.budget);
        let connecting = async move {
            connect::pause(worker, budget).await;
            connect::connect::<U>(worker, backend, Some(&endpoint), budget).await
        };
        unless_gone(self.client, pin!(connecting)).await
    }

    async fn tunnel<U: Upstream>(
        self,
        mut upstream: U,
        opening: <C::Side as Sink>::Outgoing,
    ) -> Carried {
        let carried = tunnel::run(
            self.client,
            &mut upstream,
            opening,
            U::uplink(),
            self.timer,
            self.budget.timeouts.tunnel_idle,
            &self.worker.buffers,
        )
        .await;
        upstream.give_back(&self.worker.buffers);
        carried
    }
}

/// Does what the client waits for; `None` when it waits no more. What is done at once costs no look at
/// the client.
async fn unless_gone<C: Downstream, T>(
    client: &mut C,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        return Some(done);
    }
    tokio::select! {
        biased;
        done = work => Some(done),
        () = client.gone() => None,
    }
}

impl Request {
    fn failed(&self, reason: Reason) -> LocalResponse {
        let context = &self.context;
        LocalResponse {
            head_only: context.head_only,
            http10: context.http10,
            grpc: context.grpc,
            keep_client: context.keep_client && self.framing.is_empty(),
            response: local_response::LocalResponse::new(reason, context.response.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::RequestContext;
    use crate::exchange::timer::Timer;
    use crate::http1::client::Client;
    use crate::http1::wire::{Coding, Wire, Written};
    use crate::memory::MemoryBudget;
    use crate::upstream::stream::Stream;
    use crate::worker::Worker;
    use portolan_discovery::table;
    use portolan_proxy_core::body::Framing;
    use portolan_proxy_core::decide::{CompileContext, Decision, VirtualHost, decide};
    use portolan_proxy_core::endpoint::EndpointSet;
    use portolan_proxy_core::field::slots;
    use portolan_proxy_core::head;
    use portolan_proxy_core::request::RequestHead;
    use portolan_proxy_core::route::{ResponsePolicy, Route};
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    fn route(endpoints: &Arc<EndpointSet>) -> Arc<Route<Backend>> {
        let backend = table::Backend {
            endpoints: "t/s:80".into(),
            weight: 1,
            protocol: table::UpstreamProtocol::Http1,
            tls: None,
        };
        let action = table::Action::Forward {
            backends: vec![backend],
        };
        let path = table::PathMatch::Prefix("/".into());
        let host = table::VirtualHost {
            hostname: "shop.test".into(),
            tls: None,
            routes: vec![table::Route::new(path.into(), action)],
        };
        let site = CompileContext {
            workers: 1,
            seed: 0,
            https_port: 443,
        };
        let backend = |_: &table::Backend| {
            Some(Backend {
                endpoints: Arc::clone(endpoints),
                protocol: table::UpstreamProtocol::Http1,
                tls: None,
            })
        };
        let host = VirtualHost::compile(&host, backend, site).unwrap();
        let mut room = slots();
        let head = RequestHead::parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &mut room).unwrap();
        let client = head::Client {
            address: "client",
            secure: false,
        };
        match decide(&head.view(head.authority.as_ref().unwrap(), client), &host) {
            Decision::Forward { route, .. } => Arc::clone(route),
            Decision::LocalResponse(answer) => panic!("{answer:?}"),
        }
    }

    /// Endpoints of one set, whose turns begin with the first.
    fn endpoints(origins: &[SocketAddr]) -> Arc<EndpointSet> {
        let members: Vec<table::Endpoint> = origins
            .iter()
            .map(|address| table::Endpoint {
                address: *address,
                uid: "pod".into(),
            })
            .collect();
        let endpoints = Arc::new(EndpointSet::new(1, 0));
        endpoints.replace(&members);
        endpoints
    }

    /// The race between a look at a pooled connection and its use, made certain: a connection that is
    /// quiet, and takes not one byte. Returns the origin's end of it.
    async fn keep_stale(
        worker: &Worker,
        endpoints: &EndpointSet,
        origin: &TcpListener,
    ) -> TcpStream {
        let address = origin.local_addr().unwrap();
        let mut stale = TcpStream::connect(address).await.unwrap();
        let (other, _) = origin.accept().await.unwrap();
        stale.shutdown().await.unwrap();
        // A whole round, so that the turn is the first one's again.
        let all: Vec<_> = (0..endpoints.len())
            .filter_map(|_| endpoints.next(0, None))
            .collect();
        let endpoint = all
            .iter()
            .find(|endpoint| endpoint.address() == address)
            .unwrap();
        let stale = Stream::Plain(stale);
        worker.pool.keep(endpoint, stale, Instant::now());
        other
    }

    /// A request without a body, and nothing that would allow it to be processed twice.
    const POST: &[u8] = b"POST / HTTP/1.1\r\n\r\n";

    /// Sends [`POST`] on while `origin` answers one request; gives the endpoint that was asked last,
    /// and what the client got.
    async fn post(
        worker: &Rc<Worker>,
        endpoints: &Arc<EndpointSet>,
        origin: &TcpListener,
    ) -> (Option<SocketAddr>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let mut client = client.await.unwrap();
        let mut wire = Wire {
            stream: listener.accept().await.unwrap().0,
            input: None,
        };
        let forward = ForwardPlan {
            route: route(endpoints),
            backend: 0,
            message: Message::Http1(Written::new(POST.to_vec(), Coding::Plain)),
            request: Request {
                context: RequestContext {
                    head_only: false,
                    http10: false,
                    keep_client: true,
                    expects_continue: false,
                    grpc: false,
                    accept: None,
                    response: ResponsePolicy::default(),
                },
                framing: Framing::None,
                idempotent: false,
                call: None,
            },
        };
        let serving = async {
            let (mut stream, _) = origin.accept().await.unwrap();
            let mut request = vec![0; POST.len()];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, POST);
            let response = b"HTTP/1.1 204 No Content\r\n\r\n";
            stream.write_all(response).await.unwrap();
            stream
        };
        let mut timer = Timer::new(Duration::from_secs(60));
        let (mut near, mut seen) = (Client::new(&mut wire), None);
        let running = run(worker, &mut near, &mut timer, forward, &mut seen);
        let both = async { tokio::join!(serving, running) };
        let (_stream, outcome) = timeout(Duration::from_secs(30), both)
            .await
            .expect("the origin gets the request");
        let kept = matches!(
            outcome,
            Outcome::Finished {
                status: 204,
                keep_client: true,
                ..
            }
        );
        assert!(kept);
        drop(wire);
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        (seen, response)
    }

    #[tokio::test]
    async fn replaces_a_stale_connection_for_any_method() {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = origin.local_addr().unwrap();
        let endpoints = endpoints(&[address]);
        let worker = Rc::new(Worker::alone(MemoryBudget::new(None)));
        let _first = keep_stale(&worker, &endpoints, &origin).await;
        let (seen, response) = post(&worker, &endpoints, &origin).await;
        assert!(response.starts_with("HTTP/1.1 204 "), "{response}");
        assert_eq!(seen, Some(address));
        assert_eq!(worker.counters.upstream_connections_reused.get(), 1);
        assert_eq!(worker.counters.upstream_connections_opened.get(), 1);
    }

    /// A pod that ends closes its connections, and takes no new ones, before anybody hears of it.
    #[tokio::test]
    async fn skips_an_endpoint_that_ended() {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (ended, also, origin) = (
            bind().await.unwrap(),
            bind().await.unwrap(),
            bind().await.unwrap(),
        );
        let at = |listener: &TcpListener| listener.local_addr().unwrap();
        let endpoints = endpoints(&[at(&ended), at(&also), at(&origin)]);
        let worker = Rc::new(Worker::alone(MemoryBudget::new(None)));
        let _first = keep_stale(&worker, &endpoints, &ended).await;
        drop((ended, also));
        let (seen, response) = post(&worker, &endpoints, &origin).await;
        assert!(response.starts_with("HTTP/1.1 204 "), "{response}");
        assert_eq!(seen, Some(at(&origin)));
        assert_eq!(worker.counters.upstream_connections_reused.get(), 1);
        assert_eq!(worker.counters.upstream_connect_failed.get(), 2);
    }
}
