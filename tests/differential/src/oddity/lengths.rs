//! Oddities of the fields that delimit a body: Content-Length and Transfer-Encoding.

use super::{Class, Oddity};
use crate::grammar::{Base, Draft, Field};

const fn length(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Length, Base::WithLength, bend)
}

const fn coding(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Coding, Base::Chunked, bend)
}

/// Rewrites the length, given the true one.
fn set_length(draft: &mut Draft, value: impl Fn(usize) -> String) {
    let value = value(draft.content.len());
    draft.set("Content-Length", value);
}

fn coded(draft: &mut Draft, value: impl AsRef<[u8]>) {
    draft.set("Transfer-Encoding", value);
}

pub(super) static LENGTHS: &[Oddity] = &[
    length("length-plus", |draft, _| {
        set_length(draft, |n| format!("+{n}"))
    }),
    length("length-minus", |draft, _| {
        set_length(draft, |n| format!("-{n}"))
    }),
    length("length-hexadecimal", |draft, _| {
        set_length(draft, |n| format!("0x{n:x}"))
    }),
    length("length-fraction", |draft, _| {
        set_length(draft, |n| format!("{n}.0"))
    }),
    length("length-exponent", |draft, _| {
        set_length(draft, |n| format!("{n}e0"))
    }),
    length("length-junk-behind", |draft, _| {
        set_length(draft, |n| format!("{n};"))
    }),
    length("length-letters-behind", |draft, _| {
        set_length(draft, |n| format!("{n}abc"))
    }),
    length("length-space-inside", |draft, _| {
        set_length(draft, |n| format!("{n} {n}"))
    }),
    length("length-underscore-inside", |draft, _| {
        set_length(draft, |n| format!("0_{n}"))
    }),
    length("length-quoted", |draft, _| {
        set_length(draft, |n| format!("\"{n}\""))
    }),
    length("length-list-same", |draft, _| {
        set_length(draft, |n| format!("{n}, {n}"))
    }),
    length("length-list-differs", |draft, _| {
        set_length(draft, |n| format!("{n}, {}", n + 1))
    }),
    length("length-comma-behind", |draft, _| {
        set_length(draft, |n| format!("{n},"))
    }),
    length("length-empty", |draft, _| {
        set_length(draft, |_| String::new())
    }),
    length("length-overflows", |draft, _| {
        set_length(draft, |n| {
            (u128::from(u64::MAX) + 1 + n as u128).to_string()
        })
    }),
    length("length-huge-zeros", |draft, _| {
        set_length(draft, |n| format!("{n:030}"))
    }),
    length("length-vertical-tab", |draft, _| {
        set_length(draft, |n| format!("\u{b}{n}"))
    }),
    length("length-nbsp", |draft, _| {
        set_length(draft, |n| format!("\u{a0}{n}"))
    }),
    length("length-nul-behind", |draft, _| {
        set_length(draft, |n| format!("{n}\0"))
    }),
    length("length-cr-behind", |draft, _| {
        set_length(draft, |n| format!("{n}\rX"))
    }),
    length("length-twice-same", |draft, _| {
        let n = draft.content.len();
        draft.add(Field::new("Content-Length", n.to_string()));
    }),
    length("length-twice-shorter", |draft, _| {
        let n = draft.content.len();
        draft.add(Field::new("Content-Length", (n / 2).to_string()));
    }),
    length("length-twice-zero", |draft, _| {
        draft.add(Field::new("Content-Length", "0"))
    }),
    length("length-name-with-underscore", |draft, _| {
        if let Some(field) = draft.field("Content-Length") {
            field.name = b"Content_Length".to_vec();
        }
    }),
    length("length-space-before-colon", |draft, _| {
        if let Some(field) = draft.field("Content-Length") {
            field.colon = b" : ".to_vec();
        }
    }),
    length("length-folded", |draft, _| {
        if let Some(field) = draft.field("Content-Length") {
            field.colon = b":\r\n ".to_vec();
        }
    }),
    length("length-behind-a-fold", |draft, _| {
        draft.remove("Content-Length");
        let n = draft.content.len();
        draft.add(Field::raw(format!("X-Fold: a\r\n Content-Length: {n}")));
    }),
    length("length-on-a-bare-lf-line", |draft, _| {
        draft.remove("Content-Length");
        let n = draft.content.len();
        draft.add(Field::raw(format!("X-Line: a\nContent-Length: {n}")));
    }),
    length("length-http-1.0-get", |draft, _| {
        draft.method = b"GET".to_vec();
        draft.version = b"HTTP/1.0".to_vec();
    }),
    length("length-with-coding", |draft, _| {
        draft.add(Field::new("Transfer-Encoding", "chunked"))
    }),
    length("length-with-identity", |draft, _| {
        draft.add(Field::new("Transfer-Encoding", "identity"))
    }),
    length("length-with-unknown-coding", |draft, _| {
        draft.add(Field::new("Transfer-Encoding", "xchunked"))
    }),
];

