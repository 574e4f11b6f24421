//! Settings of a whole class: open ports, and rules for every host.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Settings of every host of the class. At most one; without it the defaults apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassSettings {
    /// The name of the [`super::Certificate`] for clients that send no server name; if
    /// absent, they are rejected.
    pub default_certificate: Option<String>,
    /// Seeds of the keys of TLS session tickets: the current one first, then those that are still
    /// accepted. If empty, no session is resumed.
    pub ticket_seeds: Vec<TicketSeed>,
    /// Networks in CIDR form to which no connection is made, in addition to [`Self::DENIED_CIDRS`].
    pub denied_cidrs: Vec<String>,
}

impl ClassSettings {
    /// Name of the resource.
    pub const NAME: &str = "class";
    /// Networks that are denied in every cluster: loopback, link-local addresses with their metadata
    /// services, and addresses that are not of one host.
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

/// Secret from which the keys of tickets are derived (RFC 5077, RFC 8446 4.6.1).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSeed(pub [u8; 32]);

impl fmt::Debug for TicketSeed {
    /// Omits the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSeed(..)")
    }
}

/// Open port of every proxy of the class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `http` or `https`.
    pub name: String,
    /// The pod's port.
    pub port: u16,
    /// Protocol of the port.
    pub protocol: Protocol,
}

/// Protocol of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS, the certificate chosen by server name.
    Https,
}
