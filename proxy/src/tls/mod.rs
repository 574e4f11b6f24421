//! TLS: termination for clients, and what is required of endpoints.
//!
//! Everything here is made by the control thread from the table and shared by all workers. What
//! changes often (certificates, ticket seeds) sits in slots that a handshake looks into, so that
//! a renewal recompiles no host; what decides who gets in (versions, client authorities) is fixed
//! when it is made, and a change of it makes a new one.

pub(crate) mod certificate;
pub(crate) mod termination;
pub(crate) mod ticket;
pub(crate) mod trust;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::{Arc, LazyLock};

/// The cryptography of every connection: aws-lc with the suites, groups and signature schemes
/// that rustls calls safe.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    &PROVIDER
}

/// By this protocol (RFC 7301) the data plane knows its own handshakes, which it does not count.
/// No other client knows it: it is made at start, and only the own listener gets to see it.
pub(crate) static OWN: LazyLock<Vec<u8>> =
    LazyLock::new(|| format!("portolan-probe-{:032x}", fastrand::u128(..)).into_bytes());

/// Returns whether a client that offers this protocol is the probe.
pub(crate) fn is_own(protocol: &[u8]) -> bool {
    protocol == *OWN
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page lists exactly the suites and groups in use.
    #[test]
    fn the_page_names_every_suite_and_group() {
        let page = include_str!("../../../docs/guides/tls.md");
        let mut suites = 0;
        for suite in &provider().cipher_suites {
            let name = format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
            let listed = match name.split_once("_WITH_") {
                Some((kind, cipher)) => {
                    page.contains(&format!("{kind}_WITH_")) && page.contains(&format!("`{cipher}`"))
                }
                None => page.contains(&format!("`{name}`")),
            };
            assert!(listed, "{name}");
            suites += 1;
        }
        assert_eq!(suites, 3 + 2 * 3);
        let groups = provider().kx_groups.iter().map(|group| group.name());
        let groups: Vec<_> = groups.map(|name| format!("{name:?}")).collect();
        assert_eq!(
            groups,
            ["X25519", "secp256r1", "secp384r1", "X25519MLKEM768"]
        );
    }
}
