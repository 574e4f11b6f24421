//! How a body's end is told.

use super::{Class, Oddity};
use crate::grammar::{Base, Draft, Field};

const fn length(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Length, Base::WithLength, bend)
}

const fn coding(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Coding, Base::Chunked, bend)
}

/// Rewrites the length, given the true one.
fn told(draft: &mut Draft, tell: impl Fn(usize) -> String) {
    let value = tell(draft.content.len());
    draft.set("Content-Length", value);
}

fn coded(draft: &mut Draft, value: impl AsRef<[u8]>) {
    draft.set("Transfer-Encoding", value);
}

pub(super) static LENGTHS: &[Oddity] = &[
    length("length-plus", |it, _| told(it, |n| format!("+{n}"))),
    length("length-minus", |it, _| told(it, |n| format!("-{n}"))),
    length("length-hexadecimal", |it, _| {
        told(it, |n| format!("0x{n:x}"))
    }),
    length("length-fraction", |it, _| told(it, |n| format!("{n}.0"))),
    length("length-exponent", |it, _| told(it, |n| format!("{n}e0"))),
    length("length-junk-behind", |it, _| told(it, |n| format!("{n};"))),
    length("length-letters-behind", |it, _| {
        told(it, |n| format!("{n}abc"))
    }),
    length("length-space-inside", |it, _| {
        told(it, |n| format!("{n} {n}"))
    }),
    length("length-underscore-inside", |it, _| {
        told(it, |n| format!("0_{n}"))
    }),
    length("length-quoted", |it, _| told(it, |n| format!("\"{n}\""))),
    length("length-list-same", |it, _| {
        told(it, |n| format!("{n}, {n}"))
    }),
    length("length-list-differs", |it, _| {
        told(it, |n| format!("{n}, {}", n + 1))
    }),
    length("length-comma-behind", |it, _| told(it, |n| format!("{n},"))),
    length("length-empty", |it, _| told(it, |_| String::new())),
    length("length-overflows", |it, _| {
        told(it, |n| (u128::from(u64::MAX) + 1 + n as u128).to_string())
    }),
    length("length-huge-zeros", |it, _| {
        told(it, |n| format!("{n:030}"))
    }),
    length("length-vertical-tab", |it, _| {
        told(it, |n| format!("\u{b}{n}"))
    }),
    length("length-nbsp", |it, _| told(it, |n| format!("\u{a0}{n}"))),
    length("length-nul-behind", |it, _| told(it, |n| format!("{n}\0"))),
    length("length-cr-behind", |it, _| told(it, |n| format!("{n}\rX"))),
    length("length-twice-same", |it, _| {
        let n = it.content.len();
        it.add(Field::new("Content-Length", n.to_string()));
    }),
    length("length-twice-shorter", |it, _| {
        let n = it.content.len();
        it.add(Field::new("Content-Length", (n / 2).to_string()));
    }),
    length("length-twice-zero", |it, _| {
        it.add(Field::new("Content-Length", "0"))
    }),
    length("length-name-with-underscore", |it, _| {
        if let Some(field) = it.field("Content-Length") {
            field.name = b"Content_Length".to_vec();
        }
    }),
    length("length-space-before-colon", |it, _| {
        if let Some(field) = it.field("Content-Length") {
            field.colon = b" : ".to_vec();
        }
    }),
    length("length-folded", |it, _| {
        if let Some(field) = it.field("Content-Length") {
            field.colon = b":\r\n ".to_vec();
        }
    }),
    length("length-behind-a-fold", |it, _| {
        it.remove("Content-Length");
        let n = it.content.len();
        it.add(Field::raw(format!("X-Fold: a\r\n Content-Length: {n}")));
    }),
    length("length-on-a-bare-lf-line", |it, _| {
        it.remove("Content-Length");
        let n = it.content.len();
        it.add(Field::raw(format!("X-Line: a\nContent-Length: {n}")));
    }),
    length("length-http-1.0-get", |it, _| {
        it.method = b"GET".to_vec();
        it.version = b"HTTP/1.0".to_vec();
    }),
    length("length-with-coding", |it, _| {
        it.add(Field::new("Transfer-Encoding", "chunked"))
    }),
    length("length-with-identity", |it, _| {
        it.add(Field::new("Transfer-Encoding", "identity"))
    }),
    length("length-with-unknown-coding", |it, _| {
        it.add(Field::new("Transfer-Encoding", "xchunked"))
    }),
];

