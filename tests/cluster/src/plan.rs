//! Addresses of a cluster. All of them follow from its index N, so that two clusters never meet.
//!
//! | what | IPv4 | IPv6 |
//! |---|---|---|
//! | pods | 10.(200+N).0.0/16 | fd00:N:1::/64 |
//! | Services | 10.(100+N).0.0/16 | fd00:N:2::/112 |
//! | load balancers | 172.30.N.0/24 | fd00:N:3::/64 |
//! | the wire between host and node | 172.30.N.253 and .254 | fd00:N:3::fffd and ::fffe |

use std::net::{Ipv4Addr, Ipv6Addr};

/// Limit of clusters on a machine: 10.(200+N) ends at 10.254.
pub(crate) const MAX_CLUSTERS: u8 = 55;

/// The addresses of one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    index: u8,
}

impl Plan {
    /// The plan of the cluster with this index.
    ///
    /// # Errors
    /// When the index is 55 or more.
    pub(crate) fn new(index: u8) -> anyhow::Result<Self> {
        anyhow::ensure!(
            index < MAX_CLUSTERS,
            "index {index}: too large; 0 to {} are there",
            MAX_CLUSTERS - 1
        );
        Ok(Self { index })
    }

    /// The index N.
    pub(crate) fn index(self) -> u8 {
        self.index
    }

    /// All pod addresses: IPv4 and IPv6.
    pub(crate) fn pods(self) -> [String; 2] {
        [
            format!("10.{}.0.0/16", 200 + u16::from(self.index)),
            format!("fd00:{:x}:1::/64", self.index),
        ]
    }

    /// The pod addresses of the one node: IPv4 and IPv6.
    pub(crate) fn node_pods(self) -> [String; 2] {
        [
            format!("10.{}.0.0/24", 200 + u16::from(self.index)),
            format!("fd00:{:x}:1::/64", self.index),
        ]
    }

    /// All Service addresses: IPv4 and IPv6.
    pub(crate) fn services(self) -> [String; 2] {
        [
            format!("10.{}.0.0/16", 100 + u16::from(self.index)),
            format!("fd00:{:x}:2::/112", self.index),
        ]
    }

    /// All load-balancer addresses: IPv4 and IPv6.
    pub(crate) fn load_balancers(self) -> [String; 2] {
        [
            format!("172.30.{}.0/24", self.index),
            format!("fd00:{:x}:3::/64", self.index),
        ]
    }

    /// The Service address of the API server inside the cluster.
    pub(crate) fn kubernetes_service(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 100_u8.saturating_add(self.index), 0, 1)
    }

    /// The Service addresses of DNS inside the cluster.
    pub(crate) fn dns_service(self) -> (Ipv4Addr, Ipv6Addr) {
        (
            Ipv4Addr::new(10, 100_u8.saturating_add(self.index), 0, 10),
            self.v6(2, 10),
        )
    }

    /// The load-balancer addresses with this last number, e.g. 10 for the class `public`.
    pub(crate) fn load_balancer(self, last: u8) -> (Ipv4Addr, Ipv6Addr) {
        // The IPv6 address is written like the IPv4 one: 172.30.0.10 goes with ::10, which is 0x10.
        let digits = u16::from_str_radix(&last.to_string(), 16).unwrap_or(u16::from(last));
        (Ipv4Addr::new(172, 30, self.index, last), self.v6(3, digits))
    }

    /// The host's end of the wire to the node.
    pub(crate) fn host(self) -> (Ipv4Addr, Ipv6Addr) {
        (Ipv4Addr::new(172, 30, self.index, 253), self.v6(3, 0xfffd))
    }

    /// The node's end of the wire: its InternalIP, the address of the API server and of DNS.
    pub(crate) fn node(self) -> (Ipv4Addr, Ipv6Addr) {
        (Ipv4Addr::new(172, 30, self.index, 254), self.v6(3, 0xfffe))
    }

    /// The name of the host's network device for the wire (at most 15 characters).
    pub(crate) fn device(self) -> String {
        format!("ptl{}", self.index)
    }

    /// The ranges that need a route on the host: through the node's IPv4 address, and through its IPv6 address.
    pub(crate) fn routed(self) -> [(Vec<String>, String); 2] {
        let (v4, v6) = self.node();
        let [p4, p6] = self.pods();
        let [s4, s6] = self.services();
        let [l4, l6] = self.load_balancers();
        [
            (vec![p4, s4, l4], v4.to_string()),
            (vec![p6, s6, l6], v6.to_string()),
        ]
    }

    fn v6(self, net: u16, last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, u16::from(self.index), net, 0, 0, 0, 0, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cluster_has_the_documented_addresses() {
        let plan = Plan::new(0).unwrap();
        assert_eq!(plan.pods(), ["10.200.0.0/16", "fd00:0:1::/64"]);
        assert_eq!(plan.services(), ["10.100.0.0/16", "fd00:0:2::/112"]);
        assert_eq!(plan.load_balancers(), ["172.30.0.0/24", "fd00:0:3::/64"]);
        assert_eq!(plan.load_balancer(10).0.to_string(), "172.30.0.10");
        assert_eq!(plan.load_balancer(10).1.to_string(), "fd00:0:3::10");
        assert_eq!(plan.node().0.to_string(), "172.30.0.254");
        assert_eq!(plan.device(), "ptl0");
    }

    #[test]
    fn no_two_indexes_share_a_range() {
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..MAX_CLUSTERS {
            let plan = Plan::new(index).unwrap();
            for range in plan
                .pods()
                .into_iter()
                .chain(plan.services())
                .chain(plan.load_balancers())
            {
                assert!(
                    seen.insert(range.clone()),
                    "{range} of {index} belongs to another cluster too"
                );
            }
        }
    }

    #[test]
    fn an_index_beyond_the_last_is_refused() {
        assert!(Plan::new(MAX_CLUSTERS).is_err());
    }

    #[test]
    fn ipv6_groups_are_hexadecimal() {
        let plan = Plan::new(26).unwrap();
        assert_eq!(plan.pods()[1], "fd00:1a:1::/64");
        assert_eq!(plan.load_balancer(20).1.to_string(), "fd00:1a:3::20");
    }
}
