//! The chunked coding and its trailers.

use super::{Class, Oddity};
use crate::grammar::{Base, Body, Chunk, Draft, Field};

const fn chunk(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Chunk, Base::Chunked, bend)
}

const fn trailer(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Trailer, Base::Chunked, bend)
}

/// Rewrites the first size line, given the size.
fn sized(draft: &mut Draft, say: impl Fn(usize) -> String) {
    on(draft, false, |chunk| {
        chunk.size = say(chunk.data.len()).into_bytes()
    });
}

fn extended(draft: &mut Draft, extension: impl AsRef<[u8]>) {
    on(draft, false, |chunk| {
        chunk.extension = extension.as_ref().to_vec()
    });
}

fn on(draft: &mut Draft, last: bool, change: impl Fn(&mut Chunk)) {
    if let Some(chunk) = draft.chunk(last) {
        change(chunk);
    }
}

fn ended(draft: &mut Draft, end: &[u8]) {
    if let Body::Chunked(_, _, last) = &mut draft.body {
        *last = end.to_vec();
    }
}

pub(super) static CHUNKS: &[Oddity] = &[
    chunk("chunk-space-behind-size", |draft, _| {
        sized(draft, |n| format!("{n:x} "))
    }),
    chunk("chunk-spaces-behind-size", |draft, _| {
        sized(draft, |n| format!("{n:x}   "))
    }),
    chunk("chunk-tab-behind-size", |draft, _| {
        sized(draft, |n| format!("{n:x}\t"))
    }),
    chunk("chunk-space-before-size", |draft, _| {
        sized(draft, |n| format!(" {n:x}"))
    }),
    chunk("chunk-plus", |draft, _| sized(draft, |n| format!("+{n:x}"))),
    chunk("chunk-minus", |draft, _| {
        sized(draft, |n| format!("-{n:x}"))
    }),
    chunk("chunk-0x", |draft, _| sized(draft, |n| format!("0x{n:x}"))),
    chunk("chunk-underscore", |draft, _| {
        sized(draft, |n| format!("0_{n:x}"))
    }),
    chunk("chunk-no-digit", |draft, _| {
        sized(draft, |n| format!("g{n:x}"))
    }),
    chunk("chunk-junk-behind-size", |draft, _| {
        sized(draft, |n| format!("{n:x}xyz"))
    }),
    chunk("chunk-nul-behind-size", |draft, _| {
        sized(draft, |n| format!("{n:x}\0"))
    }),
    chunk("chunk-size-empty", |draft, _| {
        sized(draft, |_| String::new())
    }),
    chunk("chunk-16-digits", |draft, _| {
        sized(draft, |n| format!("{n:016x}"))
    }),
    chunk("chunk-17-digits", |draft, _| {
        sized(draft, |n| format!("{n:017x}"))
    }),
    chunk("chunk-40-digits", |draft, _| {
        sized(draft, |n| format!("{n:040x}"))
    }),
    chunk("chunk-overflows-32-bits", |draft, _| {
        sized(draft, |n| format!("1{n:08x}"))
    }),
    chunk("chunk-overflows-64-bits", |draft, _| {
        sized(draft, |n| format!("1{n:016x}"))
    }),
    chunk("chunk-size-larger", |draft, _| {
        sized(draft, |n| format!("{:x}", n + 1))
    }),
    chunk("chunk-size-smaller", |draft, _| {
        sized(draft, |n| format!("{:x}", n - 1))
    }),
    chunk("chunk-size-ends-in-lf", |draft, _| {
        on(draft, false, |chunk| chunk.end = b"\n".to_vec())
    }),
    chunk("chunk-size-ends-in-cr", |draft, _| {
        on(draft, false, |chunk| chunk.end = b"\r".to_vec())
    }),
    chunk("chunk-size-ends-in-cr-cr-lf", |draft, _| {
        on(draft, false, |chunk| chunk.end = b"\r\r\n".to_vec())
    }),
    chunk("chunk-data-ends-in-lf", |draft, _| {
        on(draft, false, |chunk| chunk.data_end = b"\n".to_vec())
    }),
    chunk("chunk-data-ends-in-cr", |draft, _| {
        on(draft, false, |chunk| chunk.data_end = b"\r".to_vec())
    }),
    chunk("chunk-data-ends-in-nothing", |draft, _| {
        on(draft, false, |chunk| chunk.data_end.clear())
    }),
    chunk("chunk-data-ends-in-two-bytes", |draft, _| {
        on(draft, false, |chunk| chunk.data_end = b"XX".to_vec())
    }),
    chunk("chunk-data-ends-in-two-lines", |draft, _| {
        on(draft, false, |chunk| chunk.data_end = b"\r\n\r\n".to_vec())
    }),
    chunk("chunk-last-ends-in-lf", |draft, _| {
        on(draft, true, |chunk| chunk.end = b"\n".to_vec())
    }),
    chunk("chunk-last-space-behind", |draft, _| {
        on(draft, true, |chunk| chunk.size = b"0 ".to_vec())
    }),
    chunk("chunk-last-missing", |draft, _| {
        if let Body::Chunked(chunks, ..) = &mut draft.body {
            chunks.pop();
        }
    }),
    chunk("chunk-last-twice", |draft, _| {
        if let Body::Chunked(chunks, ..) = &mut draft.body {
            chunks.extend(chunks.last().cloned());
        }
    }),
    chunk("chunk-end-is-lf", |draft, _| ended(draft, b"\n")),
    chunk("chunk-end-is-cr-cr", |draft, _| ended(draft, b"\r\r")),
    chunk("chunk-end-missing", |draft, _| ended(draft, b"")),
    chunk("extension-with-lf", |draft, _| extended(draft, ";a\nb")),
    chunk("extension-with-cr", |draft, _| extended(draft, ";a\rb")),
    chunk("extension-with-nul", |draft, _| extended(draft, ";a\0b")),
    chunk("extension-with-control", |draft, _| {
        extended(draft, ";a\u{1}b")
    }),
    chunk("extension-with-quoted-line-end", |draft, _| {
        extended(draft, ";a=\"\r\n\"")
    }),
    chunk("extension-with-high-byte", |draft, _| {
        extended(draft, b";a=\"\xe4\"")
    }),
    chunk("extension-with-space", |draft, _| {
        extended(draft, " ; a = b")
    }),
    chunk("extension-nameless", |draft, _| extended(draft, ";")),
    chunk("extension-long", |draft, _| {
        extended(draft, format!(";{}", "x".repeat(300)))
    }),
    chunk("extension-longer-than-a-head", |draft, _| {
        extended(draft, format!(";{}", "x".repeat(20_000)))
    }),
];

