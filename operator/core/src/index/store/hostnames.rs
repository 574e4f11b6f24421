//! Who gets a hostname: claims of objects, holds of namespaces, wildcards above names.
//!
//! In order: the incumbent (its hold); then the oldest claim, the name deciding between equals. A
//! namespace holds a hostname; inside it the oldest object of each class serves. A narrower name under a
//! wildcard that another namespace holds, or will get first, is refused.

use crate::child::HoldAction;
use crate::event::Change;
use crate::names::{ClassName, Hostname};
use crate::subject::Subject;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_crds::HostnameHold;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Claim on a hostname; the oldest comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) created: Timestamp,
    pub(crate) object: Subject,
}

/// Which namespace holds a hostname.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hold {
    namespace: String,
    since: Timestamp,
    uid: String,
    resource_version: String,
}

/// Claims and holds of every hostname.
#[derive(Debug, Default)]
pub(crate) struct Hostnames {
    claims: HashMap<Hostname, BTreeMap<Claim, ClassName>>,
    holds: HashMap<Hostname, Hold>,
    /// Below each wildcard: the names that are claimed and that it matches too.
    narrower: HashMap<Hostname, HashSet<Hostname>>,
}

/// How an object stands for one of its hostnames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its namespace holds the name.
    Held { since: Timestamp },
    /// Its namespace will hold the name; the hold is not there yet.
    HoldPending,
    /// Another namespace holds it, or will first.
    HeldBy { namespace: String },
    /// Another namespace holds the wildcard above, or will first.
    HeldByWildcard {
        wildcard: Hostname,
        namespace: String,
    },
}

impl Hostnames {
    pub(crate) fn claim(&mut self, host: &Hostname, claim: Claim, class: ClassName) {
        self.claims
            .entry(host.clone())
            .or_default()
            .insert(claim, class);
        if let Some(wildcard) = host.wildcard_above() {
            self.narrower
                .entry(wildcard)
                .or_default()
                .insert(host.clone());
        }
    }

    pub(crate) fn withdraw(&mut self, host: &Hostname, claim: &Claim) {
        let Some(claims) = self.claims.get_mut(host) else {
            return;
        };
        claims.remove(claim);
        if !claims.is_empty() {
            return;
        }
        self.claims.remove(host);
        let Some(wildcard) = host.wildcard_above() else {
            return;
        };
        let Some(names) = self.narrower.get_mut(&wildcard) else {
            return;
        };
        names.remove(host);
        if names.is_empty() {
            self.narrower.remove(&wildcard);
        }
    }

    /// The hostname that a hold is for.
    ///
    /// A hold whose name does not fit its hostname guards nothing: the API server would let another one be made.
    pub(crate) fn concerned(change: &Change<HostnameHold>) -> Vec<Hostname> {
        let hold = change.reference();
        let host = match hold.name.split_once('.') {
            Some(("h", host)) => Hostname::parse(host),
            Some(("w", domain)) => Hostname::parse(&format!("*.{domain}")),
            _ => return Vec::new(),
        };
        let fits = |host: &Hostname| match change {
            Change::Applied(hold) => hold.spec.hostname == host.as_str(),
            Change::Deleted(_) => true,
        };
        host.ok().into_iter().filter(fits).collect()
    }

    /// Returns true if anything differs now.
    pub(crate) fn apply_hold(&mut self, change: Change<HostnameHold>) -> bool {
        let Some(host) = Self::concerned(&change).pop() else {
            return false;
        };
        match change {
            Change::Deleted(_) => self.holds.remove(&host).is_some(),
            Change::Applied(hold) => {
                let Time(since) = hold.spec.since;
                let metadata = hold.metadata;
                let hold = Hold {
                    namespace: hold.spec.namespace,
                    since,
                    uid: metadata.uid.unwrap_or_default(),
                    resource_version: metadata.resource_version.unwrap_or_default(),
                };
                self.holds.insert(host, hold.clone()) != Some(hold)
            }
        }
    }

    /// The namespace that holds a hostname.
    pub(crate) fn namespace_of(&self, host: &Hostname) -> Option<&str> {
        self.holds.get(host).map(|hold| hold.namespace.as_str())
    }

    /// Every claim on the hostname.
    pub(crate) fn claimants(
        &self,
        host: &Hostname,
    ) -> impl Iterator<Item = (&Subject, &ClassName)> {
        let claims = self.claims.get(host).into_iter().flatten();
        claims.map(|(claim, class)| (&claim.object, class))
    }

    /// The classes on whose proxies the hostname is claimed.
    pub(crate) fn classes(&self, host: &Hostname) -> BTreeSet<&ClassName> {
        self.claimants(host).map(|(_, class)| class).collect()
    }

