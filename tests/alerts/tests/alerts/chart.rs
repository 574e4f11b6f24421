//! Output of `helm template` for the chart.

use super::file;
use serde::Deserialize as _;
use serde_json::Value;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// `helm` from the PATH, or as the test cluster built it last.
fn helm() -> OsString {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&on_path).any(|folder| folder.join("helm").is_file()) {
        return "helm".into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.filter(|path| path.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let clusters = cache.unwrap_or_else(home).join("portolan/cluster");
    let built = std::fs::read_dir(&clusters).into_iter().flatten().flatten();
    let programs = built.map(|build| build.path().join("bin/helm"));
    let newest = programs.max_by_key(|program| {
        program
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
    });
    let newest = newest.filter(|program| program.is_file());
    let newest = newest.unwrap_or_else(|| {
        panic!("helm is neither on the PATH nor below {clusters:?}; run `cargo run -p testbed -- build`")
    });
    newest.into_os_string()
}

/// The objects that the chart makes with these values, as `--set` takes them.
pub(crate) fn objects(values: &[&str]) -> Result<Vec<Value>, String> {
    let mut command = Command::new(helm());
    command
        .args(["template", "portolan"])
        .arg(file("charts/portolan"))
        .args(["--namespace", "portolan-system"]);
    for value in values {
        command.args(["--set", value]);
    }
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    let objects = documents.map(|document| Value::deserialize(document).unwrap());
    Ok(objects.filter(|object| !object.is_null()).collect())
}

/// Those of one kind, by the group and version too.
pub(crate) fn of_kind(objects: &[Value], api_version: &str, kind: &str) -> Vec<Value> {
    let wanted = |object: &&Value| object["apiVersion"] == api_version && object["kind"] == kind;
    objects.iter().filter(wanted).cloned().collect()
}

/// The groups of rules in the PrometheusRule.
pub(crate) fn prometheus_rule(values: &[&str]) -> Value {
    let values = [&["alerts.enabled=true"], values].concat();
    let objects = objects(&values).unwrap();
    let found = of_kind(&objects, "monitoring.coreos.com/v1", "PrometheusRule");
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]["spec"].clone()
}

/// The plain rules file in the ConfigMap.
pub(crate) fn config_map(values: &[&str]) -> String {
    let values = [&["alerts.enabled=true", "alerts.kind=ConfigMap"], values].concat();
    let objects = objects(&values).unwrap();
    let found = of_kind(&objects, "v1", "ConfigMap");
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]["data"]["portolan.rules.yaml"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The alerts of a rules file, by name.
pub(crate) fn alerts(rules: &Value) -> Vec<(String, Value)> {
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule.clone()))
        .collect()
}
