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
    hop("connection-nominates-host", |draft, _| {
        connection(draft, "Host")
    }),
    hop("connection-nominates-length", |draft, _| {
        connection(draft, "Content-Length")
    }),
    hop("connection-nominates-identity", |draft, _| {
        connection(draft, "X-Forwarded-For")
    }),
    hop("connection-nominates-cookie", |draft, _| {
        connection(draft, "Cookie")
    }),
    hop("connection-nominates-own-field", |draft, _| {
        connection(draft, "X-Hop");
        draft.add(Field::new("X-Hop", "a"));
    }),
    hop("connection-nominates-many", |draft, _| {
        connection(draft, &"x-a, ".repeat(20))
    }),
    hop("connection-close-and-keep-alive", |draft, _| {
        connection(draft, "close, keep-alive")
    }),
    hop("connection-close-later", |draft, _| {
        connection(draft, "keep-alive");
        draft.add(Field::new("Connection", "close"));
    }),
    hop("connection-close-with-space", |draft, _| {
        connection(draft, "clo se")
    }),
    hop("connection-not-close", |draft, _| {
        connection(draft, "close-not")
    }),
    hop("connection-empty", |draft, _| connection(draft, "")),
    hop("connection-commas", |draft, _| {
        connection(draft, ",,close,,")
    }),
    hop("connection-of-the-proxy", |draft, _| {
        draft.add(Field::new("Proxy-Connection", "close"))
    }),
    hop("connection-keep-alive-http-1.0", |draft, _| {
        draft.old();
        connection(draft, "Keep-Alive");
    }),
    hop("upgrade-h2c", |draft, _| {
        upgrade(draft, "h2c");
        connection(draft, "Upgrade, HTTP2-Settings");
        draft.add(Field::new("HTTP2-Settings", "AAMAAABkAAQAAP__"));
    }),
    hop("upgrade-websocket", |draft, _| {
        upgrade(draft, "websocket");
        draft.without_body();
        draft.method = b"GET".to_vec();
        draft.add(Field::new("Sec-WebSocket-Version", "13"));
        draft.add(Field::new("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="));
    }),
    hop("upgrade-websocket-without-key", |draft, _| {
        upgrade(draft, "websocket")
    }),
    hop("upgrade-other", |draft, _| upgrade(draft, "TLS/1.2")),
    hop("upgrade-http-2", |draft, _| upgrade(draft, "HTTP/2.0")),
    hop("te-trailers", |draft, _| {
        draft.add(Field::new("TE", "trailers, deflate"))
    }),
    expecting("expect-continue", |draft, _| {
        draft.add(Field::new("Expect", "100-continue"))
    }),
    expecting("expect-continue-upper-case", |draft, _| {
        draft.add(Field::new("Expect", "100-CONTINUE"))
    }),
    expecting("expect-other", |draft, _| {
        draft.add(Field::new("Expect", "tea"))
    }),
    expecting("expect-list", |draft, _| {
        draft.add(Field::new("Expect", "100-continue, tea"))
    }),
    expecting("expect-twice", |draft, _| {
        draft.add(Field::new("Expect", "100-continue"));
        draft.add(Field::new("Expect", "100-continue"));
    }),
    expecting("expect-http-1.0", |draft, _| {
        draft.old();
        draft.add(Field::new("Expect", "100-continue"));
    }),
];
