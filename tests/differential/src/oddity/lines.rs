//! Line ends, the words of the request line, and requests that stop in the middle.

use super::{Class, Oddity};
use crate::grammar::{Base, Draft};

const fn end(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::LineEnd, Base::Any, bend)
}

const fn line(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::RequestLine, Base::Any, bend)
}

fn all_ends(draft: &mut Draft, with: &[u8]) {
    draft.line_end = with.to_vec();
    draft.head_end = with.to_vec();
    draft
        .fields
        .iter_mut()
        .for_each(|it| it.end = with.to_vec());
}

fn last_field_end(draft: &mut Draft, with: &[u8]) {
    if let Some(field) = draft.fields.last_mut() {
        field.end = with.to_vec();
    }
}

pub(super) static LINE_ENDS: &[Oddity] = &[
    end("line-ends-all-lf", |it, _| all_ends(it, b"\n")),
    end("line-ends-all-cr", |it, _| all_ends(it, b"\r")),
    end("line-ends-all-lf-cr", |it, _| all_ends(it, b"\n\r")),
    end("line-end-of-request-line-lf", |it, _| {
        it.line_end = b"\n".to_vec()
    }),
    end("line-end-of-request-line-cr-cr-lf", |it, _| {
        it.line_end = b"\r\r\n".to_vec()
    }),
    end("line-end-of-field-lf", |it, _| last_field_end(it, b"\n")),
    end("line-end-of-field-cr-cr-lf", |it, _| {
        last_field_end(it, b"\r\r\n")
    }),
    end("line-end-of-field-cr", |it, _| last_field_end(it, b"\r")),
    end("line-end-of-head-lf", |it, _| it.head_end = b"\n".to_vec()),
    end("line-end-of-head-cr-cr-lf", |it, _| {
        it.head_end = b"\r\r\n".to_vec()
    }),
    end("line-end-of-head-space", |it, _| {
        it.head_end = b" \r\n\r\n".to_vec()
    }),
    end("line-empty-before-twice", |it, _| {
        it.leading = b"\r\n\r\n".to_vec()
    }),
    end("line-empty-before-lf", |it, _| it.leading = b"\n".to_vec()),
    end("line-cr-before", |it, _| it.leading = b"\r".to_vec()),
    end("line-space-before", |it, _| it.leading = b" ".to_vec()),
    end("line-space-and-end-before", |it, _| {
        it.leading = b" \r\n".to_vec()
    }),
    end("line-nul-before", |it, _| it.leading = b"\0".to_vec()),
];

pub(super) static REQUEST_LINES: &[Oddity] = &[
    line("method-lower-case", |it, _| {
        it.method.make_ascii_lowercase()
    }),
    line("method-unknown", |it, _| it.method = b"BREW".to_vec()),
    line("method-long", |it, _| it.method = vec![b'M'; 200]),
    line("method-trace", |it, _| it.method = b"TRACE".to_vec()),
    line("method-connect", |it, _| it.method = b"CONNECT".to_vec()),
    line("method-punctuation", |it, _| it.method = b"G-E_T".to_vec()),
    line("method-brace", |it, _| it.method = b"G{T".to_vec()),
    line("method-high-byte", |it, _| it.method = b"G\xe4T".to_vec()),
    line("method-nul", |it, _| it.method = b"G\0T".to_vec()),
    line("method-missing", |it, _| it.method.clear()),
    line("line-two-spaces-before-target", |it, _| {
        it.spaces[0] = b"  ".to_vec()
    }),
    line("line-two-spaces-behind-target", |it, _| {
        it.spaces[1] = b"  ".to_vec()
    }),
    line("line-tab-before-target", |it, _| {
        it.spaces[0] = b"\t".to_vec()
    }),
    line("line-tab-behind-target", |it, _| {
        it.spaces[1] = b"\t".to_vec()
    }),
    line("line-cr-behind-target", |it, _| {
        it.spaces[1] = b"\r".to_vec()
    }),
    line("version-missing", |it, _| {
        it.spaces[1].clear();
        it.version.clear();
    }),
    line("version-0.9", |it, _| it.version = b"HTTP/0.9".to_vec()),
    line("version-1.2", |it, _| it.version = b"HTTP/1.2".to_vec()),
    line("version-1.9", |it, _| it.version = b"HTTP/1.9".to_vec()),
    line("version-2.0", |it, _| it.version = b"HTTP/2.0".to_vec()),
    line("version-1.10", |it, _| it.version = b"HTTP/1.10".to_vec()),
    line("version-01.1", |it, _| it.version = b"HTTP/01.1".to_vec()),
    line("version-1", |it, _| it.version = b"HTTP/1".to_vec()),
    line("version-without-dot", |it, _| {
        it.version = b"HTTP/11".to_vec()
    }),
    line("version-lower-case", |it, _| {
        it.version = b"http/1.1".to_vec()
    }),
    line("version-other-protocol", |it, _| {
        it.version = b"RTSP/1.0".to_vec()
    }),
    line("version-space-behind", |it, _| it.version.push(b' ')),
    line("version-junk-behind", |it, _| {
        it.version.extend_from_slice(b" junk")
    }),
    line("version-nul-behind", |it, _| it.version.push(0)),
];

pub(super) static CUTS: &[Oddity] = &[
    Oddity::new("cut", Class::Cut, Base::Any, |it, rng| {
        it.cut = Some(rng.usize(1..10_000))
    }),
    Oddity::new(
        "cut-with-length",
        Class::Cut,
        Base::WithLength,
        |it, rng| {
            it.cut = Some(rng.usize(1..10_000));
        },
    ),
    Oddity::new("cut-chunked", Class::Cut, Base::Chunked, |it, rng| {
        it.cut = Some(rng.usize(1..10_000));
    }),
    Oddity::new(
        "cut-of-the-last-bytes",
        Class::Cut,
        Base::Chunked,
        |it, rng| {
            it.cut = Some(rng.usize(9_600..10_000));
        },
    ),
];
