//! Sets of networks, matched against addresses in canonical form.
//!
//! An IPv4 address can be written as an IPv6 one in several ways; a socket to any of them reaches the
//! same host. So `::ffff:10.0.0.1` is 10.0.0.1 (RFC 4291 2.5.5.2), in networks and in addresses, and
//! the address that a translator maps `64:ff9b::a00:1` to (RFC 6052) is matched as well.

use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr};
use thiserror::Error;

/// Set of networks. There are few, checked once per new connection: a list is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Box<[IpNet]>);

/// A text that is not a network.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?}: must be a network such as 10.0.0.0/8, or an address")]
pub struct NetworkError(String);

impl Networks {
    /// Parses networks in CIDR form; an address alone is a network of one.
    ///
    /// # Errors
    /// The first text that is not a network.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, NetworkError> {
        let parsed: Result<Vec<IpNet>, _> =
            texts.iter().map(|text| network(text.as_ref())).collect();
        Ok(Self(parsed?.into()))
    }

    /// Returns true if the address, in any form, is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let canonical = address.to_canonical();
        let has = |address: IpAddr| self.0.iter().any(|network| network.contains(&address));
        has(canonical) || translated(canonical).is_some_and(|inner| has(inner.into()))
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn network(text: &str) -> Result<IpNet, NetworkError> {
    let wrong = || NetworkError(text.to_owned());
    let parsed: IpNet = match text.parse::<IpAddr>() {
        Ok(address) => address.into(),
        Err(_) => text.parse().map_err(|_| wrong())?,
    };
    let IpNet::V6(wide) = parsed else {
        return Ok(parsed.trunc());
    };
    // Canonical addresses are never in the mapped range, so a network in it is one of IPv4.
    match (
        wide.addr().to_ipv4_mapped(),
        wide.prefix_len().checked_sub(96),
    ) {
        (Some(inner), Some(length)) => Ok(Ipv4Net::new(inner, length)
            .map_err(|_| wrong())?
            .trunc()
            .into()),
        _ => Ok(parsed.trunc()),
    }
}

/// Returns the IPv4 address inside the well-known prefix of translators.
fn translated(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table::ClassSettings;
    use proptest::prelude::*;

    fn has(networks: &Networks, address: &str) -> bool {
        networks.contains(address.parse().unwrap())
    }

    #[test]
    fn matches_an_address_in_every_form() {
        let networks = Networks::parse(&["10.0.0.0/8", "fd00::/8", "192.0.2.7"]).unwrap();
        for inside in [
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "fd12::1",
            "192.0.2.7",
        ] {
            assert!(has(&networks, inside), "{inside}");
        }
        for outside in [
            "11.0.0.1",
            "::ffff:11.0.0.1",
            "fe00::1",
            "192.0.2.8",
            "::10.1.2.3",
        ] {
            assert!(!has(&networks, outside), "{outside}");
        }
    }

    #[test]
    fn a_mapped_network_is_an_ipv4_network() {
        let networks = Networks::parse(&["::ffff:10.0.0.0/104"]).unwrap();
        assert!(has(&networks, "10.200.0.1") && !has(&networks, "11.0.0.1"));
        let all = Networks::parse(&["::/0"]).unwrap();
        assert!(
            has(&all, "2001:db8::1") && !has(&all, "10.0.0.1"),
            "each family by itself"
        );
    }

    #[test]
    fn rejects_what_is_not_a_network() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "example.com",
            "10.0.0.0/-1",
            "::/129",
        ] {
            assert_eq!(Networks::parse(&[text]), Err(NetworkError(text.to_owned())));
        }
    }

    #[test]
    fn denies_loopback_link_local_and_metadata_by_default() {
        let denied = Networks::parse(&ClassSettings::DENIED_CIDRS).unwrap();
        for address in [
            "127.0.0.1",
            "127.255.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "64:ff9b::169.254.169.254",
        ] {
            assert!(has(&denied, address), "{address}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "203.0.113.1",
            "fd00::1",
            "2001:db8::1",
        ] {
            assert!(!has(&denied, address), "{address}");
        }
    }

    proptest! {
        #[test]
        fn the_mapped_form_makes_no_difference(address: [u8; 4], network: [u8; 4], length in 0u8..=32) {
            let network = format!("{}/{length}", Ipv4Addr::from(network));
            let networks = Networks::parse(&[network]).unwrap();
            let address = Ipv4Addr::from(address);
            prop_assert_eq!(
                networks.contains(address.into()),
                networks.contains(address.to_ipv6_mapped().into())
            );
        }
    }
}
