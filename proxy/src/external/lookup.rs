//! One look at DNS: both kinds of address, with the TTL that is good for all of them.
//!
//! Not by the C library, which tells no TTL, and linked statically cannot look up at all.

use super::known::Outcome;
use anyhow::Context as _;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The name servers of the host, or others.
#[derive(Clone, Debug)]
pub(crate) struct Dns(TokioResolver);

impl Dns {
    /// Of `/etc/resolv.conf` when none are named.
    pub(crate) fn new(name_servers: &[SocketAddr]) -> anyhow::Result<Self> {
        let mut builder = if name_servers.is_empty() {
            TokioResolver::builder_tokio().context("reading /etc/resolv.conf")?
        } else {
            let servers = name_servers.iter().map(|at| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = at.port();
                }
                NameServerConfig::new(at.ip(), true, connections)
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        // The caller caches results for their TTL.
        builder.options_mut().cache_size = 0;
        Ok(Self(builder.build().context("setting up the resolver")?))
    }

    pub(crate) async fn look_up(&self, host: &str) -> Outcome {
        // The final dot: an external name is whole, and no search domain is tried.
        let name = format!("{host}.");
        let (v4, v6) = tokio::join!(
            self.of(&name, RecordType::A),
            self.of(&name, RecordType::AAAA)
        );
        both(v4, v6)
    }

    async fn of(&self, name: &str, kind: RecordType) -> Outcome {
        let found = match self.0.lookup(name, kind).await {
            Ok(found) => found,
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let ttl = none.negative_ttl.map(|ttl| Duration::from_secs(ttl.into()));
                // A server that is in trouble answers with no records too (RFC 2308 7.1).
                return match none.response_code.into() {
                    0 | 3 => Outcome::Absent { ttl },
                    _ => Outcome::Failed {
                        why: none.response_code.to_string(),
                    },
                };
            }
            Err(error) => {
                let why = error.to_string();
                return Outcome::Failed { why };
            }
        };
        let addresses: Vec<IpAddr> = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .collect();
        // An alias on the way is good for no longer than it says.
        let ttl = found.answers().iter().map(|record| record.ttl).min();
        let ttl = Duration::from_secs(ttl.unwrap_or_default().into());
        if addresses.is_empty() {
            Outcome::Absent { ttl: Some(ttl) }
        } else {
            Outcome::Found { addresses, ttl }
        }
    }
}

/// One family is enough: some servers fail when asked for the other one. But "none" counts only when
/// both say so.
fn both(one: Outcome, other: Outcome) -> Outcome {
    use Outcome::{Absent, Failed, Found};
    match (one, other) {
        (
            Found {
                mut addresses,
                ttl: one,
            },
            Found {
                addresses: more,
                ttl: other,
            },
        ) => {
            addresses.extend(more);
            Found {
                addresses,
                ttl: one.min(other),
            }
        }
        (found @ Found { .. }, _) | (_, found @ Found { .. }) => found,
        (failed @ Failed { .. }, _) | (_, failed @ Failed { .. }) => failed,
        (Absent { ttl: one }, Absent { ttl: other }) => Absent {
            ttl: one.into_iter().chain(other).min(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_families_make_one_answer() {
        let seconds = Duration::from_secs;
        let found = |last: u8, ttl| Outcome::Found {
            addresses: vec![[192, 0, 2, last].into()],
            ttl: seconds(ttl),
        };
        let absent = |ttl: u64| Outcome::Absent {
            ttl: Some(seconds(ttl)),
        };
        let failed = || Outcome::Failed { why: "x".into() };
        let Outcome::Found { addresses, ttl } = both(found(1, 9), found(2, 5)) else {
            panic!()
        };
        assert_eq!((addresses.len(), ttl), (2, seconds(5)));
        for other in [absent(1), failed()] {
            assert_eq!(both(found(1, 9), other.clone()), found(1, 9));
            assert_eq!(both(other, found(1, 9)), found(1, 9));
        }
        assert_eq!(both(absent(7), absent(5)), absent(5));
        assert_eq!(both(absent(7), failed()), failed());
    }
}
