//! ObjectMetrics in, series out.

use super::*;
use crate::lease::Leadership;
use crate::metrics::encode;
use portolan_core::{CertificateMetrics, HostnameMetrics, Subject};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

struct TestCollector {
    exposures: Arc<Exposures>,
    leadership: watch::Sender<Leadership>,
    synced: watch::Sender<bool>,
    registry: Registry,
}

fn test_collector() -> TestCollector {
    let exposures: Arc<Exposures> = Arc::default();
    let (leadership, leading) = watch::channel(Leadership {
        leader: true,
        epoch: 1,
    });
    let (synced, is_synced) = watch::channel(true);
    let mut registry = Registry::with_prefix("portolan");
    let page = ExposureCollector::new(Arc::clone(&exposures), leading, is_synced);
    registry.register_collector(Box::new(page));
    TestCollector {
        exposures,
        leadership,
        synced,
        registry,
    }
}

impl TestCollector {
    /// The series, without what describes them.
    fn series(&self) -> Vec<String> {
        let page = encode(&self.registry).unwrap();
        let series = page.lines().filter(|line| !line.starts_with('#'));
        series.map(str::to_owned).collect()
    }

    fn of(&self, name: &str) -> Vec<String> {
        let mut series = self.series();
        series.retain(|line| line.contains(&format!("name=\"{name}\"")));
        series
    }
}

fn object(name: &str) -> Subject {
    Subject::exposed_port("team-a", name)
}

fn ready(hostnames: &[&str]) -> ObjectMetrics {
    let certificate = CertificateMetrics {
        stored: true,
        not_before: "2026-01-01T00:00:00Z".parse().ok(),
        not_after: "2026-01-07T16:00:00Z".parse().ok(),
        renewal: "2026-01-05T10:40:00Z".parse().ok(),
        failures: Some(0),
        served: Some(true),
        served_not_after: "2026-01-07T16:00:00Z".parse().ok(),
    };
    let hostnames = hostnames.iter().map(|name| HostnameMetrics {
        name: (*name).to_owned(),
        ready: true,
        certificate: Some(certificate.clone()),
    });
    ObjectMetrics {
        class: "public".into(),
        status: "Ready".into(),
        reason: "Serving".into(),
        ready: Some(true),
        endpoints_ready: Some(true),
        proxies_behind: false,
        hostnames: hostnames.collect(),
    }
}

#[test]
fn everything_that_is_known_of_a_hostname_has_a_series() {
    let test_collector = test_collector();
    test_collector
        .exposures
        .set(&object("shop"), Some(ready(&["shop.test"])));
    let host = r#"{namespace="team-a",name="shop",hostname="shop.test"}"#;
    let shop = r#"{namespace="team-a",name="shop"}"#;
    let info = r#"{namespace="team-a",name="shop",class="public",status="Ready",reason="Serving"}"#;
    let wanted = [
        format!("portolan_exposedport_info{info} 1"),
        format!("portolan_exposedport_ready{shop} 1"),
        format!("portolan_exposedport_endpoints_ready{shop} 1"),
        format!("portolan_hostname_ready{host} 1"),
        format!("portolan_hostname_certificate_stored{host} 1"),
        format!("portolan_hostname_certificate_served{host} 1"),
        format!("portolan_hostname_certificate_not_before_timestamp_seconds{host} 1767225600"),
        format!("portolan_hostname_certificate_not_after_timestamp_seconds{host} 1767801600"),
        format!(
            "portolan_hostname_certificate_served_not_after_timestamp_seconds{host} 1767801600"
        ),
        format!("portolan_hostname_certificate_renewal_timestamp_seconds{host} 1767609600"),
        format!("portolan_hostname_certificate_issuance_failures{host} 0"),
        r#"portolan_exposeclass_held_up_exposures{class="public"} 0"#.to_owned(),
    ];
    assert_eq!(test_collector.series(), wanted);
}

