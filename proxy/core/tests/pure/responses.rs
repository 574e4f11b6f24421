//! Responses over a grammar: whatever an endpoint writes, the client gets one head that every
//! reader splits alike, or none.

use portolan_proxy_core::body::Framing;
use portolan_proxy_core::edit::{self, Persistence};
use portolan_proxy_core::field::slots;
use portolan_proxy_core::response::ResponseHead;
use portolan_proxy_core::route::ResponsePolicy;
use portolan_proxy_core::scan::HeadScan;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;

/// Lawful and unlawful field lines, without their line ends.
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

/// The head as it goes down, and how the body is framed.
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
    edit::response(
        &mut out,
        &head,
        body,
        Persistence::Kept,
        &ResponsePolicy::default(),
    );
    Some((out, body))
}

proptest! {
    #[test]
    fn what_goes_down_is_one_head_that_reads_as_it_was_framed(
        text in head(), method in select(&["GET", "HEAD"])) {
        if let Some((sent, body)) = passed_on(&text, method) {
            // Line ends only in pairs, and the empty line only at the end.
            prop_assert_eq!(HeadScan::default().find(&sent), Ok(Some(sent.len())));
            prop_assert!(!sent.contains(&0));
            let mut room = slots();
            let again = ResponseHead::parse(&sent, &mut room, method).unwrap();
            prop_assert_eq!(again.framing, body);
            let lengths = again.fields.iter().filter(|it| it.name.eq_ignore_ascii_case("content-length"));
            let codings = again.fields.iter().filter(|it| it.name.eq_ignore_ascii_case("transfer-encoding"));
            prop_assert!(lengths.count() + codings.count() <= 1);
        }
    }

    #[test]
    fn no_field_of_a_hop_or_of_ours_goes_down(text in head()) {
        if let Some((sent, _)) = passed_on(&text, "GET") {
            let sent = String::from_utf8_lossy(&sent).to_ascii_lowercase();
            for name in ["connection", "keep-alive", "upgrade", "x-portolan-reason", "transfer_encoding"] {
                let starts = format!("\r\n{name}:");
                prop_assert!(!sent.contains(&starts), "{} in {}", name, sent);
            }
        }
    }
}

/// The grammar reaches both sides of the judgement, or the properties above say nothing.
#[test]
fn the_grammar_has_enough_of_both_kinds() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..2000 {
        let text = head().new_tree(&mut runner).unwrap().current();
        match passed_on(&text, "GET") {
            Some(_) => passed += 1,
            None => refused += 1,
        }
    }
    assert!(
        passed > 100 && refused > 100,
        "{passed} passed, {refused} refused"
    );
}
