//! What is written on children for other programs: labels on all of them, annotations on the Ingress.

use super::ValidationErrors;
use super::field_error::FieldError;
use crate::MANAGED_BY;
use crate::constants::INGRESS_CLASS;
use crate::names::{is_small_label, is_within};
use portolan_crds::{ANNOTATIONS_BYTES_MAX, CHILD_LABELS_MAX, ExposedPortSpec, GROUP};
use std::collections::BTreeMap;

/// What is written on children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChildMetadata {
    pub(crate) labels: BTreeMap<String, String>,
    /// Those that the class allows reach the Ingress.
    pub(crate) annotations: BTreeMap<String, String>,
}

pub(super) fn decoration(spec: &ExposedPortSpec, problems: &mut ValidationErrors) -> ChildMetadata {
    let labels = &spec.child_labels;
    problems.within("spec.childLabels", labels.len(), CHILD_LABELS_MAX);
    for (key, value) in labels {
        let at = format!("spec.childLabels[{key}]");
        problems.at(&at, label(key, value));
    }
    let annotations = &spec.annotations;
    if !annotations.is_empty() && !spec.allowed_parents.is_empty() {
        problems.at::<()>("spec.annotations", Err(FieldError::NoIngress));
    }
    let bytes = annotations
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        problems.at::<()>(
            "spec.annotations",
            Err(FieldError::AnnotationsTooLong(bytes)),
        );
    }
    for key in annotations.keys() {
        let at = format!("spec.annotations[{key}]");
        problems.at(&at, annotation(key));
    }
    ChildMetadata {
        labels: labels.clone(),
        annotations: annotations.clone(),
    }
}

/// Whether no class may allow an annotation: it would have another program serve, certify or rewrite
/// what Portolan answers for, past whoever holds the hostname.
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
        return Err(FieldError::QualifiedName("label"));
    }
    if key == MANAGED_BY.0
        || key
            .split_once('/')
            .is_some_and(|(it, _)| is_within(it, GROUP))
    {
        return Err(FieldError::LabelReserved);
    }
    match value.is_empty() || is_name(value) {
        true => Ok(()),
        false => Err(FieldError::LabelValue(value.to_owned())),
    }
}

fn annotation(key: &str) -> Result<(), FieldError> {
    match (is_qualified_name(key), is_never_allowed(key)) {
        (false, _) => Err(FieldError::QualifiedName("annotation")),
        (true, true) => Err(FieldError::AnnotationReserved),
        (true, false) => Ok(()),
    }
}

/// The name of a label or an annotation, as the API server takes it: perhaps a DNS name and a slash, then
/// a name.
fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        None => is_name(key),
        Some((prefix, name)) => {
            prefix.len() <= 253 && prefix.split('.').all(is_small_label) && is_name(name)
        }
    }
}

/// Also the value of a label, which may be empty besides.
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
    fn names_are_those_that_the_api_server_takes() {
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
    fn what_would_serve_past_the_holder_is_never_allowed() {
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
