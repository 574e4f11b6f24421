//! Behaviour without free file descriptors.

use super::fixture::{Fixture, origin};
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

/// Sends a request on a persistent connection, and returns the response.
fn request(stream: &mut TcpStream) -> String {
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

/// With any number of idle connections, active clients are served: accepting pauses, idle connections
/// are closed, and a request still reaches its endpoint.
#[test]
fn active_clients_are_served_without_descriptors() {
    let fixture = Fixture::start_with_descriptors(
        &[
            ("shop.yaml", &exposed_port()),
            ("endpoints.yaml", &service(origin("one"))),
        ],
        48,
    );
    fixture.wait_for_status("shop", "Ready");
    let mut active = connect(fixture.http);
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(connect(fixture.http));
        assert!(request(&mut active).starts_with("HTTP/1.1 200 "));
    }
    // A new connection is served as well.
    assert!(request(&mut connect(fixture.http)).starts_with("HTTP/1.1 200 "));
    assert!(request(&mut active).starts_with("HTTP/1.1 200 "));
}
