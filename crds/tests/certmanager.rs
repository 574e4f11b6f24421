//! Our few fields of a Certificate exist in cert-manager's own definition, with the same types.
//!
//! The definition comes from the Go module that the test cluster pins. Where that module is not
//! on the machine there is nothing to compare with, and the test says so.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test that cannot go on panics.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use portolan_crds::IssuerRef;
use portolan_crds::certmanager::{
    Certificate, CertificateCondition, CertificateSpec, CertificateStatus, PrivateKey,
    SecretTemplate,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file in Go's module cache. `go list -m` names the folder only when the whole module was
/// verified; the version is enough to find it.
fn own_definition() -> Option<PathBuf> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cluster/modules/crds");
    let ask = |arguments: &[&str]| {
        let output = Command::new("go")
            .args(arguments)
            .current_dir(&modules)
            .envs([("GOPROXY", "off"), ("GOFLAGS", "-mod=readonly")])
            .output()
            .ok()?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    let module = "github.com/cert-manager/cert-manager";
    let version = ask(&["list", "-m", "-f", "{{.Version}}", module])?;
    let file = Path::new(&ask(&["env", "GOMODCACHE"])?)
        .join(format!("{module}@{version}"))
        .join("deploy/crds/cert-manager.io_certificates.yaml");
    file.is_file().then_some(file)
}

fn full() -> Certificate {
    let now = Time(Timestamp::UNIX_EPOCH);
    let mut certificate = Certificate::new(
        "shop",
        CertificateSpec {
            dns_names: vec!["shop.example.com".into()],
            secret_name: "shop".into(),
            secret_template: Some(SecretTemplate {
                labels: [("a".to_owned(), "b".to_owned())].into(),
            }),
            issuer_ref: IssuerRef {
                name: "ca".into(),
                kind: "ClusterIssuer".into(),
                group: "cert-manager.io".into(),
            },
            private_key: Some(PrivateKey {
                algorithm: "ECDSA".into(),
                size: 256,
                rotation_policy: "Always".into(),
            }),
            usages: vec!["digital signature".into(), "server auth".into()],
        },
    );
    certificate.status = Some(CertificateStatus {
        conditions: vec![CertificateCondition {
            type_: "Ready".into(),
            status: "True".into(),
            reason: "Ready".into(),
            message: "up to date".into(),
        }],
        not_after: Some(now.clone()),
        renewal_time: Some(now),
        failed_issuance_attempts: Some(1),
    });
    certificate
}

/// Every field of `value` exists in `schema`, with a type and, where there is one, an enum that takes it.
fn fits(path: &str, value: &Value, schema: &Value) {
    let kind = schema["type"].as_str().unwrap_or_default();
    match value {
        Value::Object(fields) => {
            assert_eq!(kind, "object", "{path}");
            for (name, field) in fields {
                let property = match &schema["properties"][name] {
                    Value::Null => &schema["additionalProperties"],
                    property => property,
                };
                assert!(
                    property.is_object(),
                    "{path}.{name} is unknown to cert-manager"
                );
                fits(&format!("{path}.{name}"), field, property);
            }
        }
        Value::Array(items) => {
            assert_eq!(kind, "array", "{path}");
            items
                .iter()
                .for_each(|item| fits(&format!("{path}[]"), item, &schema["items"]));
        }
        Value::String(_) => assert_eq!(kind, "string", "{path}"),
        Value::Number(_) => assert_eq!(kind, "integer", "{path}"),
        other => panic!("{path}: {other}"),
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(
            allowed.contains(value),
            "{path}: {value} is none of {allowed:?}"
        );
    }
}

#[test]
fn our_fields_of_a_certificate_are_those_of_cert_manager() {
    let Some(file) = own_definition() else {
        eprintln!(
            "skipped: the Go module github.com/cert-manager/cert-manager is not on this machine"
        );
        return;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let definition: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(definition["spec"]["group"], "cert-manager.io");
    let version = definition["spec"]["versions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|version| version["name"] == "v1")
        .unwrap();
    let schema = &version["schema"]["openAPIV3Schema"];
    let certificate = serde_json::to_value(full()).unwrap();
    for part in ["spec", "status"] {
        fits(part, &certificate[part], &schema["properties"][part]);
    }
    for required in schema["properties"]["spec"]["required"].as_array().unwrap() {
        let name = required.as_str().unwrap();
        assert!(
            !certificate["spec"][name].is_null(),
            "cert-manager requires {name}"
        );
    }
}
