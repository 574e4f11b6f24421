//! State of each case.

use super::*;
use crate::certs::state::State;

#[test]
fn served_as_stored_is_ok() {
    let row = only(
        &Reported::issued("team-a", "x", 'a', 80),
        leaf('a', &[SHOP], 80),
    );
    assert_eq!((row.state, row.problem.as_str()), (State::Ok, ""));
    assert_eq!(row.not_after(), Some(at(80)));
}

#[test]
fn a_certificate_not_stored_yet_is_missing() {
    let reported = Reported {
        served: None,
        renews: None,
        ..Reported::issued("team-a", "x", '0', 0)
    };
    let mut status = host(SHOP, &reported);
    status["message"] = json!("shop.example.com: waiting for the certificate to be issued");
    let shop = exposed("team-a", "shop", json!({}), &[status]);
    let rows = data(vec![shop], &[("team-a", "x", Stored::NotFound)]).rows(now());
    assert_eq!(rows[0].state, State::Missing);
    assert_eq!(
        rows[0].message(),
        "ExposedPort team-a/shop: shop.example.com: no certificate in Secret team-a/x (waiting for the \
         certificate to be issued); see `kubectl -n team-a describe certificate x`"
    );
    assert_eq!(rows[0].not_after(), None);
}

#[test]
fn the_served_certificate_decides_the_expiry() {
    let row = only(
        &Reported::issued("team-a", "x", 'a', -1),
        leaf('b', &[SHOP], 80),
    );
    assert_eq!((row.state, row.not_after()), (State::Expired, Some(at(-1))));
    assert!(
        row.problem
            .contains("certificate expired at 2027-01-09T12:00:00Z"),
        "{}",
        row.problem
    );
    // Nothing is served, so the stored one counts.
    let reported = Reported {
        served: None,
        ..Reported::issued("team-a", "x", '0', 80)
    };
    let row = only(&reported, leaf('b', &[SHOP], -1));
    assert_eq!((row.state, row.not_after()), (State::Expired, Some(at(-1))));
    // Exact to the second.
    let row = only(
        &Reported::issued("team-a", "x", 'a', 0),
        leaf('a', &[SHOP], 0),
    );
    assert_eq!(row.state, State::Expired);
}

#[test]
fn a_stored_certificate_that_cannot_be_served_is_unusable() {
    let reported = Reported::issued("team-a", "x", 'a', 80);
    for (stored, expected) in [
        (
            Stored::Unreadable("tls.crt is not a certificate in PEM"),
            "is not a certificate",
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
        (leaf('b', &[SHOP], -1), "certificate expired at"),
    ] {
        let row = only(&reported, stored);
        assert_eq!(
            (row.state, row.not_after()),
            (State::Unusable, Some(at(80))),
            "{expected}"
        );
        assert!(row.problem.contains(expected), "{}", row.problem);
    }
    let Stored::Certificate(early) = leaf('b', &[SHOP], 80) else {
        panic!("a certificate")
    };
    let early = LeafCertificate {
        not_before: at(1),
        ..early
    };
    let row = only(&reported, Stored::Certificate(early));
    assert_eq!(row.state, State::Unusable);
}

#[test]
fn a_served_certificate_that_is_not_stored_differs() {
    let row = only(
        &Reported::issued("team-a", "x", 'a', 10),
        leaf('b', &[SHOP], 90),
    );
    assert_eq!((row.state, row.not_after()), (State::Differs, Some(at(10))));
    let expected = "proxies present aaaaaaaaaaaa, Secret team-a/x holds bbbbbbbbbbbb";
    assert!(row.problem.contains(expected), "{}", row.problem);
}

#[test]
fn a_certificate_missing_on_a_proxy_is_not_served() {
    let reported = Reported {
        served: None,
        ..Reported::issued("team-a", "x", '0', 80)
    };
    for stored in [leaf('a', &[SHOP], 80), Stored::Forbidden] {
        assert_eq!(only(&reported, stored).state, State::NotServed);
    }
}

#[test]
fn without_access_to_secrets_shows_what_is_served() {
    for stored in [Stored::Forbidden, Stored::Failed] {
        let row = only(&Reported::issued("team-a", "x", 'a', 80), stored.clone());
        assert_eq!((row.state, row.not_after()), (State::Ok, Some(at(80))));
        let row = only(&Reported::issued("team-a", "x", 'a', -1), stored);
        assert_eq!(row.state, State::Expired);
    }
}

#[test]
fn a_late_renewal_is_overdue() {
    let renews = |days| Reported {
        renews: Some(days),
        ..Reported::issued("team-a", "x", 'a', 20)
    };
    let row = only(&renews(-1), leaf('a', &[SHOP], 20));
    assert_eq!(row.state, State::Overdue);
    assert!(
        row.problem.contains("describe certificate x"),
        "{}",
        row.problem
    );
    // Within the grace period.
    assert_eq!(only(&renews(0), leaf('a', &[SHOP], 20)).state, State::Ok);
}

#[test]
fn of_several_secrets_the_served_one_counts() {
    let tls = json!({"secret": {"name": "x"}, "additionalSecrets": [{"name": "rsa", "namespace": "bought"}]});
    let reported = Reported {
        issuer: "",
        renews: None,
        ..Reported::issued("team-a", "x", 'b', 30)
    };
    let state = |second: Stored| {
        let shop = exposed("team-a", "shop", tls.clone(), &[host(SHOP, &reported)]);
        let secrets = [
            ("team-a", "x", leaf('a', &[SHOP], 80)),
            ("bought", "rsa", second),
        ];
        data(vec![shop], &secrets).rows(now())[0].state
    };
    assert_eq!(state(leaf('b', &[SHOP], 30)), State::Ok);
    assert_eq!(state(leaf('c', &[SHOP], 30)), State::Differs);
    // It may be the served one.
    assert_eq!(state(Stored::Forbidden), State::Ok);
}

#[test]
fn each_secret_is_requested_once() {
    let needed = everything().secrets_needed();
    let names: Vec<_> = needed
        .iter()
        .map(|secret| format!("{}/{}", secret.namespace, secret.name))
        .collect();
    let expected = [
        "bought/wildcard",
        "certs/star",
        "team-a/new-1",
        "team-a/old-1",
        "team-a/shop-1",
        "team-b/hidden-1",
    ];
    assert_eq!(names, expected);
}

#[test]
fn checks_fail_without_the_stored_certificate() {
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
