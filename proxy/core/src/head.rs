//! A request as policy sees it: the view that every codec gives of what it has read.

use crate::authority::Authority;
use crate::field::PassedOn;

/// A request's head, valid in itself, borrowed from the codec that read it. Of HTTP/2, the
/// pseudo-header fields are method, authority and path here, never fields.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The version that the client speaks, as it stands in `Via` (RFC 9110 7.6.3): `1.1`, `2`.
    pub protocol: &'static str,
    /// An RFC 9110 token.
    pub method: &'a str,
    /// Who is asked.
    pub authority: &'a Authority<'a>,
    /// Normalised; `*` for a server-wide OPTIONS.
    pub path: &'a str,
    /// After the first `?`, as written.
    pub query: Option<&'a str>,
    /// The fields that are passed on, in their order; the others decide nothing.
    pub fields: PassedOn<'a>,
    /// The client takes trailers, which an endpoint that speaks HTTP/2 is told.
    pub takes_trailers: bool,
    /// A well-formed wish to speak WebSocket.
    pub websocket: bool,
    /// Who asks.
    pub client: Client<'a>,
}

impl<'a> Head<'a> {
    /// The values of the fields of a name that are passed on, one for each line.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// The value of a field that stands once.
    pub fn single(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }
}

/// What we know of the client, from its connection alone.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its address, canonical.
    pub address: &'a str,
    /// It came over TLS.
    pub secure: bool,
}

impl Client<'_> {
    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// The port that the scheme means when none is written.
    pub fn default_port(&self) -> u16 {
        if self.secure { 443 } else { 80 }
    }
}