pub(super) static TRAILERS: &[Oddity] = &[
    trailer("trailer-length", |draft, _| {
        draft.trailer(Field::new("Content-Length", "5"))
    }),
    trailer("trailer-coding", |draft, _| {
        draft.trailer(Field::new("Transfer-Encoding", "chunked"))
    }),
    trailer("trailer-host", |draft, _| {
        draft.trailer(Field::new("Host", "blog.test"))
    }),
    trailer("trailer-connection", |draft, _| {
        draft.trailer(Field::new("Connection", "close"))
    }),
    trailer("trailer-without-colon", |draft, _| {
        draft.trailer(Field::raw("no field"))
    }),
    trailer("trailer-like-a-request", |draft, _| {
        draft.trailer(Field::raw("GET /m8 HTTP/1.1"))
    }),
    trailer("trailer-space-before-colon", |draft, _| {
        draft.trailer(Field::raw("X-T : a"))
    }),
    trailer("trailer-empty-name", |draft, _| {
        draft.trailer(Field::raw(": a"))
    }),
    trailer("trailer-with-nul", |draft, _| {
        draft.trailer(Field::new("X-T", "a\0b"))
    }),
    trailer("trailer-with-bare-lf", |draft, _| {
        draft.trailer(Field::new("X-T", "a\nX-U: b"))
    }),
    trailer("trailer-with-bare-cr", |draft, _| {
        draft.trailer(Field::new("X-T", "a\rX-U: b"))
    }),
    trailer("trailer-folded", |draft, _| {
        draft.trailer(Field::new("X-T", "a\r\n b"))
    }),
    trailer("trailer-ends-in-lf", |draft, _| {
        let mut field = Field::new("X-T", "a");
        field.end = b"\n".to_vec();
        draft.trailer(field);
    }),
    trailer("trailer-long", |draft, _| {
        draft.trailer(Field::new("X-T", "a".repeat(9000)))
    }),
    trailer("trailers-many", |draft, _| {
        (0..70).for_each(|_| draft.trailer(Field::new("X-T", "a")));
    }),
];
