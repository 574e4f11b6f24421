//! Roles of header fields for a proxy, determined by name.

use crate::request::Connection;
use httparse::Header;

/// Maximum number of fields of a message.
pub const MAX_FIELDS: usize = 100;

/// Storage for the fields of one head; lives on the stack while the head is parsed.
pub type Slots<'b> = [std::mem::MaybeUninit<Header<'b>>; MAX_FIELDS];

/// Returns uninitialised storage.
pub fn slots<'b>() -> Slots<'b> {
    [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS]
}

/// Role of a field. Everything but `EndToEnd` is interpreted and rewritten, or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Passed on unchanged.
    EndToEnd,
    /// The authority (RFC 9110 7.2).
    Host,
    /// RFC 9112 6.2.
    ContentLength,
    /// RFC 9112 6.1.
    TransferEncoding,
    /// RFC 9110 7.6.1: names the fields of this hop.
    Connection,
    /// RFC 9110 7.8.
    Upgrade,
    /// RFC 9110 10.1.1.
    Expect,
    /// Belongs to one hop and is not passed on.
    Hop,
    /// Identifies the client; trusted only from a trusted peer, and no peer is trusted yet.
    Identity,
    /// Set by the proxy itself, in a response.
    Own,
    /// Spelled with underscores like one of the above; a CGI-like upstream would take it for that one.
    Lookalike,
}

impl Role {
    /// Returns the role of a field name, in any case.
    pub fn of(name: &str) -> Self {
        let role = Self::of_spelling(name);
        if role != Self::EndToEnd && name.as_bytes().contains(&b'_') {
            return Self::Lookalike;
        }
        role
    }

    /// Treats `-` and `_` alike. Matches by length first: most names differ without a comparison.
    fn of_spelling(name: &str) -> Self {
        let is = |known: &str| same_name(name, known);
        match name.len() {
            2 if is("te") => Self::Hop,
            4 if is("host") => Self::Host,
            // httpoxy, CVE-2016-5385: becomes HTTP_PROXY in CGI.
            5 if is("proxy") => Self::Hop,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            9 if is("forwarded") || is("x-real-ip") => Self::Identity,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::Hop,
            12 if is("x-request-id") => Self::Identity,
            14 if is("content-length") => Self::ContentLength,
            // RFC 7540 3.2.1: h2c by upgrade is not passed on.
            14 if is("http2-settings") => Self::Hop,
            16 if is("proxy-connection") => Self::Hop,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 if is("x-portolan-reason") => Self::Own,
            21 if is("x-envoy-original-path") => Self::Identity,
            _ if starts_with(name, "x-forwarded-") || starts_with(name, "x-ssl-") => Self::Identity,
            _ => Self::EndToEnd,
        }
    }

    /// Returns true if a Connection field may nominate the name: a sender must not remove fields that
    /// frame, route or authorise the message.
    pub fn may_be_nominated(name: &str) -> bool {
        let forbidden = ["authorization", "cookie"];
        match Self::of(name) {
            Self::Host | Self::ContentLength | Self::TransferEncoding | Self::Identity => false,
            Self::Own | Self::Lookalike => false,
            _ => !forbidden.iter().any(|known| same_name(name, known)),
        }
    }

    /// Returns true if a trailer may carry the field (RFC 9110 6.5.1): nothing that frames, routes or
    /// authorises, and nothing that the proxy sets.
    pub fn may_trail(name: &str) -> bool {
        let forbidden = [
            "authorization",
            "cookie",
            "set-cookie",
            "content-encoding",
            "content-type",
            "content-range",
            "trailer",
            "cache-control",
            "max-forwards",
            "www-authenticate",
            "proxy-authorization",
            "proxy-authenticate",
        ];
        Self::of(name) == Self::EndToEnd && !forbidden.iter().any(|known| same_name(name, known))
    }
}

/// Compares names; `known` is lower case with hyphens.
pub(crate) fn same_name(name: &str, known: &str) -> bool {
    name.len() == known.len() && starts_with(name, known)
}

fn starts_with(name: &str, known: &str) -> bool {
    name.len() >= known.len()
        && name.bytes().zip(known.bytes()).all(|(byte, known)| {
            byte.to_ascii_lowercase() == known || (byte == b'_' && known == b'-')
        })
}

/// Fields of a head that are passed on: end-to-end and not nominated by a Connection field.
/// Determined while the head is parsed, so that no name is classified twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct PassedOn<'a> {
    fields: &'a [Header<'a>],
    /// One bit per field, from the lowest.
    bits: u128,
}

const _: () = assert!(MAX_FIELDS <= u128::BITS as usize);

