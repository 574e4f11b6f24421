//! What an operator of the operator asks: `/metrics`, `/livez`, `/readyz`. Plain HTTP, read only.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Who asks more than this at a time waits in the kernel.
const CONNECTIONS: usize = 64;
/// For the head of a request; also between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// Idle timeout of a connection; a scraper asks again within this time.
const CONNECTION: Duration = Duration::from_secs(300);

/// What the pages are made of.
pub trait AdminPages: Send + Sync + 'static {
    /// The metrics, in the text format of OpenMetrics.
    fn metrics(&self) -> Result<String, std::fmt::Error>;
    /// What is still missing to be ready; empty when nothing is.
    fn missing(&self) -> Vec<&'static str>;
}

/// Serves until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    pages: Arc<impl AdminPages>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return Ok(()),
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, as a rule: it passes, and asking at once would not help.
                debug!(%error, "failed to accept connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let pages = Arc::clone(&pages);
        let answer = service_fn(move |request| {
            let answer = answer(&request, pages.as_ref());
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(async move {
            // An error concerns only the peer.
            let _ = timeout(CONNECTION, connection).await;
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, pages: &impl AdminPages) -> Response<Full<Bytes>> {
    respond(request.method(), request.uri().path(), pages)
}

fn respond(method: &Method, path: &str, pages: &impl AdminPages) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".into());
    }
    match path {
        "/livez" => page(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" => match pages.missing().join(", ") {
            missing if missing.is_empty() => page(StatusCode::OK, TEXT, "ok\n".into()),
            missing => {
                let missing = format!("waiting for: {missing}\n");
                page(StatusCode::SERVICE_UNAVAILABLE, TEXT, missing)
            }
        },
        "/metrics" => match pages.metrics() {
            Ok(metrics) => page(StatusCode::OK, OPEN_METRICS, metrics),
            Err(error) => page(
                StatusCode::INTERNAL_SERVER_ERROR,
                TEXT,
                format!("{error}\n"),
            ),
        },
        _ => page(
            StatusCode::NOT_FOUND,
            TEXT,
            "/metrics /livez /readyz\n".into(),
        ),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn page(status: StatusCode, kind: &'static str, content: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(content)));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    struct Fixed(Vec<&'static str>);

    impl AdminPages for Fixed {
        fn metrics(&self) -> Result<String, std::fmt::Error> {
            Ok("# EOF\n".into())
        }

        fn missing(&self) -> Vec<&'static str> {
            self.0.clone()
        }
    }

    fn status(method: Method, path: &str, missing: &[&'static str]) -> u16 {
        respond(&method, path, &Fixed(missing.to_vec()))
            .status()
            .as_u16()
    }

    #[test]
    fn readyz_fails_while_something_is_missing() {
        assert_eq!(status(Method::GET, "/readyz", &["inputs"]), 503);
        assert_eq!(status(Method::GET, "/readyz", &[]), 200);
        assert_eq!(status(Method::GET, "/livez", &["inputs"]), 200);
        assert_eq!(status(Method::GET, "/", &[]), 404);
        assert_eq!(status(Method::POST, "/readyz", &[]), 405);
    }

    #[tokio::test]
    async fn serves_over_a_socket_until_shutdown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let pages = Arc::new(Fixed(Vec::new()));
        let server = tokio::spawn(serve(listener, pages, shutdown.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(response.ends_with("# EOF\n"), "{response}");
        shutdown.cancel();
        server.await.unwrap().unwrap();
    }
}
