//! Runs `portolan serve --files` with a folder and clients.

mod descriptors;
mod examples;
mod fixture;

use fixture::{Fixture, origin, program};

const HOST: &str = "shop.test";

fn exposed_port() -> String {
    format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: ExposedPort\nmetadata: {{name: shop}}\n\
         spec:\n  service: shop\n  port: 80\n  hostnames: [{HOST}]\n"
    )
}

fn service(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: shop}}\nspec: {{ports: [{{name: http, port: 80}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: shop, labels: {{kubernetes.io/service-name: shop}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
    )
}

fn secret(chain: &str, key: &str) -> String {
    let indented = |pem: &str| {
        pem.lines()
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
    };
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: own}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(chain),
        indented(key)
    )
}

#[test]
fn serves_a_folder_until_sigterm() {
    let mut fixture = Fixture::start(&[
        ("shop.yaml", &exposed_port()),
        ("endpoints.yaml", &service(origin("one"))),
    ]);
    let ready = fixture.wait_for_status("shop", "Ready");
    assert_eq!(ready["location"], "shop.yaml:1");
    assert_eq!(fixture.get(HOST), Some((200, "one".to_owned())));
    assert_eq!(fixture.get("other.test").unwrap().0, 404);
    fixture.write("endpoints.yaml", &service(origin("two")));
    fixture.until("the new endpoint", || {
        fixture.get(HOST).filter(|response| response.1 == "two")
    });
    std::fs::remove_file(fixture.path("shop.yaml")).unwrap();
    fixture.wait_for("the deletion", |line| line["type"] == "deleted");
    assert_eq!(fixture.get(HOST).unwrap().0, 404);
    assert_eq!(fixture.terminate().code(), Some(0));
}

#[test]
fn an_invalid_file_keeps_its_last_valid_state() {
    let fixture = Fixture::start(&[
        ("shop.yaml", &exposed_port()),
        ("endpoints.yaml", &service(origin("one"))),
    ]);
    fixture.wait_for_status("shop", "Ready");
    fixture.write(
        "shop.yaml",
        &exposed_port().replace("service: shop", "servcie: shop"),
    );
    let error = fixture.wait_for("the error", |line| line["type"] == "error");
    assert_eq!(error["file"], "shop.yaml");
    assert_eq!(
        (&error["line"], &error["field"]),
        (&5.into(), &"spec.servcie".into())
    );
    assert_eq!(error["object"], "ExposedPort default/shop");
    assert_eq!(fixture.get(HOST), Some((200, "one".to_owned())));
    fixture.write("endpoints.yaml", &service(origin("two")));
    fixture.until("the new endpoint", || {
        fixture.get(HOST).filter(|response| response.1 == "two")
    });
    fixture.write("shop.yaml", "kind: [");
    fixture.wait_for("the syntax error", |line| {
        line["type"] == "error"
            && line["message"]
                .as_str()
                .unwrap()
                .starts_with("invalid YAML")
    });
    assert_eq!(fixture.get(HOST), Some((200, "two".to_owned())));
    fixture.write("shop.yaml", &exposed_port().replace(HOST, "new.test"));
    fixture.wait_for("the resolution", |line| line["type"] == "resolved");
    fixture.until("the new name", || {
        fixture.get("new.test").filter(|response| response.0 == 200)
    });
    assert_eq!(fixture.get(HOST).unwrap().0, 404);
}

#[test]
fn serves_and_replaces_an_added_certificate() {
    let fixture = Fixture::start(&[
        (
            "shop.yaml",
            &(exposed_port() + "  tls: {secret: {name: own}}\n"),
        ),
        ("endpoints.yaml", &service(origin("one"))),
    ]);
    let pending = fixture.wait_for_status("shop", "Pending");
    assert!(
        pending["status"]["description"]
            .as_str()
            .unwrap()
            .contains("Secret \"own\" not found")
    );
    assert_eq!(
        fixture.get(HOST).unwrap().0,
        503,
        "until there is a certificate"
    );
    let mut last = None;
    for _ in 0..2 {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        fixture.write(
            "secret.yaml",
            &secret(&made.cert.pem(), &made.signing_key.serialize_pem()),
        );
        let response = fixture.until("the certificate", || fixture.get_tls(HOST, made.cert.der()));
        assert_eq!(response, (200, "one".to_owned()));
        last = Some(made);
    }
    fixture.wait_for_status("shop", "Ready");
    assert_eq!(
        fixture.get(HOST).unwrap().0,
        301,
        "plain HTTP is redirected now"
    );
    fixture.write("secret.yaml", &secret("no certificate", "no key"));
    fixture.wait_for_status("shop", "Degraded");
    let response = fixture.get_tls(HOST, last.unwrap().cert.der());
    assert_eq!(
        response,
        Some((200, "one".to_owned())),
        "the last valid one is still served"
    );
}

#[test]
fn fails_with_an_exit_code_if_it_cannot_serve() {
    let run = |arguments: &[&str]| {
        let output = program().arg("serve").args(arguments).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = run(&["--files", "/nowhere/at/all"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--files: watching /nowhere/at/all"), "{text}");
    assert_eq!(run(&[]).0, Some(2));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let (code, text) = run(&[
        "--files",
        folder,
        "--http",
        &at,
        "--https",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&format!("{at} cannot be bound")), "{text}");
    let (code, text) = run(&[
        "--files",
        folder,
        "--http",
        "127.0.0.1:1",
        "--https",
        "127.0.0.2:1",
    ]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--https: 127.0.0.2"), "{text}");
}

#[test]
fn resolves_external_names_and_checks_addresses() {
    let port = origin("named");
    // In /etc/hosts of every machine.
    let external = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: shop}}\n\
         spec: {{type: ExternalName, externalName: localhost, ports: [{{port: {port}}}]}}\n"
    );
    let shop = exposed_port().replace("port: 80", &format!("port: {port}"));
    let files = [("shop.yaml", shop.as_str()), ("external.yaml", &external)];
    let fixture = Fixture::start(&files);
    fixture.until("the name", || {
        fixture.get(HOST).filter(|response| response.1 == "named")
    });
    let strict = Fixture::start_with(&files, &["--denied-cidrs", "127.0.0.0/8,::1"]);
    let rejected = strict.until("the rejection", || {
        strict
            .get(HOST)
            .filter(|response| response.1.contains("is denied"))
    });
    assert_eq!(rejected.0, 503);
}

#[test]
fn unspecified_addresses_serve_both_families() {
    let fixture = Fixture::start_everywhere(&[
        ("shop.yaml", &exposed_port()),
        ("endpoints.yaml", &service(origin("one"))),
    ]);
    fixture.wait_for_status("shop", "Ready");
    let response = Some((200, "one".to_owned()));
    assert_eq!(fixture.get(HOST), response);
    assert_eq!(fixture.get_v6(HOST), response);
}
