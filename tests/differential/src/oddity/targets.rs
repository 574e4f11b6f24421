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
    target("target-without-slash", |it, _| {
        it.target.remove(0);
    }),
    target("target-empty", |it, _| it.target.clear()),
    target("target-asterisk", |it, _| {
        it.method = b"GET".to_vec();
        it.target = b"*".to_vec();
    }),
    target("target-asterisk-options", |it, _| {
        it.method = b"OPTIONS".to_vec();
        it.target = b"*".to_vec();
    }),
    target("target-authority", |it, _| {
        it.target = b"shop.test:80".to_vec()
    }),
    target("target-other-scheme", |it, _| before(it, "ftp://shop.test")),
    target("target-scheme-without-slashes", |it, _| before(it, "http:")),
    target("target-fragment", |it, _| behind(it, "#a")),
    target("target-backslash", |it, _| behind(it, "\\a")),
    target("target-quote", |it, _| behind(it, "\"a\"")),
    target("target-angle", |it, _| behind(it, "<a>")),
    target("target-brace", |it, _| behind(it, "{a}")),
    target("target-caret", |it, _| behind(it, "^")),
    target("target-backtick", |it, _| behind(it, "`")),
    target("target-pipe", |it, _| behind(it, "|")),
    target("target-bracket", |it, _| behind(it, "[a]")),
    target("target-nul", |it, _| behind(it, "\0")),
    target("target-control", |it, _| behind(it, "\u{1}")),
    target("target-del", |it, _| behind(it, "\u{7f}")),
    target("target-tab", |it, _| behind(it, "\ta")),
    target("target-space", |it, _| behind(it, " a")),
    target("target-cr", |it, _| behind(it, "\ra")),
    target("target-lf", |it, _| behind(it, "\na")),
    target("target-high-byte", |it, _| behind(it, b"\xe4")),
    target("target-utf-8", |it, _| behind(it, "ä")),
    target("target-bad-escape", |it, _| behind(it, "%zz")),
    target("target-short-escape", |it, _| behind(it, "%2")),
    target("target-escaped-nul", |it, _| behind(it, "%00")),
    target("target-escaped-line-end", |it, _| behind(it, "%0d%0a")),
    target("target-escaped-slash", |it, _| behind(it, "%2f..%2f")),
    target("target-escaped-dots", |it, _| behind(it, "/a/%2e%2e/b")),
    target("target-dots", |it, _| behind(it, "/a/../b/./c")),
    target("target-dots-above-the-root", |it, _| before(it, "/../..")),
    target("target-two-slashes", |it, _| before(it, "/")),
    target("target-semicolon-dots", |it, _| behind(it, "/..;/a")),
    target("target-query-with-quote", |it, _| behind(it, "?a=\"b\"")),
    target("target-query-with-braces", |it, _| behind(it, "?{a}|^`\\")),
    target("target-query-with-fragment", |it, _| behind(it, "?a#b")),
    target("target-query-with-bad-escape", |it, _| behind(it, "?%zz")),
    target("target-query-with-high-byte", |it, _| behind(it, b"?\xe4")),
    target("target-long", |it, _| behind(it, "a".repeat(5000))),
];
