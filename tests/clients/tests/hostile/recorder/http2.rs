//! HTTP/2, by the crate `h2`.

use super::{Behaviour, Received, Shared};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

pub(super) async fn serve(stream: TcpStream, shared: &Shared) {
    let counted = Counted {
        stream,
        shared: shared.clone(),
    };
    // It is to count what comes, not to defend itself.
    let mut patient = h2::server::Builder::new();
    patient
        .max_concurrent_streams(10_000)
        .max_concurrent_reset_streams(100_000)
        .max_pending_accept_reset_streams(100_000);
    let Ok(mut connection) = patient.handshake(counted).await else {
        return;
    };
    while let Some(accepted) = connection.accept().await {
        match accepted {
            Ok((request, respond)) => {
                let shared = shared.clone();
                // What becomes of one stream is seen by its client.
                tokio::spawn(async move { answer(request, respond, &shared).await.ok() });
            }
            Err(error) if error.is_io() => return,
            Err(error) => {
                shared.log().malformed.push(error.to_string());
                return;
            }
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    shared: &Shared,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let mut received = Received {
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        fields: listed(&head.headers),
        ..Received::default()
    };
    let count = match Behaviour::of(&received.path) {
        Behaviour::Nothing | Behaviour::Stuck => {
            shared.request(received);
            let _open = shared.open();
            std::future::poll_fn(|context| respond.poll_reset(context)).await?;
            return Ok(());
        }
        Behaviour::Bytes(count) => count,
        Behaviour::Short => 6,
    };
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        received.body.extend_from_slice(&data);
    }
    received.trailers = listed(&body.trailers().await?.unwrap_or_default());
    shared.request(received);
    let _open = shared.open();
    let mut stream = respond.send_response(Response::new(()), false)?;
    let mut left = count;
    while left > 0 {
        stream.reserve_capacity(left);
        let Some(room) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else {
            break;
        };
        let part = room?.min(left);
        left -= part;
        stream.send_data(vec![b'x'; part].into(), left == 0)?;
    }
    Ok(())
}

fn listed(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    fields
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

/// Counts what comes.
struct Counted {
    stream: TcpStream,
    shared: Shared,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.shared.log().bytes += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
