//! Classes that come and go under the objects that use them.

use crate::fixture::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_core::{Affected, Event, IN_USE, Reason};
use portolan_crds::{ExposeClass, ExposeClassStatus};
use serde_json::{Value, json};

const OTHERS: &str = "example.com/backup";

/// The class of the tests, with these finalizers.
fn class(finalizers: &[&str]) -> ExposeClass {
    let spec = json!({"default": true, "domain": "apps.test"});
    let mut class = expose_class("public", 1, spec);
    class.metadata.finalizers = Some(finalizers.iter().map(ToString::to_string).collect());
    class
}

impl Fixture {
    fn put_class(&mut self, class: ExposeClass) -> Affected {
        self.apply(Event::ExposeClass(applied(class)))
    }

    /// Deletes the class, which has these finalizers.
    fn delete_class(&mut self, finalizers: &[&str]) -> Affected {
        let mut class = class(finalizers);
        class.metadata.deletion_timestamp = Some(Time(now()));
        self.put_class(class)
    }

    /// One more object of the team, with the class that it was given before.
    fn put(&mut self, name: &str, spec: Value, given: Option<&str>) -> Affected {
        let mut object = exposed_port("team-a", name, 6, spec);
        object.status = given.map(|class| read(json!({"className": class})));
        self.apply(Event::ExposedPort(applied(object)))
    }

    fn finalizers(&self) -> Option<Vec<String>> {
        self.index.finalizers(&class_name("public"))
    }

    fn class_status(&self) -> ExposeClassStatus {
        let class = class_name("public");
        self.index.class_status(&class, &self.seen, now()).unwrap()
    }

    fn concerns_class(affected: &Affected) -> bool {
        affected.classes.contains(&class_name("public"))
    }
}

fn exposing(hostname: &str) -> Value {
    json!({"service": "shop", "port": 80, "hostnames": [hostname], "tls": {"mode": "Disabled"}})
}

#[test]
fn a_class_has_the_finalizer_while_objects_use_it() {
    let mut fixture = Fixture::empty();
    fixture.put_class(class(&[OTHERS]));
    assert_eq!(fixture.finalizers(), None);
    let affected = fixture.put("one", exposing("one.example.com"), None);
    assert!(Fixture::concerns_class(&affected), "{affected:?}");
    let both = vec![OTHERS.to_owned(), IN_USE.to_owned()];
    assert_eq!(fixture.finalizers(), Some(both));
    fixture.put_class(class(&[OTHERS, IN_USE]));
    assert_eq!(fixture.finalizers(), None, "it is as it should be");

    let affected = fixture.put("two", exposing("two.example.com"), None);
    assert!(!Fixture::concerns_class(&affected), "{affected:?}");
    fixture.apply(Event::ExposedPort(gone("team-a", "one")));
    assert_eq!(fixture.finalizers(), None);
    // One that is no longer accepted uses nothing.
    let affected = fixture.put("two", json!({"port": 0}), None);
    assert!(Fixture::concerns_class(&affected), "{affected:?}");
    assert_eq!(fixture.finalizers(), Some(vec![OTHERS.to_owned()]));
}

#[test]
fn a_class_that_is_deleted_serves_on_and_names_whom() {
    let mut fixture = Fixture::empty();
    for name in ["a", "b", "c", "d"] {
        let host = format!("{name}.example.com");
        fixture.put(name, exposing(&host), Some("public"));
    }
    fixture.delete_class(&[IN_USE]);
    let status = fixture.class_status();
    assert_eq!(status.conditions[0].reason, Reason::InUse.as_str());
    assert_eq!(status.conditions[0].status, "False");
    assert!(
        status.description.contains(
            r#"ExposedPort "team-a/a", ExposedPort "team-a/b", ExposedPort "team-a/c", 1 more;"#
        ),
        "{status:?}"
    );
    assert_eq!(fixture.finalizers(), None);
    let name = class_name("public");
    assert!(!fixture.index.is_finished(&name));
    for name in ["a", "b", "c", "d"] {
        let object = portolan_core::Subject::exposed_port("team-a", name);
        assert_eq!(
            fixture.index.class_of(&object),
            Some(&class_name("public")),
            "{name}"
        );
    }

    for name in ["a", "b", "c"] {
        let affected = fixture.apply(Event::ExposedPort(gone("team-a", name)));
        assert!(Fixture::concerns_class(&affected), "it names one fewer");
    }
    assert!(!fixture.class_status().description.contains("more"));
    fixture.apply(Event::ExposedPort(gone("team-a", "d")));
    assert_eq!(fixture.finalizers(), Some(vec![]));
    assert!(fixture.index.is_finished(&name));
    let status = fixture.class_status();
    assert_eq!(status.conditions[0].reason, Reason::ClassDeleting.as_str());
}

#[test]
fn a_class_in_deletion_accepts_no_new_objects() {
    let mut fixture = Fixture::empty();
    let mut named = exposing(HOST);
    named["className"] = "public".into();
    let given = |name: &str, spec: &Value| {
        let mut object = exposed_port("team-a", name, 5, spec.clone());
        object.status = Some(read(json!({"className": "public"})));
        Event::ExposedPort(applied(object))
    };
    fixture.apply(given("shop", &named));
    fixture.delete_class(&[IN_USE]);
    assert_eq!(
        fixture.index.class_of(&fixture.shop),
        Some(&class_name("public"))
    );
    // It may still change, its hostnames included.
    named["hostnames"] = json!(["other.example.com"]);
    fixture.apply(given("shop", &named));
    assert_eq!(
        fixture.index.class_of(&fixture.shop),
        Some(&class_name("public"))
    );

    fixture.put_shop(named.clone());
    fixture.is(Reason::ClassDeleting);
    fixture.put_shop(exposing(HOST));
    fixture.is(Reason::NoClass);
    let private = expose_class("private", 9, json!({"default": true}));
    fixture.put_class(private);
    assert_eq!(
        fixture.index.class_of(&fixture.shop),
        Some(&class_name("private"))
    );
    let affected = fixture.put_class(class(&[]));
    assert!(
        affected.objects.contains(&fixture.shop),
        "the default one is another"
    );
    assert_eq!(
        fixture.index.class_of(&fixture.shop),
        Some(&class_name("public")),
        "recreated, it is the older default"
    );
}

#[test]
fn an_object_cannot_block_a_class_deletion_in_progress() {
    let mut fixture = Fixture::empty();
    fixture.put("one", exposing("one.example.com"), Some("public"));
    fixture.delete_class(&[OTHERS]);
    assert_eq!(
        fixture.finalizers(),
        None,
        "the API server would take no new one"
    );
    assert_eq!(
        fixture.class_status().conditions[0].reason,
        Reason::InUse.as_str()
    );
}
