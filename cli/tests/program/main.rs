//! The program as it is run: what it asks an API server, what it prints where, and its exit codes.

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

/// What came of a run.
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

/// A certificate for a hostname, its key, and its fingerprint.
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
                "secretName": "x", "issuer": "ClusterIssuer/a", "servedFingerprint": fingerprint,
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
    Api::answering(move |path| match path.split_once('?') {
        Some((PORTS, _)) => Some(list(json!([shop]), "")),
        None if path == format!("{PORTS}/shop") => Some((200, shop.clone())),
        None if path == format!("{SECRETS}/x") => Some(secret.clone()),
        _ => Some(status(404, "whatever")),
    })
}

#[test]
fn what_is_stored_is_compared_with_what_is_served_and_no_key_is_printed() {
    let pair = pair("shop.example.com");
    let api = one(&pair.fingerprint, (200, pair.secret.clone()));
    let told = run(&api, &["certs", "--check"]);
    assert_eq!((told.code, told.err.as_str()), (0, ""), "{told:?}");
    let row = told.out.lines().nth(1).unwrap();
    let cells: Vec<_> = row.split_whitespace().take(5).collect();
    let expected = [
        "shop",
        "shop.example.com",
        "Ok",
        &pair.fingerprint[..12],
        "same",
    ];
    assert_eq!(cells, expected);
    assert!(!told.out.contains('\u{1b}'), "colours without a terminal");
    for form in ["json", "yaml"] {
        let told = run(&api, &["certs", "-o", form]);
        assert_eq!(told.code, 0, "{told:?}");
        assert!(told.out.contains(&pair.fingerprint) && !told.out.contains(&pair.key));
        let report: Value = serde_yaml::from_str(&told.out).unwrap();
        assert_eq!(report["hostnames"][0]["state"], "Ok");
        let names = &report["hostnames"][0]["stored"][0]["certificate"]["dnsNames"];
        assert_eq!(names, &json!(["shop.example.com"]));
    }
    let heads = api.asked();
    assert!(
        heads.iter().all(|head| head.starts_with("GET ")),
        "{heads:?}"
    );
    let agent = concat!("user-agent: kubectl-portolan/", env!("CARGO_PKG_VERSION"));
    assert!(heads.iter().all(|head| head.contains(agent)), "{heads:?}");
}

#[test]
fn another_one_fails_a_check_and_only_a_check() {
    let api = one(&"a".repeat(64), (200, pair("shop.example.com").secret));
    assert_eq!(run(&api, &["certs"]).code, 0);
    let told = run(&api, &["certs", "--check"]);
    assert_eq!(told.code, 3);
    let sentence =
        "Differs: ExposedPort team-a/shop: shop.example.com: proxies present aaaaaaaaaaaa";
    assert!(told.err.starts_with(sentence), "{}", told.err);
}

