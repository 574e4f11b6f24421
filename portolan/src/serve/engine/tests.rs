//! Tests of the engine: files in, batches and statuses out.

use super::super::environment::ServingConfig;
use super::*;
use jiff::SignedDuration;
use portolan_core::{ClassName, Subject, TicketKey};
use portolan_discovery::table::{Action, Kind, Resource, TicketSeed, UpstreamProtocol};
use std::net::Ipv4Addr;

struct Fixture {
    engine: Engine,
    folder: Folder,
    files: Vec<(String, String)>,
}

fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

fn fixture() -> Fixture {
    let config = ServingConfig {
        class: ClassName::parse("public").unwrap(),
        http: 8080,
        https: 8443,
        address: Ipv4Addr::LOCALHOST.into(),
    };
    Fixture {
        engine: Engine::new(Environment::new(config, TicketKey([7; 32]), now()), now()),
        folder: Folder::default(),
        files: Vec::new(),
    }
}

impl Fixture {
    /// Writes a file; an empty text deletes it.
    fn write(&mut self, name: &str, text: &str) -> Option<Batch> {
        self.files.retain(|(other, _)| other != name);
        if !text.is_empty() {
            self.files.push((name.to_owned(), text.to_owned()));
        }
        let contents = self
            .files
            .iter()
            .map(|(name, text)| (name.clone(), Ok(text.clone().into_bytes())));
        let update = self.folder.update(contents.collect());
        self.engine.update(update, &self.folder, now());
        self.engine.batch()
    }

    /// Acknowledges every resource.
    fn accept(&mut self, batch: &Batch) {
        let acks = batch
            .upserts
            .iter()
            .map(|update| update.verdict(None))
            .collect();
        self.engine
            .record_acks(acks, &batch.removals, &self.folder, now());
        self.engine.set_ready(true, &self.folder, now());
    }

    /// Returns the reported status and description of an object.
    fn reported(&mut self, name: &str) -> Option<(String, String)> {
        let row = self
            .engine
            .take_changes()
            .objects
            .remove(&Subject::exposed_port("default", name))?;
        row.map(|row| {
            (
                row.status.summary.unwrap().status,
                format!("{}: {}", row.location, row.status.description),
            )
        })
    }
}

fn exposed_port(name: &str, host: &str) -> String {
    format!(
        "apiVersion: portolan.dev/v1alpha1\nkind: ExposedPort\nmetadata: {{name: {name}}}\nspec:\n  port: 80\n  service: {name}\n  hostnames: [{host}]\n---\n"
    )
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: http, port: 80}}]}}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: 3000}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n---\n"
    )
}

fn names(batch: &Batch) -> Vec<String> {
    batch
        .upserts
        .iter()
        .map(|update| update.resource.name().to_string())
        .collect()
}

#[test]
fn a_folder_is_one_batch_and_ready_once_applied() {
    let mut fixture = fixture();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let batch = fixture.write("shop.yaml", &text).unwrap();
    assert_eq!(
        names(&batch),
        [
            "Endpoints default/shop:http",
            "ClassSettings class",
            "VirtualHost shop.test",
            "Listener http",
            "Listener https"
        ]
    );
    assert!(batch.end_of_snapshot);
    let ports = batch
        .upserts
        .iter()
        .filter_map(|update| match &update.resource {
            Resource::Listener(listener) => Some(listener.port),
            _ => None,
        });
    assert_eq!(ports.collect::<Vec<_>>(), [8080, 8443]);
    let (status, _) = fixture.reported("shop").unwrap();
    assert_eq!(status, "Pending", "nothing was applied yet");
    fixture.accept(&batch);
    assert_eq!(
        fixture.reported("shop").unwrap(),
        ("Ready".into(), "shop.yaml:1: valid".into())
    );
    assert!(fixture.engine.batch().is_none() && !fixture.engine.has_changes());
}

