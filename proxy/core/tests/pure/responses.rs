//! Responses from a grammar: for any response of an endpoint, the client gets one unambiguous head, or
//! none.

use portolan_proxy_core::body::Framing;
use portolan_proxy_core::field::slots;
use portolan_proxy_core::headers::{self, Persistence};
use portolan_proxy_core::response::ResponseHead;
use portolan_proxy_core::route::ResponsePolicy;
use portolan_proxy_core::scan::HeadScan;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;

/// Valid and invalid field lines, without their line ends.
const LINES: &[&str] = &[
    "Content-Type: text/plain",
    "Set-Cookie: a=b",
    "X-Empty:",
    "X-Tab:\ta\tb\t",
    "Content-Length: 5",
    "Content-Length: 0",
    "content-length: 5",
    "Content-Length: 5, 5",
    "Content-Length: +5",
    "Content-Length: 18446744073709551617",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    "Transfer_Encoding: chunked",
    "Connection: close",
    "Connection: X-Empty",
    "Connection: Content-Length",
    "Keep-Alive: timeout=5",
    "Upgrade: h2c",
    "X-Portolan-Reason: forged",
    "X : a",
    "no field",
    " folded",
    ": a",
    "X: a\0b",
    "X: a\rb",
    "X: a\nSet-Cookie: c=d",
    "X: \u{e4}",
    "X\u{e4}: a",
];

fn head() -> impl Strategy<Value = String> {
    let version = select(&[
        "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "ICY",
    ]);
    let status = select(&[
        "200", "200", "204", "304", "404", "502", "100", "103", "999", "20",
    ]);
    let phrase = select(&["OK", "", "Not \u{e4}", "a\rb", "a\nb", "a b\tc"]);
    let lines = prop::collection::vec(select(LINES), 0..5);
    (version, status, phrase, lines).prop_map(|(version, status, phrase, lines)| {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!("{version} {status} {phrase}\r\n{lines}\r\n")
    })
}

/// The head as sent to the client, and the framing of the body.
fn passed_on(text: &str, method: &str) -> Option<(Vec<u8>, Framing)> {
    let mut scan = HeadScan::default();
    let length = scan.find(text.as_bytes()).ok()??;
    let mut room = slots();
    let head = ResponseHead::parse(&text.as_bytes()[..length], &mut room, method).ok()?;
    let body = match head.framing {
        Framing::UntilClose => Framing::Chunked,
        framing => framing,
    };
    let mut out = Vec::new();
    headers::response(
        &mut out,
        &head,
        body,
        Persistence::Persistent,
        &ResponsePolicy::default(),
    );
    Some((out, body))
}

proptest! {
    #[test]
    fn forwarded_heads_are_unambiguous(
        text in head(), method in select(&["GET", "HEAD"])) {
        if let Some((sent, body)) = passed_on(&text, method) {
            // Line ends only in pairs, and the empty line only at the end.
            prop_assert_eq!(HeadScan::default().find(&sent), Ok(Some(sent.len())));
            prop_assert!(!sent.contains(&0));
            let mut room = slots();
            let again = ResponseHead::parse(&sent, &mut room, method).unwrap();
            prop_assert_eq!(again.framing, body);
            let lengths = again.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("content-length"));
            let codings = again.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("transfer-encoding"));
            prop_assert!(lengths.count() + codings.count() <= 1);
        }
    }

    #[test]
    fn drops_hop_fields_and_reserved_fields(text in head()) {
        if let Some((sent, _)) = passed_on(&text, "GET") {
            let sent = String::from_utf8_lossy(&sent).to_ascii_lowercase();
            for name in ["connection", "keep-alive", "upgrade", "x-portolan-reason", "transfer_encoding"] {
                let starts = format!("\r\n{name}:");
                prop_assert!(!sent.contains(&starts), "{} in {}", name, sent);
            }
        }
    }
}

/// The grammar must produce both accepted and rejected heads, or the properties above prove nothing.
#[test]
fn the_grammar_produces_both_kinds() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut passed, mut rejected) = (0, 0);
    for _ in 0..2000 {
        let text = head().new_tree(&mut runner).unwrap().current();
        match passed_on(&text, "GET") {
            Some(_) => passed += 1,
            None => rejected += 1,
        }
    }
    assert!(
        passed > 100 && rejected > 100,
        "{passed} passed, {rejected} rejected"
    );
}