    /// Returns true if how others stand depends on this claim.
    pub(crate) fn is_primary(&self, claim: &Claim, class: &ClassName, host: &Hostname) -> bool {
        match self.holds.get(host) {
            Some(_) => self.holders(class, host).next() == Some(&claim.object),
            None => {
                // For those below a wildcard that is not held, the very first claim counts.
                let first = self
                    .claims
                    .get(host)
                    .and_then(|claims| claims.keys().next());
                first == Some(claim) || self.first_in_line(host) == Some(claim)
            }
        }
    }

    /// The hostnames whose outcome may depend on this one: itself, and the names below a wildcard.
    pub(crate) fn depending<'a>(
        &'a self,
        host: &'a Hostname,
    ) -> impl Iterator<Item = &'a Hostname> {
        std::iter::once(host).chain(self.narrower.get(host).into_iter().flatten())
    }

    /// The objects of the namespace that holds a hostname which want it on the proxies of a class,
    /// the oldest first.
    pub(crate) fn holders<'a>(
        &'a self,
        class: &'a ClassName,
        host: &Hostname,
    ) -> impl Iterator<Item = &'a Subject> + use<'a> {
        let held = self.holds.get(host).zip(self.claims.get(host));
        held.into_iter().flat_map(move |(hold, claims)| {
            let ours = claims.iter().filter(move |(claim, of)| {
                claim.object.namespace() == hold.namespace && *of == class
            });
            ours.map(|(claim, _)| &claim.object)
        })
    }

    pub(crate) fn standing(&self, claim: &Claim, host: &Hostname) -> Standing {
        let own = claim.object.namespace();
        match self.holds.get(host) {
            Some(hold) if hold.namespace == own => return Standing::Held { since: hold.since },
            Some(hold) => {
                return Standing::HeldBy {
                    namespace: hold.namespace.clone(),
                };
            }
            None => {}
        }
        if let Some((wildcard, namespace)) = self.blocked(host, claim) {
            return Standing::HeldByWildcard {
                wildcard,
                namespace: namespace.to_owned(),
            };
        }
        match self.first_in_line(host) {
            Some(first) if first.object.namespace() != own => Standing::HeldBy {
                namespace: first.object.namespace().to_owned(),
            },
            _ => Standing::HoldPending,
        }
    }

    pub(crate) fn hold_action(&self, host: &Hostname) -> Option<HoldAction> {
        let Some(hold) = self.holds.get(host) else {
            return Some(HoldAction::Create {
                hostname: host.clone(),
                namespace: self.first_in_line(host)?.object.namespace().to_owned(),
            });
        };
        let in_use = self
            .claimants(host)
            .any(|(object, _)| object.namespace() == hold.namespace);
        (!in_use).then(|| HoldAction::Delete {
            name: host.hold_name(),
            uid: hold.uid.clone(),
            resource_version: hold.resource_version.clone(),
        })
    }

    /// The first claim on a name that is not held, passing over those that a wildcard shuts out.
    fn first_in_line(&self, host: &Hostname) -> Option<&Claim> {
        let mut claims = self.claims.get(host)?.keys();
        claims.find(|claim| self.blocked(host, claim).is_none())
    }

    /// The wildcard above, and who has it or comes first for it, when that shuts out a claim on a name that is not held.
    fn blocked(&self, host: &Hostname, claim: &Claim) -> Option<(Hostname, &str)> {
        let wildcard = host.wildcard_above()?;
        let namespace = match self.holds.get(&wildcard) {
            Some(hold) => hold.namespace.as_str(),
            None => {
                let (first, _) = self.claims.get(&wildcard)?.first_key_value()?;
                (first < claim).then_some(first.object.namespace())?
            }
        };
        (namespace != claim.object.namespace()).then_some((wildcard, namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ObjectRef;

    fn host(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    fn class(name: &str) -> ClassName {
        ClassName::parse(name).unwrap()
    }

    fn claim(created: i64, namespace: &str, name: &str) -> Claim {
        Claim {
            created: Timestamp::from_second(created).unwrap(),
            object: Subject::exposed_port(namespace, name),
        }
    }

    fn hold(names: &mut Hostnames, hostname: &str, namespace: &str) {
        let spec = serde_json::json!({
            "hostname": hostname, "namespace": namespace, "since": "2026-01-01T00:00:00Z"});
        let mut hold = HostnameHold::new(
            &host(hostname).hold_name(),
            serde_json::from_value(spec).unwrap(),
        );
        hold.metadata.uid = Some("u".into());
        assert!(names.apply_hold(Change::Applied(Box::new(hold))));
    }

    #[test]
    fn oldest_claim_gets_the_hold() {
        let mut names = Hostnames::default();
        let (old, young) = (claim(1, "b", "x"), claim(2, "a", "x"));
        for claim in [&old, &young] {
            names.claim(&host("s.e"), claim.clone(), class("public"));
        }
        let create = HoldAction::Create {
            hostname: host("s.e"),
            namespace: "b".into(),
        };
        assert_eq!(names.hold_action(&host("s.e")), Some(create));
        assert_eq!(names.standing(&old, &host("s.e")), Standing::HoldPending);
        let held = Standing::HeldBy {
            namespace: "b".into(),
        };
        assert_eq!(names.standing(&young, &host("s.e")), held);
        assert_eq!(
            names.holders(&class("public"), &host("s.e")).next(),
            None,
            "no hold, no serving"
        );
    }

    #[test]
    fn hold_beats_age_until_it_is_released() {
        let mut names = Hostnames::default();
        let (old, young) = (claim(1, "a", "x"), claim(2, "b", "x"));
        hold(&mut names, "s.e", "b");
        for claim in [&old, &young] {
            names.claim(&host("s.e"), claim.clone(), class("public"));
        }
        assert_eq!(
            names.holders(&class("public"), &host("s.e")).next(),
            Some(&young.object)
        );
        assert_eq!(names.hold_action(&host("s.e")), None);
        names.withdraw(&host("s.e"), &young);
        let action = names.hold_action(&host("s.e"));
        assert!(matches!(action, Some(HoldAction::Delete { name, .. }) if name == "h.s.e"));
        names.apply_hold(Change::Deleted(ObjectRef::cluster("h.s.e")));
        let create = HoldAction::Create {
            hostname: host("s.e"),
            namespace: "a".into(),
        };
        assert_eq!(names.hold_action(&host("s.e")), Some(create));
    }

    #[test]
    fn all_objects_of_the_namespace_serve_oldest_first() {
        let mut names = Hostnames::default();
        hold(&mut names, "s.e", "a");
        let (old, young, inside) = (claim(1, "a", "x"), claim(2, "a", "y"), claim(3, "a", "z"));
        let foreign = claim(0, "b", "x");
        for claim in [&young, &old, &foreign] {
            names.claim(&host("s.e"), claim.clone(), class("public"));
        }
        names.claim(&host("s.e"), inside.clone(), class("private"));
        let holders = |name| {
            names
                .holders(&class(name), &host("s.e"))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(holders("public"), [old.object, young.object.clone()]);
        assert_eq!(holders("private"), [inside.object]);
        let standing = names.standing(&young, &host("s.e"));
        assert!(matches!(standing, Standing::Held { .. }), "{standing:?}");
    }

    #[test]
    fn foreign_wildcard_blocks_new_narrower_names_only() {
        let mut names = Hostnames::default();
        hold(&mut names, "*.e.x", "a");
        let (wild, narrow) = (claim(5, "a", "w"), claim(1, "b", "n"));
        names.claim(&host("*.e.x"), wild, class("public"));
        names.claim(&host("s.e.x"), narrow.clone(), class("public"));
        let refused = Standing::HeldByWildcard {
            wildcard: host("*.e.x"),
            namespace: "a".into(),
        };
        assert_eq!(names.standing(&narrow, &host("s.e.x")), refused);
        assert_eq!(names.hold_action(&host("s.e.x")), None);
        // The wildcard's own namespace may have it.
        names.claim(&host("s.e.x"), claim(9, "a", "n"), class("public"));
        let create = HoldAction::Create {
            hostname: host("s.e.x"),
            namespace: "a".into(),
        };
        assert_eq!(names.hold_action(&host("s.e.x")), Some(create));
        hold(&mut names, "s.e.x", "b");
        assert_eq!(
            names.holders(&class("public"), &host("s.e.x")).next(),
            Some(&narrow.object)
        );
    }

    #[test]
    fn older_of_wildcard_and_narrower_name_comes_first() {
        let mut names = Hostnames::default();
        let (wild, narrow) = (claim(1, "a", "w"), claim(2, "b", "n"));
        names.claim(&host("s.e.x"), narrow.clone(), class("public"));
        assert!(names.hold_action(&host("s.e.x")).is_some());
        names.claim(&host("*.e.x"), wild.clone(), class("public"));
        assert_eq!(names.hold_action(&host("s.e.x")), None);
        let depending: Vec<_> = names.depending(&wild_name()).cloned().collect();
        assert_eq!(depending, [wild_name(), host("s.e.x")]);
        names.withdraw(&wild_name(), &wild);
        names.withdraw(&host("s.e.x"), &narrow);
        assert!(
            names.claims.is_empty() && names.narrower.is_empty(),
            "nothing is left behind"
        );
    }

    fn wild_name() -> Hostname {
        host("*.e.x")
    }

    #[test]
    fn ignores_holds_under_the_wrong_name() {
        let mut names = Hostnames::default();
        let spec = serde_json::json!({
            "hostname": "s.e", "namespace": "a", "since": "2026-01-01T00:00:00Z"});
        let hold = HostnameHold::new("h.other", serde_json::from_value(spec).unwrap());
        assert!(!names.apply_hold(Change::Applied(Box::new(hold))));
        assert!(names.holds.is_empty());
    }
}
