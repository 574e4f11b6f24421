//! For how long an object is wanted: `expiresAfter`, `expiresAt`, `onExpiry`.

use crate::world::*;
use jiff::{SignedDuration, Timestamp};
use portolan_core::{Event, HoldAction, Reason};
use serde_json::json;

/// So many minutes after the beginning. The object is made in the fifth second of 2026.
fn at(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

fn summary(world: &World) -> (String, String) {
    let summary = world.status().summary.unwrap();
    (summary.status, summary.ends)
}

#[test]
fn at_its_end_an_object_frees_its_hostnames_and_takes_no_requests() {
    let mut world = World::ready();
    world.put_shop(shop_with(json!({"expiresAt": at(60).to_string()})));
    assert_eq!(summary(&world), ("Ready".to_owned(), at(60).to_string()));
    assert_eq!(world.index.changes_at(), Some(at(60)));
    let affected = world.apply(Event::Now(at(59)));
    assert!(affected.is_empty(), "{affected:?}");

    let affected = world.apply(Event::Now(at(60)));
    assert!(affected.objects.contains(&world.shop), "{affected:?}");
    assert!(affected.holds.contains(&host(HOST)), "{affected:?}");
    world.is(Reason::Expired);
    let ended = world.status();
    assert_eq!(summary(&world), ("Expired".to_owned(), at(60).to_string()));
    assert!(
        ended.description.starts_with("spec.expiresAt: "),
        "{ended:?}"
    );
    assert!(ended.description.contains(&at(60).to_string()), "{ended:?}");
    assert!(world.index.children(&world.shop).is_empty());
    assert!(world.index.resources_of(&world.shop).is_empty());
    let action = world.index.hold_action(&host(HOST));
    assert!(
        matches!(action, Some(HoldAction::Delete { .. })),
        "{action:?}"
    );
    assert_eq!(world.index.changes_at(), None);
}

#[test]
fn whoever_prolongs_it_or_puts_a_clock_back_has_it_again() {
    let mut world = World::ready();
    world.put_shop(shop_with(json!({"expiresAt": at(60).to_string()})));
    world.apply(Event::Now(at(61)));
    world.is(Reason::Expired);
    world.put_shop(shop_with(json!({"expiresAt": at(90).to_string()})));
    world.is(Reason::Serving);
    world.apply(Event::Now(at(100)));
    world.is(Reason::Expired);
    world.apply(Event::Now(at(80)));
    world.is(Reason::Serving);
    assert_eq!(world.index.changes_at(), Some(at(90)));
    world.put_shop(shop_with(json!({})));
    assert_eq!(summary(&world), ("Ready".to_owned(), String::new()));
    assert_eq!(world.index.changes_at(), None);
}

#[test]
fn a_lifetime_begins_with_the_object_and_not_with_whoever_reads_it() {
    let mut world = World::ready();
    let age = SignedDuration::from_mins(60);
    world.put_shop(shop_with(json!({"expiresAfter": "1h"})));
    let created = exposed_port("team-a", "shop", 5, json!({"hostnames": []}));
    let end = created.metadata.creation_timestamp.unwrap().0 + age;
    // The object was made long before the time of the tests.
    assert!(end < now());
    world.is(Reason::Expired);
    assert_eq!(summary(&world).1, end.to_string());
    world.apply(Event::Now(end - SignedDuration::from_secs(1)));
    world.is(Reason::Serving);
}

#[test]
fn only_what_is_over_and_says_so_is_deleted() {
    let mut world = World::ready();
    let end = at(60).to_string();
    for (spec, deleted) in [
        (json!({"expiresAt": end}), false),
        (json!({"expiresAt": end, "onExpiry": "Keep"}), false),
        (json!({"expiresAt": end, "onExpiry": "Delete"}), true),
    ] {
        world.apply(Event::Now(now()));
        world.put_shop(shop_with(spec));
        assert_eq!(world.index.wants_deletion(&world.shop), None);
        world.apply(Event::Now(at(60)));
        let wants = world.index.wants_deletion(&world.shop);
        assert_eq!(wants.is_some(), deleted);
    }
    let both = json!({"expiresAt": end, "expiresAfter": "1h", "onExpiry": "Delete"});
    world.put_shop(shop_with(both));
    world.is(Reason::InvalidSpec);
    assert_eq!(
        world.index.wants_deletion(&world.shop),
        None,
        "nothing is known"
    );
}
