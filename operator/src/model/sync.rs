//! Whether every input has been listed once.
//!
//! The Secrets that objects name are inputs too, and known only when the objects are: without them a
//! restart would offer the proxies hosts without certificates, and they would drop what they have. So are
//! pods, where a class asks for them: without them a restart would offer endpoints that the class forbids.

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

    /// Whether everything is listed, given the Secrets that are named now, and whether pods are needed
    /// that are not known.
    pub(super) fn is_complete(&mut self, named: &BTreeSet<ObjectRef>, lacks_pods: bool) -> bool {
        let listed = self.missing.is_empty() && named.is_subset(&self.secrets);
        if !self.complete && listed && !lacks_pods {
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
        assert!(!sync.is_complete(&BTreeSet::new(), false));
        sync.listed(Source::Kind("b"));
        assert!(!sync.is_complete(&named, false));
        sync.listed(Source::Secret(secret));
        assert!(!sync.is_complete(&named, true), "a class asks for pods");
        assert!(sync.is_complete(&named, false));
        let more = BTreeSet::from([ObjectRef::new("n", "another")]);
        assert!(sync.is_complete(&more, true), "once complete, it stays so");
    }
}
