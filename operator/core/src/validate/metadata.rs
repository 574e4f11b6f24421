//! Validates labels of children and annotations of the Ingress, which are for other programs.

use super::ValidationErrors;
use super::field_error::FieldError;
use super::field_path::FieldPath;
use crate::MANAGED_BY;
use crate::constants::INGRESS_CLASS;
use crate::names::{is_small_label, is_within};
use portolan_crds::{ANNOTATIONS_BYTES_MAX, CHILD_LABELS_MAX, ExposedPortSpec, GROUP, messages};
use std::collections::BTreeMap;

/// Labels and annotations of children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChildMetadata {
    pub(crate) labels: BTreeMap<String, String>,
    /// Those that the class allows are set on the Ingress.
    pub(crate) annotations: BTreeMap<String, String>,
}

pub(super) fn metadata(spec: &ExposedPortSpec, errors: &mut ValidationErrors) -> ChildMetadata {
    let labels = &spec.child_labels;
    let labels_field = FieldPath::spec().child("childLabels");
    errors.check_count(&labels_field, labels.len(), CHILD_LABELS_MAX);
    for (key, value) in labels {
        errors.at(&labels_field.key(key), label(key, value));
    }
    let field = FieldPath::spec().child("annotations");
    let annotations = &spec.annotations;
    if !annotations.is_empty() && !spec.allowed_parents.is_empty() {
        let error = FieldError::forbidden(
            "may not be set together with spec.allowedParents, because only the root has an Ingress; set them in the root",
        );
        errors.push(&field, error);
    }
    let bytes: usize = annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        let error = FieldError::too_long(ANNOTATIONS_BYTES_MAX, "bytes of names and values");
        errors.push(&field, error);
    }
    for key in annotations.keys() {
        errors.at(&field.key(key), annotation(key));
    }
    ChildMetadata {
        labels: labels.clone(),
        annotations: annotations.clone(),
    }
}

/// Returns true if no class may allow an annotation: another program would serve, certify or rewrite the
/// hostname, bypassing its owner.
pub(crate) fn is_never_allowed(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').unwrap_or(("", key));
    prefix.starts_with("external-dns.")
        || is_within(prefix, "cert-manager.io")
        || is_within(prefix, GROUP)
        || key == INGRESS_CLASS
        || name.ends_with("snippet")
        || ["server-alias", "auth-url", "auth-signin"].contains(&name)
}

fn label(key: &str, value: &str) -> Result<(), FieldError> {
    if !is_qualified_name(key) {
        return Err(FieldError::invalid(key, messages::QUALIFIED_NAME));
    }
    if key == MANAGED_BY.0
        || key
            .split_once('/')
            .is_some_and(|(prefix, _)| is_within(prefix, GROUP))
    {
        return Err(FieldError::forbidden(
            "reserved for Portolan and for the manager of the object; remove it",
        ));
    }
    if value.is_empty() || is_name(value) {
        Ok(())
    } else {
        Err(FieldError::invalid(value, messages::LABEL_VALUE))
    }
}

fn annotation(key: &str) -> Result<(), FieldError> {
    match (is_qualified_name(key), is_never_allowed(key)) {
        (false, _) => Err(FieldError::invalid(key, messages::QUALIFIED_NAME)),
        (true, true) => Err(FieldError::forbidden(
            "no class allows it, because another program would serve or certify hostnames; remove it",
        )),
        (true, false) => Ok(()),
    }
}

/// Returns true for the name of a label or an annotation, as the API server accepts it: optionally a DNS name
/// and a slash, then a name.
fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        None => is_name(key),
        Some((prefix, name)) => {
            prefix.len() <= 253 && prefix.split('.').all(is_small_label) && is_name(name)
        }
    }
}

/// Returns true for a name without a prefix, or the value of a label, which may also be empty.
fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(end)
        && name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_names_that_the_api_server_accepts() {
        for good in [
            "a",
            "team.example.com/customer",
            "A_b.c",
            "app.kubernetes.io/part-of",
        ] {
            assert!(is_qualified_name(good), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a/b/c",
            "-a",
            "Team.example.com/a",
            "a b",
            "a..b/c",
        ] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
    }

    #[test]
    fn never_allows_annotations_that_bypass_the_owner() {
        for key in [
            "external-dns.alpha.kubernetes.io/hostname",
            "cert-manager.io/cluster-issuer",
            "acme.cert-manager.io/http01-edit-in-place",
            "nginx.ingress.kubernetes.io/configuration-snippet",
            "nginx.ingress.kubernetes.io/server-alias",
            "nginx.ingress.kubernetes.io/auth-url",
            "kubernetes.io/ingress.class",
            "portolan.dev/owner-uid",
        ] {
            assert!(is_never_allowed(key), "{key}");
        }
        for key in [
            "nginx.ingress.kubernetes.io/proxy-body-size",
            "not-cert-manager.io/x",
            "example.com/team",
        ] {
            assert!(!is_never_allowed(key), "{key}");
        }
    }
}
