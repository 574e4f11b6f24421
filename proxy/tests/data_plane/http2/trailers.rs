//! Fields before and after a response: interim responses (RFC 9110 15.2) and trailers (6.5).

use super::peers::{Answer, Asking, Endpoint, shop_at, to_shop};
use crate::protocols::run;
use crate::soon;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use portolan_discovery::table::UpstreamProtocol::Http2;
use portolan_proxy::limits::Limits;
use std::future::poll_fn;

#[tokio::test]
async fn hints_come_before_the_response() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let (mut response, _) = client.begin(to_shop("GET").body(()).unwrap(), true).await;
        let mut call = endpoint.call().await;
        let hints = Response::builder().status(103).header("link", "</a.css>");
        let hints = hints.body(()).unwrap();
        call.respond.send_informational(hints).unwrap();
        let interim = soon("hints", poll_fn(|cx| response.poll_informational(cx))).await;
        let interim = interim.unwrap().unwrap();
        assert_eq!(interim.status(), 103);
        assert_eq!(interim.headers()["link"], "</a.css>");
        call.finish();
        assert_eq!(Answer::of(response).await.unwrap().status, 200);
    })
    .await;
}

#[tokio::test]
async fn trailers_pass_but_for_what_no_trailer_may_say() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let (response, _) = client.begin(to_shop("POST").body(()).unwrap(), true).await;
        let mut sending = endpoint.call().await.begin(200);
        sending
            .send_data(Bytes::from_static(b"message"), false)
            .unwrap();
        let mut trailers = HeaderMap::new();
        for (name, value) in [
            ("grpc-status", "9"),
            ("grpc-message", "sold%20out"),
            ("content-length", "1"),
            ("x-request-id", "forged"),
        ] {
            trailers.insert(name, HeaderValue::from_static(value));
        }
        sending.send_trailers(trailers).unwrap();
        let answer = Answer::of(response).await.unwrap();
        assert_eq!(answer.body, b"message");
        let mut names: Vec<_> = answer.trailers.keys().map(|it| it.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["grpc-message", "grpc-status"]);
        assert_eq!(answer.trailers["grpc-status"], "9");
    })
    .await;
}

/// As gRPC tells a status without a message.
#[tokio::test]
async fn a_response_that_is_all_head_ends_with_it() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let (response, _) = client.begin(to_shop("POST").body(()).unwrap(), true).await;
        let mut call = endpoint.call().await;
        let head = Response::builder().header("grpc-status", "5");
        call.respond
            .send_response(head.body(()).unwrap(), true)
            .unwrap();
        let response = soon("a response", response).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "5");
        assert!(response.body().is_end_stream(), "no frame follows");
    })
    .await;
}
