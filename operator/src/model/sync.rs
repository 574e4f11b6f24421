//! Whether every input has been listed once.
//!
//! The Secrets that objects name are inputs too, and known only when the objects are: without them a
//! restart would offer the proxies hosts without certificates, and they would drop what they have.

use crate::watch::Source;
use portolan_core::ObjectRef;
use std::collections::BTreeSet;

/// What is still missing. Complete once, it stays so.
#[derive(Debug)]
pub(super) struct Sync {
    missing: BTreeSet<Source>,
    secrets: BTreeSet<ObjectRef>,
    complete: bool,
}

impl Sync {
    pub(super) fn new(sources: BTreeSet<Source>) -> Self {
        Self {
            missing: sources,
            secrets: BTreeSet::new(),
            complete: false,
        }
    }

    pub(super) fn listed(&mut self, source: Source) {
        if self.complete {
            return;
        }
        self.missing.remove(&source);
        if let Source::Secret(secret) = source {
            self.secrets.insert(secret);
        }
    }

    /// Whether everything is listed, given the Secrets that are named now.
    pub(super) fn is_complete(&mut self, named: &BTreeSet<ObjectRef>) -> bool {
        if !self.complete && self.missing.is_empty() && named.is_subset(&self.secrets) {
            self.complete = true;
            self.secrets.clear();
        }
        self.complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_are_named_count_and_what_comes_later_does_not() {
        let mut sync = Sync::new([Source::Kind("a"), Source::Kind("b")].into());
        let secret = ObjectRef::new("n", "s");
        let named = BTreeSet::from([secret.clone()]);
        sync.listed(Source::Kind("a"));
        assert!(!sync.is_complete(&BTreeSet::new()));
        sync.listed(Source::Kind("b"));
        assert!(!sync.is_complete(&named));
        sync.listed(Source::Secret(secret));
        assert!(sync.is_complete(&named));
        let more = BTreeSet::from([ObjectRef::new("n", "another")]);
        assert!(sync.is_complete(&more), "once complete, it stays so");
    }
}
