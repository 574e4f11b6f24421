//! Field lines, and the field that says who is asked.

use super::{Class, Oddity};
use crate::grammar::{Base, Draft, Field};

const fn field(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Field, Base::Any, bend)
}

const fn host(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Host, Base::Any, bend)
}

fn raw(draft: &mut Draft, line: impl AsRef<[u8]>) {
    draft.add(Field::raw(line));
}

fn first(draft: &mut Draft, line: impl AsRef<[u8]>) {
    draft.fields.insert(0, Field::raw(line));
}

pub(super) static FIELDS: &[Oddity] = &[
    field("field-space-before-colon", |draft, _| {
        raw(draft, "X-Odd : a")
    }),
    field("field-tab-before-colon", |draft, _| {
        raw(draft, "X-Odd\t: a")
    }),
    field("field-without-colon", |draft, _| raw(draft, "X-Odd")),
    field("field-empty-name", |draft, _| raw(draft, ": a")),
    field("field-folded", |draft, _| raw(draft, "X-Odd: a\r\n b")),
    field("field-folded-by-tab", |draft, _| {
        raw(draft, "X-Odd: a\r\n\tb")
    }),
    field("field-folded-empty", |draft, _| raw(draft, "X-Odd: a\r\n ")),
    field("field-first-line-is-space", |draft, _| {
        first(draft, " X-Odd: a")
    }),
    field(
        "field-first-line-is-a-framing-field-behind-space",
        |draft, _| first(draft, " Content-Length: 5"),
    ),
    field("field-nul-in-value", |draft, _| raw(draft, "X-Odd: a\0b")),
    field("field-nul-in-name", |draft, _| raw(draft, "X-O\0dd: a")),
    field("field-cr-in-value", |draft, _| raw(draft, "X-Odd: a\rb")),
    field("field-cr-in-name", |draft, _| raw(draft, "X-O\rdd: a")),
    field("field-lf-in-name", |draft, _| raw(draft, "X-O\ndd: a")),
    field("field-control-in-value", |draft, _| {
        raw(draft, "X-Odd: a\u{1}b")
    }),
    field("field-control-in-name", |draft, _| {
        raw(draft, "X-O\u{1}dd: a")
    }),
    field("field-del-in-value", |draft, _| {
        raw(draft, "X-Odd: a\u{7f}b")
    }),
    field("field-high-byte-in-value", |draft, _| {
        raw(draft, b"X-Odd: a\xe4\xff")
    }),
    field("field-high-byte-in-name", |draft, _| {
        raw(draft, b"X-\xe4: a")
    }),
    field("field-space-in-name", |draft, _| raw(draft, "X Odd: a")),
    field("field-parenthesis-in-name", |draft, _| {
        raw(draft, "X(Odd): a")
    }),
    field("field-like-a-request", |draft, _| {
        raw(draft, "GET /m8 HTTP/1.1: a")
    }),
    field("field-tabs-around-value", |draft, _| {
        if let Some(field) = draft.fields.first_mut() {
            field.colon = b":\t".to_vec();
            field.end = b"\t\r\n".to_vec();
        }
    }),
    field("field-long", |draft, _| {
        raw(draft, format!("X-Odd: {}", "a".repeat(5000)))
    }),
];

pub(super) static HOSTS: &[Oddity] = &[
    host("host-missing", |draft, _| draft.remove("Host")),
    host("host-missing-http-1.0", |draft, _| {
        draft.old();
        draft.remove("Host");
    }),
    host("host-twice-same", |draft, _| {
        let same = draft.field("Host").cloned();
        draft.fields.extend(same);
    }),
    host("host-twice-differs", |draft, _| {
        raw(draft, "Host: other.test")
    }),
    host("host-twice-http-1.0", |draft, _| {
        draft.old();
        raw(draft, "Host: other.test");
    }),
    host("host-empty", |draft, _| draft.set("Host", "")),
    host("host-list", |draft, _| {
        draft.set("Host", "shop.test, blog.test")
    }),
    host("host-space-inside", |draft, _| {
        draft.set("Host", "shop.test blog.test")
    }),
    host("host-user", |draft, _| draft.set("Host", "user@shop.test")),
    host("host-path", |draft, _| draft.set("Host", "shop.test/path")),
    host("host-query", |draft, _| {
        draft.set("Host", "shop.test?query")
    }),
    host("host-port-letters", |draft, _| {
        draft.set("Host", "shop.test:http")
    }),
    host("host-port-empty", |draft, _| {
        draft.set("Host", "shop.test:")
    }),
    host("host-port-zero", |draft, _| {
        draft.set("Host", "shop.test:0")
    }),
    host("host-port-too-large", |draft, _| {
        draft.set("Host", "shop.test:65536")
    }),
    host("host-port", |draft, _| draft.set("Host", "shop.test:8080")),
    host("host-port-leading-zeros", |draft, _| {
        draft.set("Host", "shop.test:00080")
    }),
    host("host-dot-behind", |draft, _| {
        draft.set("Host", "shop.test.")
    }),
    host("host-dot-before", |draft, _| {
        draft.set("Host", ".shop.test")
    }),
    host("host-two-dots", |draft, _| draft.set("Host", "shop..test")),
    host("host-upper-case", |draft, _| draft.set("Host", "SHOP.Test")),
    host("host-percent", |draft, _| draft.set("Host", "shop%2etest")),
    host("host-high-byte", |draft, _| {
        draft.set("Host", b"sh\xf6p.test")
    }),
    host("host-nul", |draft, _| draft.set("Host", "shop.test\0")),
    host("host-backslash", |draft, _| {
        draft.set("Host", "shop.test\\x")
    }),
    host("host-bracket-open", |draft, _| draft.set("Host", "[::1")),
    host("host-space-before-colon", |draft, _| {
        if let Some(field) = draft.field("Host") {
            field.colon = b" : ".to_vec();
        }
    }),
    host("host-folded", |draft, _| {
        if let Some(field) = draft.field("Host") {
            field.colon = b":\r\n ".to_vec();
        }
    }),
    host("host-in-target-same", |draft, _| {
        absolute(draft, "http://shop.test", "shop.test")
    }),
    host("host-in-target-https", |draft, _| {
        absolute(draft, "https://shop.test", "shop.test")
    }),
    host("host-in-target-differs", |draft, _| {
        absolute(draft, "http://blog.test", "shop.test")
    }),
    host("host-in-target-other-port", |draft, _| {
        absolute(draft, "http://shop.test:81", "shop.test")
    }),
    host("host-in-target-user", |draft, _| {
        absolute(draft, "http://user@shop.test", "shop.test")
    }),
    host("host-in-target-only", |draft, _| {
        absolute(draft, "http://shop.test", "shop.test");
        draft.remove("Host");
    }),
];

fn absolute(draft: &mut Draft, before: &str, host: &str) {
    draft.target = [before.as_bytes(), &draft.target].concat();
    draft.set("Host", host);
}
