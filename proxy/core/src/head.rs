//! View of a request that decisions are made from, the same for every codec.

use crate::authority::Authority;
use crate::field::PassedOn;

/// Valid head of a request, borrowed from the codec that parsed it. The pseudo-header fields of
/// HTTP/2 are method, authority and path here, never fields.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Version of the client's protocol, as in `Via` (RFC 9110 7.6.3): `1.1`, `2`.
    pub protocol: &'static str,
    /// An RFC 9110 token.
    pub method: &'a str,
    /// The authority of the request.
    pub authority: &'a Authority<'a>,
    /// Normalised; `*` for a server-wide OPTIONS.
    pub path: &'a str,
    /// After the first `?`, as written.
    pub query: Option<&'a str>,
    /// Fields that are passed on, in their order; others are never matched.
    pub fields: PassedOn<'a>,
    /// The client accepts trailers (`TE: trailers`), which is passed on over HTTP/2.
    pub takes_trailers: bool,
    /// A valid WebSocket handshake.
    pub websocket: bool,
    /// The client.
    pub client: Client<'a>,
}

impl<'a> Head<'a> {
    /// Returns the values of the passed-on fields of a name, one for each line.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// Returns the value of a field that occurs once.
    pub fn single(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }
}

/// Properties of the client, from its connection.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Canonical address.
    pub address: &'a str,
    /// True for a connection over TLS.
    pub secure: bool,
}

impl Client<'_> {
    /// Returns `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Returns the default port of the scheme.
    pub fn default_port(&self) -> u16 {
        if self.secure { 443 } else { 80 }
    }
}
