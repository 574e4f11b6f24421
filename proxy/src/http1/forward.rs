//! A request that goes to an endpoint: one attempt after another, until one ends it.

use crate::http1::connection::{After, Connection};
use crate::http1::exchange::{Counted, End, Ending, Exchange};
use crate::http1::judge::{Answer, Forward};
use crate::http1::transport::Transport;
use crate::http1::tunnel;
use crate::memory::Step;
use crate::upstream::connection::{self as upstream, Upstream};
use crate::upstream::effort::{Effort, Waits};
use crate::worker::buffer::Buffer;
use crate::worker::clock;
use portolan_proxy_core::answer;
use portolan_proxy_core::reason::Reason;
use portolan_proxy_core::retry::{Failure, MAX_REPLAYED, Retries};
use std::rc::Rc;

impl<S: Transport> Connection<S> {
    /// Sends the request on and the response back.
    pub(super) async fn forward(&mut self, forward: Forward) -> (After, u16, Counted) {
        let Forward {
            route,
            mut request,
            terms,
            has_body,
            idempotent,
        } = forward;
        let worker = Rc::clone(&self.worker);
        let failed = |reason: Reason| Answer {
            head_only: terms.head_only,
            http10: terms.http10,
            keep_client: terms.keep_client && !has_body,
            answer: answer::Answer::new(reason, terms.response.clone()),
        };
        let waits = Waits::new(route.timeouts(), &worker.limits);
        let mut effort = Effort::new(waits, Retries::new(route.retries(), idempotent));
        if !has_body {
            effort.received();
        }
        let mut kept = None;
        if effort.needs_replay() && worker.account.step() < Step::HoldUp {
            request.keep();
            kept = has_body.then(|| worker.account.charge(MAX_REPLAYED));
        }
        let Some(backend) = route.next_backend(worker.index) else {
            return self.answer(failed(Reason::NoReadyEndpoints)).await;
        };
        let mut connected = upstream::connect(&worker, backend, None, &mut effort).await;
        loop {
            let mut upstream = match connected {
                Ok(upstream) => upstream,
                Err(reason) => return self.answer(failed(reason)).await,
            };
            self.record.endpoint = Some(upstream.in_flight.endpoint().address());
            let mut upstream_input = None;
            let exchange = Exchange::new(
                End {
                    stream: &mut self.io,
                    input: &mut self.input,
                },
                End {
                    stream: &mut upstream.stream,
                    input: &mut upstream_input,
                },
                request,
                &terms,
                &mut effort,
                &mut self.timer,
                &worker.buffers,
                &worker.limits,
            );
            let (ending, counted) = exchange.run().await;
            if let Ending::Tunnel { head } = ending {
                drop(kept);
                let carried = self.tunnel(upstream, upstream_input, head, waits).await;
                return (After::Closed, 101, carried);
            }
            if let Some(rest) = upstream_input {
                worker.buffers.take_back(rest);
            }
            match ending {
                Ending::Again {
                    request: same,
                    failure,
                } => {
                    request = same;
                    connected = match failure {
                        Failure::Unsent if upstream.reused => {
                            upstream::reconnect(&worker, upstream, &effort).await
                        }
                        _ => {
                            let endpoint = upstream.in_flight.endpoint().clone();
                            // What it still works on, nobody waits for.
                            drop(upstream);
                            upstream::pause(&worker, &effort).await;
                            let failed = Some(&endpoint);
                            upstream::connect(&worker, backend, failed, &mut effort).await
                        }
                    };
                }
                Ending::Failed(reason) => {
                    worker.count_upstream_error(reason);
                    // Dropped first: what the endpoint still works on, nobody waits for.
                    drop(upstream);
                    let (after, status, _) = self.answer(failed(reason)).await;
                    return (after, status, counted);
                }
                ended => return self.ended(ended, upstream, counted),
            }
        }
    }

    /// What follows from an exchange in which the client got its response, or part of it.
    fn ended(&self, ending: Ending, upstream: Upstream, counted: Counted) -> (After, u16, Counted) {
        let cells = &self.worker.cells;
        match ending {
            Ending::Finished {
                status,
                keep_client,
                keep_upstream,
            } => {
                if keep_upstream {
                    let Upstream {
                        stream, in_flight, ..
                    } = upstream;
                    let now = clock::now().into_std();
                    self.worker.pool.keep(in_flight.endpoint(), stream, now);
                }
                let after = match keep_client {
                    true => After::Kept,
                    false => After::Closed,
                };
                (after, status, counted)
            }
            Ending::BrokenOff { status } => {
                cells.upstream_closed.add(1);
                (After::Reset, status, counted)
            }
            _ => {
                cells.clients_gone.add(1);
                (After::Reset, 0, counted)
            }
        }
    }

