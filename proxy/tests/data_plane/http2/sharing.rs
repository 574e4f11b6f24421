//! Requests share connections to an endpoint, as far as the endpoint allows (RFC 9113 5.1.2).

use super::peers::{Answer, Asking, Endpoint, shop_at, to_shop};
use crate::protocols::run;
use portolan_discovery::table::UpstreamProtocol::Http2;
use portolan_proxy::limits::Limits;

#[tokio::test]
async fn opens_another_connection_beyond_max_streams() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(2).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let (mut responses, mut calls) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let request = to_shop("GET").body(()).unwrap();
            responses.push(client.begin(request, true).await.0);
            calls.push(endpoint.call().await);
        }
        let connections: Vec<usize> = calls.iter().map(|call| call.connection).collect();
        assert_eq!(connections, [0, 0, 1, 1]);
        calls.into_iter().for_each(|call| call.finish());
        for response in responses {
            assert_eq!(Answer::of(response).await.unwrap().status, 200);
        }
    })
    .await;
}
