//! Fields of one hop.

use super::{Class, Oddity};
use crate::grammar::{Base, Draft, Field};

const fn hop(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Hop, Base::Any, bend)
}

const fn expecting(name: &'static str, bend: fn(&mut Draft, &mut fastrand::Rng)) -> Oddity {
    Oddity::new(name, Class::Hop, Base::WithLength, bend)
}

fn connection(draft: &mut Draft, value: &str) {
    draft.remove("Connection");
    draft.add(Field::new("Connection", value));
}

fn upgrade(draft: &mut Draft, to: &str) {
    connection(draft, "Upgrade");
    draft.add(Field::new("Upgrade", to));
}

pub(super) static HOPS: &[Oddity] = &[
    hop("connection-nominates-host", |it, _| connection(it, "Host")),
    hop("connection-nominates-length", |it, _| {
        connection(it, "Content-Length")
    }),
    hop("connection-nominates-identity", |it, _| {
        connection(it, "X-Forwarded-For")
    }),
    hop("connection-nominates-cookie", |it, _| {
        connection(it, "Cookie")
    }),
    hop("connection-nominates-own-field", |it, _| {
        connection(it, "X-Hop");
        it.add(Field::new("X-Hop", "a"));
    }),
    hop("connection-nominates-many", |it, _| {
        connection(it, &"x-a, ".repeat(20))
    }),
    hop("connection-close-and-keep-alive", |it, _| {
        connection(it, "close, keep-alive")
    }),
    hop("connection-close-later", |it, _| {
        connection(it, "keep-alive");
        it.add(Field::new("Connection", "close"));
    }),
    hop("connection-close-with-space", |it, _| {
        connection(it, "clo se")
    }),
    hop("connection-not-close", |it, _| connection(it, "close-not")),
    hop("connection-empty", |it, _| connection(it, "")),
    hop("connection-commas", |it, _| connection(it, ",,close,,")),
    hop("connection-of-the-proxy", |it, _| {
        it.add(Field::new("Proxy-Connection", "close"))
    }),
    hop("connection-keep-alive-http-1.0", |it, _| {
        it.old();
        connection(it, "Keep-Alive");
    }),
    hop("upgrade-h2c", |it, _| {
        upgrade(it, "h2c");
        connection(it, "Upgrade, HTTP2-Settings");
        it.add(Field::new("HTTP2-Settings", "AAMAAABkAAQAAP__"));
    }),
    hop("upgrade-websocket", |it, _| {
        upgrade(it, "websocket");
        it.without_body();
        it.method = b"GET".to_vec();
        it.add(Field::new("Sec-WebSocket-Version", "13"));
        it.add(Field::new("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="));
    }),
    hop("upgrade-websocket-without-key", |it, _| {
        upgrade(it, "websocket")
    }),
    hop("upgrade-other", |it, _| upgrade(it, "TLS/1.2")),
    hop("upgrade-http-2", |it, _| upgrade(it, "HTTP/2.0")),
    hop("te-trailers", |it, _| {
        it.add(Field::new("TE", "trailers, deflate"))
    }),
    expecting("expect-continue", |it, _| {
        it.add(Field::new("Expect", "100-continue"))
    }),
    expecting("expect-continue-upper-case", |it, _| {
        it.add(Field::new("Expect", "100-CONTINUE"))
    }),
    expecting("expect-other", |it, _| it.add(Field::new("Expect", "tea"))),
    expecting("expect-list", |it, _| {
        it.add(Field::new("Expect", "100-continue, tea"))
    }),
    expecting("expect-twice", |it, _| {
        it.add(Field::new("Expect", "100-continue"));
        it.add(Field::new("Expect", "100-continue"));
    }),
    expecting("expect-http-1.0", |it, _| {
        it.old();
        it.add(Field::new("Expect", "100-continue"));
    }),
];