#[test]
fn who_may_not_read_secrets_gets_a_note_and_all_the_rest() {
    let api = one(&"a".repeat(64), status(403, "x"));
    let told = run(&api, &["certs", "--check"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.err
            .starts_with("note: Secret team-a/x: may not be read"),
        "{}",
        told.err
    );
    assert_eq!(told.err.lines().count(), 1);
    let row = told.out.lines().nth(1).unwrap();
    let cells: Vec<_> = row.split_whitespace().skip(2).take(4).collect();
    assert_eq!(cells, ["Ok", "-", "aaaaaaaaaaaa", "2200-01-01T00:00:00Z"]);
}

#[test]
fn a_secret_that_is_not_there_is_a_missing_certificate() {
    let api = one("", status(404, "x"));
    let told = run(&api, &["certs", "shop", "--check"]);
    assert_eq!(told.code, 3, "{told:?}");
    assert!(told.err.starts_with("Missing: "), "{}", told.err);
}

#[test]
fn what_is_named_and_not_there_fails_beside_what_is_shown() {
    let pair = pair("shop.example.com");
    let api = one(&pair.fingerprint, (200, pair.secret));
    let told = run(&api, &["certs", "shop", "blog"]);
    assert_eq!(told.code, 1);
    assert!(told.out.contains("shop.example.com"), "{}", told.out);
    let sentence = "error: ExposedPort team-a/blog: metadata.name: there is none";
    assert!(told.err.starts_with(sentence), "{}", told.err);
}

#[test]
fn long_lists_come_in_pages_and_one_that_grew_old_at_once() {
    let port = |name: &str| exposed(name, &format!("{name}.example.com"), "aa");
    let (one, two) = (port("one"), port("two"));
    let api = Api::answering(move |path| {
        let query = path.split_once('?').map(|(_, query)| query);
        Some(match query {
            Some(query) if query.contains("continue=old") => status(410, ""),
            Some(query) if query.contains("continue=more") => list(json!([two]), "old"),
            Some(query) if query.contains("limit=500") => list(json!([one]), "more"),
            Some(_) => list(json!([one, two]), ""),
            None => status(403, "x"),
        })
    });
    let told = run(&api, &["certs", "-A", "-l", "app=shop", "--no-headers"]);
    assert_eq!((told.code, told.out.lines().count()), (0, 2), "{told:?}");
    assert!(told.out.starts_with("team-a "), "{}", told.out);
    let lists: Vec<_> = api.asked();
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
fn an_object_that_cannot_be_read_costs_only_itself() {
    let pair = pair("shop.example.com");
    let shop = exposed("shop", "shop.example.com", &pair.fingerprint);
    let broken = json!({"metadata": {"namespace": "team-a", "name": "broken"}});
    let api = Api::answering(move |path| match path.contains("/secrets/") {
        true => Some((200, pair.secret.clone())),
        false => Some(list(json!([broken, shop]), "")),
    });
    let told = run(&api, &["certs", "--no-headers"]);
    assert_eq!((told.code, told.out.lines().count()), (1, 1), "{told:?}");
    assert!(
        told.err
            .contains("ExposedPort team-a/broken: cannot be read"),
        "{}",
        told.err
    );
}

#[test]
fn a_secrets_name_leads_nowhere_else() {
    let mut shop = exposed("shop", "shop.example.com", "");
    let elsewhere = "../../team-b/secrets/x";
    shop["spec"]["tls"] = json!({"secret": {"name": elsewhere}});
    shop["status"]["hostnames"][0]["certificate"] = json!({"secretName": elsewhere});
    let api = Api::answering(move |_| Some(list(json!([shop]), "")));
    let told = run(&api, &["certs", "--check"]);
    assert_eq!(told.code, 3, "{told:?}");
    assert_eq!(api.asked().len(), 1, "{:?}", api.asked());
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let api = Api::answering(|_| None);
    let told = run(&api, &["certs", "--request-timeout", "200ms"]);
    assert_eq!(told.code, 1);
    assert!(
        told.err.contains("did not answer within 200ms"),
        "{}",
        told.err
    );
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for_once_for_each_secret() {
    let ports: Vec<_> = (0..40)
        .map(|number| {
            let mut port = exposed(&format!("shop-{number}"), "shop.example.com", "aa");
            let secret = json!(format!("x-{number}"));
            port["status"]["hostnames"][0]["certificate"]["secretName"] = secret;
            port
        })
        .collect();
    let api = Api::answering(move |path| match path.contains("/secrets/") {
        true => None,
        false => Some(list(json!(ports), "")),
    });
    let told = run(
        &api,
        &["certs", "--request-timeout", "500ms", "--no-headers"],
    );
    assert_eq!((told.code, told.out.lines().count()), (1, 40), "{told:?}");
    assert_eq!(told.err.lines().count(), 1, "{}", told.err);
    let secrets = api
        .asked()
        .iter()
        .filter(|it| it.contains("/secrets/"))
        .count();
    assert!((1..=8).contains(&secrets), "{secrets} requests");
}

#[test]
fn a_cluster_without_portolan_is_told_as_such() {
    let api = Api::answering(|_| Some((404, json!("404 page not found"))));
    let told = run(&api, &["certs"]);
    assert_eq!((told.code, told.out.as_str()), (1, ""));
    let sentence =
        "error: ExposedPorts of namespace team-a: apiVersion: the cluster does not know this kind";
    assert!(told.err.starts_with(sentence), "{}", told.err);
}

#[test]
fn a_way_through_a_proxy_is_refused_without_telling_its_password() {
    let api = Api::answering(|_| Some(list(json!([]), "")));
    let proxy = ("HTTPS_PROXY", "http://somebody:password@proxy.test:3128");
    let told = run_with(&api, &["certs"], &[proxy]);
    assert_eq!((told.code, api.asked().len()), (1, 0), "{told:?}");
    assert!(
        told.err.starts_with("error: kubeconfig: proxy-url: "),
        "{}",
        told.err
    );
    assert!(!told.err.contains("password"), "{}", told.err);
}

#[test]
fn nothing_is_found_without_failing() {
    let api = Api::answering(|_| Some(list(json!([]), "")));
    let told = run(&api, &["certs"]);
    assert_eq!((told.code, told.out.as_str()), (0, ""));
    assert_eq!(told.err, "No hostnames found in namespace team-a\n");
    let told = run(&api, &["certs", "-A", "-o", "json"]);
    let report: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(report["hostnames"], json!([]));
}

#[test]
fn wrong_usage_is_2_and_help_says_how_kubectl_is_asked() {
    let api = Api::answering(|_| None);
    let told = run(&api, &["certs", "shop", "-A"]);
    assert_eq!(told.code, 2);
    assert!(told.err.contains("kubectl portolan certs"), "{}", told.err);
    let told = run(&api, &["--version"]);
    let version = concat!("kubectl-portolan ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((told.code, told.out.as_str()), (0, version));
    let told = run(&api, &["completion", "bash"]);
    assert!(told.out.contains("kubectl-portolan"), "{}", told.out);
    let told = run(&api, &["__complete", "certs", "--output", "j"]);
    assert!(
        told.out.starts_with("json") && told.out.ends_with(":4\n"),
        "{}",
        told.out
    );
}
