//! What is thought of each case.

use super::*;
use crate::certs::state::State;

#[test]
fn served_as_stored_is_ok() {
    let row = only(&Says::issued("x", 'a', 80), leaf('a', &[SHOP], 80));
    assert_eq!((row.state, row.problem.as_str()), (State::Ok, ""));
    assert_eq!(row.not_after(), Some(at(80)));
}

#[test]
fn one_that_is_not_stored_yet_is_missing_and_says_why() {
    let says = Says {
        served: None,
        renews: None,
        ..Says::issued("x", '0', 0)
    };
    let mut status = host(SHOP, &says);
    status["message"] = json!("shop.example.com: the certificate is being issued");
    let shop = exposed("team-a", "shop", json!({}), &[status]);
    let rows = world(vec![shop], &[("team-a", "x", Stored::NotFound)]).rows(now());
    assert_eq!(rows[0].state, State::Missing);
    assert_eq!(
        rows[0].complaint(),
        "ExposedPort team-a/shop: shop.example.com: no certificate is stored in Secret team-a/x (the certificate is \
         being issued); see `kubectl -n team-a describe certificate x`"
    );
    assert_eq!(rows[0].not_after(), None);
}

#[test]
fn what_clients_are_shown_decides_when_it_expires() {
    let row = only(&Says::issued("x", 'a', -1), leaf('b', &[SHOP], 80));
    assert_eq!((row.state, row.not_after()), (State::Expired, Some(at(-1))));
    assert!(
        row.problem.contains("has expired at 2027-01-09T12:00:00Z"),
        "{}",
        row.problem
    );
    // Nothing is served: what is stored would be.
    let says = Says {
        served: None,
        ..Says::issued("x", '0', 80)
    };
    let row = only(&says, leaf('b', &[SHOP], -1));
    assert_eq!((row.state, row.not_after()), (State::Expired, Some(at(-1))));
    // To the second.
    let row = only(&Says::issued("x", 'a', 0), leaf('a', &[SHOP], 0));
    assert_eq!(row.state, State::Expired);
}

#[test]
fn what_cannot_be_served_is_unusable_while_the_last_good_one_is() {
    let says = Says::issued("x", 'a', 80);
    for (stored, told) in [
        (
            Stored::Unreadable("tls.crt is no certificate in PEM"),
            "is no certificate",
        ),
        (
            leaf('b', &["other.example.com"], 80),
            "is for other.example.com",
        ),
        (
            leaf('b', &["a.test", "b.test"], 80),
            "is for a.test and 1 more",
        ),
        (leaf('b', &[], 80), "is for no DNS name"),
        (leaf('b', &[SHOP], -1), "has expired at"),
    ] {
        let row = only(&says, stored);
        assert_eq!(
            (row.state, row.not_after()),
            (State::Unusable, Some(at(80))),
            "{told}"
        );
        assert!(row.problem.contains(told), "{}", row.problem);
    }
    let Stored::Certificate(early) = leaf('b', &[SHOP], 80) else {
        panic!("a certificate")
    };
    let early = Leaf {
        not_before: at(1),
        ..early
    };
    let row = only(&says, Stored::Certificate(early));
    assert_eq!(row.state, State::Unusable);
}

#[test]
fn another_one_than_the_stored_one_differs() {
    let row = only(&Says::issued("x", 'a', 10), leaf('b', &[SHOP], 90));
    assert_eq!((row.state, row.not_after()), (State::Differs, Some(at(10))));
    let told = "proxies present aaaaaaaaaaaa, Secret team-a/x holds bbbbbbbbbbbb";
    assert!(row.problem.contains(told), "{}", row.problem);
}

#[test]
fn one_that_some_proxy_does_not_present_is_not_served() {
    let says = Says {
        served: None,
        ..Says::issued("x", '0', 80)
    };
    for stored in [leaf('a', &[SHOP], 80), Stored::Forbidden] {
        assert_eq!(only(&says, stored).state, State::NotServed);
    }
}

#[test]
fn who_may_not_read_secrets_is_told_what_is_served() {
    for stored in [Stored::Forbidden, Stored::Failed] {
        let row = only(&Says::issued("x", 'a', 80), stored.clone());
        assert_eq!((row.state, row.not_after()), (State::Ok, Some(at(80))));
        let row = only(&Says::issued("x", 'a', -1), stored);
        assert_eq!(row.state, State::Expired);
    }
}

#[test]
fn a_renewal_that_does_not_come_is_overdue() {
    let renews = |days| Says {
        renews: Some(days),
        ..Says::issued("x", 'a', 20)
    };
    let row = only(&renews(-1), leaf('a', &[SHOP], 20));
    assert_eq!(row.state, State::Overdue);
    assert!(
        row.problem.contains("describe certificate x"),
        "{}",
        row.problem
    );
    // An issuer has a while for it.
    assert_eq!(only(&renews(0), leaf('a', &[SHOP], 20)).state, State::Ok);
}

#[test]
fn of_several_secrets_the_one_that_is_served_counts() {
    let tls = json!({"secret": {"name": "x"}, "additionalSecrets": [{"name": "rsa", "namespace": "bought"}]});
    let says = Says {
        issuer: "",
        renews: None,
        ..Says::issued("x", 'b', 30)
    };
    let judged = |second: Stored| {
        let shop = exposed("team-a", "shop", tls.clone(), &[host(SHOP, &says)]);
        let secrets = [
            ("team-a", "x", leaf('a', &[SHOP], 80)),
            ("bought", "rsa", second),
        ];
        world(vec![shop], &secrets).rows(now())[0].state
    };
    assert_eq!(judged(leaf('b', &[SHOP], 30)), State::Ok);
    assert_eq!(judged(leaf('c', &[SHOP], 30)), State::Differs);
    // It may be the one that is served.
    assert_eq!(judged(Stored::Forbidden), State::Ok);
}

#[test]
fn where_the_class_may_not_be_read_nothing_is_compared() {
    let says = Says {
        issuer: "",
        renews: None,
        ..Says::issued("star", 'a', 30)
    };
    let shop = exposed("team-a", "shop", json!({}), &[host(SHOP, &says)]);
    let mut world = world(vec![shop], &[]);
    world.classes.insert("public".into(), Class::Unknown);
    assert!(world.secrets_needed().is_empty());
    let rows = world.rows(now());
    assert_eq!(
        (rows[0].state, rows[0].not_after()),
        (State::Ok, Some(at(30)))
    );
}

#[test]
fn each_secret_is_asked_for_once() {
    let needed = everything().secrets_needed();
    let told: Vec<_> = needed
        .iter()
        .map(|it| format!("{}/{}", it.namespace, it.name))
        .collect();
    let expected = [
        "bought/wildcard",
        "certs/star",
        "team-a/new-1",
        "team-a/old-1",
        "team-a/shop-1",
        "team-b/hidden-1",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_check_fails_where_clients_meet_no_certificate_or_another_one() {
    let rows = everything().rows(now());
    let failing: Vec<_> = rows
        .iter()
        .filter(|row| row.state.is_failing())
        .map(|row| (row.hostname.as_str(), row.state.as_str()))
        .collect();
    let expected = [
        ("new.example.com", "Missing"),
        ("lost.example.com", "NotHeld"),
        ("fresh.*", "Pending"),
        ("wrong.example.com", "Rejected"),
        ("old.example.com", "Expired"),
        ("v1.api.example.com", "Differs"),
    ];
    assert_eq!(failing, expected);
}
