//! `Expect: 100-continue` over HTTP/2, where a body may come without a word of its length.

use super::peers::{Answer, Asking, Endpoint, rest, shop_at, to_shop};
use crate::messages::shop;
use crate::origin::Origin;
use crate::protocols::run;
use crate::proxy::Proxy;
use crate::soon;
use bytes::Bytes;
use portolan_discovery::table::UpstreamProtocol::{Http1, Http2};
use portolan_proxy::limits::Limits;
use std::future::poll_fn;

/// Sends a body only when it is asked for.
async fn sends_after_continue(proxy: &Proxy) -> Answer {
    let client = Asking::connect(proxy).await;
    let request = to_shop("POST").header("expect", "100-continue");
    let (mut response, mut body) = client.begin(request.body(()).unwrap(), false).await;
    let interim = soon("100", poll_fn(|cx| response.poll_informational(cx))).await;
    assert_eq!(interim.unwrap().unwrap().status(), 100);
    body.send_data(Bytes::from_static(b"as you wish"), true)
        .unwrap();
    Answer::of(response).await.unwrap()
}

#[tokio::test]
async fn a_body_of_unknown_length_is_asked_for_on_its_way_to_http1() {
    run(Http2, Http1, async {
        let origin = Origin::saying("thanks").await;
        let proxy = shop(&origin).await;
        assert_eq!(sends_after_continue(&proxy).await.body, b"thanks");
        let request = &origin.requests()[0];
        assert_eq!(request.body, b"as you wish");
        assert_eq!(request.field("expect"), None);
    })
    .await;
}

#[tokio::test]
async fn a_body_of_unknown_length_is_asked_for_on_its_way_to_http2() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let serving = async {
            let mut call = endpoint.call().await;
            assert!(!call.head.headers.contains_key("expect"));
            assert_eq!(rest(&mut call.body).await.unwrap().0, b"as you wish");
            call.finish();
        };
        let (answer, ()) = tokio::join!(sends_after_continue(&proxy), serving);
        assert_eq!(answer.status, 200);
    })
    .await;
}
