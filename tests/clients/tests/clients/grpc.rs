//! gRPC's interoperability tests: its own client and its own server, in Go, with the proxy between
//! them. What each case shows is in gRPC's interop-test-descriptions.md.

use anyhow::{Context, Result};
use portolan_clients::authority::KeyKind;
use portolan_clients::process::{self, Running};
use portolan_clients::proxy::{Proxy, Setup};
use portolan_clients::{DEADLINE, SPEC_HOST, TLS_HOST, Version, go};
use tokio::process::Command;

/// How the client speaks to the proxy: HTTP/2 either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Clear,
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

async fn passes(case: &str, way: Way) -> Result<()> {
    let (_server, proxy) = served().await?;
    let mut client = Command::new(go::GRPC_CLIENT.built().await?);
    client.arg(format!("--test_case={case}"));
    match way {
        Way::Clear => client
            .arg(format!("--server_host={SPEC_HOST}"))
            .arg(format!("--server_port={}", proxy.http.port())),
        Way::Tls => client
            .args(["--use_tls", "--use_test_ca", "--ca_file"])
            .arg(proxy.ca_file())
            .arg(format!("--server_host_override={TLS_HOST}"))
            .arg(format!("--server_host={}", proxy.https.ip()))
            .arg(format!("--server_port={}", proxy.https.port())),
    };
    process::succeed(&mut client, DEADLINE).await?;
    proxy.ends_well().await
}

/// Each case in the clear and over TLS.
macro_rules! cases {
    ($($case:ident)*) => {$(
        mod $case {
            use super::*;

            #[tokio::test]
            async fn in_the_clear() -> Result<()> {
                passes(stringify!($case), Way::Clear).await
            }

            #[tokio::test]
            async fn over_tls() -> Result<()> {
                passes(stringify!($case), Way::Tls).await
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
