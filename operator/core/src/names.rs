//! Names that are valid once they exist.

use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;

/// A DNS host name in lower case, perhaps with a wildcard as its leftmost label (RFC 1123, RFC 4592).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

/// Reason why a text is not a hostname.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostnameError {
    /// A hold is named after the hostname, and names of objects end at 253 characters.
    #[error("{0:?} has more than 240 characters; choose a shorter name")]
    TooLong(String),
    /// RFC 1123 2.1 and RFC 1035 2.3.4.
    #[error(
        "{label:?} of {host:?} is no DNS label; write 1 to 63 letters, digits or inner hyphens"
    )]
    Label {
        /// The whole name.
        host: String,
        /// The label that is wrong.
        label: String,
    },
    /// Certificates and virtual hosts are for names.
    #[error("{0:?} is an IP address; write a DNS name such as shop.example.com")]
    Address(String),
}

impl Hostname {
    /// Folds case and drops a final dot.
    pub fn parse(text: &str) -> Result<Self, HostnameError> {
        let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if host.len() > portolan_crds::HOSTNAME_MAX {
            return Err(HostnameError::TooLong(host));
        }
        // Numbers and dots alone are an address to many clients, even where they are none to us (10.1).
        let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
        if (numeric && !host.is_empty()) || host.contains(':') {
            return Err(HostnameError::Address(host));
        }
        let named = host.strip_prefix("*.").unwrap_or(&host);
        match named.split('.').find(|label| !is_label(label)) {
            Some(label) => Err(HostnameError::Label {
                label: label.to_owned(),
                host,
            }),
            None => Ok(Self(host)),
        }
    }

    /// In lower case, without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the leftmost label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The wildcard that matches this name too: `*.example.com` for `shop.example.com`.
    pub fn wildcard_above(&self) -> Option<Self> {
        if self.is_wildcard() {
            return None;
        }
        let (_, rest) = self.0.split_once('.')?;
        Some(Self(format!("*.{rest}")))
    }

    /// Returns true if a certificate for this name is good for another one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self == other || other.wildcard_above().as_ref() == Some(self)
    }

    /// Returns true if it is a domain, or a name below it; a wildcard is what it stands for.
    pub(crate) fn is_within(&self, domain: &str) -> bool {
        is_within(&self.0, domain)
    }

    /// The name of the HostnameHold: the API server lets only one object have it.
    pub fn hold_name(&self) -> String {
        match self.0.strip_prefix("*.") {
            Some(domain) => format!("w.{domain}"),
            None => format!("h.{}", self.0),
        }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an ExposeClass: a DNS label, because names of resources are made from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassName(String);

impl ClassName {
    /// `None` when the text is no DNS label in lower case; no such class can exist.
    pub fn parse(text: &str) -> Option<Self> {
        is_small_label(text).then(|| Self(text.to_owned()))
    }

    /// The name of the ExposeClass.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Namespace and name of an object; the namespace is empty for a cluster-wide one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// `metadata.namespace`, or empty.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectRef {
    /// An object of a namespace.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// An object outside namespaces.
    pub fn cluster(name: impl Into<String>) -> Self {
        Self::new("", name)
    }

    /// Name in messages to a namespace: without the namespace where it is the same.
    pub(crate) fn display_name(&self, namespace: &str) -> String {
        if self.namespace == namespace {
            self.name.clone()
        } else {
            self.to_string()
        }
    }

    /// Of an object as it came from the cluster.
    pub fn of(object: &impl kube::Resource) -> Self {
        let metadata = object.meta();
        Self::new(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        )
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// The name of an object that is made for another one: at most 63 characters and a DNS label,
/// whatever comes in, and different for what differs in any of the four.
///
/// `base` with hyphens for what may not stand in a label, `x-` before a leading digit, cut to 54 characters, trailing hyphens
/// removed, then a hyphen and 8 hex digits of SHA-256 over namespace, name, kind and hostname.
pub fn child_name(namespace: &str, base: &str, kind: &str, hostname: &str) -> String {
    let mut name = base.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "x-");
    }
    let readable: String = name.chars().take(54).collect();
    let readable = readable.trim_end_matches('-');
    format!(
        "{readable}-{}",
        short_hash(&[namespace, base, kind, hostname])
    )
}

/// 8 hex digits that stand for all the parts; a part cannot run into the next one.
pub(crate) fn short_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(8);
    digits
}

/// Returns true if a name is a domain, or below it.
pub(crate) fn is_within(name: &str, domain: &str) -> bool {
    let above = name.strip_suffix(domain);
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// A DNS label as Kubernetes takes it (RFC 1123): no capitals.
pub(crate) fn is_small_label(label: &str) -> bool {
    is_label(label) && !label.chars().any(|c| c.is_ascii_uppercase())
}

fn is_label(label: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&label.len())
        && label.chars().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    #[test]
    fn ignores_case_and_a_final_dot() {
        assert_eq!(host("Shop.Example.COM."), host("shop.example.com"));
    }

    #[test]
    fn rejects_addresses() {
        for text in ["10.0.0.1", "10.1", "1", "::1", "[::1]"] {
            assert!(
                matches!(Hostname::parse(text), Err(HostnameError::Address(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn accepts_a_wildcard_only_as_the_whole_first_label() {
        assert!(Hostname::parse("*.example.com").is_ok());
        for text in [
            "a.*.com", "*a.com", "*", "*.*.com", "", ".", "a..b", "-a.b", "a_b.c",
        ] {
            assert!(
                matches!(Hostname::parse(text), Err(HostnameError::Label { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn wildcard_above_replaces_exactly_one_label() {
        assert_eq!(host("a.b.c").wildcard_above(), Some(host("*.b.c")));
        assert_eq!(host("*.b.c").wildcard_above(), None);
        assert_eq!(host("localhost").wildcard_above(), None);
    }

    #[test]
    fn holds_of_a_name_and_of_its_wildcard_differ() {
        assert_eq!(host("a.b").hold_name(), "h.a.b");
        assert_eq!(host("*.a.b").hold_name(), "w.a.b");
    }

    #[test]
    fn class_names_are_lower_case_labels() {
        assert!(ClassName::parse("public-2").is_some());
        for text in ["Public", "a.b", "", "-a", &"a".repeat(64)] {
            assert_eq!(ClassName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn child_names_never_change() {
        // They are in clusters: a new rule would replace every child.
        assert_eq!(child_name("team-a", "shop", "Service", ""), "shop-deb55add");
    }

    proptest! {
        #[test]
        fn child_names_are_labels_of_at_most_63_characters(
            namespace in "[a-z0-9-]{1,63}",
            base in "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?|ingress/[a-z0-9]{1,9}/[*][.][a-z]{1,9}",
            host in "[a-z0-9.*-]{0,240}",
        ) {
            let name = child_name(&namespace, &base, "Certificate", &host);
            prop_assert!(is_label(&name), "{name}");
            prop_assert!(!name.starts_with(|c: char| c.is_ascii_digit()), "{name}");
            prop_assert_ne!(&name, &child_name(&namespace, &base, "Ingress", &host));
        }

        #[test]
        fn hold_names_of_parsed_hostnames_are_valid(text in "\\PC{0,260}|[a-zA-Z0-9.*-]{0,250}") {
            if let Ok(host) = Hostname::parse(&text) {
                prop_assert!(host.hold_name().len() <= 253);
                prop_assert!(!host.as_str().chars().any(|c| c.is_ascii_uppercase()));
                prop_assert_eq!(Hostname::parse(host.as_str()), Ok(host));
            }
        }
    }
}