#[test]
fn follows_the_app_protocol_of_services() {
    let mut fixture = fixture();
    let text = exposed_port("shop", "shop.test");
    let files = [
        ("", UpstreamProtocol::Http1),
        ("appProtocol: kubernetes.io/h2c, ", UpstreamProtocol::Http2),
        ("appProtocol: odd, ", UpstreamProtocol::Http1),
    ];
    for (app_protocol, expected) in files {
        let service = service("shop").replace("port: 80", &format!("{app_protocol}port: 80"));
        let batch = fixture.write("shop.yaml", &(text.clone() + &service));
        let batch = batch.unwrap();
        let protocol = batch
            .upserts
            .iter()
            .find_map(|update| match &update.resource {
                Resource::VirtualHost(host) => match &host.routes[0].action {
                    Action::Forward { backends } => Some(backends[0].protocol),
                    other => panic!("{other:?}"),
                },
                _ => None,
            });
        assert_eq!(protocol, Some(expected), "{app_protocol}");
        fixture.accept(&batch);
    }
    let (status, description) = fixture.reported("shop").unwrap();
    assert_eq!(status, "Ready");
    assert!(
        description.contains("appProtocol \"odd\" of port 80 (http)"),
        "{description}"
    );
}

#[test]
fn an_invalid_object_is_reported_with_its_line() {
    let mut fixture = fixture();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let batch = fixture.write("shop.yaml", &text).unwrap();
    fixture.accept(&batch);
    fixture.engine.take_changes();
    let batch = fixture
        .write("shop.yaml", &text.replace("port: 80\n", "port: 0\n"))
        .unwrap();
    assert_eq!(
        batch.removals.len(),
        2,
        "the host and its endpoints: {:?}",
        batch.removals
    );
    let (status, description) = fixture.reported("shop").unwrap();
    assert_eq!(status, "Invalid");
    assert!(
        description.starts_with("shop.yaml:5: spec.port: Invalid value: "),
        "{description}"
    );
}

#[test]
fn a_syntax_error_changes_nothing_until_resolved() {
    let mut fixture = fixture();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let batch = fixture.write("shop.yaml", &text).unwrap();
    fixture.accept(&batch);
    fixture.engine.take_changes();
    assert!(
        fixture
            .write("shop.yaml", &text.replace("service: shop", "servcie: shop"))
            .is_none()
    );
    let changes = fixture.engine.take_changes();
    assert!(changes.objects.is_empty());
    let errors: Vec<_> = changes.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 1);
    let expected = "shop.yaml:6: ExposedPort default/shop: spec.servcie: unknown field";
    assert!(errors[0].starts_with(expected), "{errors:?}");
    assert!(fixture.write("shop.yaml", &text).is_none());
    let changes = fixture.engine.take_changes();
    assert_eq!((changes.errors.len(), changes.resolved.len()), (0, 1));
}

#[test]
fn the_older_object_gets_the_hostname() {
    let mut fixture = fixture();
    let young = exposed_port("b", "shop.test").replace(
        "{name: b}",
        "{name: b, creationTimestamp: 2026-01-02T00:00:00Z}",
    );
    fixture.write("b.yaml", &(young + &service("b")));
    fixture.write("a.yaml", &(exposed_port("z", "shop.test") + &service("z")));
    let (status, description) = fixture.reported("b").unwrap();
    assert_eq!(status, "Conflicted", "{description}");
    assert!(description.contains("default/z"), "{description}");
    assert!(fixture.write("a.yaml", "").is_some());
    assert_eq!(fixture.reported("b").unwrap().0, "Pending");
}

#[test]
fn reports_an_issuer_as_unavailable() {
    let mut fixture = fixture();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let text = text.replace(
        "  port: 80\n  service",
        "  tls: {issuerRef: {name: ca}}\n  port: 80\n  service",
    );
    let batch = fixture.write("shop.yaml", &text).unwrap();
    fixture.accept(&batch);
    let (_, description) = fixture.reported("shop").unwrap();
    assert!(
        description.contains("cert-manager is not installed"),
        "{description}"
    );
}

