//! Files in, batches and statuses out.

use super::super::world::Serving;
use super::*;
use jiff::SignedDuration;
use portolan_core::{ClassName, TicketKey};
use portolan_discovery::table::{Action, Kind, Resource, TicketSeed, UpstreamProtocol};
use std::net::Ipv4Addr;

struct Stand {
    engine: Engine,
    folder: Folder,
    files: Vec<(String, String)>,
}

fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

fn stand() -> Stand {
    let serving = Serving {
        class: ClassName::parse("public").unwrap(),
        http: 8080,
        https: 8443,
        address: Ipv4Addr::LOCALHOST.into(),
    };
    Stand {
        engine: Engine::new(World::new(serving, TicketKey([7; 32]), now()), now()),
        folder: Folder::default(),
        files: Vec::new(),
    }
}

impl Stand {
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
        let update = self.folder.take_in(contents.collect());
        self.engine.take_in(update, &self.folder, now());
        self.engine.batch()
    }

    /// The data plane takes everything.
    fn accept(&mut self, batch: &Batch) {
        let verdicts = batch.upserts.iter().map(|it| it.verdict(None)).collect();
        self.engine
            .hear(verdicts, &batch.removals, &self.folder, now());
        self.engine.set_ready(true, &self.folder, now());
    }

    /// What is told of an object: its status and description.
    fn told(&mut self, name: &str) -> Option<(String, String)> {
        let row = self
            .engine
            .news()
            .objects
            .remove(&ObjectRef::new("default", name))?;
        row.map(|row| {
            (
                row.status.summary.unwrap().status,
                format!("{}: {}", row.place, row.status.description),
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
        .map(|it| it.resource.name().to_string())
        .collect()
}

#[test]
fn a_folder_becomes_one_batch_and_is_ready_when_that_is_applied() {
    let mut stand = stand();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let batch = stand.write("shop.yaml", &text).unwrap();
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
    let ports = batch.upserts.iter().filter_map(|it| match &it.resource {
        Resource::Listener(listener) => Some(listener.port),
        _ => None,
    });
    assert_eq!(ports.collect::<Vec<_>>(), [8080, 8443]);
    let (status, _) = stand.told("shop").unwrap();
    assert_eq!(status, "Pending", "nothing was applied yet");
    stand.accept(&batch);
    assert_eq!(
        stand.told("shop").unwrap(),
        ("Ready".into(), "shop.yaml:1: valid".into())
    );
    assert!(stand.engine.batch().is_none() && !stand.engine.has_news());
}

#[test]
fn what_a_service_says_of_its_protocol_is_told_and_followed() {
    let mut stand = stand();
    let text = exposed_port("shop", "shop.test");
    let files = [
        ("", UpstreamProtocol::Http1),
        ("appProtocol: kubernetes.io/h2c, ", UpstreamProtocol::Http2),
        ("appProtocol: odd, ", UpstreamProtocol::Http1),
    ];
    for (said, expected) in files {
        let service = service("shop").replace("port: 80", &format!("{said}port: 80"));
        let batch = stand.write("shop.yaml", &(text.clone() + &service));
        let batch = batch.unwrap();
        let spoken = batch.upserts.iter().find_map(|it| match &it.resource {
            Resource::VirtualHost(host) => match &host.routes[0].action {
                Action::Forward { backends } => Some(backends[0].protocol),
                other => panic!("{other:?}"),
            },
            _ => None,
        });
        assert_eq!(spoken, Some(expected), "{said}");
        stand.accept(&batch);
    }
    let (status, told) = stand.told("shop").unwrap();
    assert_eq!(status, "Ready");
    assert!(
        told.contains("appProtocol \"odd\" of port 80 (http)"),
        "{told}"
    );
}

#[test]
fn an_object_that_becomes_wrong_is_told_with_the_line_of_its_field() {
    let mut stand = stand();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let batch = stand.write("shop.yaml", &text).unwrap();
    stand.accept(&batch);
    stand.engine.news();
    let batch = stand
        .write("shop.yaml", &text.replace("port: 80\n", "port: 0\n"))
        .unwrap();
    assert_eq!(
        batch.removals.len(),
        2,
        "the host and its endpoints: {:?}",
        batch.removals
    );
    let (status, description) = stand.told("shop").unwrap();
    assert_eq!(status, "Invalid");
    assert!(
        description.starts_with("shop.yaml:5: spec.port: is no port"),
        "{description}"
    );
}

#[test]
fn what_cannot_be_read_changes_nothing_and_is_told_until_it_is_put_right() {
    let mut stand = stand();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let batch = stand.write("shop.yaml", &text).unwrap();
    stand.accept(&batch);
    stand.engine.news();
    assert!(
        stand
            .write("shop.yaml", &text.replace("service: shop", "servcie: shop"))
            .is_none()
    );
    let news = stand.engine.news();
    assert!(news.objects.is_empty());
    let troubles: Vec<_> = news.new_troubles.iter().map(ToString::to_string).collect();
    assert_eq!(troubles.len(), 1);
    let told = "shop.yaml:6: ExposedPort default/shop: spec.servcie: there is no such field";
    assert!(troubles[0].starts_with(told), "{troubles:?}");
    assert!(stand.write("shop.yaml", &text).is_none());
    let news = stand.engine.news();
    assert_eq!((news.new_troubles.len(), news.solved.len()), (0, 1));
}

#[test]
fn the_older_of_two_has_the_name_whoever_was_read_first() {
    let mut stand = stand();
    let young = exposed_port("b", "shop.test").replace(
        "{name: b}",
        "{name: b, creationTimestamp: 2026-01-02T00:00:00Z}",
    );
    stand.write("b.yaml", &(young + &service("b")));
    stand.write("a.yaml", &(exposed_port("z", "shop.test") + &service("z")));
    let (status, description) = stand.told("b").unwrap();
    assert_eq!(status, "Conflicted", "{description}");
    assert!(description.contains("default/z"), "{description}");
    assert!(stand.write("a.yaml", "").is_some());
    assert_eq!(stand.told("b").unwrap().0, "Pending");
}

#[test]
fn an_issuer_is_told_to_be_of_no_use() {
    let mut stand = stand();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let text = text.replace(
        "  port: 80\n  service",
        "  tls: {issuerRef: {name: ca}}\n  port: 80\n  service",
    );
    let batch = stand.write("shop.yaml", &text).unwrap();
    stand.accept(&batch);
    let (_, description) = stand.told("shop").unwrap();
    assert!(
        description.contains("cert-manager is not installed"),
        "{description}"
    );
}

#[test]
fn a_class_of_the_folder_takes_the_place_of_the_built_in_one() {
    let mut stand = stand();
    let text = exposed_port("shop", "\"shop.*\"") + &service("shop");
    let batch = stand.write("shop.yaml", &text).unwrap();
    stand.accept(&batch);
    assert!(
        stand
            .told("shop")
            .unwrap()
            .1
            .contains("takes the domain of class public")
    );
    let class = "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {name: public}\nspec: {default: true, domain: apps.test}\n";
    let batch = stand.write("class.yaml", class).unwrap();
    assert!(names(&batch).contains(&"VirtualHost shop.apps.test".to_owned()));
    stand.accept(&batch);
    assert_eq!(stand.told("shop").unwrap().0, "Ready");
    let batch = stand.write("class.yaml", "").unwrap();
    assert!(
        batch
            .removals
            .iter()
            .all(|name| name.kind != Kind::Listener),
        "{:?}",
        batch.removals
    );
    assert!(
        stand
            .told("shop")
            .unwrap()
            .1
            .contains("takes the domain of class public")
    );
}

#[test]
fn a_mistake_of_the_class_is_told_with_its_place_and_when_it_is_put_right() {
    let mut stand = stand();
    let class = |idle: &str| {
        format!(
            "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {{name: public}}\nspec:\n  default: true\n  defaults:\n    timeouts:\n      idle: {idle}\n"
        )
    };
    stand.write("class.yaml", &class("soon"));
    let told = stand.engine.news().new_troubles.pop_first().unwrap();
    assert_eq!(
        told.to_string(),
        "class.yaml:8: ExposeClass public: spec.defaults.timeouts.idle: \"soon\" is no duration; write numbers with units, such as 150ms, 15s or 1h30m, 0s for no limit"
    );
    stand.write("class.yaml", &class("5m"));
    assert_eq!(stand.engine.news().solved.pop_first(), Some(told));
}

#[test]
fn objects_of_another_class_are_told_that_nobody_serves_it() {
    let mut stand = stand();
    let class = |name: &str| {
        format!(
            "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {{name: {name}}}\nspec: {{}}\n"
        )
    };
    stand.write("a.yaml", &class("inside"));
    stand.write("b.yaml", &class("public"));
    let text =
        exposed_port("shop", "shop.test").replace("  port: 80", "  className: inside\n  port: 80");
    let batch = stand.write("shop.yaml", &(text + &service("shop")));
    assert!(batch.is_none_or(|batch| !names(&batch).contains(&"VirtualHost shop.test".to_owned())));
    let (_, description) = stand.told("shop").unwrap();
    assert!(
        description.contains("no proxy of class inside"),
        "{description}"
    );
}

#[test]
fn what_is_deleted_is_taken_away_and_told() {
    let mut stand = stand();
    let text = exposed_port("shop", "shop.test") + &service("shop");
    let batch = stand.write("shop.yaml", &text).unwrap();
    stand.accept(&batch);
    stand.engine.news();
    let batch = stand.write("shop.yaml", "").unwrap();
    assert_eq!((batch.upserts.len(), batch.removals.len()), (0, 2));
    assert_eq!(
        stand.engine.news().objects[&ObjectRef::new("default", "shop")],
        None
    );
}

/// The keys that sessions are resumed with.
fn seeds(batch: Option<Batch>) -> Vec<TicketSeed> {
    let upserts = batch.into_iter().flat_map(|batch| batch.upserts);
    let mut settings = upserts.filter_map(|it| match it.resource {
        Resource::ClassSettings(settings) => Some(settings.ticket_seeds),
        _ => None,
    });
    settings.next().unwrap_or_default()
}

#[test]
fn the_keys_of_tickets_change_with_time_and_the_former_one_stays_good() {
    let mut stand = stand();
    let first = seeds(stand.engine.batch());
    assert_eq!(first.len(), 2);
    let wake = stand.engine.wake_at();
    assert!(wake > now() && wake <= now() + SignedDuration::from_hours(1));
    let later = now() + SignedDuration::from_hours(12);
    stand.engine.wake(&stand.folder, later);
    let second = seeds(stand.engine.batch());
    assert_eq!(second.get(1), first.first());
    assert_ne!(second.first(), first.first());
    assert!(stand.engine.wake_at() > later);
}
