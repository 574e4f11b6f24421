//! ACME challenges by hostname: the status of a hostname whose certificate is not issued reports the newest.

use crate::event::{Affected, Change};
use crate::index::Index;
use crate::index::store::truncate;
use crate::names::{Hostname, ObjectRef};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_crds::certmanager::Challenge;
use std::collections::{BTreeSet, HashMap};

/// Challenges by the namespace that they are in, and the hostname that they are for.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    of: HashMap<(String, Hostname), HashMap<ObjectRef, ChallengeState>>,
    hosts: HashMap<ObjectRef, Hostname>,
}

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChallengeState {
    created: Timestamp,
    /// How the server looks: `HTTP-01`, say.
    pub(crate) kind: String,
    /// The server has checked, and failed the challenge.
    pub(crate) failed: bool,
    /// Reason to wait, or the message of the server.
    pub(crate) detail: String,
}

impl Challenges {
    /// Applies a change; returns the hostnames whose challenges differ.
    fn apply(&mut self, change: Change<Challenge>) -> BTreeSet<(String, Hostname)> {
        let name = change.reference();
        let mut concerned = BTreeSet::new();
        let before = self.hosts.remove(&name).and_then(|host| {
            let key = (name.namespace.clone(), host);
            let states = self.of.get_mut(&key)?;
            let state = states.remove(&name)?;
            if states.is_empty() {
                self.of.remove(&key);
            }
            Some((key, state))
        });
        let now = match change {
            Change::Applied(challenge) => {
                read(&challenge).map(|(host, state)| ((name.namespace.clone(), host), state))
            }
            Change::Deleted(_) => None,
        };
        if before != now {
            concerned.extend(before.map(|(key, _)| key));
            concerned.extend(now.as_ref().map(|(key, _)| key.clone()));
        }
        if let Some((key, state)) = now {
            self.hosts.insert(name.clone(), key.1.clone());
            self.of.entry(key).or_default().insert(name, state);
        }
        concerned
    }

    /// The newest challenge for a hostname.
    pub(crate) fn newest(&self, namespace: &str, host: &Hostname) -> Option<&ChallengeState> {
        let states = self.of.get(&(namespace.to_owned(), host.clone()))?;
        let newest = states
            .iter()
            .max_by_key(|(name, state)| (state.created, *name));
        newest.map(|(_, state)| state)
    }
}

/// `None` where the name is none that could be exposed.
fn read(challenge: &Challenge) -> Option<(Hostname, ChallengeState)> {
    let spec = &challenge.spec;
    let host = if spec.wildcard {
        Hostname::parse(&format!("*.{}", spec.dns_name))
    } else {
        Hostname::parse(&spec.dns_name)
    };
    let status = challenge.status.clone().unwrap_or_default();
    let created = challenge.metadata.creation_timestamp.as_ref();
    let failed = ["invalid", "errored", "expired"].contains(&status.state.as_str());
    Some((
        host.ok()?,
        ChallengeState {
            created: created.map(|Time(at)| *at).unwrap_or_default(),
            kind: spec.type_.clone(),
            failed,
            detail: truncate::truncate(&status.reason),
        },
    ))
}

impl Index {
    pub(in crate::index) fn apply_challenge(
        &mut self,
        change: Change<Challenge>,
        affected: &mut Affected,
    ) {
        for (namespace, host) in self.challenges.apply(change) {
            let claimants = self.hostnames.claimants(&host);
            let concerned = claimants.filter(|(object, _)| object.namespace() == namespace);
            affected
                .objects
                .extend(concerned.map(|(object, _)| object.clone()));
        }
    }
}
