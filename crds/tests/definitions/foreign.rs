//! Our few fields of other projects' types exist in their own definitions, with the same types.
//!
//! The definitions are those that the test cluster installs; `testbed build` fetches them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use portolan_crds::IssuerRef;
use portolan_crds::certmanager::{
    Certificate, CertificateCondition, CertificateSpec, CertificateStatus, Challenge,
    ChallengeSpec, ChallengeStatus, IssuerStatus, PrivateKey, SecretTemplate,
};
use portolan_crds::gateway::{ReferenceGrantFrom, ReferenceGrantSpec, ReferenceGrantTo};
use serde::Deserialize as _;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Folder in which `testbed build` keeps its builds.
fn build_cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.filter(|path| path.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    cache.unwrap_or_else(home).join("portolan/cluster")
}

/// Newest copy of a file of definitions among these builds, as the test cluster installs it.
fn definitions(builds: &Path, file: &str) -> Result<PathBuf, String> {
    let folders = std::fs::read_dir(builds).into_iter().flatten().flatten();
    let files = folders.map(|build| build.path().join("crds").join(file));
    let files = files.filter(|file| file.is_file());
    let newest = files.max_by_key(|file| file.metadata().and_then(|file| file.modified()).ok());
    newest.ok_or_else(|| {
        format!(
            "{file} not found in any build below {}; run `testbed build` (`cargo run -p testbed -- build`)",
            builds.display()
        )
    })
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
                assert!(property.is_object(), "{path}.{name} is unknown there");
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
        Value::Bool(_) => assert_eq!(kind, "boolean", "{path}"),
        other => panic!("{path}: {other}"),
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(
            allowed.contains(value),
            "{path}: {value} is none of {allowed:?}"
        );
    }
}

/// The schema of one version of a kind.
fn schema(file: &str, definition: &str, version: &str) -> Value {
    let file = definitions(&build_cache(), file).unwrap_or_else(|error| panic!("{error}"));
    let text = std::fs::read_to_string(file).unwrap();
    let definition = serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .find(|it| it["metadata"]["name"] == definition)
        .unwrap();
    let versions = definition["spec"]["versions"].as_array().unwrap();
    let version = versions.iter().find(|it| it["name"] == version).unwrap();
    version["schema"]["openAPIV3Schema"].clone()
}

#[test]
fn missing_definitions_fail_and_name_the_command() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let unfinished = folder.join("unfinished-builds");
    std::fs::create_dir_all(unfinished.join("build/crds")).unwrap();
    for builds in [folder.join("no-builds"), unfinished] {
        let missing = definitions(&builds, "cert-manager.yaml").unwrap_err();
        assert!(missing.contains("cert-manager.yaml not found"), "{missing}");
        assert!(missing.contains("run `testbed build`"), "{missing}");
    }
}

#[test]
fn our_fields_of_a_certificate_are_those_of_cert_manager() {
    let schema = schema("cert-manager.yaml", "certificates.cert-manager.io", "v1");
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

#[test]
fn our_fields_of_issuers_are_those_of_cert_manager() {
    let status = IssuerStatus {
        conditions: full().status.unwrap().conditions,
    };
    let status = serde_json::to_value(status).unwrap();
    for definition in ["issuers.cert-manager.io", "clusterissuers.cert-manager.io"] {
        let schema = schema("cert-manager.yaml", definition, "v1");
        fits("status", &status, &schema["properties"]["status"]);
    }
}

#[test]
fn our_fields_of_a_challenge_are_those_of_cert_manager() {
    let definition = "challenges.acme.cert-manager.io";
    let schema = schema("cert-manager.yaml", definition, "v1");
    let spec = ChallengeSpec {
        dns_name: "shop.example.com".into(),
        wildcard: false,
        type_: "HTTP-01".into(),
    };
    let mut challenge = Challenge::new("shop", spec);
    for state in ["pending", "invalid", "errored", "expired"] {
        challenge.status = Some(ChallengeStatus {
            state: state.into(),
            reason: "the server was not content".into(),
        });
        let challenge = serde_json::to_value(&challenge).unwrap();
        for part in ["spec", "status"] {
            fits(part, &challenge[part], &schema["properties"][part]);
        }
    }
}

#[test]
fn our_fields_of_a_reference_grant_are_those_of_the_gateway_api() {
    let grant = ReferenceGrantSpec {
        from: vec![ReferenceGrantFrom {
            group: "portolan.dev".into(),
            kind: "ExposedPort".into(),
            namespace: "team-a".into(),
        }],
        to: vec![ReferenceGrantTo {
            group: String::new(),
            kind: "Service".into(),
            name: Some("blog".into()),
        }],
    };
    let grant = serde_json::to_value(grant).unwrap();
    for version in ["v1", "v1beta1"] {
        let definition = "referencegrants.gateway.networking.k8s.io";
        let schema = schema("gateway-api.yaml", definition, version);
        fits("spec", &grant, &schema["properties"]["spec"]);
    }
}
