//! In which order the addresses of a name are tried.
//!
//! Those without a route are left out (RFC 6724 5, rule 1), unless there are only such. Families take
//! turns, IPv6 first (RFC 8305 4): a request whose first address fails goes to the next one, which is
//! then of the other family. Denied ones are left out while there are others; if all are, they stay, so
//! that the answer says what is wrong.

use crate::upstream::denied::Denied;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// More addresses of one name are not used.
const MOST: usize = 64;

/// The addresses in their order; `routed` says whether there is a route.
pub(super) fn order(
    addresses: &[IpAddr],
    denied: &Denied,
    routed: impl Fn(IpAddr) -> bool,
) -> Vec<IpAddr> {
    let allowed = some_of(addresses.to_vec(), |address| !denied.contains(*address));
    let usable = some_of(allowed, |address| routed(*address));
    let (v6, v4): (Vec<_>, Vec<_>) = usable
        .into_iter()
        .partition(|address| address.to_canonical().is_ipv6());
    let turns = v6.len().max(v4.len());
    let pairs = (0..turns).flat_map(|turn| [v6.get(turn), v4.get(turn)]);
    pairs.flatten().copied().take(MOST).collect()
}

/// Those that fit; all of them when none does.
fn some_of(all: Vec<IpAddr>, fits: impl Fn(&IpAddr) -> bool) -> Vec<IpAddr> {
    let some: Vec<IpAddr> = all.iter().copied().filter(fits).collect();
    if some.is_empty() { all } else { some }
}

/// Returns whether the kernel knows a way there. Connecting a datagram socket sends nothing.
pub(super) fn has_route(to: IpAddr) -> bool {
    let any: IpAddr = match to {
        IpAddr::V4(_) => [0; 4].into(),
        IpAddr::V6(_) => [0; 16].into(),
    };
    let connected =
        UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(SocketAddr::new(to, 9)));
    connected.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_proxy_core::cidr::Networks;

    fn ordered(addresses: &[&str], denied: &[&str], unrouted: &[&str]) -> Vec<String> {
        let parse = |all: &[&str]| {
            all.iter()
                .map(|address| address.parse().unwrap())
                .collect::<Vec<IpAddr>>()
        };
        let denied = Denied::new(Networks::parse(denied).unwrap());
        let unrouted = parse(unrouted);
        let order = order(&parse(addresses), &denied, |address| {
            !unrouted.contains(&address)
        });
        order.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn families_take_turns() {
        let all = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"];
        let expected = ["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"];
        assert_eq!(ordered(&all, &[], &[]), expected);
    }

    #[test]
    fn what_leads_nowhere_is_left_out_unless_everything_does() {
        let all = ["192.0.2.1", "2001:db8::1"];
        assert_eq!(ordered(&all, &[], &["2001:db8::1"]), ["192.0.2.1"]);
        assert_eq!(ordered(&all, &[], &all), ["2001:db8::1", "192.0.2.1"]);
    }

    #[test]
    fn denied_ones_are_left_out_while_there_are_others() {
        let all = ["127.0.0.1", "192.0.2.1"];
        assert_eq!(ordered(&all, &["127.0.0.0/8"], &[]), ["192.0.2.1"]);
        assert_eq!(
            ordered(&["127.0.0.1"], &["127.0.0.0/8"], &[]),
            ["127.0.0.1"]
        );
    }

    #[test]
    fn this_host_has_a_way_to_itself() {
        assert!(has_route([127, 0, 0, 1].into()));
    }
}
