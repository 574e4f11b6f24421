//! A proxy before the API server: passes everything, counts writes, and at a chosen one kills the client.
//!
//! It speaks plain HTTP on loopback and adds no identity of its own: the client's token goes through, so
//! its permissions are judged as in the cluster. Watches stream.

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

/// When a write is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The API server never sees it.
    Before,
    /// It takes effect, and the client never hears of it.
    After,
}

/// Which write is cut, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The Nth since the front was armed.
    pub at: usize,
    /// Before or after it takes effect.
    pub side: Side,
}

/// The proxy. It ends when it is dropped.
pub struct Front {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    happened: watch::Receiver<bool>,
    accepting: JoinHandle<()>,
}

/// What one request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    /// The client is dead, or as good as.
    Refuse,
    /// This is the write.
    Kill(Side),
}

struct State {
    cut: Option<Cut>,
    victim: Option<Pid>,
    severed: bool,
    writes: Vec<String>,
    happened: watch::Sender<bool>,
}

impl State {
    /// Decides about one request; a write is counted.
    fn judge(&mut self, write: Option<String>) -> Verdict {
        if self.severed {
            return Verdict::Refuse;
        }
        let Some(write) = write else {
            return Verdict::Pass;
        };
        self.writes.push(write);
        match self.cut {
            Some(cut) if cut.at == self.writes.len() => {
                // At once, so that a write beside this one does not slip through.
                self.severed = true;
                Verdict::Kill(cut.side)
            }
            _ => Verdict::Pass,
        }
    }

    fn kill(&mut self) {
        if let Some(victim) = self.victim.take() {
            // It may have ended by itself, which is what was wanted.
            let _ = kill_process(victim, Signal::KILL);
        }
        self.happened.send_replace(true);
    }
}

impl Front {
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
            .context("front")?;
        let address = listener.local_addr()?;
        let (sender, happened) = watch::channel(false);
        let state = Arc::new(Mutex::new(State {
            cut: None,
            victim: None,
            severed: false,
            writes: Vec::new(),
            happened: sender,
        }));
        let accepting = tokio::spawn(accept(listener, upstream, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            happened,
            accepting,
        })
    }

    /// Counts from zero again, lets requests through, and kills `victim` at the cut.
    pub fn arm(&self, cut: Option<Cut>, victim: Option<Pid>) {
        let mut state = lock(&self.state);
        state.cut = cut;
        state.victim = victim;
        state.severed = false;
        state.writes.clear();
        state.happened.send_replace(false);
    }

    /// The writes since it was armed, in the order in which they came.
    pub fn writes(&self) -> Vec<String> {
        lock(&self.state).writes.clone()
    }

    /// Becomes true when the client was killed.
    pub fn happened(&self) -> watch::Receiver<bool> {
        self.happened.clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, upstream: Client, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (upstream, state) = (upstream.clone(), Arc::clone(&state));
        let service =
            service_fn(move |request| pass(upstream.clone(), Arc::clone(&state), request));
        // An error here is the cut itself, or a client that went away.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Passes one request; an error closes the connection without an answer.
async fn pass(
    upstream: Client,
    state: Arc<Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let verdict = lock(&state).judge(counted(&head));
    match verdict {
        Verdict::Pass => forward(&upstream, head, body).await,
        Verdict::Refuse => Err(anyhow!("cut off")),
        Verdict::Kill(side) => {
            if side == Side::After {
                // The whole answer: the write has taken effect when it is there.
                let answer = forward(&upstream, head, body).await;
                if let Ok(answer) = answer {
                    let _ = answer.into_body().collect().await;
                }
            }
            lock(&state).kill();
            Err(anyhow!("cut"))
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
    let mut answer = upstream
        .send(Request::from_parts(head, Body::from(body)))
        .await?;
    answer.headers_mut().remove(header::TRANSFER_ENCODING);
    answer.headers_mut().remove(header::CONNECTION);
    Ok(answer)
}

/// A write that counts, as a line for people: not Leases (they are renewed all the time), not events
/// (nobody acts on them), not reviews (they store nothing).
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
    fn writes_count_but_for_leases_events_and_reviews() {
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
    fn after_the_cut_nothing_passes_until_it_is_armed_again() {
        let (happened, seen) = watch::channel(false);
        let cut = Some(Cut {
            at: 2,
            side: Side::After,
        });
        let mut state = State {
            cut,
            victim: None,
            severed: false,
            writes: Vec::new(),
            happened,
        };
        let write = || Some("PATCH /x".to_owned());
        assert_eq!(state.judge(write()), Verdict::Pass);
        assert_eq!(
            state.judge(None),
            Verdict::Pass,
            "a read counts for nothing"
        );
        assert_eq!(state.judge(write()), Verdict::Kill(Side::After));
        assert_eq!(state.judge(write()), Verdict::Refuse);
        assert_eq!(state.judge(None), Verdict::Refuse);
        state.kill();
        assert!(*seen.borrow());
        assert_eq!(state.writes.len(), 2);
    }
}
