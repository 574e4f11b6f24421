//! Certificates: which Secret is served, which is refused and why, and that the last good one stays.

use crate::world::*;
use portolan_core::{Event, Reason};
use portolan_discovery::table::{HostTls, Resource};
use serde_json::json;

/// The certificate that the virtual host names, when TLS is terminated.
fn named(world: &World) -> Option<String> {
    match world.resource(&virtual_host(HOST)) {
        Some(Resource::VirtualHost(host)) => host
            .tls
            .and_then(|HostTls { certificates, .. }| certificates.into_iter().next()),
        other => panic!("{other:?}"),
    }
}

fn store(world: &mut World, certificate: &str, key: &str) {
    world.apply(Event::Secret(applied(secret("own", certificate, key))));
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
        let mut world = World::ready();
        world.apply(Event::Secret(gone("team-a", "own")));
        world.is(Reason::SecretNotFound);
        store(&mut world, certificate, key);
        world.is(reason);
        assert_eq!(named(&world), None, "{reason}: it is not served");
        let status = world.status();
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
        let mut world = World::ready();
        world.apply(Event::Secret(gone("team-a", "own")));
        store(&mut world, &file(certificate), &file(key));
        assert!(
            named(&world).is_some(),
            "{key}: {}",
            world.status().description
        );
    }
    // Whatever stands behind the leaf is the client's affair (RFC 8446 4.4.2).
    let chain = file("leaf.crt") + &file("rsa.crt") + &file("ca.crt");
    let mut world = World::ready();
    world.apply(Event::Secret(gone("team-a", "own")));
    store(&mut world, &chain, &file("leaf.key"));
    assert!(named(&world).is_some(), "{}", world.status().description);
}

#[test]
fn what_cannot_be_served_is_told_in_a_sentence_of_its_own() {
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
        let mut world = World::ready();
        store(&mut world, &certificate, &key);
        world.is(reason);
        let told = world.status().description;
        assert!(told.contains(sentence), "{case}: {told}");
        assert!(!told.contains("PRIVATE"), "{case}: {told}");
        // The one before, which was good, goes on.
        assert!(named(&world).is_some(), "{case}");
    }
}

#[test]
fn the_last_good_certificate_stays_in_service_and_the_status_says_what_is_wrong() {
    let mut world = World::ready();
    assert_eq!(named(&world).as_deref(), Some("team-a/own"));
    store(&mut world, &GOOD.certificate, &pem(&[HOST], 2031).key);
    world.is(Reason::SecretKeyMismatch);
    let kept = named(&world).unwrap();
    assert!(kept.starts_with("team-a/own#"), "{kept}");
    let Some(Resource::Certificate(certificate)) = world.resource(&certificate_resource(&kept))
    else {
        panic!("the last good one is gone")
    };
    assert_eq!(certificate.chain_pem, GOOD.certificate);
    assert_eq!(certificate.key_pem, GOOD.key);
    assert_eq!(world.resource(&certificate_resource("team-a/own")), None);
    store(&mut world, &GOOD.certificate, &GOOD.key);
    assert_eq!(named(&world).as_deref(), Some("team-a/own"));
    assert_eq!(
        world.resource(&certificate_resource(&kept)),
        None,
        "nothing is left behind"
    );
    world.is(Reason::Serving);
}

#[test]
fn both_names_are_told_when_a_certificate_is_kept() {
    let mut world = World::ready();
    let broken = secret("own", &GOOD.certificate, "");
    let affected = world.apply(Event::Secret(applied(broken)));
    let kept = named(&world).unwrap();
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
    let mut world = World::ready();
    world.apply(Event::Secret(gone("team-a", "own")));
    assert_eq!(named(&world), None);
    world.is(Reason::SecretNotFound);
}

#[test]
fn a_secret_that_drops_a_name_keeps_serving_that_name_with_the_one_before() {
    let mut world = World::empty();
    let tls = json!({"secret": {"name": "own"}});
    world.put_shop(
        json!({"service": "shop", "port": 80, "hostnames": [HOST, "b.example.com"], "tls": tls}),
    );
    world.apply(Event::HostnameHold(applied(hold(
        "b.example.com",
        "team-a",
    ))));
    let narrower = pem(&["b.example.com"], 2032);
    store(&mut world, &narrower.certificate, &narrower.key);
    assert!(named(&world).unwrap().starts_with("team-a/own#"));
    let Some(Resource::VirtualHost(other)) = world.resource(&virtual_host("b.example.com")) else {
        panic!()
    };
    assert_eq!(other.tls.unwrap().certificates, ["team-a/own"]);
}

#[test]
fn an_event_that_changes_nothing_touches_nothing() {
    let mut world = World::ready();
    let mut same = secret("own", &GOOD.certificate, &GOOD.key);
    same.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
    assert!(world.apply(Event::Secret(applied(same))).is_empty());
    let unused = secret("unused", &GOOD.certificate, &GOOD.key);
    assert!(world.apply(Event::Secret(applied(unused))).is_empty());
}

#[test]
fn secrets_are_referenced_while_somebody_names_them() {
    let mut world = World::ready();
    let own = portolan_core::ObjectRef::new("team-a", "own");
    assert!(world.index.referenced_secrets().contains(&own));
    let spec = json!({"service": "shop", "port": 80, "hostnames": ["b.example.com"], "tls": {"secret": {"name": "own"}}});
    let affected = world.expose("team-a", "two", 9, spec);
    assert!(!affected.secrets, "it was referenced already");
    assert!(
        !world
            .apply(Event::ExposedPort(gone("team-a", "shop")))
            .secrets
    );
    assert!(
        world
            .apply(Event::ExposedPort(gone("team-a", "two")))
            .secrets
    );
    assert!(world.index.referenced_secrets().is_empty());
}

