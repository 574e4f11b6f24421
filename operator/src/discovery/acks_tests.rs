use super::*;
use portolan_discovery::session;

fn host(name: &str) -> ResourceName {
    ResourceName {
        kind: Kind::VirtualHost,
        name: name.into(),
    }
}

fn hello(uid: &str, held: &[(&str, u8)]) -> Hello {
    Hello {
        class: "public".into(),
        pod_name: "proxy-0".into(),
        pod_uid: uid.into(),
        held: held
            .iter()
            .map(|(name, version)| (host(name), Version([*version; 16])))
            .collect(),
    }
}

fn ack(name: &str, version: u8, refused: Option<&str>) -> Ack {
    Ack {
        transaction: Some(1),
        verdicts: vec![session::ResourceAck {
            name: host(name),
            version: Version([version; 16]),
            origins: Vec::new(),
            refused: refused.map(str::to_owned),
        }],
        removed: Vec::new(),
    }
}

fn verdict(acks: &Acks, name: &str, version: u8) -> Option<AckState> {
    let verdicts = acks.acknowledged("public", &host(name), Version([version; 16]));
    verdicts.into_values().next()
}

#[test]
fn what_a_proxy_brings_along_counts_as_acknowledged() {
    let (acks, _changes) = Acks::new();
    let _session = acks.begin(&hello("u", &[("a", 1)]));
    assert_eq!(verdict(&acks, "a", 1), Some(AckState::Acknowledged));
    assert_eq!(verdict(&acks, "a", 2), Some(AckState::Behind));
    assert_eq!(verdict(&acks, "b", 1), Some(AckState::Behind));
}

#[test]
fn a_rejection_keeps_the_older_version_acknowledged() {
    let (acks, _changes) = Acks::new();
    let session = acks.begin(&hello("u", &[("a", 1)]));
    session.ack(&ack("a", 2, Some("the key does not fit")));
    let refused = AckState::Refused("the key does not fit".into());
    assert_eq!(verdict(&acks, "a", 2), Some(refused));
    assert_eq!(verdict(&acks, "a", 1), Some(AckState::Acknowledged));
    assert_eq!(verdict(&acks, "a", 3), Some(AckState::Behind));
    session.ack(&ack("a", 3, None));
    assert_eq!(verdict(&acks, "a", 3), Some(AckState::Acknowledged));
    assert_eq!(verdict(&acks, "a", 2), Some(AckState::Behind));
}

#[tokio::test]
async fn a_readiness_change_affects_everything() {
    let (acks, mut changes) = Acks::new();
    let session = acks.begin(&hello("u", &[]));
    assert_eq!(changes.changed().await["public"], Scope::Everything);
    session.ack(&ack("a", 1, None));
    let expected = Scope::Names([host("a")].into());
    assert_eq!(changes.changed().await["public"], expected);
    session.report(ProxyReport {
        ready: true,
        ..ProxyReport::default()
    });
    assert_eq!(changes.changed().await["public"], Scope::Everything);
    session.report(ProxyReport {
        ready: true,
        unserved: vec!["b".into()],
        ..ProxyReport::default()
    });
    let expected = Scope::Names([host("b")].into());
    assert_eq!(changes.changed().await["public"], expected);
    drop(session);
    assert_eq!(changes.changed().await["public"], Scope::Everything);
    assert_eq!(acks.proxies("public"), []);
}

#[test]
fn an_old_session_of_the_same_pod_neither_writes_nor_erases() {
    let (acks, _changes) = Acks::new();
    let old = acks.begin(&hello("u", &[("a", 1)]));
    let new = acks.begin(&hello("u", &[("a", 2)]));
    assert!(old.is_replaced() && !new.is_replaced());
    old.ack(&ack("a", 1, None));
    drop(old);
    assert_eq!(verdict(&acks, "a", 2), Some(AckState::Acknowledged));
    assert_eq!(acks.proxies("public").len(), 1);
}

#[test]
fn presented_certificates_are_known_by_server_name() {
    let (acks, _changes) = Acks::new();
    let session = acks.begin(&hello("u", &[]));
    let served = PresentedCertificate {
        server_name: "a.example.com".into(),
        certificate: ResourceName {
            kind: Kind::Certificate,
            name: "team/a".into(),
        },
        fingerprint: "00".into(),
        not_after_unix: 1,
    };
    session.report(ProxyReport {
        ready: true,
        served: vec![served.clone()],
        unserved: Vec::new(),
    });
    let seen = acks.served("public", "a.example.com");
    assert_eq!(seen.into_values().collect::<Vec<_>>(), [served]);
    assert!(acks.served("public", "b.example.com").is_empty());
    session.report(ProxyReport {
        ready: true,
        served: Vec::new(),
        unserved: vec!["a.example.com".into()],
    });
    assert!(acks.served("public", "a.example.com").is_empty());
}
