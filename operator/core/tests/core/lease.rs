//! Objects that live while a program renews a Lease: `spec.lease`.

use crate::fixture::*;
use jiff::{SignedDuration, Timestamp};
use portolan_core::{Affected, Event, HoldAction, Reason};
use serde_json::{Value, json};

fn leased(more: Value) -> Value {
    let mut spec = shop_with(more);
    spec["lease"] = json!({"duration": "30s"});
    spec
}

/// So many seconds after the beginning.
fn at(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

impl Fixture {
    /// With a Lease that was renewed at the beginning.
    fn leased() -> Self {
        let mut fixture = Self::ready();
        fixture.renew("one", 0);
        fixture.put_shop(leased(json!({})));
        fixture.is(Reason::Serving);
        fixture
    }

    fn renew(&mut self, name: &str, second: i64) -> Affected {
        self.apply(Event::Lease(applied(lease(name, "shop", at(second)))))
    }

    fn pass_to(&mut self, second: i64) -> Affected {
        self.apply(Event::Now(at(second)))
    }

    /// The status as it is at that second is stored.
    fn tell(&mut self, second: i64, more: Value) {
        let mut shop = exposed_port("team-a", "shop", 5, leased(more));
        let status = self.index.status(&self.shop, &self.seen, at(second));
        shop.status = status;
        self.apply(Event::ExposedPort(applied(shop)));
    }

    fn is_deleted(&self) -> bool {
        self.index.wants_deletion(&self.shop).is_some()
    }
}

#[test]
fn a_renewal_in_time_is_no_work_for_anybody() {
    let mut fixture = Fixture::leased();
    assert_eq!(fixture.index.changes_at(), Some(at(30)));
    for second in [10, 20, 30, 40] {
        assert!(fixture.pass_to(second - 1).is_empty());
        let affected = fixture.renew("one", second - 1);
        assert!(affected.is_empty(), "{affected:?}");
        assert_eq!(fixture.index.changes_at(), Some(at(second - 1 + 30)));
    }
    assert_eq!(
        fixture.status().summary.unwrap().ends,
        "",
        "or it would be written each time"
    );
}

#[test]
fn an_expired_lease_releases_hostnames_until_renewal() {
    let mut fixture = Fixture::leased();
    fixture.renew("two", 10);
    assert!(fixture.pass_to(30).is_empty(), "one is enough");
    let affected = fixture.pass_to(40);
    assert!(affected.objects.contains(&fixture.shop), "{affected:?}");
    assert!(affected.holds.contains(&host(HOST)), "{affected:?}");
    fixture.is(Reason::LeaseLapsed);
    let status = fixture.status();
    let summary = status.summary.unwrap();
    assert_eq!(summary.status, "Expired");
    assert_eq!(summary.ends, at(40).to_string());
    assert!(
        status.description.starts_with("spec.lease: "),
        "{}",
        status.description
    );
    assert!(
        status
            .description
            .contains("portolan.dev/exposed-port=shop"),
        "{}",
        status.description
    );
    assert!(fixture.index.children(&fixture.shop).is_empty());
    assert!(fixture.index.resources_of(&fixture.shop).is_empty());
    let action = fixture.index.hold_action(&host(HOST));
    assert!(
        matches!(action, Some(HoldAction::Delete { .. })),
        "{action:?}"
    );

    let affected = fixture.renew("one", 40);
    assert!(affected.objects.contains(&fixture.shop), "{affected:?}");
    fixture.is(Reason::Serving);
    // By then another object may have the name.
    fixture.pass_to(70);
    fixture.is(Reason::LeaseLapsed);
    fixture.apply(Event::HostnameHold(applied(hold(HOST, "team-b"))));
    fixture.expose(
        "team-b",
        "shop",
        6,
        json!({"service": "x", "port": 80, "hostnames": [HOST]}),
    );
    fixture.renew("one", 70);
    fixture.is(Reason::HostnameHeld);
}

#[test]
fn the_first_lease_has_a_grace_after_creation() {
    let mut fixture = Fixture::ready();
    // One that an object of this name had before.
    fixture.renew("old", -3600);
    let made = |second: i64| {
        let mut shop = exposed_port("team-a", "shop", 5, leased(json!({})));
        shop.metadata.creation_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(second)),
        );
        Event::ExposedPort(applied(shop))
    };
    fixture.apply(made(-29));
    fixture.is(Reason::Serving);
    fixture.pass_to(1);
    fixture.is(Reason::LeaseLapsed);
    fixture.apply(made(1));
    fixture.is(Reason::Serving);
}

