//! Certificates: which Secret is served, which is refused and why, and that the last good one stays.

use crate::fixture::*;
use portolan_core::{Event, Reason};
use portolan_discovery::table::{HostTls, Resource};
use serde_json::json;

/// The certificate that the virtual host names, when TLS is terminated.
fn named(fixture: &Fixture) -> Option<String> {
    match fixture.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => host
            .tls
            .and_then(|HostTls { certificates, .. }| certificates.into_iter().next()),
        other => panic!("{other:?}"),
    }
}

fn store(fixture: &mut Fixture, certificate: &str, key: &str) {
    fixture.apply(Event::Secret(applied(secret("own", certificate, key))));
}

#[test]
fn each_way_in_which_a_secret_is_broken_has_its_reason() {
    let other = pem(&["other.example.com"], 2031);
    let old = pem(&[HOST], 2029);
    for (certificate, key, reason) in [
        (GOOD.certificate.as_str(), "", Reason::SecretWithoutKey),
        ("", GOOD.key.as_str(), Reason::SecretWithoutKey),
        ("no PEM", &GOOD.key, Reason::SecretUnreadable),
        (&GOOD.certificate, "no PEM", Reason::SecretUnreadable),
        (&GOOD.certificate, &other.key, Reason::SecretKeyMismatch),
        (&other.certificate, &other.key, Reason::SecretWrongHostname),
        (&old.certificate, &old.key, Reason::CertificateExpired),
    ] {
        let mut fixture = Fixture::ready();
        fixture.apply(Event::Secret(gone("team-a", "own")));
        fixture.is(Reason::SecretNotFound);
        store(&mut fixture, certificate, key);
        fixture.is(reason);
        assert_eq!(named(&fixture), None, "{reason}: it is not served");
        let status = fixture.status();
        assert_eq!(condition(&status, "ResolvedRefs").1, reason.as_str());
        assert!(
            status.description.contains("Secret \"own\""),
            "{}",
            status.description
        );
    }
}

