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
        .for_each(|draft| draft.end = with.to_vec());
}

fn last_field_end(draft: &mut Draft, with: &[u8]) {
    if let Some(field) = draft.fields.last_mut() {
        field.end = with.to_vec();
    }
}

pub(super) static LINE_ENDS: &[Oddity] = &[
    end("line-ends-all-lf", |draft, _| all_ends(draft, b"\n")),
    end("line-ends-all-cr", |draft, _| all_ends(draft, b"\r")),
    end("line-ends-all-lf-cr", |draft, _| all_ends(draft, b"\n\r")),
    end("line-end-of-request-line-lf", |draft, _| {
        draft.line_end = b"\n".to_vec()
    }),
    end("line-end-of-request-line-cr-cr-lf", |draft, _| {
        draft.line_end = b"\r\r\n".to_vec()
    }),
    end("line-end-of-field-lf", |draft, _| {
        last_field_end(draft, b"\n")
    }),
    end("line-end-of-field-cr-cr-lf", |draft, _| {
        last_field_end(draft, b"\r\r\n")
    }),
    end("line-end-of-field-cr", |draft, _| {
        last_field_end(draft, b"\r")
    }),
    end("line-end-of-head-lf", |draft, _| {
        draft.head_end = b"\n".to_vec()
    }),
    end("line-end-of-head-cr-cr-lf", |draft, _| {
        draft.head_end = b"\r\r\n".to_vec()
    }),
    end("line-end-of-head-space", |draft, _| {
        draft.head_end = b" \r\n\r\n".to_vec()
    }),
    end("line-empty-before-twice", |draft, _| {
        draft.leading = b"\r\n\r\n".to_vec()
    }),
    end("line-empty-before-lf", |draft, _| {
        draft.leading = b"\n".to_vec()
    }),
    end("line-cr-before", |draft, _| draft.leading = b"\r".to_vec()),
    end("line-space-before", |draft, _| {
        draft.leading = b" ".to_vec()
    }),
    end("line-space-and-end-before", |draft, _| {
        draft.leading = b" \r\n".to_vec()
    }),
    end("line-nul-before", |draft, _| draft.leading = b"\0".to_vec()),
];

pub(super) static REQUEST_LINES: &[Oddity] = &[
    line("method-lower-case", |draft, _| {
        draft.method.make_ascii_lowercase()
    }),
    line("method-unknown", |draft, _| draft.method = b"BREW".to_vec()),
    line("method-long", |draft, _| draft.method = vec![b'M'; 200]),
    line("method-trace", |draft, _| draft.method = b"TRACE".to_vec()),
    line("method-connect", |draft, _| {
        draft.method = b"CONNECT".to_vec()
    }),
    line("method-punctuation", |draft, _| {
        draft.method = b"G-E_T".to_vec()
    }),
    line("method-brace", |draft, _| draft.method = b"G{T".to_vec()),
    line("method-high-byte", |draft, _| {
        draft.method = b"G\xe4T".to_vec()
    }),
    line("method-nul", |draft, _| draft.method = b"G\0T".to_vec()),
    line("method-missing", |draft, _| draft.method.clear()),
    line("line-two-spaces-before-target", |draft, _| {
        draft.spaces[0] = b"  ".to_vec()
    }),
    line("line-two-spaces-behind-target", |draft, _| {
        draft.spaces[1] = b"  ".to_vec()
    }),
    line("line-tab-before-target", |draft, _| {
        draft.spaces[0] = b"\t".to_vec()
    }),
    line("line-tab-behind-target", |draft, _| {
        draft.spaces[1] = b"\t".to_vec()
    }),
    line("line-cr-behind-target", |draft, _| {
        draft.spaces[1] = b"\r".to_vec()
    }),
    line("version-missing", |draft, _| {
        draft.spaces[1].clear();
        draft.version.clear();
    }),
    line("version-0.9", |draft, _| {
        draft.version = b"HTTP/0.9".to_vec()
    }),
    line("version-1.2", |draft, _| {
        draft.version = b"HTTP/1.2".to_vec()
    }),
    line("version-1.9", |draft, _| {
        draft.version = b"HTTP/1.9".to_vec()
    }),
    line("version-2.0", |draft, _| {
        draft.version = b"HTTP/2.0".to_vec()
    }),
    line("version-1.10", |draft, _| {
        draft.version = b"HTTP/1.10".to_vec()
    }),
    line("version-01.1", |draft, _| {
        draft.version = b"HTTP/01.1".to_vec()
    }),
    line("version-1", |draft, _| draft.version = b"HTTP/1".to_vec()),
    line("version-without-dot", |draft, _| {
        draft.version = b"HTTP/11".to_vec()
    }),
    line("version-lower-case", |draft, _| {
        draft.version = b"http/1.1".to_vec()
    }),
    line("version-other-protocol", |draft, _| {
        draft.version = b"RTSP/1.0".to_vec()
    }),
    line("version-space-behind", |draft, _| draft.version.push(b' ')),
    line("version-junk-behind", |draft, _| {
        draft.version.extend_from_slice(b" junk")
    }),
    line("version-nul-behind", |draft, _| draft.version.push(0)),
];

pub(super) static CUTS: &[Oddity] = &[
    Oddity::new("cut", Class::Cut, Base::Any, |draft, rng| {
        draft.cut = Some(rng.usize(1..10_000))
    }),
    Oddity::new(
        "cut-with-length",
        Class::Cut,
        Base::WithLength,
        |draft, rng| {
            draft.cut = Some(rng.usize(1..10_000));
        },
    ),
    Oddity::new("cut-chunked", Class::Cut, Base::Chunked, |draft, rng| {
        draft.cut = Some(rng.usize(1..10_000));
    }),
    Oddity::new(
        "cut-of-the-last-bytes",
        Class::Cut,
        Base::Chunked,
        |draft, rng| {
            draft.cut = Some(rng.usize(9_600..10_000));
        },
    ),
];
