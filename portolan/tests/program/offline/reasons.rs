//! Every reason that files can cause has a file in tests/reasons, and every error that Contour documents
//! one in tests/reasons/contour.

use super::{portolan, result};
use portolan_core::Reason;
use portolan_crds::{ExposedPort, manifest};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Reasons that no file can cause; each is covered by tests of the core, or on the cluster.
const NOT_FROM_FILES: &[(Reason, &str)] = &[
    (Reason::Programmed, "no proxy runs"),
    (Reason::Serving, "no proxy runs"),
    (Reason::CertificateNotServed, "no proxy runs"),
    (Reason::ProxiesBehind, "no proxy runs"),
    (Reason::ProxyRefused, "no proxy runs"),
    (Reason::NoAddress, "reported only if a proxy is ready"),
    (Reason::ClassDeleting, "nothing in a file is being deleted"),
    (Reason::LeaseLapsed, "every lease counts as renewed"),
    (
        Reason::InUse,
        "reported in the status of a class, which is not rendered",
    ),
    (Reason::HoldPending, "hostnames are reserved at once"),
    (Reason::Applying, "every child counts as applied"),
    (Reason::ForeignObject, "every child counts as applied"),
    (
        Reason::ApplyFailed,
        "there is no API server to reject a child",
    ),
    (
        Reason::CertManagerMissing,
        "cert-manager is assumed to be installed",
    ),
    (Reason::IssuerNotFound, "no certificates are issued"),
    (Reason::IssuerNotReady, "no certificates are issued"),
    (Reason::CertificateFailed, "no certificates are issued"),
    (Reason::ChallengeFailed, "no certificates are issued"),
    (
        Reason::AnnotationNotSupported,
        "reported for Ingresses, which have no status",
    ),
    (
        Reason::SeveralDefaults,
        "reported in the status of a class, which is not rendered",
    ),
    (Reason::TooManyRoutes, "needs more than 2048 routes"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reasons")
}

/// Names without `.yaml`, and contents of the files.
fn files(folder: &Path) -> Vec<(String, String)> {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.is_file())
        .map(|path| {
            assert!(
                path.extension()
                    .is_some_and(|extension| extension == "yaml"),
                "{path:?}"
            );
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// Reason and message of each condition of each object.
fn conditions(yaml: &str) -> BTreeSet<(String, String)> {
    let (_, out, err) = result(&portolan(&["render", "-f", "-", "-o", "json"], yaml));
    let rendered: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
    let objects = rendered["exposedPorts"].as_array().unwrap().iter();
    let all = objects.flat_map(|object| object["status"]["conditions"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|condition| (text(&condition["reason"]), text(&condition["message"])))
        .collect()
}

#[test]
fn every_reason_from_files_has_a_file() {
    let files = files(&folder());
    for (name, yaml) in &files {
        let found = conditions(yaml);
        assert!(
            found.iter().any(|(reason, _)| reason == name),
            "{name}: {found:#?}"
        );
    }
    let missing: Vec<_> = Reason::all()
        .iter()
        .filter(|reason| !files.iter().any(|(name, _)| name == reason.as_str()))
        .collect();
    let exempt: BTreeSet<_> = NOT_FROM_FILES.iter().map(|(reason, _)| reason).collect();
    assert_eq!(missing.into_iter().collect::<BTreeSet<_>>(), exempt);
}

/// Value of a comment in the head of a file.
fn head<'a>(yaml: &'a str, field: &str) -> Option<&'a str> {
    let field = format!("# {field}: ");
    yaml.lines().find_map(|line| line.strip_prefix(&field))
}

/// Returns what follows the field, the cause and the value, which the API server writes itself.
fn detail(sentence: &str) -> &str {
    let parts: Vec<_> = sentence.splitn(4, ": ").collect();
    match parts[..] {
        [_, "Invalid value", _, detail] => detail,
        [_, _, detail] => detail,
        _ => sentence,
    }
}

/// Messages of the rules in the schema of ExposedPorts.
fn schema_messages() -> BTreeSet<String> {
    fn collect(schema: &Value, found: &mut BTreeSet<String>) {
        let rules = schema["x-kubernetes-validations"].as_array();
        for rule in rules.into_iter().flatten() {
            // With a messageExpression, the message is only its fallback.
            if rule["messageExpression"].is_null() {
                found.insert(rule["message"].as_str().unwrap().to_owned());
            }
        }
        match schema {
            Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    collect(&manifest::definition::<ExposedPort>().unwrap(), &mut found);
    found
}

#[test]
fn contours_errors_have_the_same_message_in_schema() {
    let of_schema = schema_messages();
    let mut refused = BTreeSet::new();
    let files = files(&folder().join("contour"));
    for (name, yaml) in &files {
        assert!(yaml.starts_with("# Contour: "), "{name}: no comment");
        let reason = head(yaml, "reason").unwrap();
        let sentence = head(yaml, "sentence").unwrap();
        let found = conditions(yaml);
        let expected = (reason.to_owned(), sentence.to_owned());
        assert!(found.contains(&expected), "{name}: {found:#?}");
        let refuses = of_schema.contains(detail(sentence));
        assert_eq!(
            refuses,
            head(yaml, "refused").is_some(),
            "{name}: {of_schema:#?}"
        );
        if refuses {
            refused.insert(name.as_str());
        }
    }
    assert_eq!(files.len(), 8);
    let of_one_object = [
        "bad-port",
        "delegate-and-backends",
        "negative-weight",
        "root-without-hostname",
    ];
    assert_eq!(refused, of_one_object.into());
}
