//! What objects mean together: a synchronous state machine.

use crate::{
    Affected, Child, ClassName, Event, HoldAction, Hostname, ObjectRef, Observed, ProxySettings,
};
use jiff::Timestamp;
use portolan_crds::{ExposeClassStatus, ExposedPortStatus};
use portolan_discovery::table::{Origin, Resource, ResourceName};
use std::collections::BTreeSet;

/// Everything that is known, and what follows from it.
#[derive(Debug)]
pub struct Index {
    namespace: String,
    secrets: BTreeSet<ObjectRef>,
}

impl Index {
    /// Knows nothing yet; `namespace` is that of the release, where the proxies live.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            secrets: BTreeSet::new(),
        }
    }

    /// Takes in what was seen, and says what has to be looked at again.
    pub fn apply(&mut self, _event: Event) -> Affected {
        Affected::default()
    }

    /// What the proxies of a class are told under a name; `None` when there is no such resource (any more).
    pub fn resource(
        &self,
        _class: &ClassName,
        _name: &ResourceName,
    ) -> Option<(Resource, Vec<Origin>)> {
        None
    }

    /// The objects that should exist for an ExposedPort, in the order in which they are made; none for one that is gone.
    pub fn children(&self, _object: &ObjectRef) -> Vec<Child> {
        Vec::new()
    }

    /// The objects that should exist for a class; none for one that is gone.
    pub fn class_children(&self, _class: &ClassName, _settings: &ProxySettings) -> Vec<Child> {
        let _ = &self.namespace;
        Vec::new()
    }

    /// What has to be done so that the right namespace holds a hostname, if anything.
    pub fn hold_action(&self, _hostname: &Hostname) -> Option<HoldAction> {
        None
    }

    /// The Secrets that ExposedPorts name; each is to be watched by its name.
    pub fn referenced_secrets(&self) -> &BTreeSet<ObjectRef> {
        &self.secrets
    }

    /// The resources that must be acknowledged before the object is ready.
    pub fn resources_of(&self, _object: &ObjectRef) -> Vec<(ClassName, ResourceName)> {
        Vec::new()
    }

    /// The resources that every proxy of a class must acknowledge before the class is ready.
    pub fn resources_of_class(&self, _class: &ClassName) -> Vec<ResourceName> {
        Vec::new()
    }

    /// The class of an ExposedPort, when it has one.
    pub fn class_of(&self, _object: &ObjectRef) -> Option<&ClassName> {
        None
    }

    /// The status of an ExposedPort; `None` when it is gone. Equal input gives an equal status, and times
    /// are kept where nothing changed, so it need only be written when it differs from what is stored.
    pub fn status(
        &self,
        _object: &ObjectRef,
        _seen: &Observed,
        _now: Timestamp,
    ) -> Option<ExposedPortStatus> {
        None
    }

    /// The status of a class; `None` when it is gone.
    pub fn class_status(
        &self,
        _class: &ClassName,
        _seen: &Observed,
        _now: Timestamp,
    ) -> Option<ExposeClassStatus> {
        None
    }

    /// When the status must be judged again without any event, because a certificate expires.
    pub fn judge_again_at(
        &self,
        _object: &ObjectRef,
        _seen: &Observed,
        _now: Timestamp,
    ) -> Option<Timestamp> {
        None
    }
}
