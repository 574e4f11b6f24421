//! Settings for every hostname of a class.

use crate::index::Index;
use crate::index::store::served_certificates::Slot;
use crate::names::ClassName;
use hkdf::Hkdf;
use jiff::Timestamp;
use portolan_discovery::table::{ClassSettings, TicketSeed};
use sha2::Sha256;
use std::fmt;

/// For how long new tickets are made from one seed, in seconds.
const EPOCH: i64 = 12 * 60 * 60;

/// From which the seeds of every class are derived: a secret that every replica of the operator
/// has, so that they agree without a word.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey(pub [u8; 32]);

impl fmt::Debug for TicketKey {
    /// Never shows the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

impl TicketKey {
    /// From a secret of high entropy that is used for something else; neither reveals the other.
    pub fn derive(secret: &[u8]) -> Self {
        let mut key = [0; 32];
        // The length is that of one digest, so this cannot fail (RFC 5869 2.3).
        let _ = Hkdf::<Sha256>::new(None, secret).expand(b"portolan ticket key", &mut key);
        Self(key)
    }

    /// Of this epoch, and of the one before, whose tickets are still out there.
    fn seeds(&self, class: &ClassName, now: Timestamp) -> Vec<TicketSeed> {
        let epoch = epoch(now);
        [epoch, epoch - 1]
            .into_iter()
            .filter_map(|epoch| {
                let mut seed = [0; 32];
                let epoch = epoch.to_be_bytes();
                let info = [
                    b"portolan tickets ".as_slice(),
                    class.as_str().as_bytes(),
                    b" ",
                    &epoch,
                ];
                // Fails only beyond 255 times the length of a digest (RFC 5869 2.3).
                let derived =
                    Hkdf::<Sha256>::new(None, &self.0).expand_multi_info(&info, &mut seed);
                derived.ok().map(|()| TicketSeed(seed))
            })
            .collect()
    }
}

/// Which seed is the current one.
pub(crate) fn epoch(now: Timestamp) -> i64 {
    now.as_second().div_euclid(EPOCH)
}

impl Index {
    /// `None` when there is no such class.
    pub(super) fn class_settings(&self, class: &ClassName) -> Option<ClassSettings> {
        let facts = self.classes.get(class)?;
        let mut certificates = self.serving.certificates(&Slot::of_class(class));
        let key = self.ticket_key.as_ref();
        Some(ClassSettings {
            default_certificate: certificates.next().map(|(name, _)| name.name),
            ticket_seeds: key
                .map(|key| key.seeds(class, self.serving.now))
                .unwrap_or_default(),
            denied_cidrs: facts.denied_cidrs(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(key: u8, class: &str, second: i64) -> Vec<TicketSeed> {
        let now = Timestamp::from_second(second).unwrap();
        TicketKey([key; 32]).seeds(&ClassName::parse(class).unwrap(), now)
    }

    #[test]
    fn seed_lives_for_two_epochs_and_is_unique() {
        let first = seeds(1, "public", 100 * EPOCH);
        assert_eq!(seeds(1, "public", 101 * EPOCH - 1), first);
        let next = seeds(1, "public", 101 * EPOCH);
        assert_eq!(next[1], first[0], "what was current is still accepted");
        assert_ne!(next[0], first[0]);
        assert_ne!(seeds(1, "private", 100 * EPOCH), first);
        assert_ne!(seeds(2, "public", 100 * EPOCH), first);
    }
}