impl<'a> PassedOn<'a> {
    /// Selects from these fields; `bits` marks those that are end-to-end.
    pub(crate) fn new(
        fields: &'a [Header<'a>],
        bits: EndToEnd,
        connection: &Connection<'_>,
    ) -> Self {
        let all = Self {
            fields,
            bits: bits.0,
        };
        if !connection.nominates_any() {
            return all;
        }
        let nominated = |(_, field): &(usize, &Header<'_>)| connection.nominates(field.name);
        let nominated = fields.iter().enumerate().filter(nominated);
        let bits = nominated.fold(all.bits, |bits, (index, _)| bits & !(1 << index));
        Self { bits, ..all }
    }

    /// Returns the fields, in their order.
    pub fn iter(self) -> impl Iterator<Item = &'a Header<'a>> {
        let bits = self.bits;
        let passed = move |(index, _): &(usize, &'a Header<'a>)| bits & (1 << index) != 0;
        let fields = self.fields.iter().enumerate().filter(passed);
        fields.map(|(_, field)| field)
    }
}

/// Set of end-to-end fields, collected while a head is parsed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EndToEnd(u128);

impl EndToEnd {
    /// Marks the field of this index.
    pub(crate) fn add(&mut self, index: usize) {
        self.0 |= 1 << index;
    }

    /// Unmarks the field of this index.
    pub(crate) fn remove(&mut self, index: usize) {
        self.0 &= !(1 << index);
    }
}

/// Returns the elements of a comma-separated list (RFC 9110 5.6.1), trimmed, empty ones left out.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Parses a decimal number: no sign, no space, no list (RFC 9112 6.3).
pub fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    #[test]
    fn recognises_names_in_any_case_and_lookalikes() {
        assert_eq!(Role::of("HoSt"), Role::Host);
        assert_eq!(Role::of("X-Forwarded-For"), Role::Identity);
        assert_eq!(Role::of("x-forwarded-anything"), Role::Identity);
        assert_eq!(Role::of("X_Forwarded_For"), Role::Lookalike);
        assert_eq!(Role::of("content_length"), Role::Lookalike);
        assert_eq!(Role::of("my_header"), Role::EndToEnd);
        assert_eq!(Role::of("X-SSL-Client-Cert"), Role::Identity);
        assert_eq!(Role::of("X-Envoy-Original-Path"), Role::Identity);
        assert_eq!(Role::of("hosts"), Role::EndToEnd);
        assert_eq!(Role::of("x-forwarded"), Role::EndToEnd);
    }

    #[test]
    fn connection_may_not_nominate_protective_fields() {
        for name in [
            "host",
            "X-Forwarded-For",
            "cookie",
            "Authorization",
            "content-length",
        ] {
            assert!(!Role::may_be_nominated(name), "{name}");
        }
        for name in ["close", "keep-alive", "upgrade", "te", "x-hop"] {
            assert!(Role::may_be_nominated(name), "{name}");
        }
    }

    #[test]
    fn trailers_carry_no_framing() {
        assert!(Role::may_trail("grpc-status") && Role::may_trail("x-checksum"));
        for name in [
            "content-length",
            "Transfer-Encoding",
            "host",
            "set-cookie",
            "x-real-ip",
        ] {
            assert!(!Role::may_trail(name), "{name}");
        }
    }

    /// The operator checks names with `portolan_discovery::field`; both must agree.
    #[test]
    fn routes_may_change_exactly_end_to_end_fields() {
        let names = "te host proxy expect upgrade forwarded x-real-ip connection keep-alive \
            x-request-id content-length http2-settings proxy-connection transfer-encoding \
            x-portolan-reason x-envoy-original-path x-forwarded-for x-forwarded-x x-ssl-cert \
            x_real_ip cookie accept x-team cache-control x-forwarded trailer";
        for name in names.split_whitespace() {
            let allowed = portolan_discovery::field::name(name).is_ok();
            assert_eq!(allowed, Role::of(name) == Role::EndToEnd, "{name}");
        }
    }

    proptest! {
        #[test]
        fn passes_on_end_to_end_fields_not_nominated(
            names in prop::collection::vec(select(&["X-A", "x-b", "Host", "TE", "x_real_ip"]), 0..=MAX_FIELDS),
            nominated in prop::option::of(select(&["x-a", "X-B", "x-c"])),
        ) {
            let mut connection = Connection::default();
            if let Some(name) = nominated {
                connection.read(name.as_bytes()).unwrap();
            }
            let fields: Vec<Header<'_>> = names.iter().map(|name| Header { name, value: b"" }).collect();
            let mut bits = EndToEnd::default();
            let ends = |name: &str| Role::of(name) == Role::EndToEnd;
            for (index, _) in names.iter().enumerate().filter(|(_, name)| ends(name)) {
                bits.add(index);
            }
            let passed = PassedOn::new(&fields, bits, &connection).iter().map(|field| field.name);
            let left_out = |name: &str| nominated.is_some_and(|nominated| nominated.eq_ignore_ascii_case(name));
            let expected = names.iter().copied().filter(|name| ends(name) && !left_out(name));
            prop_assert!(passed.eq(expected));
        }
    }

    #[test]
    fn lengths_are_digits_only() {
        assert_eq!(content_length(b"0"), Some(0));
        assert_eq!(content_length(b"1234"), Some(1234));
        for odd in [
            "",
            "+5",
            "-1",
            "5, 5",
            "0x5",
            " 5",
            "5 ",
            "18446744073709551616",
            "5;",
        ] {
            assert_eq!(content_length(odd.as_bytes()), None, "{odd}");
        }
    }
}
