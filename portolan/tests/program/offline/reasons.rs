//! Each reason that files can have is told of a file of tests/reasons, and each mistake that Contour
//! names of one of tests/reasons/contour.

use super::{portolan, said};
use portolan_core::Reason;
use portolan_crds::{ExposedPort, manifest};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What no file can bring about, and why; each occurs in the tests of the core, or on the cluster.
const NOT_OF_FILES: &[(Reason, &str)] = &[
    (Reason::Programmed, "no proxy runs"),
    (Reason::Serving, "no proxy runs"),
    (Reason::CertificateNotServed, "no proxy runs"),
    (Reason::ProxiesBehind, "no proxy runs"),
    (Reason::ProxyRefused, "no proxy runs"),
    (
        Reason::NoAddress,
        "it is told only when a proxy takes requests",
    ),
    (Reason::ClassDeleting, "nothing in a file is being deleted"),
    (Reason::LeaseLapsed, "every lease is taken to be renewed"),
    (
        Reason::InUse,
        "it stands in the status of a class, which is not rendered",
    ),
    (Reason::HoldPending, "every hold is there at once"),
    (Reason::Applying, "every child is stored at once"),
    (Reason::ForeignObject, "every child is stored at once"),
    (
        Reason::ApplyFailed,
        "there is no API server to refuse a child",
    ),
    (
        Reason::CertManagerMissing,
        "cert-manager is taken to be there",
    ),
    (Reason::IssuerNotFound, "nobody issues certificates"),
    (Reason::IssuerNotReady, "nobody issues certificates"),
    (Reason::CertificateFailed, "nobody issues certificates"),
    (Reason::ChallengeFailed, "nobody issues certificates"),
    (
        Reason::AnnotationNotSupported,
        "it is told of Ingresses, which have no status",
    ),
    (
        Reason::SeveralDefaults,
        "it stands in the status of a class, which is not rendered",
    ),
    (
        Reason::TooManyRoutes,
        "more than 2048 routes are as long as a book",
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reasons")
}

/// Names without `.yaml`, and what stands in the files.
fn files(folder: &Path) -> Vec<(String, String)> {
    let paths = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    paths
        .filter(|path| path.is_file())
        .map(|path| {
            assert!(path.extension().is_some_and(|it| it == "yaml"), "{path:?}");
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// Reason and message of each condition of each object.
fn told(yaml: &str) -> BTreeSet<(String, String)> {
    let (_, out, err) = said(&portolan(&["render", "-f", "-", "-o", "json"], yaml));
    let rendered: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
    let objects = rendered["exposedPorts"].as_array().unwrap().iter();
    let conditions = objects.flat_map(|it| it["status"]["conditions"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    conditions
        .map(|it| (text(&it["reason"]), text(&it["message"])))
        .collect()
}

#[test]
fn each_reason_that_files_can_have_is_told_of_a_file() {
    let files = files(&folder());
    for (name, yaml) in &files {
        let told = told(yaml);
        assert!(
            told.iter().any(|(reason, _)| reason == name),
            "{name}: {told:#?}"
        );
    }
    let missing: Vec<_> = Reason::all()
        .iter()
        .filter(|reason| !files.iter().any(|(name, _)| name == reason.as_str()))
        .collect();
    let exempt: BTreeSet<_> = NOT_OF_FILES.iter().map(|(reason, _)| reason).collect();
    assert_eq!(missing.into_iter().collect::<BTreeSet<_>>(), exempt);
}

/// What the head of a file says of it.
fn head<'a>(yaml: &'a str, field: &str) -> Option<&'a str> {
    let field = format!("# {field}: ");
    yaml.lines().find_map(|line| line.strip_prefix(&field))
}

/// Without the numbers in lists, which a schema does not know; the API server writes them before its
/// sentence.
fn without_numbers(sentence: &str) -> String {
    let mut parts = sentence.split('[');
    let mut text = parts.next().unwrap().to_owned();
    text.extend(parts.map(|part| part.split_once(']').unwrap().1));
    text
}

/// Every sentence in which the schema of ExposedPorts refuses.
fn sentences_of_the_schema() -> BTreeSet<String> {
    fn collect(schema: &Value, found: &mut BTreeSet<String>) {
        let rules = schema["x-kubernetes-validations"].as_array();
        for rule in rules.into_iter().flatten() {
            // Where there is an expression, this is only what is said when it fails.
            if rule["messageExpression"].is_null() {
                found.insert(rule["message"].as_str().unwrap().to_owned());
            }
        }
        match schema {
            Value::Object(fields) => fields.values().for_each(|it| collect(it, found)),
            Value::Array(items) => items.iter().for_each(|it| collect(it, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    collect(&manifest::definition::<ExposedPort>().unwrap(), &mut found);
    found
}

#[test]
fn each_mistake_that_contour_names_is_told_in_its_sentence_and_the_schema_uses_the_same() {
    let of_schema = sentences_of_the_schema();
    let mut refused = BTreeSet::new();
    let files = files(&folder().join("contour"));
    for (name, yaml) in &files {
        assert!(yaml.starts_with("# Contour: "), "{name}: of what?");
        let reason = head(yaml, "reason").unwrap();
        let sentence = head(yaml, "sentence").unwrap();
        let told = told(yaml);
        let expected = (reason.to_owned(), sentence.to_owned());
        assert!(told.contains(&expected), "{name}: {told:#?}");
        let refuses = of_schema.contains(&without_numbers(sentence));
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
