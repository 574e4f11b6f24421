//! Runs the program: its requests to the API server, its output, and its exit codes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // A test that cannot go on panics.

mod api;

use api::{Api, status};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::process::Command;

const PORTS: &str = "/apis/portolan.dev/v1alpha1/namespaces/team-a/exposedports";
const SECRETS: &str = "/api/v1/namespaces/team-a/secrets";

/// Result of a run.
#[derive(Debug)]
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

fn run(api: &Api, arguments: &[&str]) -> Outcome {
    run_with(api, arguments, &[])
}

fn run_with(api: &Api, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_kubectl-portolan"))
        .args(arguments)
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .env("KUBECONFIG", api.kubeconfig())
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A certificate for a hostname, with its key and fingerprint.
struct Pair {
    secret: Value,
    key: String,
    fingerprint: String,
}

fn pair(host: &str) -> Pair {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let key = BASE64_STANDARD.encode(made.signing_key.serialize_pem());
    let certificate = BASE64_STANDARD.encode(made.cert.pem());
    Pair {
        secret: json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"namespace": "team-a", "name": "x"},
            "data": {"tls.crt": certificate, "tls.key": key},
        }),
        fingerprint: hex::encode(Sha256::digest(made.cert.der())),
        key,
    }
}

fn exposed(name: &str, host: &str, fingerprint: &str) -> Value {
    json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposedPort",
        "metadata": {"namespace": "team-a", "name": name, "generation": 1},
        "spec": {"hostnames": [host]},
        "status": {"observedGeneration": 1, "className": "public", "hostnames": [{
            "name": host, "url": format!("https://{host}"), "ready": true, "certificate": {
                "secretName": "x", "secretNamespace": "team-a", "issuer": "ClusterIssuer/a", "servedFingerprint": fingerprint,
                "notAfter": "2200-01-01T00:00:00Z",
            },
        }]},
    })
}

fn list(items: Value, token: &str) -> (u16, Value) {
    let page = json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposedPortList",
        "metadata": {"resourceVersion": "1", "continue": token}, "items": items,
    });
    (200, page)
}

/// A namespace with one ExposedPort, and this in its Secret.
fn one(fingerprint: &str, secret: (u16, Value)) -> Api {
    let shop = exposed("shop", "shop.example.com", fingerprint);
    Api::responding(move |path| match path.split_once('?') {
        Some((PORTS, _)) => Some(list(json!([shop]), "")),
        None if path == format!("{PORTS}/shop") => Some((200, shop.clone())),
        None if path == format!("{SECRETS}/x") => Some(secret.clone()),
        _ => Some(status(404, "whatever")),
    })
}

