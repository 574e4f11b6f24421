//! Validates delegation: allowed parents, and delegated routes.

use super::field_error::FieldError;
use super::field_path::FieldPath;
use super::{Reference, ValidationErrors};
use crate::names::ObjectRef;
use portolan_crds as crd;
use portolan_crds::{ExposedPortSpec, PARENTS_MAX, ParentRef, messages};

/// Objects that may delegate to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parents(Vec<ParentRef>);

impl Parents {
    /// Returns true if an object may delegate to this one.
    pub(crate) fn allow(&self, object: &ObjectRef) -> bool {
        self.0.iter().any(|parent| {
            let named = parent.name.as_ref().is_none_or(|name| *name == object.name);
            named && parent.namespace == object.namespace
        })
    }
}

/// Returns the allowed parents; `None` for an object with hostnames of its own. Hostnames, TLS and class are
/// set in the root, so a child may not set them.
pub(super) fn parents(spec: &ExposedPortSpec, errors: &mut ValidationErrors) -> Option<Parents> {
    let parents = &spec.allowed_parents;
    if parents.is_empty() {
        return None;
    }
    let field = FieldPath::spec().child("allowedParents");
    errors.check_count(&field, parents.len(), PARENTS_MAX);
    if !spec.hostnames.is_empty() || spec.tls.is_some() || spec.class_name.is_some() {
        errors.push(&field, FieldError::forbidden(messages::PARENTS_WITH_ROOT));
    }
    Some(Parents(parents.clone()))
}

/// Validates a delegated route, and returns the object that it is delegated to.
pub(super) fn delegate(
    field: &FieldPath,
    spec: &crd::Route,
    to: &crd::DelegateRef,
    errors: &mut ValidationErrors,
) -> Reference {
    let pathless = spec
        .matches
        .as_ref()
        .is_none_or(|matches| matches.path.is_none());
    let prefix = spec
        .matches
        .as_ref()
        .and_then(|matches| matches.path.as_ref()?.prefix.as_ref());
    if !pathless && prefix.is_none() {
        errors.push(
            &field.child("match").child("path"),
            FieldError::invalid_whole(messages::DELEGATED_PATH),
        );
    }
    if spec.policy != crd::Policy::default() {
        errors.push(
            &field.child("delegate"),
            FieldError::forbidden(messages::DELEGATED_POLICY),
        );
    }
    Reference::new(to.namespace.as_ref(), &to.name)
}
