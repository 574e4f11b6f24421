//! Chunks of HTTP/1.1 that are there at the same time leave in a few frames: the crate `h2`, as many
//! another client, ends a connection over which a flood of small ones comes.

use super::peers::{Asking, to_shop};
use crate::messages::shop;
use crate::origin::{Origin, Then};
use crate::protocols::run;
use portolan_discovery::table::UpstreamProtocol::{Http1, Http2};

#[tokio::test]
async fn many_small_chunks_become_few_frames() {
    run(Http2, Http1, async {
        let origin = Origin::start(|_| {
            let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for number in 0..500 {
                bytes.extend(format!("4\r\n{number:04}\r\n").into_bytes());
            }
            bytes.extend(b"0\r\nX-Sum: 500\r\n\r\n");
            (bytes, Then::Keep)
        })
        .await;
        let proxy = shop(&origin).await;
        let client = Asking::connect(&proxy).await;
        let answer = client.ask(to_shop("GET").body(()).unwrap()).await;
        let sent: String = (0..500).map(|number| format!("{number:04}")).collect();
        assert_eq!(answer.body, sent.as_bytes());
        assert_eq!(answer.trailers["x-sum"], "500");
        // They may have been read in a few pieces.
        assert!(answer.frames < 50, "{} frames", answer.frames);
    })
    .await;
}