pub(super) static CODINGS: &[Oddity] = &[
    coding("coding-with-length", |it, _| {
        let n = it.content.len();
        it.add(Field::new("Content-Length", n.to_string()));
    }),
    coding("coding-with-length-zero", |it, _| {
        it.add(Field::new("Content-Length", "0"))
    }),
    coding("coding-identity", |it, _| coded(it, "identity")),
    coding("coding-identity-chunked", |it, _| {
        coded(it, "identity, chunked")
    }),
    coding("coding-gzip", |it, _| coded(it, "gzip")),
    coding("coding-gzip-chunked", |it, _| coded(it, "gzip, chunked")),
    coding("coding-chunked-gzip", |it, _| coded(it, "chunked, gzip")),
    coding("coding-chunked-chunked", |it, _| {
        coded(it, "chunked, chunked")
    }),
    coding("coding-unknown", |it, _| coded(it, "xchunked")),
    coding("coding-longer-name", |it, _| coded(it, "chunkedfoo")),
    coding("coding-quoted", |it, _| coded(it, "\"chunked\"")),
    coding("coding-with-parameter", |it, _| coded(it, "chunked;q=1")),
    coding("coding-empty", |it, _| coded(it, "")),
    coding("coding-comma-before", |it, _| coded(it, ", chunked")),
    coding("coding-comma-behind", |it, _| coded(it, "chunked,")),
    coding("coding-two-words", |it, _| coded(it, "chunked chunked")),
    coding("coding-vertical-tab", |it, _| coded(it, "\u{b}chunked")),
    coding("coding-form-feed-behind", |it, _| coded(it, "chunked\u{c}")),
    coding("coding-nbsp-behind", |it, _| coded(it, "chunked\u{a0}")),
    coding("coding-high-byte", |it, _| coded(it, b"chunke\xe4")),
    coding("coding-nul-behind", |it, _| coded(it, "chunked\0")),
    coding("coding-cr-behind", |it, _| coded(it, "chunked\rX")),
    coding("coding-twice", |it, _| {
        it.add(Field::new("Transfer-Encoding", "chunked"))
    }),
    coding("coding-twice-identity", |it, _| {
        it.add(Field::new("Transfer-Encoding", "identity"))
    }),
    coding("coding-twice-gzip-first", |it, _| {
        it.fields.insert(0, Field::new("Transfer-Encoding", "gzip"));
    }),
    coding("coding-http-1.0", |it, _| it.version = b"HTTP/1.0".to_vec()),
    coding("coding-http-1.0-kept", |it, _| {
        it.version = b"HTTP/1.0".to_vec();
        it.set("Connection", "keep-alive");
    }),
    coding("coding-http-1.0-with-length", |it, _| {
        it.version = b"HTTP/1.0".to_vec();
        let n = it.content.len();
        it.add(Field::new("Content-Length", n.to_string()));
    }),
    coding("coding-name-with-underscore", |it, _| {
        if let Some(field) = it.field("Transfer-Encoding") {
            field.name = b"Transfer_Encoding".to_vec();
        }
    }),
    coding("coding-space-before-colon", |it, _| {
        if let Some(field) = it.field("Transfer-Encoding") {
            field.colon = b" : ".to_vec();
        }
    }),
    coding("coding-tab-before-colon", |it, _| {
        if let Some(field) = it.field("Transfer-Encoding") {
            field.colon = b"\t:".to_vec();
        }
    }),
    coding("coding-folded", |it, _| {
        if let Some(field) = it.field("Transfer-Encoding") {
            field.colon = b":\r\n\t".to_vec();
        }
    }),
    coding("coding-behind-a-fold", |it, _| {
        it.remove("Transfer-Encoding");
        it.add(Field::raw("X-Fold: a\r\n Transfer-Encoding: chunked"));
    }),
    coding("coding-on-a-bare-lf-line", |it, _| {
        it.remove("Transfer-Encoding");
        it.add(Field::raw("X-Line: a\nTransfer-Encoding: chunked"));
    }),
    coding("coding-on-a-bare-cr-line", |it, _| {
        it.remove("Transfer-Encoding");
        it.add(Field::raw("X-Line: a\rTransfer-Encoding: chunked"));
    }),
    coding("coding-nominated", |it, _| {
        it.add(Field::new("Connection", "Transfer-Encoding"))
    }),
];
