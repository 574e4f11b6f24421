//! YAML blocks parse; objects of the API have only fields that the API has.

use super::{assert_none, pages};
use portolan_crds::{ExposeClass, ExposedPort, HostnameHold};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

/// Parses an object of the API, and refuses unknown fields.
fn strict<T: DeserializeOwned>(object: &Value) -> Result<(), String> {
    let mut unknown = None;
    let read: Result<T, _> = serde_ignored::deserialize(object.clone(), |path| {
        let path = path.to_string();
        // The types add them when they are written.
        if !["apiVersion", "kind"].contains(&path.as_str()) {
            unknown.get_or_insert(path);
        }
    });
    match (read, unknown) {
        (_, Some(field)) => Err(format!("{field}: unknown field")),
        (read, None) => read.map(drop).map_err(|error| error.to_string()),
    }
}

/// Checks one document: an object, or a part of a configuration file.
fn check(document: &Value) -> Result<(), String> {
    let text = |key: &str| document[key].as_str().unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("portolan.dev/v1alpha1", "ExposedPort") => strict::<ExposedPort>(document),
        ("portolan.dev/v1alpha1", "ExposeClass") => strict::<ExposeClass>(document),
        ("portolan.dev/v1alpha1", "HostnameHold") => strict::<HostnameHold>(document),
        ("", "") => Ok(()),
        ("", kind) => Err(format!("{kind} without apiVersion")),
        (version, kind) if version.starts_with("portolan.dev/") => {
            Err(format!("{version} has no {kind}"))
        }
        _ if document["metadata"]["name"].is_string() => Ok(()),
        (_, kind) => Err(format!("{kind} without a name")),
    }
}

/// Parses all documents of a block, and returns how many of them are objects of the API.
fn check_block(content: &str) -> Result<usize, String> {
    let mut ours = 0;
    for document in serde_yaml::Deserializer::from_str(content) {
        let document = Value::deserialize(document).map_err(|error| error.to_string())?;
        check(&document)?;
        let version = document["apiVersion"].as_str();
        ours += usize::from(version.is_some_and(|version| version.starts_with("portolan.dev/")));
    }
    Ok(ours)
}

#[test]
fn every_yaml_block_is_valid() {
    let mut objects = 0;
    let mut findings = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            if block.language != "yaml" {
                continue;
            }
            match check_block(&block.content) {
                Ok(count) => objects += count,
                Err(error) => findings.push(format!("{}:{}: {error}", page.path, block.line)),
            }
        }
    }
    assert!(objects > 40, "only {objects} objects");
    assert_none(&findings);
}

#[test]
fn rejects_unknown_fields_and_wrong_types() {
    let object = |spec| {
        format!(
            "apiVersion: portolan.dev/v1alpha1\nkind: ExposedPort\nmetadata: {{name: a}}\nspec: {spec}"
        )
    };
    let spec = "{hostnames: [a.test], service: a, port: 80}";
    assert_eq!(check_block(&object(spec)), Ok(1));
    for (spec, expected) in [
        ("{hostname: a.test}", "spec.hostname: unknown field"),
        ("{hostnames: a.test}", "invalid type"),
    ] {
        let error = check_block(&object(spec)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(check_block("a: [").is_err());
    assert!(check_block("kind: ExposedPort").is_err());
}
