//! A program that has used all of its descriptors.

use super::stand::{Stand, origin};
use super::{HOST, exposed_port, service};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// A request on a connection that stays; gives the status line's code and what the body ends with.
fn ask(stream: &mut TcpStream) -> String {
    write!(stream, "GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"one") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8(response));
        response.extend_from_slice(&bytes[..count]);
    }
    String::from_utf8(response).unwrap()
}

/// However many connections others open and leave lying about, who works is served: accepting
/// pauses, what lies about gives way, and a request still reaches its endpoint.
#[test]
fn without_descriptors_those_who_work_are_served() {
    let stand = Stand::start_with_descriptors(
        &[
            ("shop.yaml", &exposed_port()),
            ("endpoints.yaml", &service(origin("one"))),
        ],
        48,
    );
    stand.told_status("shop", "Ready");
    let mut worker = connect(stand.http);
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(connect(stand.http));
        assert!(ask(&mut worker).starts_with("HTTP/1.1 200 "));
    }
    // A new one comes in as well.
    assert!(ask(&mut connect(stand.http)).starts_with("HTTP/1.1 200 "));
    assert!(ask(&mut worker).starts_with("HTTP/1.1 200 "));
}