#[test]
fn compares_stored_and_served_and_prints_no_key() {
    let pair = pair("shop.example.com");
    let api = one(&pair.fingerprint, (200, pair.secret.clone()));
    let outcome = run(&api, &["certs", "--check"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{outcome:?}");
    let row = outcome.out.lines().nth(1).unwrap();
    let cells: Vec<_> = row.split_whitespace().take(5).collect();
    let expected = [
        "shop",
        "shop.example.com",
        "Ok",
        &pair.fingerprint[..12],
        "same",
    ];
    assert_eq!(cells, expected);
    assert!(
        !outcome.out.contains('\u{1b}'),
        "colours without a terminal"
    );
    for form in ["json", "yaml"] {
        let outcome = run(&api, &["certs", "-o", form]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(outcome.out.contains(&pair.fingerprint) && !outcome.out.contains(&pair.key));
        let report: Value = serde_yaml::from_str(&outcome.out).unwrap();
        assert_eq!(report["hostnames"][0]["state"], "Ok");
        let names = &report["hostnames"][0]["stored"][0]["certificate"]["dnsNames"];
        assert_eq!(names, &json!(["shop.example.com"]));
    }
    let heads = api.requests();
    assert!(
        heads.iter().all(|head| head.starts_with("GET ")),
        "{heads:?}"
    );
    let agent = concat!("user-agent: kubectl-portolan/", env!("CARGO_PKG_VERSION"));
    assert!(heads.iter().all(|head| head.contains(agent)), "{heads:?}");
}

#[test]
fn a_different_certificate_fails_only_a_check() {
    let api = one(&"a".repeat(64), (200, pair("shop.example.com").secret));
    assert_eq!(run(&api, &["certs"]).code, 0);
    let outcome = run(&api, &["certs", "--check"]);
    assert_eq!(outcome.code, 3);
    let expected =
        "Differs: ExposedPort team-a/shop: shop.example.com: proxies present aaaaaaaaaaaa";
    assert!(outcome.err.starts_with(expected), "{}", outcome.err);
}

#[test]
fn without_access_to_secrets_prints_a_note() {
    let api = one(&"a".repeat(64), status(403, "x"));
    let outcome = run(&api, &["certs", "--check"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(
        outcome.err.starts_with("note: Secret team-a/x: forbidden"),
        "{}",
        outcome.err
    );
    assert_eq!(outcome.err.lines().count(), 1);
    let row = outcome.out.lines().nth(1).unwrap();
    let cells: Vec<_> = row.split_whitespace().skip(2).take(4).collect();
    assert_eq!(cells, ["Ok", "-", "aaaaaaaaaaaa", "2200-01-01T00:00:00Z"]);
}

#[test]
fn a_missing_secret_is_a_missing_certificate() {
    let api = one("", status(404, "x"));
    let outcome = run(&api, &["certs", "shop", "--check"]);
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert!(outcome.err.starts_with("Missing: "), "{}", outcome.err);
}

#[test]
fn a_missing_name_fails_and_others_are_shown() {
    let pair = pair("shop.example.com");
    let api = one(&pair.fingerprint, (200, pair.secret));
    let outcome = run(&api, &["certs", "shop", "blog"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.out.contains("shop.example.com"), "{}", outcome.out);
    let expected = "error: exposedports.portolan.dev \"blog\" not found";
    assert!(outcome.err.starts_with(expected), "{}", outcome.err);
}

#[test]
fn lists_are_paged_and_restart_when_expired() {
    let port = |name: &str| exposed(name, &format!("{name}.example.com"), "aa");
    let (one, two) = (port("one"), port("two"));
    let api = Api::responding(move |path| {
        let query = path.split_once('?').map(|(_, query)| query);
        Some(match query {
            Some(query) if query.contains("continue=old") => status(410, ""),
            Some(query) if query.contains("continue=more") => list(json!([two]), "old"),
            Some(query) if query.contains("limit=500") => list(json!([one]), "more"),
            Some(_) => list(json!([one, two]), ""),
            None => status(403, "x"),
        })
    });
    let outcome = run(&api, &["certs", "-A", "-l", "app=shop", "--no-headers"]);
    assert_eq!(
        (outcome.code, outcome.out.lines().count()),
        (0, 2),
        "{outcome:?}"
    );
    assert!(outcome.out.starts_with("team-a "), "{}", outcome.out);
    let lists: Vec<_> = api.requests();
    let lists = lists
        .iter()
        .filter(|head| head.contains("/v1alpha1/exposedports?"));
    assert!(
        lists
            .clone()
            .all(|head| head.contains("labelSelector=app%3Dshop"))
    );
    assert_eq!(lists.count(), 4);
}

#[test]
fn an_invalid_object_does_not_affect_others() {
    let pair = pair("shop.example.com");
    let shop = exposed("shop", "shop.example.com", &pair.fingerprint);
    let broken = json!({"metadata": {"namespace": "team-a", "name": "broken"}});
    let api = Api::responding(move |path| {
        if path.contains("/secrets/") {
            Some((200, pair.secret.clone()))
        } else {
            Some(list(json!([broken, shop]), ""))
        }
    });
    let outcome = run(&api, &["certs", "--no-headers"]);
    assert_eq!(
        (outcome.code, outcome.out.lines().count()),
        (1, 1),
        "{outcome:?}"
    );
    assert!(
        outcome
            .err
            .contains("ExposedPort team-a/broken: unexpected response"),
        "{}",
        outcome.err
    );
}

#[test]
fn the_name_of_a_secret_cannot_change_the_path() {
    let mut shop = exposed("shop", "shop.example.com", "");
    let elsewhere = "../../team-b/secrets/x";
    shop["spec"]["tls"] = json!({"secret": {"name": elsewhere}});
    shop["status"]["hostnames"][0]["certificate"] = json!({"secretName": elsewhere});
    let api = Api::responding(move |_| Some(list(json!([shop]), "")));
    let outcome = run(&api, &["certs", "--check"]);
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert_eq!(api.requests().len(), 1, "{:?}", api.requests());
}

#[test]
fn times_out_if_the_server_does_not_respond() {
    let api = Api::responding(|_| None);
    let outcome = run(&api, &["certs", "--request-timeout", "200ms"]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.err.contains("did not respond within 200ms"),
        "{}",
        outcome.err
    );
}

#[test]
fn an_unresponsive_server_costs_one_timeout() {
    let ports: Vec<_> = (0..40)
        .map(|number| {
            let mut port = exposed(&format!("shop-{number}"), "shop.example.com", "aa");
            let secret = json!(format!("x-{number}"));
            port["status"]["hostnames"][0]["certificate"]["secretName"] = secret;
            port
        })
        .collect();
    let api = Api::responding(move |path| {
        if path.contains("/secrets/") {
            None
        } else {
            Some(list(json!(ports), ""))
        }
    });
    let outcome = run(
        &api,
        &["certs", "--request-timeout", "500ms", "--no-headers"],
    );
    assert_eq!(
        (outcome.code, outcome.out.lines().count()),
        (1, 40),
        "{outcome:?}"
    );
    assert_eq!(outcome.err.lines().count(), 1, "{}", outcome.err);
    let secrets = api
        .requests()
        .iter()
        .filter(|head| head.contains("/secrets/"))
        .count();
    assert!((1..=8).contains(&secrets), "{secrets} requests");
}

#[test]
fn reports_a_cluster_without_portolan() {
    let api = Api::responding(|_| Some((404, json!("404 page not found"))));
    let outcome = run(&api, &["certs"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
    let expected = "error: the server doesn't have a resource type \"exposedports.portolan.dev\"; install the CRDs";
    assert!(outcome.err.starts_with(expected), "{}", outcome.err);
}

#[test]
fn rejects_a_proxy_without_printing_its_password() {
    let api = Api::responding(|_| Some(list(json!([]), "")));
    let proxy = ("HTTPS_PROXY", "http://user:password@proxy.test:3128");
    let outcome = run_with(&api, &["certs"], &[proxy]);
    assert_eq!((outcome.code, api.requests().len()), (1, 0), "{outcome:?}");
    assert!(
        outcome.err.starts_with("error: kubeconfig: proxies "),
        "{}",
        outcome.err
    );
    assert!(!outcome.err.contains("password"), "{}", outcome.err);
}

#[test]
fn no_hostnames_is_no_error() {
    let api = Api::responding(|_| Some(list(json!([]), "")));
    let outcome = run(&api, &["certs"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""));
    assert_eq!(outcome.err, "No hostnames found in namespace team-a\n");
    let outcome = run(&api, &["certs", "-A", "-o", "json"]);
    let report: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(report["hostnames"], json!([]));
}

#[test]
fn usage_errors_exit_2_and_help_names_kubectl() {
    let api = Api::responding(|_| None);
    let outcome = run(&api, &["certs", "shop", "-A"]);
    assert_eq!(outcome.code, 2);
    assert!(
        outcome.err.contains("kubectl portolan certs"),
        "{}",
        outcome.err
    );
    let outcome = run(&api, &["--version"]);
    let version = concat!("kubectl-portolan ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, version));
    let outcome = run(&api, &["completion", "bash"]);
    assert!(outcome.out.contains("kubectl-portolan"), "{}", outcome.out);
    let outcome = run(&api, &["__complete", "certs", "--output", "j"]);
    assert!(
        outcome.out.starts_with("json") && outcome.out.ends_with(":4\n"),
        "{}",
        outcome.out
    );
}