#[test]
fn a_lease_counts_by_the_clock_of_the_cluster() {
    let mut fixture = Fixture::leased();
    let written = |renewed: i64, written: Option<i64>| {
        let mut it = lease("one", "shop", at(renewed));
        it.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(5)));
        let entry = json!([{"manager": "ci", "operation": "Update", "time": at(written.unwrap_or_default()).to_string()}]);
        it.metadata.managed_fields = written.map(|_| read(entry));
        Event::Lease(applied(it))
    };
    for (renewed, seen, counts) in [
        // A clock that is fast, or wrong altogether; whole seconds are written down.
        (1_000_000, Some(20), 21),
        (21, Some(20), 21),
        (15, Some(20), 15),
        // Without managed fields only the age of the Lease counts.
        (1_000_000, None, 6),
        (3, None, 3),
    ] {
        fixture.apply(written(renewed, seen));
        assert_eq!(
            fixture.index.changes_at(),
            Some(at(counts + 30)),
            "{renewed} {seen:?}"
        );
    }
}

#[test]
fn a_lease_is_for_the_object_that_it_names() {
    let mut fixture = Fixture::leased();
    let other = lease("one", "other", at(20));
    let affected = fixture.apply(Event::Lease(applied(other)));
    assert!(
        affected.objects.contains(&fixture.shop),
        "it had no other: {affected:?}"
    );
    fixture.is(Reason::LeaseLapsed);
    let mut long = lease("one", "hash-of-a-long-name", at(20));
    long.metadata.annotations =
        Some([(portolan_core::EXPOSED_PORT.to_owned(), "shop".to_owned())].into());
    fixture.apply(Event::Lease(applied(long)));
    fixture.is(Reason::Serving);
    let mut acquired = lease("one", "shop", at(0));
    let spec = acquired.spec.get_or_insert_default();
    spec.acquire_time = spec.renew_time.take();
    fixture.apply(Event::Lease(applied(acquired.clone())));
    fixture.is(Reason::Serving);
    acquired.spec = None;
    fixture.apply(Event::Lease(applied(acquired)));
    fixture.is(Reason::LeaseLapsed);
    // An object without a lease is unaffected.
    fixture.put_shop(shop_with(json!({})));
    assert!(fixture.renew("one", 0).is_empty());
    fixture.is(Reason::Serving);
}

#[test]
fn deletes_the_object_an_hour_after_the_report() {
    const HOUR: i64 = 3600;
    let mut fixture = Fixture::leased();
    fixture.pass_to(30);
    assert!(!fixture.is_deleted());
    fixture.tell(30, json!({}));
    assert_eq!(fixture.index.changes_at(), Some(at(30 + HOUR)));
    fixture.pass_to(29 + HOUR);
    assert!(!fixture.is_deleted());
    let affected = fixture.pass_to(30 + HOUR);
    assert!(affected.objects.contains(&fixture.shop), "{affected:?}");
    assert!(fixture.is_deleted());
    // Renewed at the last moment, it lives; and the previous status no longer applies.
    fixture.renew("one", 30 + HOUR);
    assert!(!fixture.is_deleted());
    fixture.tell(30 + HOUR, json!({}));
    fixture.is(Reason::Serving);

    // A Lease that is gone does not say when: people have an hour from when they could read of it.
    fixture.pass_to(2 * HOUR);
    fixture.renew("one", 2 * HOUR);
    fixture.pass_to(2 * HOUR + 10);
    fixture.apply(Event::Lease(gone("team-a", "one")));
    fixture.is(Reason::LeaseLapsed);
    assert!(!fixture.is_deleted());
    fixture.tell(2 * HOUR + 10, json!({}));
    assert!(!fixture.is_deleted());
    fixture.pass_to(3 * HOUR + 10);
    assert!(fixture.is_deleted());
}

#[test]
fn what_ends_first_ends_the_object() {
    const HOUR: i64 = 3600;
    let mut fixture = Fixture::leased();
    let dated = json!({"expiresAt": at(20).to_string()});
    fixture.put_shop(leased(dated.clone()));
    fixture.pass_to(20);
    fixture.is(Reason::Expired);
    assert!(
        fixture.renew("one", 20).is_empty(),
        "a renewal is of no use"
    );
    fixture.is(Reason::Expired);
    fixture.tell(20, dated);
    assert!(!fixture.is_deleted());
    fixture.pass_to(50 + HOUR);
    assert!(fixture.is_deleted(), "it is not renewed either");

    let mut fixture = Fixture::leased();
    fixture.put_shop(leased(json!({"expiresAt": at(40).to_string()})));
    fixture.pass_to(30);
    fixture.is(Reason::LeaseLapsed);
    fixture.renew("one", 30);
    fixture.is(Reason::Serving);
    fixture.pass_to(40);
    fixture.is(Reason::Expired);
}
