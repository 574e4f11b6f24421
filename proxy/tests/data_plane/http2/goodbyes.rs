//! GOAWAY (RFC 9113 6.8): requests that run end as if nothing were, and then the connection does.

use super::peers::{Answer, Asking, Endpoint, shop_at, to_shop};
use crate::soon;
use crate::way::run;
use portolan_discovery::table::UpstreamProtocol::Http2;
use portolan_proxy::data_plane::Drain;
use portolan_proxy::limits::Limits;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_drain_says_goodbye_and_finishes_what_runs() {
    run(Http2, Http2, async {
        let mut endpoint = Endpoint::start(100).await;
        let proxy = shop_at(endpoint.address, Limits::default()).await;
        let mut client = Asking::connect(&proxy).await;
        let (response, _) = client.begin(to_shop("GET").body(()).unwrap(), true).await;
        let call = endpoint.call().await;
        let drain = Drain {
            delay: Duration::ZERO,
            timeout: crate::DEADLINE * 10,
        };
        let mut draining = tokio::spawn(proxy.plane.drain(drain));
        client.is_told_goodbye().await;
        assert!(!draining.is_finished(), "a request is under way");
        call.finish();
        assert_eq!(Answer::of(response).await.unwrap().status, 200);
        assert!(soon("the end of the drain", &mut draining).await.unwrap());
        let ended = soon("the end of the connection", &mut client.connection).await;
        ended.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_told_goodbye_after_its_time() {
    run(Http2, Http2, async {
        let endpoint = Endpoint::start(100).await;
        let limits = Limits {
            idle: Duration::from_millis(100),
            ..Limits::default()
        };
        let proxy = shop_at(endpoint.address, limits).await;
        let mut client = Asking::connect(&proxy).await;
        let ended = soon("the end of the connection", &mut client.connection).await;
        ended.unwrap().unwrap();
    })
    .await;
}

/// A client that is slow to confirm the first goodbye still learns which of its requests counted: none
/// that it sends meanwhile does, so it can send it again elsewhere.
#[tokio::test]
async fn a_client_that_confirms_no_goodbye_is_told_the_last_request_that_counts() {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    run(Http2, Http2, async {
        let endpoint = Endpoint::start(100).await;
        let limits = Limits {
            idle: Duration::from_millis(100),
            linger: Duration::from_millis(100),
            ..Limits::default()
        };
        let proxy = shop_at(endpoint.address, limits).await;
        let mut stream = TcpStream::connect(proxy.http).await.unwrap();
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        hello.extend([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
        stream.write_all(&hello).await.unwrap();
        let mut said = Vec::new();
        let reading = stream.read_to_end(&mut said);
        soon("the end of the connection", reading).await.unwrap();
        let mut goodbyes = Vec::new();
        while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = said.as_slice() {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if *kind == GOAWAY {
                goodbyes.push(rest[..8].to_vec());
            }
            said = rest[length..].to_vec();
        }
        let announced = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(goodbyes, [announced, [0; 8]]);
    })
    .await;
}
