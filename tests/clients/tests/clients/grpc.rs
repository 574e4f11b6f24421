//! gRPC's interoperability tests: its own client and its own server, in Go, with the proxy between
//! them. What each case shows is in gRPC's interop-test-descriptions.md. Then the errors of a
//! client when the proxy itself answers.

use crate::proxied;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use portolan_clients::authority::KeyKind;
use portolan_clients::http2::{Answer, Client};
use portolan_clients::process::{self, Running};
use portolan_clients::proxy::{Proxy, Setup};
use portolan_clients::{DEADLINE, SPEC_HOST, TLS_HOST, Version, go};
use tokio::process::Command;

/// Protocol between client and proxy: HTTP/2 over plaintext or TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Plaintext,
    Tls,
}

/// The test server with a proxy before it.
async fn served() -> Result<(Running, Proxy)> {
    let mut server = Command::new(go::GRPC_SERVER.built().await?);
    let mut server = Running::start("gRPC's test server", &mut server)?;
    let line = server.line().await?;
    let proxy = Proxy::start(Setup {
        origin: line
            .parse()
            .with_context(|| format!("its address: {line}"))?,
        upstream: Version::Http2,
        key: KeyKind::Ecdsa,
    })
    .await?;
    Ok((server, proxy))
}

async fn passes(case: &str, protocol: Protocol) -> Result<()> {
    let (_server, proxy) = served().await?;
    let mut client = Command::new(go::GRPC_CLIENT.built().await?);
    client.arg(format!("--test_case={case}"));
    match protocol {
        Protocol::Plaintext => client
            .arg(format!("--server_host={SPEC_HOST}"))
            .arg(format!("--server_port={}", proxy.http.port())),
        Protocol::Tls => client
            .args(["--use_tls", "--use_test_ca", "--ca_file"])
            .arg(proxy.ca_file())
            .arg(format!("--server_host_override={TLS_HOST}"))
            .arg(format!("--server_host={}", proxy.https.ip()))
            .arg(format!("--server_port={}", proxy.https.port())),
    };
    process::succeed(&mut client, DEADLINE).await?;
    proxy.ends_well().await
}

/// Each case over plaintext and TLS.
macro_rules! cases {
    ($($case:ident)*) => {$(
        mod $case {
            use super::*;

            #[tokio::test]
            async fn plaintext() -> Result<()> {
                passes(stringify!($case), Protocol::Plaintext).await
            }

            #[tokio::test]
            async fn over_tls() -> Result<()> {
                passes(stringify!($case), Protocol::Tls).await
            }
        }
    )*};
}

cases! {
    empty_unary
    large_unary
    client_streaming
    server_streaming
    ping_pong
    empty_stream
    timeout_on_sleeping_server
    cancel_after_begin
    cancel_after_first_response
    status_code_and_message
    special_status_message
    custom_metadata
    unimplemented_method
    unimplemented_service
}

/// Calls a method with an empty message, as any client would.
async fn call(client: &mut Client, host: Option<&str>) -> Result<Answer> {
    let mut request = client.request("POST", "/grpc.testing.TestService/EmptyCall");
    if let Some(host) = host {
        request = request.uri(format!("http://{host}/grpc.testing.TestService/EmptyCall"));
    }
    let request = request
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    client.sends(request, Bytes::from_static(&[0; 5])).await
}

/// Checks for an error as gRPC has it: its client reads `grpc-status`, and takes any other answer for a broken server.
fn is_grpc_error(answer: &Answer, status: &str) -> Result<()> {
    let field = |name| answer.fields.get(name).map(|value| value.as_bytes());
    ensure!(answer.status == 200, "{answer:?}");
    ensure!(
        field("content-type") == Some(b"application/grpc"),
        "{answer:?}"
    );
    ensure!(
        field("grpc-status") == Some(status.as_bytes()),
        "{answer:?}"
    );
    let message = field("grpc-message").unwrap_or_default();
    ensure!(!message.is_empty(), "no grpc-message: {answer:?}");
    ensure!(
        answer.body.is_empty() && answer.trailers.is_empty(),
        "{answer:?}"
    );
    Ok(())
}

/// "UNAVAILABLE" where a call may succeed later.
#[tokio::test]
async fn reports_a_gone_endpoint_as_unavailable() -> Result<()> {
    let (server, proxy) = served().await?;
    for tls in [false, true] {
        let answer = call(&mut Client::connect(&proxy, tls).await?, None).await?;
        ensure!(answer.trailers["grpc-status"] == "0", "{answer:?}");
    }
    drop(server);
    for tls in [false, true] {
        let mut client = Client::connect(&proxy, tls).await?;
        // The first may be under protocol to a connection that has just ended.
        for _ in 0..3 {
            is_grpc_error(&call(&mut client, None).await?, "14")?;
        }
    }
    proxy.ends_well().await
}

/// "UNIMPLEMENTED" where no server has the method.
#[tokio::test]
async fn reports_an_unknown_host_as_unimplemented() -> Result<()> {
    let (_server, proxy) = served().await?;
    let mut client = Client::connect(&proxy, false).await?;
    is_grpc_error(
        &call(&mut client, Some("unknown.clients.test")).await?,
        "12",
    )?;
    proxy.ends_well().await
}

/// Other clients get an HTTP error.
#[tokio::test]
async fn reports_errors_to_other_clients_in_http() -> Result<()> {
    let (_origin, proxy) = proxied().await?;
    let mut client = Client::connect(&proxy, false).await?;
    let request = client
        .request("GET", "/")
        .uri("http://unknown.clients.test/")
        .body(())?;
    let answer = client.asks(request).await?;
    ensure!(answer.status == 404, "{answer:?}");
    ensure!(!answer.fields.contains_key("grpc-status"), "{answer:?}");
    proxy.ends_well().await
}
