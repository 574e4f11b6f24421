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
    field("field-space-before-colon", |it, _| raw(it, "X-Odd : a")),
    field("field-tab-before-colon", |it, _| raw(it, "X-Odd\t: a")),
    field("field-without-colon", |it, _| raw(it, "X-Odd")),
    field("field-empty-name", |it, _| raw(it, ": a")),
    field("field-folded", |it, _| raw(it, "X-Odd: a\r\n b")),
    field("field-folded-by-tab", |it, _| raw(it, "X-Odd: a\r\n\tb")),
    field("field-folded-empty", |it, _| raw(it, "X-Odd: a\r\n ")),
    field("field-first-line-is-space", |it, _| first(it, " X-Odd: a")),
    field(
        "field-first-line-is-a-framing-field-behind-space",
        |it, _| first(it, " Content-Length: 5"),
    ),
    field("field-nul-in-value", |it, _| raw(it, "X-Odd: a\0b")),
    field("field-nul-in-name", |it, _| raw(it, "X-O\0dd: a")),
    field("field-cr-in-value", |it, _| raw(it, "X-Odd: a\rb")),
    field("field-cr-in-name", |it, _| raw(it, "X-O\rdd: a")),
    field("field-lf-in-name", |it, _| raw(it, "X-O\ndd: a")),
    field("field-control-in-value", |it, _| raw(it, "X-Odd: a\u{1}b")),
    field("field-control-in-name", |it, _| raw(it, "X-O\u{1}dd: a")),
    field("field-del-in-value", |it, _| raw(it, "X-Odd: a\u{7f}b")),
    field("field-high-byte-in-value", |it, _| {
        raw(it, b"X-Odd: a\xe4\xff")
    }),
    field("field-high-byte-in-name", |it, _| raw(it, b"X-\xe4: a")),
    field("field-space-in-name", |it, _| raw(it, "X Odd: a")),
    field("field-parenthesis-in-name", |it, _| raw(it, "X(Odd): a")),
    field("field-like-a-request", |it, _| {
        raw(it, "GET /m8 HTTP/1.1: a")
    }),
    field("field-tabs-around-value", |it, _| {
        if let Some(field) = it.fields.first_mut() {
            field.colon = b":\t".to_vec();
            field.end = b"\t\r\n".to_vec();
        }
    }),
    field("field-long", |it, _| {
        raw(it, format!("X-Odd: {}", "a".repeat(5000)))
    }),
];

pub(super) static HOSTS: &[Oddity] = &[
    host("host-missing", |it, _| it.remove("Host")),
    host("host-missing-http-1.0", |it, _| {
        it.old();
        it.remove("Host");
    }),
    host("host-twice-same", |it, _| {
        let same = it.field("Host").cloned();
        it.fields.extend(same);
    }),
    host("host-twice-differs", |it, _| raw(it, "Host: other.test")),
    host("host-twice-http-1.0", |it, _| {
        it.old();
        raw(it, "Host: other.test");
    }),
    host("host-empty", |it, _| it.set("Host", "")),
    host("host-list", |it, _| it.set("Host", "shop.test, blog.test")),
    host("host-space-inside", |it, _| {
        it.set("Host", "shop.test blog.test")
    }),
    host("host-user", |it, _| it.set("Host", "user@shop.test")),
    host("host-path", |it, _| it.set("Host", "shop.test/path")),
    host("host-query", |it, _| it.set("Host", "shop.test?query")),
    host("host-port-letters", |it, _| {
        it.set("Host", "shop.test:http")
    }),
    host("host-port-empty", |it, _| it.set("Host", "shop.test:")),
    host("host-port-zero", |it, _| it.set("Host", "shop.test:0")),
    host("host-port-too-large", |it, _| {
        it.set("Host", "shop.test:65536")
    }),
    host("host-port", |it, _| it.set("Host", "shop.test:8080")),
    host("host-port-leading-zeros", |it, _| {
        it.set("Host", "shop.test:00080")
    }),
    host("host-dot-behind", |it, _| it.set("Host", "shop.test.")),
    host("host-dot-before", |it, _| it.set("Host", ".shop.test")),
    host("host-two-dots", |it, _| it.set("Host", "shop..test")),
    host("host-upper-case", |it, _| it.set("Host", "SHOP.Test")),
    host("host-percent", |it, _| it.set("Host", "shop%2etest")),
    host("host-high-byte", |it, _| it.set("Host", b"sh\xf6p.test")),
    host("host-nul", |it, _| it.set("Host", "shop.test\0")),
    host("host-backslash", |it, _| it.set("Host", "shop.test\\x")),
    host("host-bracket-open", |it, _| it.set("Host", "[::1")),
    host("host-space-before-colon", |it, _| {
        if let Some(field) = it.field("Host") {
            field.colon = b" : ".to_vec();
        }
    }),
    host("host-folded", |it, _| {
        if let Some(field) = it.field("Host") {
            field.colon = b":\r\n ".to_vec();
        }
    }),
    host("host-in-target-same", |it, _| {
        absolute(it, "http://shop.test", "shop.test")
    }),
    host("host-in-target-https", |it, _| {
        absolute(it, "https://shop.test", "shop.test")
    }),
    host("host-in-target-differs", |it, _| {
        absolute(it, "http://blog.test", "shop.test")
    }),
    host("host-in-target-other-port", |it, _| {
        absolute(it, "http://shop.test:81", "shop.test")
    }),
    host("host-in-target-user", |it, _| {
        absolute(it, "http://user@shop.test", "shop.test")
    }),
    host("host-in-target-only", |it, _| {
        absolute(it, "http://shop.test", "shop.test");
        it.remove("Host");
    }),
];

fn absolute(draft: &mut Draft, before: &str, host: &str) {
    draft.target = [before.as_bytes(), &draft.target].concat();
    draft.set("Host", host);
}
