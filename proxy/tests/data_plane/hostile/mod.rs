//! Hostile input over real sockets: what two readers could understand differently, what lies,
//! and what never ends. `docs/internals/request-hardening.md` maps each case to its test; the origin counts
//! every byte that reaches it.

mod chunks;
mod descriptors;
mod fields;
mod hosts;
mod identity;
mod lengths;
mod limits;
mod map;
mod pipelines;
mod responses;
mod slow;
mod sweeps;
mod targets;

use crate::messages::shop;
use crate::origin::Origin;
use crate::proxy::Proxy;

/// Request that follows every attack, and that must never be seen as one.
pub(crate) const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n";

/// The head of a POST for the shop, with these field lines.
fn post(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n\r\n")
}

/// A GET for the shop, with these field lines.
fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n\r\n")
}

/// Sends an attack with a request behind it: one answer comes, with this status and a reason,
/// and the connection ends.
async fn refused(proxy: &Proxy, attack: &[u8], status: u16) {
    let shown = attack.escape_ascii();
    let mut client = proxy.client().await;
    // The refusal may close the connection while the rest is being sent.
    let _ = client
        .try_send([attack, SMUGGLED.as_bytes()].concat())
        .await;
    let response = client.try_response(false).await;
    let response = response.unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert_eq!(response.status, status, "{shown}");
    assert_eq!(response.field("connection"), Some("close"), "{shown}");
    assert!(!response.reason().is_empty(), "{shown}");
    let (rest, _) = client.rest().await;
    assert!(rest.is_empty(), "{shown}: {}", rest.escape_ascii());
}

/// Each is refused with 400 before a byte of it, or of what follows it, has gone up.
async fn all_refused(attacks: &[impl AsRef<[u8]>]) {
    all_refused_with(attacks, 400).await;
}

async fn all_refused_with(attacks: &[impl AsRef<[u8]>], status: u16) {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    for attack in attacks {
        refused(&proxy, attack.as_ref(), status).await;
    }
    assert_eq!((origin.bytes(), origin.connections()), (0, 0));
}

/// Each is a body that breaks a rule: refused with 400; the origin never sees a whole request,
/// and what was begun there ends.
async fn all_broken_off(bodies: &[impl AsRef<[u8]>]) {
    let origin = Origin::saying("hello").await;
    let proxy = shop(&origin).await;
    let mut sent = 0;
    for body in bodies {
        let mut attack = post("Transfer-Encoding: chunked").into_bytes();
        attack.extend_from_slice(body.as_ref());
        sent += attack.len() + SMUGGLED.len();
        refused(&proxy, &attack, 400).await;
    }
    origin.has_seen_the_end_of(origin.connections()).await;
    assert!(origin.requests().is_empty(), "{:?}", origin.requests());
    assert!(origin.bytes() < 100 * sent, "{} bytes", origin.bytes());
}
