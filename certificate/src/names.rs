//! DNS names of a certificate, and the hostnames that they cover.

use std::fmt;

/// DNS names, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsNames(Vec<String>);

impl DnsNames {
    /// Returns true if a hostname in lower case is covered (RFC 9525 6.3): a wildcard covers exactly
    /// one label, and a hostname that is a wildcard itself needs the same one.
    pub fn covers(&self, hostname: &str) -> bool {
        let parent = match hostname.split_once('.') {
            Some(("*", _)) | None => None,
            Some((_, parent)) => Some(parent),
        };
        self.0.iter().any(|name| {
            name == hostname || parent.is_some_and(|parent| name.strip_prefix("*.") == Some(parent))
        })
    }

    /// Returns the names, in the order of the certificate.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl<T: AsRef<str>> FromIterator<T> for DnsNames {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        let names = names.into_iter();
        Self(
            names
                .map(|name| name.as_ref().to_ascii_lowercase())
                .collect(),
        )
    }
}

/// Shortened for a message, as a certificate may have hundreds of names.
impl fmt::Display for DnsNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("no DNS name"),
            [first] => f.write_str(first),
            [first, rest @ ..] => write!(f, "{first} and {} more", rest.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_exactly_one_label() {
        let wildcard = DnsNames::from_iter(["*.Example.com"]);
        assert!(wildcard.covers("shop.example.com") && wildcard.covers("*.example.com"));
        assert!(!wildcard.covers("example.com") && !wildcard.covers("a.shop.example.com"));
        let exact = DnsNames::from_iter(["shop.example.com"]);
        assert!(exact.covers("shop.example.com"));
        assert!(!exact.covers("*.example.com") && !exact.covers("com"));
    }

    #[test]
    fn shortens_long_lists() {
        let text = |names: &[&str]| DnsNames::from_iter(names).to_string();
        assert_eq!(text(&[]), "no DNS name");
        assert_eq!(text(&["a.test"]), "a.test");
        assert_eq!(text(&["a.test", "b.test", "c.test"]), "a.test and 2 more");
    }
}
