//! Fields that HTTP/2 has rules of its own for (RFC 9113 8.2).

use super::peers::{Asking, Endpoint, shop_at, to_shop};
use crate::messages::shop;
use crate::origin::Origin;
use crate::way::run;
use http::Request;
use portolan_discovery::table::UpstreamProtocol::{Http1, Http2};
use portolan_proxy::limits::Limits;

fn crumbled() -> Request<()> {
    to_shop("GET")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

#[tokio::test]
async fn crumbs_of_a_cookie_are_one_field_on_http1_and_te_stays_behind() {
    run(Http2, Http1, async {
        let origin = Origin::saying("hello").await;
        let proxy = shop(&origin).await;
        let client = Asking::connect(&proxy).await;
        assert_eq!(client.ask(crumbled()).await.body, b"hello");
        let request = &origin.requests()[0];
        assert_eq!(request.field("cookie"), Some("a=1; b=2"));
        assert_eq!(request.field("te"), None);
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_of_http2_gets_all_crumbs_and_hears_that_trailers_are_taken() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let serving = async {
            let call = endpoint.call().await;
            let fields = &call.head.headers;
            let crumbs: Vec<&str> = fields
                .get_all("cookie")
                .iter()
                .map(|crumb| crumb.to_str().unwrap())
                .collect();
            assert_eq!(crumbs.join("; "), "a=1; b=2");
            assert_eq!(fields["te"], "trailers");
            call.finish();
        };
        let (answer, ()) = tokio::join!(client.ask(crumbled()), serving);
        assert_eq!(answer.status, 200);
    })
    .await;
}
