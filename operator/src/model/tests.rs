//! Inputs in, keys and table out.

use super::*;
use crate::apply::{ChildKind, Seen};
use crate::watch::Via;
use kube::api::DynamicObject;
use portolan_core::{Change, Subject};
use portolan_discovery::table::ResourceName;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

struct TestModel {
    model: Model,
    table: Arc<Table>,
    exposures: Arc<Exposures>,
    secrets: watch::Receiver<BTreeSet<ObjectRef>>,
    pods: watch::Receiver<bool>,
    synced: watch::Receiver<bool>,
}

const ONE: Source = Source::Kind("one");

fn test_model() -> TestModel {
    let table: Arc<Table> = Arc::default();
    let exposures: Arc<Exposures> = Arc::default();
    let (secrets_in, secrets) = watch::channel(BTreeSet::new());
    let (pods_in, pods) = watch::channel(false);
    let (synced_in, synced) = watch::channel(false);
    let outputs = Outputs {
        table: Arc::clone(&table),
        children: Arc::default(),
        exposures: Arc::clone(&exposures),
        queue: Arc::default(),
        secrets: secrets_in,
        pods: pods_in,
        synced: synced_in,
    };
    let (metrics, _) = Metrics::registered();
    TestModel {
        model: Model::new("portolan-system", [ONE].into(), outputs, metrics),
        table,
        exposures,
        secrets,
        pods,
        synced,
    }
}

impl TestModel {
    fn take_in(&self, inputs: Vec<Input>) -> Vec<String> {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let keys = self.model.take_in(inputs.into_iter(), now);
        keys.iter().map(ToString::to_string).collect()
    }

    fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn serves(&self, hostname: &str) -> bool {
        let name = ResourceName {
            kind: Kind::VirtualHost,
            name: hostname.into(),
        };
        self.table.version("public", &name).is_some()
    }
}

fn parsed<T: DeserializeOwned>(object: Value) -> Change<T> {
    Change::Applied(Box::new(serde_json::from_value(object).unwrap()))
}

fn class() -> Input {
    class_with("Any")
}

fn class_with(endpoints: &str) -> Input {
    let metadata =
        json!({"name": "public", "uid": "c", "creationTimestamp": "2026-01-01T00:00:00Z"});
    let class = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "ExposeClass", "metadata": metadata,
        "spec": {"default": true, "endpoints": endpoints}});
    Input::Event(Event::ExposeClass(parsed(class)))
}

fn object(spec: Value) -> Input {
    let metadata = json!({"name": "shop", "namespace": "team-a", "uid": "o", "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z"});
    let object = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "ExposedPort", "metadata": metadata,
        "spec": spec});
    Input::Event(Event::ExposedPort(parsed(object)))
}

fn plain() -> Input {
    object(json!({"port": 8080, "service": "shop", "hostnames": ["shop.example.com"]}))
}

fn hold() -> Input {
    let metadata = json!({"name": "h.shop.example.com", "uid": "h", "resourceVersion": "1"});
    let spec = json!({"hostname": "shop.example.com", "namespace": "team-a", "since": "2026-01-01T00:00:00Z"});
    let hold = json!({"apiVersion": "portolan.dev/v1alpha1", "kind": "HostnameHold", "metadata": metadata,
        "spec": spec});
    Input::Event(Event::HostnameHold(parsed(hold)))
}

#[test]
fn does_nothing_before_caches_are_synced() {
    let test_model = test_model();
    assert!(
        test_model
            .take_in(vec![class(), plain(), hold()])
            .is_empty()
    );
    assert!(!test_model.serves("shop.example.com") && !test_model.is_synced());
    let keys = test_model.take_in(vec![Input::Listed(ONE)]);
    assert!(
        keys.contains(&"ExposedPort team-a/shop".to_owned()),
        "{keys:?}"
    );
    assert!(keys.contains(&"ExposeClass public".to_owned()), "{keys:?}");
    assert!(test_model.serves("shop.example.com") && test_model.is_synced());
}

#[test]
fn a_secret_that_an_object_names_is_an_input_too() {
    let test_model = test_model();
    let secret = ObjectRef::new("team-a", "own-cert");
    let with_secret = object(
        json!({"port": 8080, "service": "shop", "hostnames": ["shop.example.com"],
        "tls": {"secret": {"name": "own-cert"}}}),
    );
    test_model.take_in(vec![class(), with_secret, hold(), Input::Listed(ONE)]);
    assert_eq!(*test_model.secrets.borrow(), [secret.clone()].into());
    assert!(
        !test_model.is_synced(),
        "or a restart would take the certificate away"
    );
    test_model.take_in(vec![
        Input::Secret(Via::Name, Change::Deleted(secret.clone())),
        Input::Listed(Source::Secret(secret)),
    ]);
    assert!(test_model.is_synced());
}