/// A file of `pem/`.
fn file(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/core/pem/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

#[test]
fn keys_are_read_as_other_programs_write_them() {
    for (certificate, key) in [
        ("leaf.crt", "leaf.key"),
        ("leaf.crt", "leaf.sec1.key"),
        ("rsa.crt", "rsa.key"),
        ("rsa.crt", "rsa.pkcs1.key"),
        ("ed25519.crt", "ed25519.key"),
    ] {
        let mut fixture = Fixture::ready();
        fixture.apply(Event::Secret(gone("team-a", "own")));
        store(&mut fixture, &file(certificate), &file(key));
        assert!(
            named(&fixture).is_some(),
            "{key}: {}",
            fixture.status().description
        );
    }
    // Whatever stands behind the leaf is the client's affair (RFC 8446 4.4.2).
    let chain = file("leaf.crt") + &file("rsa.crt") + &file("ca.crt");
    let mut fixture = Fixture::ready();
    fixture.apply(Event::Secret(gone("team-a", "own")));
    store(&mut fixture, &chain, &file("leaf.key"));
    assert!(
        named(&fixture).is_some(),
        "{}",
        fixture.status().description
    );
}

#[test]
fn each_invalid_secret_has_its_own_message() {
    let (leaf, key) = (file("leaf.crt"), file("leaf.key"));
    let long = leaf.repeat(1024 * 1024 / leaf.len());
    let encrypted = file("leaf.encrypted.key");
    let old_style = key.replace(
        "KEY-----\n",
        "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n",
    );
    let pair = |name: &str| (file(&format!("{name}.crt")), file(&format!("{name}.key")));
    let [rsa1024, secp256k1, ed448] = ["rsa1024", "secp256k1", "ed448"].map(pair);
    let cases = [
        (
            "1 MiB",
            (long, key.clone()),
            "tls.crt is too long",
            Reason::SecretUnreadable,
        ),
        (
            "PKCS#8",
            (leaf.clone(), encrypted),
            "tls.key is encrypted",
            Reason::SecretUnreadable,
        ),
        (
            "PKCS#1",
            (leaf.clone(), old_style),
            "tls.key is encrypted",
            Reason::SecretUnreadable,
        ),
        ("RSA", rsa1024, "unsupported key", Reason::SecretUnreadable),
        (
            "secp256k1",
            secp256k1,
            "unsupported key",
            Reason::SecretUnreadable,
        ),
        ("Ed448", ed448, "unsupported key", Reason::SecretUnreadable),
        (
            "the issuer first",
            (file("ca.crt") + &leaf, key.clone()),
            "the first certificate in tls.crt does not match tls.key",
            Reason::SecretKeyMismatch,
        ),
        (
            "another key",
            (leaf, file("ed25519.key")),
            "does not match the certificate",
            Reason::SecretKeyMismatch,
        ),
    ];
    for (case, (certificate, key), sentence, reason) in cases {
        let mut fixture = Fixture::ready();
        store(&mut fixture, &certificate, &key);
        fixture.is(reason);
        let message = fixture.status().description;
        assert!(message.contains(sentence), "{case}: {message}");
        assert!(!message.contains("PRIVATE"), "{case}: {message}");
        // The one before, which was good, goes on.
        assert!(named(&fixture).is_some(), "{case}");
    }
}

#[test]
fn keeps_serving_the_last_valid_certificate() {
    let mut fixture = Fixture::ready();
    assert_eq!(named(&fixture).as_deref(), Some("team-a/own"));
    store(&mut fixture, &GOOD.certificate, &pem(&[HOST], 2031).key);
    fixture.is(Reason::SecretKeyMismatch);
    let kept = named(&fixture).unwrap();
    assert!(kept.starts_with("team-a/own#"), "{kept}");
    let Some(Resource::Certificate(certificate)) = fixture.resource(&certificate_resource(&kept))
    else {
        panic!("the last good one is gone")
    };
    assert_eq!(certificate.chain_pem, GOOD.certificate);
    assert_eq!(certificate.key_pem, GOOD.key);
    assert_eq!(fixture.resource(&certificate_resource("team-a/own")), None);
    store(&mut fixture, &GOOD.certificate, &GOOD.key);
    assert_eq!(named(&fixture).as_deref(), Some("team-a/own"));
    assert_eq!(
        fixture.resource(&certificate_resource(&kept)),
        None,
        "nothing is left behind"
    );
    fixture.is(Reason::Serving);
}

#[test]
fn names_both_secrets_when_a_certificate_is_kept() {
    let mut fixture = Fixture::ready();
    let broken = secret("own", &GOOD.certificate, "");
    let affected = fixture.apply(Event::Secret(applied(broken)));
    let kept = named(&fixture).unwrap();
    for name in [&kept, "team-a/own"] {
        let resource = (class_name("public"), certificate_resource(name));
        assert!(affected.resources.contains(&resource), "{name}");
    }
    assert!(
        affected
            .resources
            .contains(&(class_name("public"), virtual_host(HOST)))
    );
}

#[test]
fn deleting_the_secret_ends_its_service() {
    let mut fixture = Fixture::ready();
    fixture.apply(Event::Secret(gone("team-a", "own")));
    assert_eq!(named(&fixture), None);
    fixture.is(Reason::SecretNotFound);
}

#[test]
fn a_removed_dns_name_keeps_the_previous_certificate() {
    let mut fixture = Fixture::empty();
    let tls = json!({"secret": {"name": "own"}});
    fixture.put_shop(
        json!({"service": "shop", "port": 80, "hostnames": [HOST, "b.example.com"], "tls": tls}),
    );
    fixture.apply(Event::HostnameHold(applied(hold(
        "b.example.com",
        "team-a",
    ))));
    let narrower = pem(&["b.example.com"], 2032);
    store(&mut fixture, &narrower.certificate, &narrower.key);
    assert!(named(&fixture).unwrap().starts_with("team-a/own#"));
    let Some(Resource::VirtualHost(other)) = fixture.resource(&virtual_host("b.example.com"))
    else {
        panic!()
    };
    assert_eq!(other.tls.unwrap().certificates, ["team-a/own"]);
}

#[test]
fn an_event_that_changes_nothing_touches_nothing() {
    let mut fixture = Fixture::ready();
    let mut same = secret("own", &GOOD.certificate, &GOOD.key);
    same.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    assert!(fixture.apply(Event::Secret(applied(same))).is_empty());
    let unused = secret("unused", &GOOD.certificate, &GOOD.key);
    assert!(fixture.apply(Event::Secret(applied(unused))).is_empty());
}

#[test]
fn secrets_are_referenced_while_an_object_names_them() {
    let mut fixture = Fixture::ready();
    let own = portolan_core::ObjectRef::new("team-a", "own");
    assert!(fixture.index.referenced_secrets().contains(&own));
    let spec = json!({"service": "shop", "port": 80, "hostnames": ["b.example.com"], "tls": {"secret": {"name": "own"}}});
    let affected = fixture.expose("team-a", "two", 9, spec);
    assert!(!affected.secrets, "it was referenced already");
    assert!(
        !fixture
            .apply(Event::ExposedPort(gone("team-a", "shop")))
            .secrets
    );
    assert!(
        fixture
            .apply(Event::ExposedPort(gone("team-a", "two")))
            .secrets
    );
    assert!(fixture.index.referenced_secrets().is_empty());
}

/// With an issuer: the object, and the name that its Certificate and Secret share.
fn issuing() -> (Fixture, String) {
    let mut fixture = Fixture::empty();
    let tls = json!({"issuerRef": {"name": "ca"}});
    fixture.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": tls}));
    let children = fixture.index.children(&fixture.shop);
    let name = children
        .iter()
        .find(|child| child.kind == "Certificate")
        .unwrap()
        .name
        .clone();
    fixture.see_everything();
    (fixture, name)
}

#[test]
fn an_issued_certificate_is_waited_for_and_then_served() {
    let (mut fixture, name) = issuing();
    fixture.is(Reason::CertificatePending);
    assert_eq!(
        named(&fixture),
        None,
        "TLS is wanted, and there is nothing to serve yet"
    );
    let waiting = json!({"conditions": [
        {"type": "Ready", "status": "False", "message": "not there"},
        {"type": "Issuing", "status": "True", "message": "order is pending"}]});
    let affected = fixture.apply(Event::Certificate(applied(certificate(&name, waiting))));
    assert!(affected.objects.contains(&fixture.shop));
    assert!(fixture.status().description.contains("order is pending"));
    fixture.apply(Event::Secret(applied(secret(
        &name,
        &GOOD.certificate,
        &GOOD.key,
    ))));
    assert_eq!(named(&fixture), Some(format!("team-a/{name}")));
    fixture.see_everything();
    fixture.is(Reason::Serving);
    let status = fixture.status();
    let certificate = status.hostnames[0].certificate.as_ref().unwrap();
    assert_eq!(
        (
            certificate.secret_name.as_str(),
            certificate.issuer.as_str()
        ),
        (name.as_str(), "ClusterIssuer/ca")
    );
    assert!(
        fixture.index.referenced_secrets().is_empty(),
        "the labelled watch brings it"
    );
}

#[test]
fn reports_the_error_of_cert_manager() {
    let (mut fixture, name) = issuing();
    let failed = json!({"failedIssuanceAttempts": 2, "conditions": [
        {"type": "Issuing", "status": "False", "reason": "Failed", "message": "rate limited"}]});
    fixture.apply(Event::Certificate(applied(certificate(&name, failed))));
    fixture.is(Reason::CertificateFailed);
    assert!(fixture.status().description.contains("rate limited"));
    fixture.apply(Event::Certificate(gone("team-a", &name)));
    fixture.is(Reason::CertificatePending);
}

#[test]
fn reports_a_missing_or_unready_issuer() {
    let (mut fixture, name) = issuing();
    let affected = fixture.apply(Event::ClusterIssuers(true));
    assert!(affected.objects.contains(&fixture.shop));
    fixture.is(Reason::IssuerNotFound);
    let description = fixture.status().description;
    assert!(
        description.contains("ClusterIssuer \"ca\" not found; "),
        "{description}"
    );
    fixture.apply(Event::ClusterIssuer(applied(cluster_issuer("ca", "False"))));
    fixture.is(Reason::IssuerNotReady);
    let description = fixture.status().description;
    let words = "ClusterIssuer \"ca\" is not ready: cannot register";
    assert!(description.contains(words), "{description}");
    let ready = cluster_issuer("ca", "True");
    let affected = fixture.apply(Event::ClusterIssuer(applied(ready.clone())));
    assert!(affected.objects.contains(&fixture.shop));
    fixture.is(Reason::CertificatePending);
    assert!(
        fixture
            .apply(Event::ClusterIssuer(applied(ready)))
            .is_empty()
    );
    // An Issuer of that name is another one, and so is anybody's of another group.
    fixture.apply(Event::Issuer(applied(issuer("team-a", "ca", "False"))));
    fixture.is(Reason::CertificatePending);
    // A hostname with a certificate does not wait.
    let issued = secret(&name, &GOOD.certificate, &GOOD.key);
    fixture.apply(Event::Secret(applied(issued)));
    fixture.see_everything();
    fixture.apply(Event::ClusterIssuer(gone("", "ca")));
    fixture.is(Reason::Serving);
}

#[test]
fn without_cert_manager_no_certificate_is_requested() {
    let (mut fixture, name) = issuing();
    let affected = fixture.apply(Event::CertManager(false));
    assert!(affected.objects.contains(&fixture.shop));
    assert!(
        fixture
            .index
            .children(&fixture.shop)
            .iter()
            .all(|child| child.kind != "Certificate")
    );
    fixture.is(Reason::CertManagerMissing);
    let issued = secret(&name, &GOOD.certificate, &GOOD.key);
    fixture.apply(Event::Secret(applied(issued)));
    assert!(
        named(&fixture).is_some(),
        "what was issued before is served on"
    );
    assert!(fixture.apply(Event::CertManager(false)).is_empty());
}

#[test]
fn a_wildcard_needs_the_same_wildcard_in_its_certificate() {
    let mut fixture = Fixture::empty();
    let tls = json!({"secret": {"name": "own"}});
    fixture.put_shop(
        json!({"service": "shop", "port": 80, "hostnames": ["*.*", "a.*", "a.b.*"], "tls": tls}),
    );
    for (name, certified) in [
        ("*.apps.test", true),
        ("a.apps.test", true),
        ("a.b.apps.test", false),
    ] {
        fixture.apply(Event::HostnameHold(applied(hold(name, "team-a"))));
        let Some(Resource::VirtualHost(host)) = fixture.resource(&virtual_host(name)) else {
            panic!()
        };
        assert_eq!(
            !host.tls.unwrap().certificates.is_empty(),
            certified,
            "{name}"
        );
    }
}

#[test]
fn keys_are_never_printed() {
    let fixture = Fixture::ready();
    assert!(!format!("{:?}", fixture.index).contains("PRIVATE KEY"));
}
