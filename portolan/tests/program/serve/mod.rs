//! `portolan serve --files` as a person runs it: the program, a folder, and clients.

mod descriptors;
mod examples;
mod stand;

use stand::{Stand, origin, program};

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
fn a_folder_is_served_and_followed_until_term() {
    let mut stand = Stand::start(&[
        ("shop.yaml", &exposed_port()),
        ("endpoints.yaml", &service(origin("one"))),
    ]);
    let ready = stand.told_status("shop", "Ready");
    assert_eq!(ready["place"], "shop.yaml:1");
    assert_eq!(stand.get(HOST), Some((200, "one".to_owned())));
    assert_eq!(stand.get("other.test").unwrap().0, 404);
    stand.write("endpoints.yaml", &service(origin("two")));
    stand.until("the new endpoint", || {
        stand.get(HOST).filter(|answer| answer.1 == "two")
    });
    std::fs::remove_file(stand.path("shop.yaml")).unwrap();
    stand.told("that it is gone", |line| line["type"] == "gone");
    assert_eq!(stand.get(HOST).unwrap().0, 404);
    assert_eq!(stand.terminate().code(), Some(0));
}

#[test]
fn a_broken_file_keeps_its_last_good_state_and_nothing_else_is_affected() {
    let stand = Stand::start(&[
        ("shop.yaml", &exposed_port()),
        ("endpoints.yaml", &service(origin("one"))),
    ]);
    stand.told_status("shop", "Ready");
    stand.write(
        "shop.yaml",
        &exposed_port().replace("service: shop", "servcie: shop"),
    );
    let trouble = stand.told("what is wrong", |line| line["type"] == "trouble");
    assert_eq!(trouble["file"], "shop.yaml");
    assert_eq!(
        (&trouble["line"], &trouble["field"]),
        (&5.into(), &"spec.servcie".into())
    );
    assert_eq!(trouble["object"], "ExposedPort default/shop");
    assert_eq!(stand.get(HOST), Some((200, "one".to_owned())));
    stand.write("endpoints.yaml", &service(origin("two")));
    stand.until("the new endpoint", || {
        stand.get(HOST).filter(|answer| answer.1 == "two")
    });
    stand.write("shop.yaml", "kind: [");
    stand.told("that it is no YAML", |line| {
        line["type"] == "trouble"
            && line["problem"]
                .as_str()
                .unwrap()
                .starts_with("this is no YAML")
    });
    assert_eq!(stand.get(HOST), Some((200, "two".to_owned())));
    stand.write("shop.yaml", &exposed_port().replace(HOST, "new.test"));
    stand.told("that it is put right", |line| line["type"] == "solved");
    stand.until("the new name", || {
        stand.get("new.test").filter(|answer| answer.0 == 200)
    });
    assert_eq!(stand.get(HOST).unwrap().0, 404);
}

#[test]
fn a_certificate_that_is_added_is_served_and_swapped() {
    let stand = Stand::start(&[
        (
            "shop.yaml",
            &(exposed_port() + "  tls: {secret: {name: own}}\n"),
        ),
        ("endpoints.yaml", &service(origin("one"))),
    ]);
    let pending = stand.told_status("shop", "Pending");
    assert!(
        pending["status"]["description"]
            .as_str()
            .unwrap()
            .contains("Secret \"own\" not found")
    );
    assert_eq!(
        stand.get(HOST).unwrap().0,
        503,
        "until there is a certificate"
    );
    let mut last = None;
    for _ in 0..2 {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        stand.write(
            "secret.yaml",
            &secret(&made.cert.pem(), &made.signing_key.serialize_pem()),
        );
        let answer = stand.until("the certificate", || stand.get_tls(HOST, made.cert.der()));
        assert_eq!(answer, (200, "one".to_owned()));
        last = Some(made);
    }
    stand.told_status("shop", "Ready");
    assert_eq!(
        stand.get(HOST).unwrap().0,
        301,
        "plain HTTP is redirected now"
    );
    stand.write("secret.yaml", &secret("no certificate", "no key"));
    stand.told_status("shop", "Degraded");
    let answer = stand.get_tls(HOST, last.unwrap().cert.der());
    assert_eq!(
        answer,
        Some((200, "one".to_owned())),
        "the last good one stays in service"
    );
}

#[test]
fn what_cannot_be_served_at_all_is_said_with_its_exit_code() {
    let said = |arguments: &[&str]| {
        let output = program().arg("serve").args(arguments).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = said(&["--files", "/nowhere/at/all"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--files: watching /nowhere/at/all"), "{text}");
    assert_eq!(said(&[]).0, Some(2));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let (code, text) = said(&[
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
    let (code, text) = said(&[
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
fn an_external_name_is_looked_up_and_judged_when_it_is_contacted() {
    let port = origin("named");
    // In /etc/hosts of every machine.
    let external = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: shop}}\n\
         spec: {{type: ExternalName, externalName: localhost, ports: [{{port: {port}}}]}}\n"
    );
    let shop = exposed_port().replace("port: 80", &format!("port: {port}"));
    let files = [("shop.yaml", shop.as_str()), ("external.yaml", &external)];
    let stand = Stand::start(&files);
    stand.until("the name", || {
        stand.get(HOST).filter(|answer| answer.1 == "named")
    });
    let strict = Stand::start_with(&files, &["--denied-cidrs", "127.0.0.0/8,::1"]);
    let refused = strict.until("the refusal", || {
        strict
            .get(HOST)
            .filter(|answer| answer.1.contains("never contacted"))
    });
    assert_eq!(refused.0, 503);
}

#[test]
fn everywhere_means_both_families() {
    let stand = Stand::start_everywhere(&[
        ("shop.yaml", &exposed_port()),
        ("endpoints.yaml", &service(origin("one"))),
    ]);
    stand.told_status("shop", "Ready");
    let answer = Some((200, "one".to_owned()));
    assert_eq!(stand.get(HOST), answer);
    assert_eq!(stand.get_v6(HOST), answer);
}
