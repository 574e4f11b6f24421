//! The admin port: `/metrics`, `/livez`, `/readyz`. One request a connection, never the data path.

pub(crate) mod metrics;

use crate::admin::metrics::Metrics;
use crate::lifecycle::Phase;
use portolan_proxy_core::field::slots;
use portolan_proxy_core::request::RequestHead;
use portolan_proxy_core::scan::HeadScan;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// How many requests are answered at a time; more wait.
const CONCURRENT: usize = 16;
/// For one request, from accept to close.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A longer head is no probe's and no scraper's.
const MAX_HEAD: usize = 8 * 1024;
/// After an error of accept.
const PAUSE: Duration = Duration::from_millis(50);
/// Content type of OpenMetrics 1.0, which Prometheus accepts.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Opens the admin port: on `[::]` for both families; on a host without IPv6 for IPv4.
///
/// # Errors
/// The address cannot be bound.
pub fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let bind = |at: SocketAddr| {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
        if at.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&at.into())?;
        socket.listen(128)?;
        TcpListener::from_std(socket.into())
    };
    match bind(at) {
        Err(error)
            if at.is_ipv6()
                && at.ip().is_unspecified()
                && error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) =>
        {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, at.port())))
        }
        bound => bound,
    }
}

/// State of the admin port.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) metrics: Metrics,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Admin {
    /// Serves requests until its runtime ends.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let admin = Arc::new(self);
        let room = Arc::new(Semaphore::new(CONCURRENT));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let admin = Arc::clone(&admin);
                    tokio::spawn(async move {
                        // A prober that goes away has its own log.
                        let _ = timeout(REQUEST_TIMEOUT, admin.answer(stream)).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept on the admin port");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::with_capacity(1024);
        let mut scan = HeadScan::default();
        let length = loop {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
            match scan.find(&head) {
                Ok(Some(length)) => break length,
                Ok(None) if head.len() < MAX_HEAD => {}
                Ok(None) | Err(_) => break 0,
            }
        };
        let (status, kind, body) = self.page(head.get(..length).unwrap_or_default());
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        // A scraper that closes first leaves nothing to be reset.
        while stream.read_buf(&mut head).await? > 0 && head.len() < MAX_HEAD {}
        Ok(())
    }

    fn page(&self, head: &[u8]) -> (&'static str, &'static str, String) {
        let mut room = slots();
        let Ok(request) = RequestHead::parse(head, &mut room) else {
            return ("400 Bad Request", PLAIN, "malformed request\n".into());
        };
        if request.method != "GET" {
            return ("405 Method Not Allowed", PLAIN, "GET only\n".into());
        }
        match &*request.target.path {
            "/livez" => ("200 OK", PLAIN, "ok\n".into()),
            "/readyz" => match self.unready() {
                None => ("200 OK", PLAIN, "ok\n".into()),
                Some(reason) => ("503 Service Unavailable", PLAIN, format!("{reason}\n")),
            },
            "/metrics" => match self.metrics.page() {
                Ok(page) => ("200 OK", OPEN_METRICS, page),
                Err(error) => ("500 Internal Server Error", PLAIN, format!("{error}\n")),
            },
            _ => ("404 Not Found", PLAIN, "/metrics, /livez, /readyz\n".into()),
        }
    }

    /// Why no traffic should come here.
    fn unready(&self) -> Option<&'static str> {
        if *self.phase.borrow() > Phase::Serving {
            return Some("Draining");
        }
        (!*self.ready.borrow()).then_some("NoConfiguration")
    }
}