pub(super) static CODINGS: &[Oddity] = &[
    coding("coding-with-length", |draft, _| {
        let n = draft.content.len();
        draft.add(Field::new("Content-Length", n.to_string()));
    }),
    coding("coding-with-length-zero", |draft, _| {
        draft.add(Field::new("Content-Length", "0"))
    }),
    coding("coding-identity", |draft, _| coded(draft, "identity")),
    coding("coding-identity-chunked", |draft, _| {
        coded(draft, "identity, chunked")
    }),
    coding("coding-gzip", |draft, _| coded(draft, "gzip")),
    coding("coding-gzip-chunked", |draft, _| {
        coded(draft, "gzip, chunked")
    }),
    coding("coding-chunked-gzip", |draft, _| {
        coded(draft, "chunked, gzip")
    }),
    coding("coding-chunked-chunked", |draft, _| {
        coded(draft, "chunked, chunked")
    }),
    coding("coding-unknown", |draft, _| coded(draft, "xchunked")),
    coding("coding-longer-name", |draft, _| coded(draft, "chunkedfoo")),
    coding("coding-quoted", |draft, _| coded(draft, "\"chunked\"")),
    coding("coding-with-parameter", |draft, _| {
        coded(draft, "chunked;q=1")
    }),
    coding("coding-empty", |draft, _| coded(draft, "")),
    coding("coding-comma-before", |draft, _| coded(draft, ", chunked")),
    coding("coding-comma-behind", |draft, _| coded(draft, "chunked,")),
    coding("coding-two-words", |draft, _| {
        coded(draft, "chunked chunked")
    }),
    coding("coding-vertical-tab", |draft, _| {
        coded(draft, "\u{b}chunked")
    }),
    coding("coding-form-feed-behind", |draft, _| {
        coded(draft, "chunked\u{c}")
    }),
    coding("coding-nbsp-behind", |draft, _| {
        coded(draft, "chunked\u{a0}")
    }),
    coding("coding-high-byte", |draft, _| coded(draft, b"chunke\xe4")),
    coding("coding-nul-behind", |draft, _| coded(draft, "chunked\0")),
    coding("coding-cr-behind", |draft, _| coded(draft, "chunked\rX")),
    coding("coding-twice", |draft, _| {
        draft.add(Field::new("Transfer-Encoding", "chunked"))
    }),
    coding("coding-twice-identity", |draft, _| {
        draft.add(Field::new("Transfer-Encoding", "identity"))
    }),
    coding("coding-twice-gzip-first", |draft, _| {
        draft
            .fields
            .insert(0, Field::new("Transfer-Encoding", "gzip"));
    }),
    coding("coding-http-1.0", |draft, _| {
        draft.version = b"HTTP/1.0".to_vec()
    }),
    coding("coding-http-1.0-kept", |draft, _| {
        draft.version = b"HTTP/1.0".to_vec();
        draft.set("Connection", "keep-alive");
    }),
    coding("coding-http-1.0-with-length", |draft, _| {
        draft.version = b"HTTP/1.0".to_vec();
        let n = draft.content.len();
        draft.add(Field::new("Content-Length", n.to_string()));
    }),
    coding("coding-name-with-underscore", |draft, _| {
        if let Some(field) = draft.field("Transfer-Encoding") {
            field.name = b"Transfer_Encoding".to_vec();
        }
    }),
    coding("coding-space-before-colon", |draft, _| {
        if let Some(field) = draft.field("Transfer-Encoding") {
            field.colon = b" : ".to_vec();
        }
    }),
    coding("coding-tab-before-colon", |draft, _| {
        if let Some(field) = draft.field("Transfer-Encoding") {
            field.colon = b"\t:".to_vec();
        }
    }),
    coding("coding-folded", |draft, _| {
        if let Some(field) = draft.field("Transfer-Encoding") {
            field.colon = b":\r\n\t".to_vec();
        }
    }),
    coding("coding-behind-a-fold", |draft, _| {
        draft.remove("Transfer-Encoding");
        draft.add(Field::raw("X-Fold: a\r\n Transfer-Encoding: chunked"));
    }),
    coding("coding-on-a-bare-lf-line", |draft, _| {
        draft.remove("Transfer-Encoding");
        draft.add(Field::raw("X-Line: a\nTransfer-Encoding: chunked"));
    }),
    coding("coding-on-a-bare-cr-line", |draft, _| {
        draft.remove("Transfer-Encoding");
        draft.add(Field::raw("X-Line: a\rTransfer-Encoding: chunked"));
    }),
    coding("coding-nominated", |draft, _| {
        draft.add(Field::new("Connection", "Transfer-Encoding"))
    }),
];
