//! Fields that HTTP/2 has rules of its own for (RFC 9113 8.2).

use super::peers::{Asking, Endpoint, shop_at, to_shop};
use crate::messages::shop;
use crate::origin::Origin;
use crate::protocols::run;
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
async fn joins_cookie_crumbs_for_http1() {
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
async fn forwards_cookie_crumbs_and_te_trailers() {
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
