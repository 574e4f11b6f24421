//! Local responses to gRPC clients: status 200, with the gRPC status in fields.

use super::peers::{Answer, Asking, Endpoint, shop_at};
use crate::protocols::run;
use crate::proxy::{Proxy, endpoints, host};
use crate::soon;
use http::Request;
use portolan_discovery::table::UpstreamProtocol::Http2;
use portolan_proxy::limits::Limits;
use tokio::net::TcpListener;

fn call(timeout: Option<&str>) -> Request<()> {
    let request = Request::builder()
        .method("POST")
        .uri("http://shop.test/shop.Orders/Place")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    match timeout {
        Some(timeout) => request.header("grpc-timeout", timeout),
        None => request,
    }
    .body(())
    .unwrap()
}

fn has_failed_with(answer: &Answer, status: &str) {
    assert_eq!(answer.status, 200);
    assert!(answer.body.is_empty() && answer.trailers.is_empty());
    assert_eq!(answer.fields["content-type"], "application/grpc");
    assert_eq!(answer.fields["grpc-status"], status, "{answer:?}");
    assert!(!answer.fields["grpc-message"].is_empty());
}

#[tokio::test]
async fn a_service_without_endpoints_is_unavailable() {
    run(Http2, Http2, async {
        let resources = vec![endpoints("t/shop:80", &[]), host("shop.test", "t/shop:80")];
        let proxy = Proxy::serving(resources).await;
        let client = Asking::connect(&proxy).await;
        has_failed_with(&client.ask(call(None)).await, "14");
    })
    .await;
}

#[tokio::test]
async fn unknown_host_is_unimplemented() {
    run(Http2, Http2, async {
        let resources = vec![endpoints("t/shop:80", &[]), host("shop.test", "t/shop:80")];
        let proxy = Proxy::serving(resources).await;
        let client = Asking::connect(&proxy).await;
        let mut lost = call(None);
        *lost.uri_mut() = "http://absent.test/shop.Orders/Place".parse().unwrap();
        has_failed_with(&client.ask(lost).await, "12");
    })
    .await;
}

#[tokio::test]
async fn a_deadline_is_kept_in_every_unit_that_can_be_waited_for() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let limits = Limits {
            response: crate::DEADLINE * 10,
            ..Limits::default()
        };
        let proxy = shop_at(endpoint.address, limits).await;
        let client = Asking::connect(&proxy).await;
        for timeout in ["1S", "100m", "100000u", "99999999n"] {
            let (answer, held) = tokio::join!(client.ask(call(Some(timeout))), endpoint.call());
            has_failed_with(&answer, "4");
            drop(held);
        }
    })
    .await;
}

#[tokio::test]
async fn unreachable_or_silent_endpoint_is_unavailable() {
    run(Http2, Http2, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = shop_at(listener.local_addr().unwrap(), Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let silent = async {
            let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
            drop(stream);
        };
        let (answer, ()) = tokio::join!(client.ask(call(None)), silent);
        has_failed_with(&answer, "14");
        drop(listener);
        has_failed_with(&client.ask(call(None)).await, "14");
    })
    .await;
}

#[tokio::test]
async fn ignores_unparseable_grpc_deadlines() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        for timeout in ["1H", "1M", "", "1", "S", "-1S", "1.5S", "123456789n", "1s"] {
            let serving = async {
                let call = endpoint.call().await;
                assert_eq!(call.head.headers["grpc-timeout"], timeout);
                call.finish();
            };
            let (answer, ()) = tokio::join!(client.ask(call(Some(timeout))), serving);
            assert_eq!(answer.status, 200, "{timeout}");
            assert!(!answer.fields.contains_key("grpc-status"), "{timeout}");
        }
    })
    .await;
}
