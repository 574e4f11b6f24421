//! Objects that live while a program renews a Lease: `spec.lease`.

use crate::world::*;
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

impl World {
    /// With a Lease that was renewed at the beginning.
    fn leased() -> Self {
        let mut world = Self::ready();
        world.renew("one", 0);
        world.put_shop(leased(json!({})));
        world.is(Reason::Serving);
        world
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
    let mut world = World::leased();
    assert_eq!(world.index.changes_at(), Some(at(30)));
    for second in [10, 20, 30, 40] {
        assert!(world.pass_to(second - 1).is_empty());
        let affected = world.renew("one", second - 1);
        assert!(affected.is_empty(), "{affected:?}");
        assert_eq!(world.index.changes_at(), Some(at(second - 1 + 30)));
    }
    assert_eq!(
        world.status().summary.unwrap().ends,
        "",
        "or it would be written each time"
    );
}

#[test]
fn when_the_last_lease_lapses_hostnames_are_free_and_a_renewal_brings_the_object_back() {
    let mut world = World::leased();
    world.renew("two", 10);
    assert!(world.pass_to(30).is_empty(), "one is enough");
    let affected = world.pass_to(40);
    assert!(affected.objects.contains(&world.shop), "{affected:?}");
    assert!(affected.holds.contains(&host(HOST)), "{affected:?}");
    world.is(Reason::LeaseLapsed);
    let told = world.status();
    let summary = told.summary.unwrap();
    assert_eq!(summary.status, "Expired");
    assert_eq!(summary.ends, at(40).to_string());
    assert!(
        told.description.starts_with("spec.lease: "),
        "{}",
        told.description
    );
    assert!(
        told.description.contains("portolan.dev/exposed-port=shop"),
        "{}",
        told.description
    );
    assert!(world.index.children(&world.shop).is_empty());
    assert!(world.index.resources_of(&world.shop).is_empty());
    let action = world.index.hold_action(&host(HOST));
    assert!(
        matches!(action, Some(HoldAction::Delete { .. })),
        "{action:?}"
    );

    let affected = world.renew("one", 40);
    assert!(affected.objects.contains(&world.shop), "{affected:?}");
    world.is(Reason::Serving);
    // By then somebody else may have the name.
    world.pass_to(70);
    world.is(Reason::LeaseLapsed);
    world.apply(Event::HostnameHold(applied(hold(HOST, "team-b"))));
    world.expose(
        "team-b",
        "shop",
        6,
        json!({"service": "x", "port": 80, "hostnames": [HOST]}),
    );
    world.renew("one", 70);
    world.is(Reason::HostnameHeld);
}

#[test]
fn whoever_makes_an_object_has_as_long_to_make_its_first_lease() {
    let mut world = World::ready();
    // One that an object of this name had before.
    world.renew("old", -3600);
    let made = |second: i64| {
        let mut shop = exposed_port("team-a", "shop", 5, leased(json!({})));
        shop.metadata.creation_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(second)),
        );
        Event::ExposedPort(applied(shop))
    };
    world.apply(made(-29));
    world.is(Reason::Serving);
    world.pass_to(1);
    world.is(Reason::LeaseLapsed);
    world.apply(made(1));
    world.is(Reason::Serving);
}

#[test]
fn a_lease_counts_by_the_clock_of_the_cluster() {
    let mut world = World::leased();
    let written = |said: i64, written: Option<i64>| {
        let mut it = lease("one", "shop", at(said));
        it.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(5)));
        let entry = json!([{"manager": "ci", "operation": "Update", "time": at(written.unwrap_or_default()).to_string()}]);
        it.metadata.managed_fields = written.map(|_| read(entry));
        Event::Lease(applied(it))
    };
    for (said, seen, counts) in [
        // A clock that is fast, or wrong altogether; whole seconds are written down.
        (1_000_000, Some(20), 21),
        (21, Some(20), 21),
        (15, Some(20), 15),
        // Whoever takes the notes of the API server away has no better proof than the Lease's age.
        (1_000_000, None, 6),
        (3, None, 3),
    ] {
        world.apply(written(said, seen));
        assert_eq!(
            world.index.changes_at(),
            Some(at(counts + 30)),
            "{said} {seen:?}"
        );
    }
}

#[test]
fn a_lease_is_for_the_object_that_it_names() {
    let mut world = World::leased();
    let other = lease("one", "other", at(20));
    let affected = world.apply(Event::Lease(applied(other)));
    assert!(
        affected.objects.contains(&world.shop),
        "it had no other: {affected:?}"
    );
    world.is(Reason::LeaseLapsed);
    let mut long = lease("one", "hash-of-a-long-name", at(20));
    long.metadata.annotations =
        Some([(portolan_core::EXPOSED_PORT.to_owned(), "shop".to_owned())].into());
    world.apply(Event::Lease(applied(long)));
    world.is(Reason::Serving);
    let mut acquired = lease("one", "shop", at(0));
    let spec = acquired.spec.get_or_insert_default();
    spec.acquire_time = spec.renew_time.take();
    world.apply(Event::Lease(applied(acquired.clone())));
    world.is(Reason::Serving);
    acquired.spec = None;
    world.apply(Event::Lease(applied(acquired)));
    world.is(Reason::LeaseLapsed);
    // Whoever needs none does not care.
    world.put_shop(shop_with(json!({})));
    assert!(world.renew("one", 0).is_empty());
    world.is(Reason::Serving);
}

#[test]
fn an_hour_after_it_was_told_the_object_is_deleted() {
    const HOUR: i64 = 3600;
    let mut world = World::leased();
    world.pass_to(30);
    assert!(!world.is_deleted());
    world.tell(30, json!({}));
    assert_eq!(world.index.changes_at(), Some(at(30 + HOUR)));
    world.pass_to(29 + HOUR);
    assert!(!world.is_deleted());
    let affected = world.pass_to(30 + HOUR);
    assert!(affected.objects.contains(&world.shop), "{affected:?}");
    assert!(world.is_deleted());
    // Renewed at the last moment, it lives; and what was told before is no longer so.
    world.renew("one", 30 + HOUR);
    assert!(!world.is_deleted());
    world.tell(30 + HOUR, json!({}));
    world.is(Reason::Serving);

    // A Lease that is gone does not say when: people have an hour from when they could read of it.
    world.pass_to(2 * HOUR);
    world.renew("one", 2 * HOUR);
    world.pass_to(2 * HOUR + 10);
    world.apply(Event::Lease(gone("team-a", "one")));
    world.is(Reason::LeaseLapsed);
    assert!(!world.is_deleted());
    world.tell(2 * HOUR + 10, json!({}));
    assert!(!world.is_deleted());
    world.pass_to(3 * HOUR + 10);
    assert!(world.is_deleted());
}

#[test]
fn what_ends_first_ends_the_object() {
    const HOUR: i64 = 3600;
    let mut world = World::leased();
    let dated = json!({"expiresAt": at(20).to_string()});
    world.put_shop(leased(dated.clone()));
    world.pass_to(20);
    world.is(Reason::Expired);
    assert!(world.renew("one", 20).is_empty(), "a renewal is of no use");
    world.is(Reason::Expired);
    world.tell(20, dated);
    assert!(!world.is_deleted());
    world.pass_to(50 + HOUR);
    assert!(world.is_deleted(), "nobody renews it either");

    let mut world = World::leased();
    world.put_shop(leased(json!({"expiresAt": at(40).to_string()})));
    world.pass_to(30);
    world.is(Reason::LeaseLapsed);
    world.renew("one", 30);
    world.is(Reason::Serving);
    world.pass_to(40);
    world.is(Reason::Expired);
}
