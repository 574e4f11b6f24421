//! Who may delegate to an object.

use super::field_error::FieldError;
use super::{Reference, ValidationError, ValidationErrors};
use crate::names::ObjectRef;
use portolan_crds as crd;
use portolan_crds::{ExposedPortSpec, PARENTS_MAX, ParentRef};

/// Who may delegate to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parents(Vec<ParentRef>);

impl Parents {
    /// Whether an object may delegate to this one.
    pub(crate) fn allow(&self, object: &ObjectRef) -> bool {
        self.0.iter().any(|parent| {
            let named = parent.name.as_ref().is_none_or(|name| *name == object.name);
            named && parent.namespace == object.namespace
        })
    }
}

/// `None` for an object with hostnames of its own. Hostnames, TLS and class are the root's, so a child
/// that has them says two things at once.
pub(super) fn parents(spec: &ExposedPortSpec, problems: &mut ValidationErrors) -> Option<Parents> {
    let parents = &spec.allowed_parents;
    if parents.is_empty() {
        return None;
    }
    problems.within("spec.allowedParents", parents.len(), PARENTS_MAX);
    if !spec.hostnames.is_empty() || spec.tls.is_some() || spec.class_name.is_some() {
        problems.tell(ValidationError::ChildAndRoot);
    }
    Some(Parents(parents.clone()))
}

/// The object that a route is left to.
pub(super) fn delegate(
    at: &str,
    said: &crd::Route,
    to: &crd::DelegateRef,
    problems: &mut ValidationErrors,
) -> Reference {
    let pathless = said.matches.as_ref().is_none_or(|it| it.path.is_none());
    let prefix = said
        .matches
        .as_ref()
        .and_then(|it| it.path.as_ref()?.prefix.as_ref());
    if !pathless && prefix.is_none() {
        let told: Result<(), _> = Err(FieldError::DelegatesNoPrefix);
        problems.at(&format!("{at}.match.path"), told);
    }
    if said.policy != crd::Policy::default() {
        let told: Result<(), _> = Err(FieldError::PolicyOfDelegation);
        problems.at(at, told);
    }
    Reference::new(to.namespace.as_ref(), &to.name)
}