#[test]
fn object_metrics_follow_the_stored_status() {
    let test_model = test_model();
    let shop = Subject::exposed_port("team-a", "shop");
    test_model.take_in(vec![class(), plain(), hold(), Input::Listed(ONE)]);
    let of_shop = || test_model.exposures.of(&shop);
    assert_eq!(
        of_shop().unwrap().ready,
        Some(false),
        "it has no status yet"
    );

    let ready = json!([{"type": "Ready", "status": "True", "reason": "Serving", "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let Input::Event(Event::ExposedPort(Change::Applied(mut with_status))) = plain() else {
        unreachable!("an object is an event")
    };
    with_status.status = Some(
        serde_json::from_value(json!({"summary": {"status": "Ready"}, "conditions": ready}))
            .unwrap(),
    );
    let with_status = Input::Event(Event::ExposedPort(Change::Applied(with_status)));
    test_model.take_in(vec![with_status]);
    let metrics = of_shop().unwrap();
    assert_eq!(
        (metrics.ready, metrics.class.as_str()),
        (Some(true), "public")
    );
    assert_eq!(metrics.reason, "Serving");

    let gone = Change::Deleted(shop.object().clone());
    test_model.take_in(vec![Input::Event(Event::ExposedPort(gone))]);
    assert_eq!(of_shop(), None);
}

#[test]
fn what_becomes_of_a_child_concerns_its_owner() {
    let test_model = test_model();
    test_model.take_in(vec![class(), plain(), Input::Listed(ONE)]);
    let child: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "x", "namespace": "team-a", "uid": "1", "ownerReferences": [
            {"apiVersion": "portolan.dev/v1alpha1", "kind": "ExposedPort", "name": "shop", "uid": "o", "controller": true}]},
    }))
    .unwrap();
    let seen = Seen::of(&child);
    let id = seen.id(ChildKind::Ingress);
    let keys = test_model.take_in(vec![Input::Child(id.clone(), Box::new(seen))]);
    assert_eq!(keys, ["ExposedPort team-a/shop"]);
    let uid = "1".to_owned();
    let keys = test_model.take_in(vec![Input::ChildGone { id, uid }]);
    assert_eq!(keys, ["ExposedPort team-a/shop"]);
}

#[test]
fn what_proxies_say_concerns_the_objects_behind_it() {
    let test_model = test_model();
    test_model.take_in(vec![class(), plain(), hold(), Input::Listed(ONE)]);
    let name = |kind, name: &str| ResourceName {
        kind,
        name: name.into(),
    };
    let concerned = |scope| test_model.model.concerned("public", &scope);
    let shop = Key::Object(ObjectRef::new("team-a", "shop"));
    let public = Key::Class(ClassName::parse("public").unwrap());
    let host = Scope::Names([name(Kind::VirtualHost, "shop.example.com")].into());
    assert!(concerned(host).contains(&shop));
    let listener = concerned(Scope::Names([name(Kind::Listener, "http")].into()));
    assert!(listener.contains(&public), "{listener:?}");
    let everything = concerned(Scope::Everything);
    assert!(everything.contains(&shop) && everything.contains(&public));
    let unknown = Scope::Names([name(Kind::VirtualHost, "other.example.com")].into());
    assert!(concerned(unknown).is_empty());
}

#[test]
fn pods_are_watched_while_a_class_needs_them() {
    let test_model = test_model();
    test_model.take_in(vec![
        class_with("PodsOnly"),
        plain(),
        hold(),
        Input::Listed(ONE),
    ]);
    assert!(*test_model.pods.borrow());
    assert!(
        !test_model.is_synced(),
        "endpoints would be offered that are no pods"
    );
    test_model.take_in(vec![Input::Listed(PODS)]);
    assert!(test_model.is_synced());
    test_model.take_in(vec![class()]);
    assert!(!*test_model.pods.borrow());
    test_model.take_in(vec![class_with("PodsOnly")]);
    assert!(*test_model.pods.borrow() && test_model.is_synced());
}
