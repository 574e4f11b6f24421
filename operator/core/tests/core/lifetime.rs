//! For how long an object is wanted: `expiresAfter`, `expiresAt`, `onExpiry`.

use crate::fixture::*;
use jiff::{SignedDuration, Timestamp};
use portolan_core::{Event, HoldAction, Reason};
use serde_json::json;

/// So many minutes after the beginning. The object is made in the fifth second of 2026.
fn at(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

fn summary(fixture: &Fixture) -> (String, String) {
    let summary = fixture.status().summary.unwrap();
    (summary.status, summary.ends)
}

#[test]
fn an_expired_object_releases_its_hostnames() {
    let mut fixture = Fixture::ready();
    fixture.put_shop(shop_with(json!({"expiresAt": at(60).to_string()})));
    assert_eq!(summary(&fixture), ("Ready".to_owned(), at(60).to_string()));
    assert_eq!(fixture.index.changes_at(), Some(at(60)));
    let affected = fixture.apply(Event::Now(at(59)));
    assert!(affected.is_empty(), "{affected:?}");

    let affected = fixture.apply(Event::Now(at(60)));
    assert!(affected.objects.contains(&fixture.shop), "{affected:?}");
    assert!(affected.holds.contains(&host(HOST)), "{affected:?}");
    fixture.is(Reason::Expired);
    let ended = fixture.status();
    assert_eq!(
        summary(&fixture),
        ("Expired".to_owned(), at(60).to_string())
    );
    assert!(
        ended.description.starts_with("spec.expiresAt: "),
        "{ended:?}"
    );
    assert!(ended.description.contains(&at(60).to_string()), "{ended:?}");
    assert!(fixture.index.children(&fixture.shop).is_empty());
    assert!(fixture.index.resources_of(&fixture.shop).is_empty());
    let action = fixture.index.hold_action(&host(HOST));
    assert!(
        matches!(action, Some(HoldAction::Delete { .. })),
        "{action:?}"
    );
    assert_eq!(fixture.index.changes_at(), None);
}

#[test]
fn serves_again_after_extension_or_a_clock_set_back() {
    let mut fixture = Fixture::ready();
    fixture.put_shop(shop_with(json!({"expiresAt": at(60).to_string()})));
    fixture.apply(Event::Now(at(61)));
    fixture.is(Reason::Expired);
    fixture.put_shop(shop_with(json!({"expiresAt": at(90).to_string()})));
    fixture.is(Reason::Serving);
    fixture.apply(Event::Now(at(100)));
    fixture.is(Reason::Expired);
    fixture.apply(Event::Now(at(80)));
    fixture.is(Reason::Serving);
    assert_eq!(fixture.index.changes_at(), Some(at(90)));
    fixture.put_shop(shop_with(json!({})));
    assert_eq!(summary(&fixture), ("Ready".to_owned(), String::new()));
    assert_eq!(fixture.index.changes_at(), None);
}

#[test]
fn lifetime_starts_at_the_creation_of_the_object() {
    let mut fixture = Fixture::ready();
    let age = SignedDuration::from_mins(60);
    fixture.put_shop(shop_with(json!({"expiresAfter": "1h"})));
    let created = exposed_port("team-a", "shop", 5, json!({"hostnames": []}));
    let end = created.metadata.creation_timestamp.unwrap().0 + age;
    // The object was made long before the time of the tests.
    assert!(end < now());
    fixture.is(Reason::Expired);
    assert_eq!(summary(&fixture).1, end.to_string());
    fixture.apply(Event::Now(end - SignedDuration::from_secs(1)));
    fixture.is(Reason::Serving);
}

#[test]
fn only_what_is_over_and_says_so_is_deleted() {
    let mut fixture = Fixture::ready();
    let end = at(60).to_string();
    for (spec, deleted) in [
        (json!({"expiresAt": end}), false),
        (json!({"expiresAt": end, "onExpiry": "Keep"}), false),
        (json!({"expiresAt": end, "onExpiry": "Delete"}), true),
    ] {
        fixture.apply(Event::Now(now()));
        fixture.put_shop(shop_with(spec));
        assert_eq!(fixture.index.wants_deletion(&fixture.shop), None);
        fixture.apply(Event::Now(at(60)));
        let wants = fixture.index.wants_deletion(&fixture.shop);
        assert_eq!(wants.is_some(), deleted);
    }
    let both = json!({"expiresAt": end, "expiresAfter": "1h", "onExpiry": "Delete"});
    fixture.put_shop(shop_with(both));
    fixture.is(Reason::InvalidSpec);
    assert_eq!(
        fixture.index.wants_deletion(&fixture.shop),
        None,
        "nothing is known"
    );
}
