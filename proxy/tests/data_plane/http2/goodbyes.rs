//! GOAWAY (RFC 9113 6.8): requests that run end as if nothing were, and then the connection does.

use super::peers::{Answer, Asking, Endpoint, shop_at, to_shop};
use crate::protocols::run;
use crate::soon;
use http::Response;
use portolan_discovery::table::UpstreamProtocol::Http2;
use portolan_proxy::data_plane::Drain;
use portolan_proxy::limits::Limits;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

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
        client.receives_goaway().await;
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
async fn sends_goaway_on_an_idle_connection() {
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
async fn sends_final_goaway_without_confirmation() {
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
        let mut received = Vec::new();
        let reading = stream.read_to_end(&mut received);
        soon("the end of the connection", reading).await.unwrap();
        let mut goodbyes = Vec::new();
        while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = received.as_slice() {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if *kind == GOAWAY {
                goodbyes.push(rest[..8].to_vec());
            }
            received = rest[length..].to_vec();
        }
        let announced = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(goodbyes, [announced, [0; 8]]);
    })
    .await;
}

#[tokio::test]
async fn what_an_endpoint_left_undone_when_it_went_is_sent_again() {
    run(Http2, Http2, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = shop_at(listener.local_addr().unwrap(), Limits::default()).await;
        let client = Asking::connect(&proxy).await;
        let serving = async {
            let (mut going, _) = soon("a connection", listener.accept()).await.unwrap();
            soon("a request", leaves_undone(&mut going)).await;
            let (stream, _) = soon("another connection", listener.accept()).await.unwrap();
            let mut staying = soon("a preface", h2::server::handshake(stream))
                .await
                .unwrap();
            let (request, mut respond) = soon("the request again", staying.accept())
                .await
                .unwrap()
                .unwrap();
            assert_eq!(request.method(), "POST");
            respond.send_response(Response::new(()), true).unwrap();
            // Sends it.
            let _ = staying.accept().await;
        };
        let request = to_shop("POST").body(()).unwrap();
        let answer = async {
            tokio::select! {
                answer = client.ask(request) => answer,
                () = serving => unreachable!("the endpoint stays"),
            }
        };
        assert_eq!(answer.await.status, 200);
    })
    .await;
}

/// An endpoint that reads one request, and says that it processed none.
async fn leaves_undone(stream: &mut TcpStream) {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const HEADERS: u8 = 1;
    stream.write_all(SETTINGS).await.unwrap();
    stream.read_exact(&mut [0; 24]).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == HEADERS {
            return stream.write_all(GOAWAY).await.unwrap();
        }
    }
}
