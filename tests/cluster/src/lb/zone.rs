//! The zone `portolan.test`: `*.portolan.test` is the address of the class `public`, `*.CLASS.portolan.test` that
//! of the class's load balancer. CoreDNS reads a new file when its serial number has grown.

use crate::config::DOMAIN;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The addresses of one name: IPv4 and IPv6, each if there is one.
pub(crate) type Addresses = (Option<Ipv4Addr>, Option<Ipv6Addr>);

/// Writes the zone.
pub(crate) fn zone(
    serial: u64,
    server: Addresses,
    public: Addresses,
    classes: &BTreeMap<String, Addresses>,
) -> String {
    let mut text = format!(
        "$ORIGIN {DOMAIN}.\n$TTL 1\n@ IN SOA ns hostmaster {serial} 60 60 600 1\n@ IN NS ns\n"
    );
    records(&mut text, "ns", server);
    records(&mut text, "@", public);
    records(&mut text, "*", public);
    for (class, addresses) in classes {
        if is_label(class) {
            records(&mut text, class, *addresses);
            records(&mut text, &format!("*.{class}"), *addresses);
        }
    }
    text
}

fn records(text: &mut String, name: &str, (v4, v6): Addresses) {
    if let Some(v4) = v4 {
        let _ = writeln!(text, "{name} IN A {v4}");
    }
    if let Some(v6) = v6 {
        let _ = writeln!(text, "{name} IN AAAA {v6}");
    }
}

/// A class's name may have dots and more; only one that is a single DNS label has a place in the zone.
fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && name != "ns"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(last: u8) -> Addresses {
        (
            Some(Ipv4Addr::new(172, 30, 0, last)),
            Some(Ipv6Addr::new(0xfd00, 0, 3, 0, 0, 0, 0, u16::from(last))),
        )
    }

    #[test]
    fn every_name_leads_to_public_and_a_class_to_its_own() {
        let classes = BTreeMap::from([
            ("internal".to_owned(), both(20)),
            ("no.label".to_owned(), both(21)),
        ]);
        let text = zone(7, both(254), both(10), &classes);
        for line in [
            "@ IN SOA ns hostmaster 7 60 60 600 1",
            "* IN A 172.30.0.10",
            "* IN AAAA fd00:0:3::a",
            "internal IN A 172.30.0.20",
            "*.internal IN A 172.30.0.20",
            "ns IN A 172.30.0.254",
        ] {
            assert!(
                text.lines().any(|l| l == line),
                "{line} is missing in\n{text}"
            );
        }
        assert!(!text.contains("no.label"));
    }

    #[test]
    fn a_class_without_ipv6_has_no_such_record() {
        let classes = BTreeMap::from([("four".to_owned(), (both(20).0, None))]);
        assert!(!zone(1, both(254), both(10), &classes).contains("four IN AAAA"));
    }
}