#[test]
fn ingress_series_use_the_name_for_kubectl() {
    let test_collector = test_collector();
    let hostname = portolan_core::Hostname::parse("shop.test").unwrap();
    let host = Subject::ingress_host(object("shop").object(), &hostname);
    test_collector
        .exposures
        .set(&host, Some(ready(&["shop.test"])));
    test_collector
        .exposures
        .set(&object("shop"), Some(ready(&["shop.test"])));
    let series = test_collector.of("ingress/shop");
    assert_eq!(series.len(), 8, "{series:?}");
    let of_objects = |line: &String| line.starts_with("portolan_exposedport");
    assert!(!series.iter().any(of_objects), "{series:?}");
    assert_eq!(
        test_collector.of("shop").len(),
        11,
        "an ExposedPort of that name is another"
    );
}

#[test]
fn a_change_replaces_the_series_of_its_object_and_no_others() {
    let test_collector = test_collector();
    test_collector
        .exposures
        .set(&object("shop"), Some(ready(&["a.test", "b.test"])));
    test_collector
        .exposures
        .set(&object("blog"), Some(ready(&["c.test"])));
    let blog = test_collector.of("blog");
    let plain = ObjectMetrics {
        endpoints_ready: None,
        ready: Some(false),
        status: "Invalid".into(),
        reason: "InvalidSpec".into(),
        hostnames: Vec::new(),
        ..ready(&[])
    };
    test_collector.exposures.set(&object("shop"), Some(plain));
    let left = test_collector.of("shop");
    assert_eq!(left.len(), 2, "info and ready: {left:?}");
    assert!(left[0].contains(r#"status="Invalid",reason="InvalidSpec""#));
    assert_eq!(test_collector.of("blog"), blog);
}

#[test]
fn an_object_that_goes_takes_its_series_away() {
    let test_collector = test_collector();
    test_collector
        .exposures
        .set(&object("shop"), Some(ready(&["shop.test"])));
    test_collector.exposures.set(&object("shop"), None);
    test_collector.exposures.set(&object("never-there"), None);
    assert!(
        test_collector.series().is_empty(),
        "{:?}",
        test_collector.series()
    );
}

#[test]
fn counts_exposures_waiting_for_proxies_by_class() {
    let test_collector = test_collector();
    let behind = ObjectMetrics {
        proxies_behind: true,
        ..ready(&[])
    };
    let counted = || {
        let mut series = test_collector.series();
        series.retain(|it| it.contains("held_up"));
        series
    };
    let public = |count| {
        vec![format!(
            "portolan_exposeclass_held_up_exposures{{class=\"public\"}} {count}"
        )]
    };
    test_collector
        .exposures
        .set(&object("shop"), Some(behind.clone()));
    test_collector
        .exposures
        .set(&object("blog"), Some(behind.clone()));
    assert_eq!(counted(), public(2));
    test_collector
        .exposures
        .set(&object("shop"), Some(ready(&[])));
    assert_eq!(counted(), public(1));
    let elsewhere = ObjectMetrics {
        class: "private".into(),
        ..behind.clone()
    };
    test_collector
        .exposures
        .set(&object("blog"), Some(elsewhere));
    assert_eq!(counted().len(), 2);
    let nowhere = ObjectMetrics {
        class: String::new(),
        ..behind
    };
    test_collector.exposures.set(&object("blog"), Some(nowhere));
    assert_eq!(counted(), public(0));
    test_collector.exposures.set(&object("shop"), None);
    assert!(counted().is_empty());
}

#[test]
fn only_a_synced_leader_reports_exposures() {
    let test_collector = test_collector();
    test_collector
        .exposures
        .set(&object("shop"), Some(ready(&["shop.test"])));
    let shown = test_collector.series();
    test_collector
        .leadership
        .send_replace(Leadership::default());
    assert!(test_collector.series().is_empty());
    // What changes meanwhile is there at once for the next term.
    test_collector
        .exposures
        .set(&object("blog"), Some(ready(&[])));
    test_collector.leadership.send_replace(Leadership {
        leader: true,
        epoch: 3,
    });
    assert!(test_collector.series().len() > shown.len());
    test_collector.synced.send_replace(false);
    assert!(test_collector.series().is_empty());
}
