//! One side has sent everything (FIN, or close_notify over TLS); the other still
//! talks. Below the frames, where neither library goes.

use super::{Scheme, tungstenite};
use anyhow::{Context, Result, ensure};
use portolan_clients::DEADLINE;
use portolan_clients::proxy::Proxy;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;

/// More than all socket buffers on the way hold.
const BYTES: usize = 24 << 20;

/// Nothing that a library has read ahead with the handshake is lost: the client speaks first.
const STARTED: u8 = b'!';

fn random() -> (Vec<u8>, String) {
    let mut data = vec![0; BYTES];
    fastrand::fill(&mut data);
    let sum = hex::encode(Sha256::digest(&data));
    (data, sum)
}

/// Talks, then is silent for good.
async fn says_all(stream: &mut (impl AsyncWrite + Unpin)) -> Result<String> {
    let (data, sum) = random();
    stream.write_all(&data).await?;
    stream.shutdown().await?;
    Ok(sum)
}

/// Listens until the other side has ended.
async fn hears_all(stream: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let (mut sum, mut part, mut bytes) = (Sha256::new(), vec![0; 64 << 10], 0);
    loop {
        match stream.read(&mut part).await? {
            0 => break,
            count => {
                bytes += count;
                sum.update(&part[..count]);
            }
        }
    }
    ensure!(bytes == BYTES, "{bytes} bytes came");
    Ok(hex::encode(sum.finalize()))
}

/// One end of it: the sums of the first and the second direction.
async fn takes_part(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    speaks_first: bool,
) -> Result<(String, String)> {
    if speaks_first {
        let first = says_all(stream).await?;
        Ok((first, hears_all(stream).await?))
    } else {
        let first = hears_all(stream).await?;
        Ok((first, says_all(stream).await?))
    }
}

/// One side ends its direction before the other begins with its own.
async fn half_closed(scheme: Scheme, client_first: bool) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = Proxy::before(listener.local_addr()?).await?;
    let server = async {
        let (stream, _) = listener.accept().await?;
        let mut stream = accept_async(stream).await?.into_inner();
        ensure!(stream.read_u8().await? == STARTED);
        takes_part(&mut stream, !client_first)
            .await
            .context("at the server")
    };
    let client = async {
        let mut stream = tungstenite::connect(&proxy, scheme).await?.into_inner();
        stream.write_u8(STARTED).await?;
        takes_part(&mut stream, client_first)
            .await
            .context("at the client")
    };
    let both = async { tokio::try_join!(server, client) };
    let (at_server, at_client) = tokio::time::timeout(DEADLINE, both)
        .await
        .context("half-closed for too long")??;
    ensure!(at_server == at_client, "{at_server:?} {at_client:?}");
    proxy.ends_well().await
}

#[tokio::test]
async fn the_server_goes_on_after_the_client_has_ended() -> Result<()> {
    half_closed(Scheme::Ws, true).await
}

#[tokio::test]
async fn the_client_goes_on_after_the_server_has_ended() -> Result<()> {
    half_closed(Scheme::Ws, false).await
}

#[tokio::test]
async fn the_server_goes_on_after_the_client_has_ended_over_tls() -> Result<()> {
    half_closed(Scheme::Wss, true).await
}

#[tokio::test]
async fn the_client_goes_on_after_the_server_has_ended_over_tls() -> Result<()> {
    half_closed(Scheme::Wss, false).await
}
