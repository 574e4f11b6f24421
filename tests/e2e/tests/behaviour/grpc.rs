//! A gRPC service behind an ExposedPort: gRPC's own test service, which has HTTP/2 only.

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method};
use portolan_e2e::echo::{application, server};
use portolan_e2e::exposed::exposed_port;
use portolan_e2e::http2::{Call, Session, drain, request};
use portolan_e2e::test_env;
use portolan_e2e::wait::{LATER, eventually};
use serde_json::{Value, json};
use std::net::SocketAddr;

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const FIELDS: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];
const DUPLEX: &str = "/grpc.testing.TestService/FullDuplexCall";

fn deployment(namespace: &str, replicas: u32) -> Value {
    let probe = json!({"grpc": {"port": 8080}, "periodSeconds": 1});
    let port = ("grpc", 8080);
    let server = server("portolan.test/grpc:dev", "grpc", port, &probe, json!([]));
    application(namespace, "grpc", replicas, &[server])
}

/// `appProtocol` alone declares the protocol.
fn service(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": "grpc"},
        "spec": {
            "selector": {"app": "grpc"},
            "ports": [{"name": "grpc", "port": 80, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"}],
        },
    })
}

/// A message as gRPC frames it: not compressed, its length, itself.
fn framed(message: &[u8]) -> Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(5 + message.len());
    bytes.put_u8(0);
    bytes.put_u32(message.len().try_into()?);
    bytes.put_slice(message);
    Ok(bytes.freeze())
}

/// A `StreamingOutputCallRequest` for one response of `size` bytes, after `pause` microseconds.
fn wanted(size: u8, pause: u32) -> Vec<u8> {
    let mut parameters = vec![0x08, size, 0x10];
    let mut rest = pause;
    while rest > 0x7f {
        parameters.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    parameters.push(rest as u8);
    let mut message = vec![0x12, parameters.len() as u8];
    message.extend(parameters);
    message
}

async fn call(
    session: &Session,
    host: &str,
    path: &str,
    more: &[(&str, &str)],
    message: Bytes,
) -> Result<Call> {
    let mut fields = FIELDS.to_vec();
    fields.extend(more);
    let request = request(Method::POST, host, path, &fields)?;
    session.open(request, message, true).await
}

fn status(fields: &HeaderMap) -> &str {
    let status = fields
        .get("grpc-status")
        .and_then(|status| status.to_str().ok());
    status.unwrap_or("none")
}

#[tokio::test]
async fn serves_grpc_calls_streams_and_errors() -> Result<()> {
    test_env("grpc", async |env| {
        let cluster = &env.cluster;
        let namespace = env.namespace("a").await?;
        cluster.apply(&deployment(&namespace, 2)).await?;
        cluster.apply(&service(&namespace)).await?;
        cluster.rolled_out(&namespace, "grpc").await?;
        let host = env.host("grpc");
        let spec = json!({"port": 80, "service": "grpc", "hostnames": [host]});
        cluster
            .apply(&exposed_port(&namespace, "grpc", spec))
            .await?;
        let exposed = cluster.ready(&namespace, "grpc", LATER).await?;
        let client = cluster.http_client()?;
        let entrypoints = cluster.entrypoints(&exposed).await?;
        for entrypoint in &entrypoints {
            let session = client.session(entrypoint.https, &host).await?;
            unary(&session, &host).await.context("unary")?;
            both_directions(&session, &host)
                .await
                .context("both directions")?;
            deadline(&session, &host).await.context("deadline")?;
        }
        cluster.scale(&namespace, "grpc", 0).await?;
        cluster
            .unready(&namespace, "grpc", "SelectorMatchesNoPods", LATER)
            .await?;
        for entrypoint in &entrypoints {
            unavailable(
                &client.session(entrypoint.https, &host).await?,
                &host,
                entrypoint.https,
            )
            .await?;
        }
        Ok(())
    })
    .await
}

async fn unary(session: &Session, host: &str) -> Result<()> {
    let call = call(session, host, HEALTH, &[], framed(&[])?).await?;
    ensure!(call.head.status() == 200, "{:?}", call.head);
    let (body, trailers) = drain(call.body).await?;
    // `status: SERVING`.
    ensure!(body == framed(&[0x08, 0x01])?, "{body:?}");
    ensure!(status(&trailers) == "0", "{trailers:?}");
    Ok(())
}

/// Each message is requested after the one before has come, so no hop may wait for the end.
async fn both_directions(session: &Session, host: &str) -> Result<()> {
    let request = request(Method::POST, host, DUPLEX, &FIELDS)?;
    // The server's head comes with its first message.
    let first = framed(&wanted(3, 0))?;
    let mut call = session.open(request, first, false).await?;
    for size in [3, 5, 7] {
        let got = call.body.data().await.context("the stream ended")??;
        call.body.flow_control().release_capacity(got.len())?;
        // `payload { body: size bytes }`, framed.
        ensure!(got.len() == 5 + 2 + 2 + usize::from(size), "{got:?}");
        if size < 7 {
            call.sending
                .send_data(framed(&wanted(size + 2, 0))?, false)?;
        }
    }
    call.sending.send_data(Bytes::new(), true)?;
    let (rest, trailers) = drain(call.body).await?;
    ensure!(
        rest.is_empty() && status(&trailers) == "0",
        "{rest:?} {trailers:?}"
    );
    Ok(())
}

/// The service would answer after a minute.
async fn deadline(session: &Session, host: &str) -> Result<()> {
    let message = framed(&wanted(3, 60_000_000))?;
    let call = call(session, host, DUPLEX, &[("grpc-timeout", "300m")], message).await?;
    let fields = call.head.headers().clone();
    let (_, trailers) = drain(call.body).await?;
    let found = [status(&fields), status(&trailers)];
    ensure!(found.contains(&"4"), "{fields:?} {trailers:?}");
    Ok(())
}

async fn unavailable(session: &Session, host: &str, at: SocketAddr) -> Result<()> {
    eventually("the call is refused by its status", LATER, async || {
        let call = call(session, host, HEALTH, &[], framed(&[])?).await?;
        let head = &call.head;
        ensure!(
            head.status() == 200 && status(head.headers()) == "14",
            "{at}: {head:?}"
        );
        let reason = head.headers().get("x-portolan-reason");
        ensure!(
            reason.is_some_and(|reason| reason == "NoReadyEndpoints"),
            "{at}: {head:?}"
        );
        Ok(())
    })
    .await
}