    async fn tunnel(
        &mut self,
        mut upstream: Upstream,
        mut upstream_input: Option<Buffer>,
        head: Vec<u8>,
        waits: Waits,
    ) -> Counted {
        let client = End {
            stream: &mut self.io,
            input: &mut self.input,
        };
        let upstream = End {
            stream: &mut upstream.stream,
            input: &mut upstream_input,
        };
        let buffers = &self.worker.buffers;
        let idle = waits.tunnel_idle;
        tunnel::run(client, upstream, head, &mut self.timer, idle, buffers).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Backend;
    use crate::http1::exchange::Terms;
    use crate::http1::flow::{Coding, Flow};
    use crate::memory::Ledger;
    use crate::upstream::stream::Stream;
    use crate::worker::Worker;
    use portolan_discovery::table;
    use portolan_proxy_core::body::Framing;
    use portolan_proxy_core::decide::{Decision, Site, VirtualHost, decide};
    use portolan_proxy_core::endpoint::EndpointSet;
    use portolan_proxy_core::field::slots;
    use portolan_proxy_core::head::Client;
    use portolan_proxy_core::request::RequestHead;
    use portolan_proxy_core::route::{ResponsePolicy, Route};
    use std::sync::Arc;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

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
        let site = Site {
            workers: 1,
            seed: 0,
            https_port: 443,
        };
        let backend = |_: &table::Backend| {
            Some(Backend {
                endpoints: Arc::clone(endpoints),
                tls: None,
            })
        };
        let host = VirtualHost::compile(&host, backend, site).unwrap();
        let mut room = slots();
        let head = RequestHead::parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &mut room).unwrap();
        let client = Client {
            address: "client",
            secure: false,
        };
        match decide(&head.view(head.authority.as_ref().unwrap(), client), &host) {
            Decision::Forward { route, .. } => Arc::clone(route),
            Decision::Answer(answer) => panic!("{answer:?}"),
        }
    }

    /// The race between a look at a pooled connection and its use, made certain: the connection is
    /// quiet, and takes not one byte.
    #[tokio::test]
    async fn a_stale_connection_that_took_no_byte_is_replaced_for_any_method() {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = origin.local_addr().unwrap();
        let endpoints = Arc::new(EndpointSet::new(1, 0));
        endpoints.replace(&[table::Endpoint {
            address,
            uid: "pod".into(),
        }]);
        let worker = Rc::new(Worker::alone(Ledger::new(None)));
        let mut stale = TcpStream::connect(address).await.unwrap();
        let (first, _) = origin.accept().await.unwrap();
        stale.shutdown().await.unwrap();
        let endpoint = endpoints.next(0, None).unwrap();
        worker
            .pool
            .keep(&endpoint, Stream::Plain(stale), Instant::now());

        let (mut client, near) = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            (client.await.unwrap(), listener.accept().await.unwrap().0)
        };
        let mut connection = Connection::new(Rc::clone(&worker), near, "client".into(), None);
        let head = b"POST / HTTP/1.1\r\n\r\n".to_vec();
        let forward = Forward {
            route: route(&endpoints),
            request: Flow::new(head.clone(), Framing::None, Coding::Plain),
            terms: Terms {
                head_only: false,
                http10: false,
                keep_client: true,
                expects_continue: false,
                websocket: None,
                response: ResponsePolicy::default(),
            },
            has_body: false,
            idempotent: false,
        };
        let serving = async {
            let (mut second, _) = origin.accept().await.unwrap();
            let mut request = vec![0; head.len()];
            second.read_exact(&mut request).await.unwrap();
            assert_eq!(request, head);
            let response = b"HTTP/1.1 204 No Content\r\n\r\n";
            second.write_all(response).await.unwrap();
            second
        };
        let (_second, (after, status, _)) = tokio::join!(serving, connection.forward(forward));
        assert_eq!((status, matches!(after, After::Kept)), (204, true));
        assert_eq!(worker.cells.upstream_connections_reused.get(), 1);
        assert_eq!(worker.cells.upstream_connections_opened.get(), 1);
        drop((first, connection));
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 204 "), "{response}");
    }
}
