//! Proxy in front of the API server: forwards everything, counts writes, and at a chosen one kills the client.
//!
//! It listens for plaintext HTTP on loopback and adds no identity of its own: the client's token goes through, so
//! its permissions are checked as in the cluster. Watches stream.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::{Client, Config};
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Side of a write on which the client is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The API server never sees it.
    Before,
    /// It takes effect, and the client never gets the response.
    After,
}

/// The write at which the client is killed, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KillPoint {
    /// The Nth since the proxy was armed.
    pub at: usize,
    /// Before or after it takes effect.
    pub side: Side,
}

/// The running proxy. Dropping it ends it.
pub struct ApiProxy {
    /// Address on which it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    killed: watch::Receiver<bool>,
    accepting: JoinHandle<()>,
}

/// Decision about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Pass,
    /// The client is dead, or as good as.
    Refuse,
    /// This is the write.
    Kill(Side),
}

struct State {
    kill_point: Option<KillPoint>,
    victim: Option<Pid>,
    disconnected: bool,
    writes: Vec<String>,
    killed: watch::Sender<bool>,
}

impl State {
    /// Decides about one request, and counts a write.
    fn decide(&mut self, write: Option<String>) -> Decision {
        if self.disconnected {
            return Decision::Refuse;
        }
        let Some(write) = write else {
            return Decision::Pass;
        };
        self.writes.push(write);
        match self.kill_point {
            Some(kill_point) if kill_point.at == self.writes.len() => {
                // At once, so that a write beside this one does not slip through.
                self.disconnected = true;
                Decision::Kill(kill_point.side)
            }
            _ => Decision::Pass,
        }
    }

    fn kill(&mut self) {
        if let Some(victim) = self.victim.take() {
            // It may have ended by itself, which is what was wanted.
            let _ = kill_process(victim, Signal::KILL);
        }
        self.killed.send_replace(true);
    }
}

impl ApiProxy {
    /// Starts it before the API server of this configuration.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(mut config: Config) -> Result<Self> {
        // The client's identity, not ours, and its retries, not ours.
        config.auth_info = kube::config::AuthInfo::default();
        config.default_retry = false;
        let upstream = Client::try_from(config).context("a client of the API server")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("bind the API proxy")?;
        let address = listener.local_addr()?;
        let (sender, killed) = watch::channel(false);
        let state = Arc::new(Mutex::new(State {
            kill_point: None,
            victim: None,
            disconnected: false,
            writes: Vec::new(),
            killed: sender,
        }));
        let accepting = tokio::spawn(accept(listener, upstream, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            killed,
            accepting,
        })
    }

    /// Counts from zero again, forwards requests, and kills `victim` at the kill point.
    pub fn arm(&self, kill_point: Option<KillPoint>, victim: Option<Pid>) {
        let mut state = lock(&self.state);
        state.kill_point = kill_point;
        state.victim = victim;
        state.disconnected = false;
        state.writes.clear();
        state.killed.send_replace(false);
    }

    /// The writes since it was armed, in the order in which they came.
    pub fn writes(&self) -> Vec<String> {
        lock(&self.state).writes.clone()
    }

    /// Becomes true when the client was killed.
    pub fn killed(&self) -> watch::Receiver<bool> {
        self.killed.clone()
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: Client, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (upstream, state) = (upstream.clone(), Arc::clone(&state));
        let service =
            service_fn(move |request| pass(upstream.clone(), Arc::clone(&state), request));
        // An error here is the kill itself, or a client that went away.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Handles one request; an error closes the connection without a response.
async fn pass(
    upstream: Client,
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let decision = lock(&state).decide(counted(&head));
    match decision {
        Decision::Pass => forward(&upstream, head, body).await,
        Decision::Refuse => Err(anyhow!("disconnected")),
        Decision::Kill(side) => {
            if side == Side::After {
                // The whole answer: the write has taken effect when it is there.
                let response = forward(&upstream, head, body).await;
                if let Ok(response) = response {
                    let _ = response.into_body().collect().await;
                }
            }
            lock(&state).kill();
            Err(anyhow!("killed"))
        }
    }
}

async fn forward(upstream: &Client, mut head: Parts, body: Bytes) -> Result<Response<Body>> {
    // The client of the API server has its own idea of these.
    for name in [
        header::HOST,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
    ] {
        head.headers.remove(name);
    }
    let mut response = upstream
        .send(Request::from_parts(head, Body::from(body)))
        .await?;
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    response.headers_mut().remove(header::CONNECTION);
    Ok(response)
}

/// A write that counts, as a line for people: not Leases (they are renewed all the time), not events
/// (no controller acts on them), not reviews (they store nothing).
fn counted(head: &Parts) -> Option<String> {
    let path = head.uri.path();
    let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&head.method);
    let ignored = ["leases", "events", "tokenreviews"];
    let ignored = path.split('/').any(|part| ignored.contains(&part));
    (writes && !ignored).then(|| format!("{} {path}", head.method))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, uri: &str) -> Parts {
        Request::builder()
            .method(method)
            .uri(uri)
            .body(())
            .unwrap()
            .into_parts()
            .0
    }

    #[test]
    fn counts_writes_except_leases_events_and_reviews() {
        for (method, uri) in [
            (
                "PATCH",
                "/api/v1/namespaces/a/services/x?fieldManager=portolan",
            ),
            ("POST", "/apis/portolan.dev/v1alpha1/hostnameholds"),
            (
                "DELETE",
                "/apis/portolan.dev/v1alpha1/hostnameholds/h.leases.example.com",
            ),
        ] {
            assert!(counted(&head(method, uri)).is_some(), "{method} {uri}");
        }
        for (method, uri) in [
            ("GET", "/api/v1/services?watch=true"),
            (
                "PUT",
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/portolan-operator",
            ),
            ("POST", "/apis/events.k8s.io/v1/namespaces/a/events"),
            ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
        ] {
            assert!(counted(&head(method, uri)).is_none(), "{method} {uri}");
        }
    }

    #[test]
    fn forwards_nothing_after_the_kill_until_armed_again() {
        let (killed, seen) = watch::channel(false);
        let kill_point = Some(KillPoint {
            at: 2,
            side: Side::After,
        });
        let mut state = State {
            kill_point,
            victim: None,
            disconnected: false,
            writes: Vec::new(),
            killed,
        };
        let write = || Some("PATCH /x".to_owned());
        assert_eq!(state.decide(write()), Decision::Pass);
        assert_eq!(
            state.decide(None),
            Decision::Pass,
            "a read counts for nothing"
        );
        assert_eq!(state.decide(write()), Decision::Kill(Side::After));
        assert_eq!(state.decide(write()), Decision::Refuse);
        assert_eq!(state.decide(None), Decision::Refuse);
        state.kill();
        assert!(*seen.borrow());
        assert_eq!(state.writes.len(), 2);
    }
}
