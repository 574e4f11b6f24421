//! Measured cases, and the bounds of their cost.

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

/// Kind of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A load at a fixed rate; the proxy's CPU time is what it costs.
    Load(Load),
    /// Connections that say nothing; the proxy's memory is what they cost.
    Idle(Idle),
    /// Instructions of parsing, routing and editing one request.
    Instructions,
}

/// Load of the clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) exchange: Exchange,
    pub(crate) version: Version,
    pub(crate) connections: usize,
    /// The certificate's key, where it is TLS.
    pub(crate) tls: Option<Key>,
    /// Use of one connection.
    pub(crate) lifetime: Lifetime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// GET, answered with a body of this many bytes.
    Get(usize),
    /// A WebSocket message of this many bytes, which comes back.
    Echo(usize),
    /// A unary gRPC call with a message of this many bytes, which comes back.
    Call(usize),
}

/// HTTP version of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    /// Concurrent operations on a connection.
    Http2 {
        streams: usize,
    },
}

/// HTTP version towards the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    Http1,
    /// With prior knowledge.
    Http2,
}

impl Upstream {
    /// The name of a configuration of this candidate.
    pub(crate) fn of(self, candidate: &str) -> String {
        match self {
            Self::Http1 => candidate.to_owned(),
            Self::Http2 => format!("{candidate}, HTTP/2 to the origin"),
        }
    }
}

impl Load {
    pub(crate) fn upstream(self) -> Upstream {
        match self.exchange {
            Exchange::Get(_) | Exchange::Echo(_) => Upstream::Http1,
            Exchange::Call(_) => Upstream::Http2,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Ecdsa,
    Rsa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// One exchange after another.
    Kept,
    /// One exchange; with TLS a full handshake.
    Fresh,
    /// One exchange after a handshake with the ticket of an earlier one.
    Resumed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Idle {
    /// HTTP/1 over TLS, after one request.
    Tls,
    /// HTTP/2 over TLS, after one request.
    Http2,
    /// A WebSocket without TLS, after its handshake.
    #[value(name = "websocket")]
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
        version: Version::Http1,
        connections,
        tls,
        lifetime: Lifetime::Kept,
    })
}

/// Eight operations at a time on each of eight connections.
const fn multiplexed(exchange: Exchange, tls: Option<Key>) -> Kind {
    Kind::Load(Load {
        exchange,
        version: Version::Http2 { streams: 8 },
        connections: 8,
        tls,
        lifetime: Lifetime::Kept,
    })
}

const fn once(tls: Option<Key>, lifetime: Lifetime) -> Kind {
    Kind::Load(Load {
        exchange: Exchange::Get(1024),
        version: Version::Http1,
        connections: 32,
        tls,
        lifetime,
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
        kind: once(None, Lifetime::Fresh),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 1.00)],
    },
    Case {
        name: "handshake-ecdsa",
        title: "full TLS 1.3 handshake, ECDSA P-256, and one request",
        kind: once(Some(Key::Ecdsa), Lifetime::Fresh),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 0.90)],
    },
    Case {
        name: "handshake-rsa",
        title: "full TLS 1.3 handshake, RSA-2048, and one request",
        kind: once(Some(Key::Rsa), Lifetime::Fresh),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 0.90)],
    },
    Case {
        name: "resumption",
        title: "resumed TLS 1.3 handshake and one request",
        kind: once(Some(Key::Ecdsa), Lifetime::Resumed),
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
        name: "http2",
        title: "HTTP/2, 1 KiB, 8 connections with 8 requests at a time",
        kind: multiplexed(Exchange::Get(1024), None),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 1.00), beside("haproxy", P99, 1.00)],
    },
    Case {
        name: "http2-tls",
        title: "HTTP/2 over TLS, 1 KiB, 8 connections with 8 requests at a time",
        kind: multiplexed(Exchange::Get(1024), Some(Key::Ecdsa)),
        candidates: HTTP,
        bars: &[beside("haproxy", CPU, 1.00)],
    },
    Case {
        name: "grpc",
        title: "gRPC, HTTP/2 to HTTP/2, messages of 1 KiB both ways, 8 connections with 8 calls at a time",
        kind: multiplexed(Exchange::Call(1024), None),
        candidates: PLAIN,
        bars: &[beside("haproxy", CPU, 1.00)],
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
        name: "idle-http2",
        title: "idle connection, HTTP/2 over TLS",
        kind: Kind::Idle(Idle::Http2),
        candidates: MEMORY_PEERS,
        bars: &[beside("haproxy", MEMORY, 1.50)],
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
    fn every_load_has_a_protocol_for_its_exchange() {
        for case in CASES {
            if let Kind::Load(load) = case.kind {
                let http2 = matches!(load.version, Version::Http2 { .. });
                match load.exchange {
                    Exchange::Get(_) => assert!(!http2 || load.lifetime == Lifetime::Kept),
                    Exchange::Echo(_) => assert!(!http2, "{}", case.name),
                    Exchange::Call(_) => assert!(http2, "{}", case.name),
                }
            }
        }
    }

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