/// With an issuer: the object, and the name that its Certificate and Secret share.
fn issuing() -> (World, String) {
    let mut world = World::empty();
    let tls = json!({"issuerRef": {"name": "ca"}});
    world.put_shop(json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": tls}));
    let children = world.index.children(&world.shop);
    let name = children
        .iter()
        .find(|child| child.kind == "Certificate")
        .unwrap()
        .name
        .clone();
    world.see_everything();
    (world, name)
}

#[test]
fn an_issued_certificate_is_waited_for_and_then_served() {
    let (mut world, name) = issuing();
    world.is(Reason::CertificatePending);
    assert_eq!(
        named(&world),
        None,
        "TLS is wanted, and there is nothing to serve yet"
    );
    let waiting = json!({"conditions": [
        {"type": "Ready", "status": "False", "message": "not there"},
        {"type": "Issuing", "status": "True", "message": "order is pending"}]});
    let affected = world.apply(Event::Certificate(applied(certificate(&name, waiting))));
    assert!(affected.objects.contains(&world.shop));
    assert!(world.status().description.contains("order is pending"));
    world.apply(Event::Secret(applied(secret(
        &name,
        &GOOD.certificate,
        &GOOD.key,
    ))));
    assert_eq!(named(&world), Some(format!("team-a/{name}")));
    world.see_everything();
    world.is(Reason::Serving);
    let status = world.status();
    let certificate = status.hostnames[0].certificate.as_ref().unwrap();
    assert_eq!(
        (
            certificate.secret_name.as_str(),
            certificate.issuer.as_str()
        ),
        (name.as_str(), "ClusterIssuer/ca")
    );
    assert!(
        world.index.referenced_secrets().is_empty(),
        "the labelled watch brings it"
    );
}

#[test]
fn a_failed_attempt_is_told_in_the_words_of_cert_manager() {
    let (mut world, name) = issuing();
    let failed = json!({"failedIssuanceAttempts": 2, "conditions": [
        {"type": "Issuing", "status": "False", "reason": "Failed", "message": "rate limited"}]});
    world.apply(Event::Certificate(applied(certificate(&name, failed))));
    world.is(Reason::CertificateFailed);
    assert!(world.status().description.contains("rate limited"));
    world.apply(Event::Certificate(gone("team-a", &name)));
    world.is(Reason::CertificatePending);
}

#[test]
fn an_issuer_that_is_missing_or_cannot_issue_is_told_of_those_who_wait() {
    let (mut world, name) = issuing();
    let affected = world.apply(Event::ClusterIssuers(true));
    assert!(affected.objects.contains(&world.shop));
    world.is(Reason::IssuerNotFound);
    let description = world.status().description;
    assert!(
        description.contains("ClusterIssuer \"ca\" not found; "),
        "{description}"
    );
    world.apply(Event::ClusterIssuer(applied(cluster_issuer("ca", "False"))));
    world.is(Reason::IssuerNotReady);
    let description = world.status().description;
    let words = "ClusterIssuer \"ca\" is not ready: cannot register";
    assert!(description.contains(words), "{description}");
    let ready = cluster_issuer("ca", "True");
    let affected = world.apply(Event::ClusterIssuer(applied(ready.clone())));
    assert!(affected.objects.contains(&world.shop));
    world.is(Reason::CertificatePending);
    assert!(world.apply(Event::ClusterIssuer(applied(ready))).is_empty());
    // An Issuer of that name is another one, and so is anybody's of another group.
    world.apply(Event::Issuer(applied(issuer("team-a", "ca", "False"))));
    world.is(Reason::CertificatePending);
    // Whoever has a certificate does not wait.
    let issued = secret(&name, &GOOD.certificate, &GOOD.key);
    world.apply(Event::Secret(applied(issued)));
    world.see_everything();
    world.apply(Event::ClusterIssuer(gone("", "ca")));
    world.is(Reason::Serving);
}

#[test]
fn without_cert_manager_nothing_is_requested_and_the_reason_says_so() {
    let (mut world, name) = issuing();
    let affected = world.apply(Event::CertManager(false));
    assert!(affected.objects.contains(&world.shop));
    assert!(
        world
            .index
            .children(&world.shop)
            .iter()
            .all(|child| child.kind != "Certificate")
    );
    world.is(Reason::CertManagerMissing);
    let issued = secret(&name, &GOOD.certificate, &GOOD.key);
    world.apply(Event::Secret(applied(issued)));
    assert!(
        named(&world).is_some(),
        "what was issued before is served on"
    );
    assert!(world.apply(Event::CertManager(false)).is_empty());
}

#[test]
fn a_wildcard_needs_the_same_wildcard_in_its_certificate() {
    let mut world = World::empty();
    let tls = json!({"secret": {"name": "own"}});
    world.put_shop(
        json!({"service": "shop", "port": 80, "hostnames": ["*.*", "a.*", "a.b.*"], "tls": tls}),
    );
    for (name, certified) in [
        ("*.apps.test", true),
        ("a.apps.test", true),
        ("a.b.apps.test", false),
    ] {
        world.apply(Event::HostnameHold(applied(hold(name, "team-a"))));
        let Some(Resource::VirtualHost(host)) = world.resource(&virtual_host(name)) else {
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
    let world = World::ready();
    assert!(!format!("{:?}", world.index).contains("PRIVATE KEY"));
}
