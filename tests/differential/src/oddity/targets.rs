//! Targets: forms, bytes and escapes.

use super::{Class, Oddity};
use crate::grammar::{Base, Draft};

const fn target(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Target, Base::Any, bend)
}

/// Puts this behind the marker.
fn behind(draft: &mut Draft, tail: impl AsRef<[u8]>) {
    draft.target = [format!("/m{}", draft.marker).as_bytes(), tail.as_ref()].concat();
}

fn before(draft: &mut Draft, front: &str) {
    draft.target = [front.as_bytes(), &draft.target].concat();
}

pub(super) static TARGETS: &[Oddity] = &[
    target("target-without-slash", |draft, _| {
        draft.target.remove(0);
    }),
    target("target-empty", |draft, _| draft.target.clear()),
    target("target-asterisk", |draft, _| {
        draft.method = b"GET".to_vec();
        draft.target = b"*".to_vec();
    }),
    target("target-asterisk-options", |draft, _| {
        draft.method = b"OPTIONS".to_vec();
        draft.target = b"*".to_vec();
    }),
    target("target-authority", |draft, _| {
        draft.target = b"shop.test:80".to_vec()
    }),
    target("target-other-scheme", |draft, _| {
        before(draft, "ftp://shop.test")
    }),
    target("target-scheme-without-slashes", |draft, _| {
        before(draft, "http:")
    }),
    target("target-fragment", |draft, _| behind(draft, "#a")),
    target("target-backslash", |draft, _| behind(draft, "\\a")),
    target("target-quote", |draft, _| behind(draft, "\"a\"")),
    target("target-angle", |draft, _| behind(draft, "<a>")),
    target("target-brace", |draft, _| behind(draft, "{a}")),
    target("target-caret", |draft, _| behind(draft, "^")),
    target("target-backtick", |draft, _| behind(draft, "`")),
    target("target-pipe", |draft, _| behind(draft, "|")),
    target("target-bracket", |draft, _| behind(draft, "[a]")),
    target("target-nul", |draft, _| behind(draft, "\0")),
    target("target-control", |draft, _| behind(draft, "\u{1}")),
    target("target-del", |draft, _| behind(draft, "\u{7f}")),
    target("target-tab", |draft, _| behind(draft, "\ta")),
    target("target-space", |draft, _| behind(draft, " a")),
    target("target-cr", |draft, _| behind(draft, "\ra")),
    target("target-lf", |draft, _| behind(draft, "\na")),
    target("target-high-byte", |draft, _| behind(draft, b"\xe4")),
    target("target-utf-8", |draft, _| behind(draft, "ä")),
    target("target-bad-escape", |draft, _| behind(draft, "%zz")),
    target("target-short-escape", |draft, _| behind(draft, "%2")),
    target("target-escaped-nul", |draft, _| behind(draft, "%00")),
    target("target-escaped-line-end", |draft, _| {
        behind(draft, "%0d%0a")
    }),
    target("target-escaped-slash", |draft, _| behind(draft, "%2f..%2f")),
    target("target-escaped-dots", |draft, _| {
        behind(draft, "/a/%2e%2e/b")
    }),
    target("target-dots", |draft, _| behind(draft, "/a/../b/./c")),
    target("target-dots-above-the-root", |draft, _| {
        before(draft, "/../..")
    }),
    target("target-two-slashes", |draft, _| before(draft, "/")),
    target("target-semicolon-dots", |draft, _| behind(draft, "/..;/a")),
    target("target-query-with-quote", |draft, _| {
        behind(draft, "?a=\"b\"")
    }),
    target("target-query-with-braces", |draft, _| {
        behind(draft, "?{a}|^`\\")
    }),
    target("target-query-with-fragment", |draft, _| {
        behind(draft, "?a#b")
    }),
    target("target-query-with-bad-escape", |draft, _| {
        behind(draft, "?%zz")
    }),
    target("target-query-with-high-byte", |draft, _| {
        behind(draft, b"?\xe4")
    }),
    target("target-long", |draft, _| behind(draft, "a".repeat(5000))),
];
