//! Streams that are reset (RFC 9113 8.7): what is sent again, and who hears of it.

use super::peers::{Asking, Endpoint, piece, rest, shop_at, to_shop};
use crate::protocols::run;
use crate::soon;
use bytes::Bytes;
use h2::Reason as Code;
use portolan_discovery::table::UpstreamProtocol::{Http1, Http2};
use portolan_proxy::limits::Limits;
use std::future::poll_fn;

#[tokio::test]
async fn a_refused_request_is_sent_again_whatever_its_method() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let serving = async {
            endpoint
                .call()
                .await
                .respond
                .send_reset(Code::REFUSED_STREAM);
            let again = endpoint.call().await;
            assert_eq!(again.head.method, "POST");
            again.finish();
        };
        let request = to_shop("POST").body(()).unwrap();
        let (answer, ()) = tokio::join!(client.ask(request), serving);
        assert_eq!(answer.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_may_have_been_processed_is_not_sent_again() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let serving = async { endpoint.call().await.respond.send_reset(Code::CANCEL) };
        let request = to_shop("POST").body(()).unwrap();
        let (answer, ()) = tokio::join!(client.ask(request), serving);
        assert_eq!(answer.status, 502);
        assert!(!endpoint.has_more());
    })
    .await;
}

#[tokio::test]
async fn a_response_that_is_broken_off_is_reset_with_the_same_code() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        for code in [Code::CANCEL, Code::ENHANCE_YOUR_CALM, Code::INTERNAL_ERROR] {
            let (response, _) = client.begin(to_shop("GET").body(()).unwrap(), true).await;
            let mut call = endpoint.call().await;
            let mut sending = call.begin(200);
            sending
                .send_data(Bytes::from_static(b"half"), false)
                .unwrap();
            let mut body = soon("a response", response).await.unwrap().into_body();
            assert_eq!(&piece(&mut body).await[..], b"half");
            sending.send_reset(code);
            let error = rest(&mut body).await.unwrap_err();
            assert_eq!(error.reason(), Some(code));
        }
    })
    .await;
}

#[tokio::test]
async fn resets_upstream_when_the_client_cancels() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let (_response, mut body) = client.begin(to_shop("POST").body(()).unwrap(), false).await;
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        let mut call = endpoint.call().await;
        assert_eq!(&piece(&mut call.body).await[..], b"half");
        body.send_reset(Code::CANCEL);
        let reset = soon("a reset", poll_fn(|cx| call.respond.poll_reset(cx))).await;
        assert_eq!(reset.unwrap(), Code::CANCEL);
    })
    .await;
}

#[tokio::test]
async fn a_client_of_http1_sees_that_a_response_was_broken_off() {
    run(Http1, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let mut client = proxy.client().await;
        client
            .send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            .await;
        let mut call = endpoint.call().await;
        let mut sending = call.begin(200);
        sending
            .send_data(Bytes::from_static(b"half"), false)
            .unwrap();
        soon("half a response", client.until(b"4\r\nhalf\r\n"))
            .await
            .unwrap();
        sending.send_reset(Code::INTERNAL_ERROR);
        // The chunk that would end it never comes.
        client.is_closed().await;
    })
    .await;
}