#[test]
fn a_class_of_the_folder_replaces_the_built_in_one() {
    let mut fixture = fixture();
    let text = exposed_port("shop", "\"shop.*\"") + &service("shop");
    let batch = fixture.write("shop.yaml", &text).unwrap();
    fixture.accept(&batch);
    assert!(
        fixture
            .reported("shop")
            .unwrap()
            .1
            .contains("class \"public\" has no domain")
    );
    let class = "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {name: public}\nspec: {default: true, domain: apps.test}\n";
    let batch = fixture.write("class.yaml", class).unwrap();
    assert!(names(&batch).contains(&"VirtualHost shop.apps.test".to_owned()));
    fixture.accept(&batch);
    assert_eq!(fixture.reported("shop").unwrap().0, "Ready");
    let batch = fixture.write("class.yaml", "").unwrap();
    assert!(
        batch
            .removals
            .iter()
            .all(|name| name.kind != Kind::Listener),
        "{:?}",
        batch.removals
    );
    assert!(
        fixture
            .reported("shop")
            .unwrap()
            .1
            .contains("class \"public\" has no domain")
    );
}

#[test]
fn an_error_of_the_class_is_reported_and_resolved() {
    let mut fixture = fixture();
    let class = |idle: &str| {
        format!(
            "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {{name: public}}\nspec:\n  default: true\n  defaults:\n    timeouts:\n      idle: {idle}\n"
        )
    };
    fixture.write("class.yaml", &class("soon"));
    let error = fixture.engine.take_changes().errors.pop_first().unwrap();
    assert_eq!(
        error.to_string(),
        "class.yaml:8: ExposeClass public: spec.defaults.timeouts.idle: Invalid value: \"soon\": must be a duration such as 150ms, 15s or 1h30m (0s: no limit)"
    );
    fixture.write("class.yaml", &class("5m"));
    assert_eq!(
        fixture.engine.take_changes().resolved.pop_first(),
        Some(error)
    );
}

#[test]
fn objects_of_another_class_are_not_served() {
    let mut fixture = fixture();
    let class = |name: &str| {
        format!(
            "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {{name: {name}}}\nspec: {{}}\n"
        )
    };
    fixture.write("a.yaml", &class("inside"));
    fixture.write("b.yaml", &class("public"));
    let text =
        exposed_port("shop", "shop.test").replace("  port: 80", "  className: inside\n  port: 80");
    let batch = fixture.write("shop.yaml", &(text + &service("shop")));
    assert!(batch.is_none_or(|batch| !names(&batch).contains(&"VirtualHost shop.test".to_owned())));
    let (_, description) = fixture.reported("shop").unwrap();
    assert!(
        description.contains("class \"inside\" has no ready proxy"),
        "{description}"
    );
}

#[test]
fn a_deleted_object_is_removed_and_reported() {
    let mut fixture = fixture();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let batch = fixture.write("shop.yaml", &text).unwrap();
    fixture.accept(&batch);
    fixture.engine.take_changes();
    let batch = fixture.write("shop.yaml", "").unwrap();
    assert_eq!((batch.upserts.len(), batch.removals.len()), (0, 2));
    assert_eq!(
        fixture.engine.take_changes().objects[&Subject::exposed_port("default", "shop")],
        None
    );
}

/// Seeds of the keys of session tickets.
fn seeds(batch: Option<Batch>) -> Vec<TicketSeed> {
    let upserts = batch.into_iter().flat_map(|batch| batch.upserts);
    let mut settings = upserts.filter_map(|update| match update.resource {
        Resource::ClassSettings(settings) => Some(settings.ticket_seeds),
        _ => None,
    });
    settings.next().unwrap_or_default()
}

#[test]
fn ticket_keys_rotate_and_the_former_one_is_accepted() {
    let mut fixture = fixture();
    let first = seeds(fixture.engine.batch());
    assert_eq!(first.len(), 2);
    let wake = fixture.engine.wake_at();
    assert!(wake > now() && wake <= now() + SignedDuration::from_hours(1));
    let later = now() + SignedDuration::from_hours(12);
    fixture.engine.wake(&fixture.folder, later);
    let second = seeds(fixture.engine.batch());
    assert_eq!(second.get(1), first.first());
    assert_ne!(second.first(), first.first());
    assert!(fixture.engine.wake_at() > later);
}
