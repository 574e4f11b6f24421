use super::*;
use portolan_discovery::session::ResourceAck;
use portolan_discovery::table::{Certificate, Resource};

fn name(name: &str) -> ResourceName {
    update(name, "").resource.name()
}

fn update(name: &str, chain: &str) -> Update {
    let certificate = Certificate {
        name: name.into(),
        chain_pem: chain.into(),
        key_pem: String::new(),
    };
    Update::new(Resource::Certificate(certificate), Vec::new())
}

fn wanted(contents: &[(&str, &str)]) -> Wanted {
    contents
        .iter()
        .map(|(name, chain)| update(name, chain))
        .map(|update| (update.resource.name(), update))
        .collect()
}

fn ack(transaction: &Transaction, refused: Option<&str>) -> Ack {
    let verdicts = transaction.batch.upserts.iter().map(|update| ResourceAck {
        name: update.resource.name(),
        version: update.version,
        origins: Vec::new(),
        refused: refused.map(str::to_owned),
    });
    Ack {
        transaction: Some(transaction.id),
        verdicts: verdicts.collect(),
        removed: transaction.batch.removals.clone(),
    }
}

fn sent(transaction: &Transaction) -> Vec<(String, String)> {
    let upserts = transaction.batch.upserts.iter();
    upserts
        .map(|update| match &update.resource {
            Resource::Certificate(it) => (it.name.clone(), it.chain_pem.clone()),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn following(wanted: &Wanted) -> Outbox {
    let mut outbox = Outbox::default();
    outbox.follow(true, wanted);
    outbox
}

#[test]
fn sends_nothing_to_a_follower_of_another_operator() {
    let table = wanted(&[("a", "1")]);
    let mut outbox = Outbox::default();
    outbox.changed([name("a")].into());
    assert_eq!(outbox.next(1, &table), None);
    outbox.follow(true, &table);
    assert!(outbox.next(1, &table).is_some());
}

#[test]
fn of_many_changes_during_a_flight_the_newest_is_sent_once() {
    let mut outbox = following(&wanted(&[("a", "1")]));
    let first = outbox.next(1, &wanted(&[("a", "1")])).unwrap();
    for round in ["2", "3", "4"] {
        outbox.changed([name("a")].into());
        assert_eq!(
            outbox.next(1, &wanted(&[("a", round)])),
            None,
            "one in flight"
        );
    }
    outbox.acked(&ack(&first, None));
    let second = outbox.next(1, &wanted(&[("a", "4")])).unwrap();
    assert_eq!(sent(&second), [("a".into(), "4".into())]);
    outbox.acked(&ack(&second, None));
    assert_eq!(outbox.next(1, &wanted(&[("a", "4")])), None);
    assert_eq!(outbox.waiting(), 0);
}

#[test]
fn a_change_that_is_taken_back_in_time_is_not_sent() {
    let table = wanted(&[("a", "1")]);
    let mut outbox = following(&table);
    let first = outbox.next(1, &table).unwrap();
    outbox.changed([name("a"), name("b")].into());
    outbox.acked(&ack(&first, None));
    assert_eq!(
        outbox.next(1, &table),
        None,
        "a is as it was, b came and went"
    );
}

#[test]
fn resends_a_rejected_version_only_after_a_change() {
    let table = wanted(&[("a", "1")]);
    let mut outbox = following(&table);
    let first = outbox.next(1, &table).unwrap();
    outbox.acked(&ack(&first, Some("the key does not fit")));
    outbox.changed([name("a")].into());
    assert_eq!(outbox.next(1, &table), None);
    let mended = wanted(&[("a", "2")]);
    outbox.changed([name("a")].into());
    let second = outbox.next(1, &mended).unwrap();
    assert_eq!(sent(&second), [("a".into(), "2".into())]);
    outbox.acked(&ack(&second, Some("still not")));
    outbox.follow(true, &mended);
    assert_eq!(sent(&outbox.next(1, &mended).unwrap()).len(), 1);
}

#[test]
fn what_was_sent_but_not_judged_yet_is_removed_too() {
    let table = wanted(&[("a", "1")]);
    let mut outbox = following(&table);
    let first = outbox.next(1, &table).unwrap();
    outbox.acked(&Ack {
        transaction: Some(first.id),
        ..Ack::default()
    });
    outbox.changed([name("a")].into());
    let second = outbox.next(1, &Wanted::new()).unwrap();
    assert_eq!(second.batch.removals, [name("a")]);
    outbox.acked(&ack(&second, None));
    outbox.changed([name("a")].into());
    assert_eq!(outbox.next(1, &Wanted::new()), None, "it is gone");
}

#[test]
fn does_not_resend_what_another_operator_applied() {
    let table = wanted(&[("a", "1"), ("b", "1")]);
    let mut outbox = Outbox::default();
    let by_the_other = Ack {
        transaction: None,
        verdicts: vec![ResourceAck {
            name: name("a"),
            version: table[&name("a")].version,
            origins: Vec::new(),
            refused: None,
        }],
        removed: Vec::new(),
    };
    outbox.acked(&by_the_other);
    outbox.follow(true, &table);
    assert_eq!(
        sent(&outbox.next(1, &table).unwrap()),
        [("b".into(), "1".into())]
    );
}

#[test]
fn ignores_acks_of_transactions_before_unfollow() {
    let table = wanted(&[("a", "1")]);
    let mut outbox = following(&table);
    let first = outbox.next(1, &table).unwrap();
    outbox.follow(false, &table);
    outbox.follow(true, &table);
    let second = outbox.next(1, &table).unwrap();
    outbox.acked(&ack(&first, None));
    outbox.changed([name("b")].into());
    let more = wanted(&[("a", "1"), ("b", "1")]);
    assert_eq!(outbox.next(1, &more), None, "the second is in flight");
    outbox.acked(&ack(&second, None));
    assert_eq!(
        sent(&outbox.next(1, &more).unwrap()),
        [("b".into(), "1".into())]
    );
}

#[test]
fn a_proxy_that_lacks_nothing_hears_so_once() {
    let table = wanted(&[("a", "1")]);
    let held = table.iter().map(|(name, it)| (name.clone(), it.version));
    let mut outbox = Outbox::new(held.collect());
    outbox.follow(true, &table);
    let first = outbox.next(7, &table).unwrap();
    assert!(first.batch.upserts.is_empty() && first.batch.end_of_snapshot);
    assert_eq!(first.epoch, 7);
    outbox.acked(&ack(&first, None));
    assert_eq!(outbox.next(7, &table), None);
}
