//! Authorities and host patterns: one type for SNI, the Host field and configuration.
//!
//! One canonical form (lower case, no trailing dot) is matched, logged and redirected to, so
//! that two spellings never reach two different hosts.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;
use thiserror::Error;

/// Maximum length of a host (RFC 1035 2.3.4), without the root label.
const MAX_HOST: usize = 253;
/// Maximum length of a label (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;

/// A host with an optional port, canonical. Borrows unless it had to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    host: Cow<'a, str>,
    port: Option<u16>,
}

/// Reason why a text is not an authority.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AuthorityError {
    /// No host before the port, or empty.
    #[error("the host is empty")]
    Empty,
    /// A label is empty or too long, or the host is.
    #[error("the host has an empty or overlong label")]
    Label,
    /// A character that is not allowed in a hostname, or user information.
    #[error("the host has an invalid character")]
    Character,
    /// Not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl<'a> Authority<'a> {
    /// Parses `host`, `host:port`, `[ipv6]` or `[ipv6]:port` (RFC 3986 3.2, without user information).
    ///
    /// ```
    /// # use portolan_proxy_core::authority::Authority;
    /// let shop = Authority::parse(b"Shop.Example.com.:8443").unwrap();
    /// assert_eq!((shop.host(), shop.port()), ("shop.example.com", Some(8443)));
    /// ```
    ///
    /// # Errors
    /// The text is not an authority.
    pub fn parse(text: &'a [u8]) -> Result<Self, AuthorityError> {
        let text = std::str::from_utf8(text).map_err(|_| AuthorityError::Character)?;
        if let Some(bracketed) = text.strip_prefix('[') {
            return Self::parse_ipv6(text, bracketed);
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(parse_port(port)?)),
            None => (text, None),
        };
        Ok(Self {
            host: canonical(host)?,
            port,
        })
    }

    fn parse_ipv6(text: &'a str, bracketed: &'a str) -> Result<Self, AuthorityError> {
        let (address, rest) = bracketed.split_once(']').ok_or(AuthorityError::Character)?;
        address
            .parse::<Ipv6Addr>()
            .map_err(|_| AuthorityError::Character)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if rest.is_empty() => None,
            None => return Err(AuthorityError::Character),
        };
        let host = text
            .get(..address.len() + 2)
            .ok_or(AuthorityError::Character)?;
        Ok(Self {
            host: lower_case(host),
            port,
        })
    }

    /// Returns the canonical host; an IPv6 address with its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, if there is one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Host in configuration: one name, or all names with one more label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// `shop.example.com`
    Exact(Box<str>),
    /// The part after `*.`: `example.com` matches `a.example.com`, never `a.b.example.com`.
    Wildcard(Box<str>),
}

impl HostPattern {
    /// Parses a hostname that may begin with `*.`.
    ///
    /// # Errors
    /// Not a canonical hostname: configuration is rejected, not corrected, so that its name
    /// stays the one that is acknowledged.
    pub fn parse(text: &str) -> Result<Self, AuthorityError> {
        let (suffix, wildcard) = match text.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (text, false),
        };
        let host = canonical(suffix)?;
        if host != suffix {
            return Err(AuthorityError::Character);
        }
        let host = Box::from(host.as_ref());
        Ok(if wildcard {
            Self::Wildcard(host)
        } else {
            Self::Exact(host)
        })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

fn parse_port(text: &str) -> Result<u16, AuthorityError> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(AuthorityError::Port),
    }
}

fn canonical(host: &str) -> Result<Cow<'_, str>, AuthorityError> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err(AuthorityError::Empty);
    }
    if host.len() > MAX_HOST {
        return Err(AuthorityError::Label);
    }
    let mut label = 0;
    for byte in host.bytes() {
        match byte {
            b'.' if label == 0 => return Err(AuthorityError::Label),
            b'.' => label = 0,
            // Underscores are not allowed in hostnames (RFC 952) but do occur; such a host is merely unknown.
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            _ => return Err(AuthorityError::Character),
        }
        if label > MAX_LABEL {
            return Err(AuthorityError::Label);
        }
    }
    if label == 0 {
        return Err(AuthorityError::Label);
    }
    Ok(lower_case(host))
}

fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<(String, Option<u16>), AuthorityError> {
        Authority::parse(text.as_bytes())
            .map(|authority| (authority.host().to_owned(), authority.port()))
    }

    #[test]
    fn spellings_of_a_name_are_equal() {
        for text in ["shop.example.com", "SHOP.example.COM", "shop.example.com."] {
            assert_eq!(parsed(text).unwrap().0, "shop.example.com", "{text}");
        }
        assert!(matches!(
            Authority::parse(b"shop.example.com").unwrap().host,
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn parses_ports_and_addresses() {
        assert_eq!(parsed("a:443").unwrap().1, Some(443));
        assert_eq!(parsed("10.0.0.1:80").unwrap().0, "10.0.0.1");
        assert_eq!(
            parsed("[FD00::1]:8443").unwrap(),
            ("[fd00::1]".into(), Some(8443))
        );
        for text in [
            "a:", "a:0", "a:65536", "a:+1", "a: 1", "a:000080", "[::1]:", "a:1:2",
        ] {
            assert_eq!(parsed(text), Err(AuthorityError::Port), "{text}");
        }
    }

    #[test]
    fn rejects_everything_else() {
        for text in ["", ".", ":80"] {
            assert_eq!(parsed(text), Err(AuthorityError::Empty), "{text}");
        }
        for text in ["a..b", ".a", "a..", &"x".repeat(64), &"x.".repeat(128)] {
            assert_eq!(parsed(text), Err(AuthorityError::Label), "{text}");
        }
        for text in [
            "u@a", "a b", "a/b", "a,b", "ä", "[::1", "[::1]x", "[x]", "a\tb", "*.a",
        ] {
            assert_eq!(parsed(text), Err(AuthorityError::Character), "{text}");
        }
    }

    #[test]
    fn rejects_configuration_rather_than_correcting_it() {
        for text in ["*.example.com", "a.b"] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            HostPattern::parse("*.example.com"),
            Ok(HostPattern::Wildcard("example.com".into()))
        );
        assert_eq!(
            HostPattern::parse("a.b"),
            Ok(HostPattern::Exact("a.b".into()))
        );
        for text in ["A.b", "a.b.", "*.", "*", "a.*", "*.*.a"] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point(text in "[a-zA-Z0-9._:\\[\\]-]{0,80}") {
            if let Ok(authority) = Authority::parse(text.as_bytes()) {
                let written = authority.to_string();
                let again = Authority::parse(written.as_bytes());
                prop_assert_eq!(again, Ok(authority));
            }
        }
    }
}
