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
    chunk("chunk-space-behind-size", |it, _| {
        sized(it, |n| format!("{n:x} "))
    }),
    chunk("chunk-spaces-behind-size", |it, _| {
        sized(it, |n| format!("{n:x}   "))
    }),
    chunk("chunk-tab-behind-size", |it, _| {
        sized(it, |n| format!("{n:x}\t"))
    }),
    chunk("chunk-space-before-size", |it, _| {
        sized(it, |n| format!(" {n:x}"))
    }),
    chunk("chunk-plus", |it, _| sized(it, |n| format!("+{n:x}"))),
    chunk("chunk-minus", |it, _| sized(it, |n| format!("-{n:x}"))),
    chunk("chunk-0x", |it, _| sized(it, |n| format!("0x{n:x}"))),
    chunk("chunk-underscore", |it, _| {
        sized(it, |n| format!("0_{n:x}"))
    }),
    chunk("chunk-no-digit", |it, _| sized(it, |n| format!("g{n:x}"))),
    chunk("chunk-junk-behind-size", |it, _| {
        sized(it, |n| format!("{n:x}xyz"))
    }),
    chunk("chunk-nul-behind-size", |it, _| {
        sized(it, |n| format!("{n:x}\0"))
    }),
    chunk("chunk-size-empty", |it, _| sized(it, |_| String::new())),
    chunk("chunk-16-digits", |it, _| {
        sized(it, |n| format!("{n:016x}"))
    }),
    chunk("chunk-17-digits", |it, _| {
        sized(it, |n| format!("{n:017x}"))
    }),
    chunk("chunk-40-digits", |it, _| {
        sized(it, |n| format!("{n:040x}"))
    }),
    chunk("chunk-overflows-32-bits", |it, _| {
        sized(it, |n| format!("1{n:08x}"))
    }),
    chunk("chunk-overflows-64-bits", |it, _| {
        sized(it, |n| format!("1{n:016x}"))
    }),
    chunk("chunk-size-larger", |it, _| {
        sized(it, |n| format!("{:x}", n + 1))
    }),
    chunk("chunk-size-smaller", |it, _| {
        sized(it, |n| format!("{:x}", n - 1))
    }),
    chunk("chunk-size-ends-in-lf", |it, _| {
        on(it, false, |it| it.end = b"\n".to_vec())
    }),
    chunk("chunk-size-ends-in-cr", |it, _| {
        on(it, false, |it| it.end = b"\r".to_vec())
    }),
    chunk("chunk-size-ends-in-cr-cr-lf", |it, _| {
        on(it, false, |it| it.end = b"\r\r\n".to_vec())
    }),
    chunk("chunk-data-ends-in-lf", |it, _| {
        on(it, false, |it| it.data_end = b"\n".to_vec())
    }),
    chunk("chunk-data-ends-in-cr", |it, _| {
        on(it, false, |it| it.data_end = b"\r".to_vec())
    }),
    chunk("chunk-data-ends-in-nothing", |it, _| {
        on(it, false, |it| it.data_end.clear())
    }),
    chunk("chunk-data-ends-in-two-bytes", |it, _| {
        on(it, false, |it| it.data_end = b"XX".to_vec())
    }),
    chunk("chunk-data-ends-in-two-lines", |it, _| {
        on(it, false, |it| it.data_end = b"\r\n\r\n".to_vec())
    }),
    chunk("chunk-last-ends-in-lf", |it, _| {
        on(it, true, |it| it.end = b"\n".to_vec())
    }),
    chunk("chunk-last-space-behind", |it, _| {
        on(it, true, |it| it.size = b"0 ".to_vec())
    }),
    chunk("chunk-last-missing", |it, _| {
        if let Body::Chunked(chunks, ..) = &mut it.body {
            chunks.pop();
        }
    }),
    chunk("chunk-last-twice", |it, _| {
        if let Body::Chunked(chunks, ..) = &mut it.body {
            chunks.extend(chunks.last().cloned());
        }
    }),
    chunk("chunk-end-is-lf", |it, _| ended(it, b"\n")),
    chunk("chunk-end-is-cr-cr", |it, _| ended(it, b"\r\r")),
    chunk("chunk-end-missing", |it, _| ended(it, b"")),
    chunk("extension-with-lf", |it, _| extended(it, ";a\nb")),
    chunk("extension-with-cr", |it, _| extended(it, ";a\rb")),
    chunk("extension-with-nul", |it, _| extended(it, ";a\0b")),
    chunk("extension-with-control", |it, _| extended(it, ";a\u{1}b")),
    chunk("extension-with-quoted-line-end", |it, _| {
        extended(it, ";a=\"\r\n\"")
    }),
    chunk("extension-with-high-byte", |it, _| {
        extended(it, b";a=\"\xe4\"")
    }),
    chunk("extension-with-space", |it, _| extended(it, " ; a = b")),
    chunk("extension-nameless", |it, _| extended(it, ";")),
    chunk("extension-long", |it, _| {
        extended(it, format!(";{}", "x".repeat(300)))
    }),
    chunk("extension-longer-than-a-head", |it, _| {
        extended(it, format!(";{}", "x".repeat(20_000)))
    }),
];

pub(super) static TRAILERS: &[Oddity] = &[
    trailer("trailer-length", |it, _| {
        it.trailer(Field::new("Content-Length", "5"))
    }),
    trailer("trailer-coding", |it, _| {
        it.trailer(Field::new("Transfer-Encoding", "chunked"))
    }),
    trailer("trailer-host", |it, _| {
        it.trailer(Field::new("Host", "blog.test"))
    }),
    trailer("trailer-connection", |it, _| {
        it.trailer(Field::new("Connection", "close"))
    }),
    trailer("trailer-without-colon", |it, _| {
        it.trailer(Field::raw("no field"))
    }),
    trailer("trailer-like-a-request", |it, _| {
        it.trailer(Field::raw("GET /m8 HTTP/1.1"))
    }),
    trailer("trailer-space-before-colon", |it, _| {
        it.trailer(Field::raw("X-T : a"))
    }),
    trailer("trailer-empty-name", |it, _| it.trailer(Field::raw(": a"))),
    trailer("trailer-with-nul", |it, _| {
        it.trailer(Field::new("X-T", "a\0b"))
    }),
    trailer("trailer-with-bare-lf", |it, _| {
        it.trailer(Field::new("X-T", "a\nX-U: b"))
    }),
    trailer("trailer-with-bare-cr", |it, _| {
        it.trailer(Field::new("X-T", "a\rX-U: b"))
    }),
    trailer("trailer-folded", |it, _| {
        it.trailer(Field::new("X-T", "a\r\n b"))
    }),
    trailer("trailer-ends-in-lf", |it, _| {
        let mut field = Field::new("X-T", "a");
        field.end = b"\n".to_vec();
        it.trailer(field);
    }),
    trailer("trailer-long", |it, _| {
        it.trailer(Field::new("X-T", "a".repeat(9000)))
    }),
    trailer("trailers-many", |it, _| {
        (0..70).for_each(|_| it.trailer(Field::new("X-T", "a")));
    }),
];
