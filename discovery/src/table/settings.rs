//! What holds for a whole class: open ports, and rules for every host.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What holds for every host of the class. There is one, or none: then the defaults hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassSettings {
    /// The name of the [`super::Certificate`] for clients that ask for no server name; absent:
    /// they are refused.
    pub default_certificate: Option<String>,
    /// From which the keys of TLS session tickets are derived: the current one first, then those
    /// that are still accepted. Empty: no session is resumed.
    pub ticket_seeds: Vec<TicketSeed>,
    /// Networks in CIDR form in which no endpoint is ever contacted, beside [`Self::DENIED_CIDRS`].
    pub denied_cidrs: Vec<String>,
}

impl ClassSettings {
    /// The name under which they are sent.
    pub const NAME: &str = "class";
    /// The networks that are denied in every cluster: the host itself, its links with the
    /// metadata services on them, and what is no address of one host.
    pub const DENIED_CIDRS: [&str; 10] = [
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "::1/128",
        "fd00:ec2::254/128",
        "fe80::/10",
        "ff00::/8",
    ];
}

/// A secret from which the keys of tickets are derived (RFC 5077, RFC 8446 4.6.1).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSeed(pub [u8; 32]);

impl fmt::Debug for TicketSeed {
    /// Never shows the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSeed(..)")
    }
}

/// A port that is open on every proxy of the class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `http` or `https`.
    pub name: String,
    /// The pod's port.
    pub port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS, the certificate chosen by server name.
    Https,
}
