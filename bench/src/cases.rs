//! What is measured, and how little of it is allowed to cost.

/// One thing that proxies do.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// For the table.
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    pub(crate) candidates: &'static [&'static str],
    pub(crate) bars: &'static [Bar],
}

/// How a case is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A load at a fixed rate; the proxy's CPU time is what it costs.
    Load(Load),
    /// Connections that say nothing; the proxy's memory is what they cost.
    Idle(Idle),
    /// Instructions of parsing, routing and editing one request.
    Instructions,
}

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) exchange: Exchange,
    pub(crate) connections: usize,
    /// The certificate's key, where it is TLS.
    pub(crate) tls: Option<Key>,
    /// What one connection is used for.
    pub(crate) life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// GET, answered with a body of so many bytes.
    Get(usize),
    /// So many bytes over a WebSocket, which come back.
    Echo(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Ecdsa,
    Rsa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// One exchange after another.
    Kept,
    /// One exchange; with TLS a full handshake.
    Fresh,
    /// One exchange after a handshake with the ticket of an earlier one.
    Resumed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// HTTP/1 over TLS, after one request.
    Tls,
    /// A WebSocket without TLS, after its handshake.
    WebSocket,
}

/// A promise: `of` takes at most `at_most` times what `to` takes.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) of: &'static str,
    pub(crate) to: &'static str,
    pub(crate) metric: &'static str,
    pub(crate) at_most: f64,
}

const fn beside(to: &'static str, metric: &'static str, at_most: f64) -> Bar {
    Bar {
        of: "portolan",
        to,
        metric,
        at_most,
    }
}

/// CPU time of one operation.
pub(crate) const CPU: &str = "cpu per operation";
/// CPU time of 2^30 bytes of bodies or messages, both ways together.
pub(crate) const CPU_GIB: &str = "cpu per GiB";
/// The latency that one in a hundred operations exceeds, from when it was due.
pub(crate) const P99: &str = "p99 latency";
/// Resident memory that a connection adds.
pub(crate) const MEMORY: &str = "memory per connection";
/// Instructions of one request.
pub(crate) const INSTRUCTIONS: &str = "instructions per request";

const PLAIN: &[&str] = &[
    "portolan",
    "portolan-again",
    "haproxy",
    "haproxy-bare",
    "nginx",
    "envoy",
    "relay",
];
const HTTP: &[&str] = &[
    "portolan",
    "portolan-again",
    "haproxy",
    "haproxy-bare",
    "nginx",
    "envoy",
];
const MEMORY_PEERS: &[&str] = &["portolan", "haproxy", "haproxy-bare", "nginx", "envoy"];

const fn kept(exchange: Exchange, connections: usize, tls: Option<Key>) -> Kind {
    Kind::Load(Load {
        exchange,
        connections,
        tls,
        life: Life::Kept,
    })
}

const fn once(tls: Option<Key>, life: Life) -> Kind {
    Kind::Load(Load {
        exchange: Exchange::Get(1024),
        connections: 32,
        tls,
        life,
    })
}

/// Every case, in the order in which they run.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "keep-alive-8",
        title: "HTTP/1 keep-alive, 1 KiB, 8 connections",
        kind: kept(Exchange::Get(1024), 8, None),
        candidates: PLAIN,
        bars: &[beside("haproxy", CPU, 0.85), beside("relay", CPU, 1.20)],
    },
    Case {
        name: "keep-alive-64",
        title: "HTTP/1 keep-alive, 1 KiB, 64 connections",
        kind: kept(Exchange::Get(1024), 64, None),
        candidates: PLAIN,
        bars: &[
            beside("haproxy", CPU, 0.85),
            beside("relay", CPU, 1.20),
            beside("haproxy", P99, 1.00),
        ],
    },
    Case {
        name: "tls",
        title: "HTTP/1 over TLS, 1 KiB, 64 connections",
        kind: kept(Exchange::Get(1024), 64, Some(Key::Ecdsa)),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 0.80)],
    },
    Case {
        name: "body-64k",
        title: "HTTP/1, 64 KiB bodies, 8 connections",
        kind: kept(Exchange::Get(64 * 1024), 8, None),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU_GIB, 1.00)],
    },
    Case {
        name: "body-1m",
        title: "HTTP/1, 1 MiB bodies, 8 connections",
        kind: kept(Exchange::Get(1024 * 1024), 8, None),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU_GIB, 1.00)],
    },
    Case {
        name: "connect",
        title: "HTTP/1, a new connection for each request",
        kind: once(None, Life::Fresh),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 1.00)],
    },
    Case {
        name: "handshake-ecdsa",
        title: "full TLS 1.3 handshake, ECDSA P-256, and one request",
        kind: once(Some(Key::Ecdsa), Life::Fresh),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 0.90)],
    },
    Case {
        name: "handshake-rsa",
        title: "full TLS 1.3 handshake, RSA-2048, and one request",
        kind: once(Some(Key::Rsa), Life::Fresh),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 0.90)],
    },
    Case {
        name: "resumption",
        title: "resumed TLS 1.3 handshake and one request",
        kind: once(Some(Key::Ecdsa), Life::Resumed),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 0.90)],
    },
    Case {
        name: "websocket",
        title: "WebSocket, messages of 16 KiB both ways, 8 connections",
        kind: kept(Exchange::Echo(16 * 1024), 8, None),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU_GIB, 1.00)],
    },
    Case {
        name: "two-workers",
        title: "two workers on one core, HTTP/1 keep-alive, 64 connections",
        kind: kept(Exchange::Get(1024), 64, None),
        candidates: &["portolan", "portolan-again", "portolan-two-workers"],
        bars: &[Bar {
            of: "portolan-two-workers",
            to: "portolan",
            metric: CPU,
            at_most: 1.10,
        }],
    },
    Case {
        name: "idle-tls",
        title: "idle connection, HTTP/1 over TLS",
        kind: Kind::Idle(Idle::Tls),
        candidates: MEMORY_PEERS,
        bars: &[beside("haproxy", MEMORY, 1.00)],
    },
    Case {
        name: "idle-websocket",
        title: "idle connection, WebSocket",
        kind: Kind::Idle(Idle::WebSocket),
        candidates: MEMORY_PEERS,
        bars: &[beside("haproxy", MEMORY, 1.00)],
    },
    Case {
        name: "hosts",
        title: "parse, route and edit with 10,000 hosts beside 1",
        kind: Kind::Instructions,
        candidates: &["10000-hosts", "1-host"],
        bars: &[Bar {
            of: "10000-hosts",
            to: "1-host",
            metric: INSTRUCTIONS,
            at_most: 1.05,
        }],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_bar_compares_candidates_of_its_case() {
        let mut names = BTreeSet::new();
        for case in CASES {
            assert!(names.insert(case.name), "{} twice", case.name);
            assert!(!case.bars.is_empty(), "{} promises nothing", case.name);
            for bar in case.bars {
                for candidate in [bar.of, bar.to] {
                    assert!(
                        case.candidates.contains(&candidate),
                        "{}: {candidate}",
                        case.name
                    );
                }
            }
        }
    }
}
