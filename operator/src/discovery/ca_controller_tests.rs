use super::*;
use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;
use tower::service_fn;

/// An API server of two objects. Not a real one, because what is tested is a race: a rival that
/// creates the Secret between our look and our attempt.
#[derive(Default)]
struct Objects {
    secret: Option<Value>,
    config_map: Option<Value>,
    rival: Option<Value>,
    writes: Vec<String>,
}

type Shared = Arc<Mutex<Objects>>;

impl Objects {
    fn answer(&mut self, method: &Method, path: &str, sent: Value) -> (u16, Value) {
        if *method != Method::GET {
            self.writes.push(format!("{method} {path}"));
        }
        let slot = if path.contains("/secrets") {
            &mut self.secret
        } else {
            &mut self.config_map
        };
        match *method {
            Method::GET => match slot {
                Some(object) => (200, object.clone()),
                None => failure(404, "NotFound"),
            },
            Method::POST => {
                if let Some(rival) = self.rival.take() {
                    *slot = Some(rival);
                }
                if slot.is_some() {
                    return failure(409, "AlreadyExists");
                }
                (201, slot.insert(sent).clone())
            }
            _ => (200, slot.insert(sent).clone()),
        }
    }
}

fn failure(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    });
    (code, status)
}

fn client(objects: &Shared) -> Client {
    let objects = Arc::clone(objects);
    let service = service_fn(move |request: Request<Body>| {
        let objects = Arc::clone(&objects);
        async move {
            let (parts, body) = request.into_parts();
            let sent = body.collect_bytes().await.unwrap();
            let sent = serde_json::from_slice(&sent).unwrap_or_default();
            let mut objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
            let (code, answer) = objects.answer(&parts.method, parts.uri.path(), sent);
            let answer = Body::from(serde_json::to_vec(&answer).unwrap());
            let response = Response::builder().status(code).body(answer).unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    Client::new(service, "portolan-system")
}

fn controller(objects: &Shared) -> CaController {
    let client = client(objects);
    CaController::new(
        &client,
        "portolan-system",
        "cluster.local",
        Arc::default(),
        watch::Sender::default(),
    )
}

fn authority_of(objects: &Shared) -> String {
    let objects = objects.lock().unwrap();
    let secret: Secret = serde_json::from_value(objects.secret.clone().unwrap()).unwrap();
    read(&secret).unwrap().certificate_pem().to_owned()
}

fn bundle_of(objects: &Shared) -> String {
    let objects = objects.lock().unwrap();
    let data = &objects.config_map.as_ref().unwrap()["data"];
    data["ca.crt"].as_str().unwrap().to_owned()
}

fn writes(objects: &Shared) -> usize {
    objects.lock().unwrap().writes.len()
}

#[tokio::test]
async fn the_leader_makes_the_authority_once_and_then_writes_nothing() {
    let objects = Shared::default();
    let mut controller = controller(&objects);
    let now = SystemTime::now();
    assert_eq!(controller.reconcile(true, now).await.unwrap(), LOOK_AGAIN);
    assert_eq!(bundle_of(&objects), authority_of(&objects));
    assert_eq!(writes(&objects), 2, "the Secret and the ConfigMap");
    let issued = controller.issued.clone();
    controller.reconcile(true, now + LOOK_AGAIN).await.unwrap();
    assert_eq!(writes(&objects), 2);
    assert_eq!(controller.issued, issued, "and the leaf stays");
}

#[tokio::test]
async fn who_comes_second_takes_the_authority_of_the_first() {
    let first = Authority::generate(SystemTime::now()).unwrap();
    let objects = Shared::default();
    let rival = serde_json::to_value(secret_of(&first)).unwrap();
    objects.lock().unwrap().rival = Some(rival);
    let mut controller = controller(&objects);
    controller.reconcile(true, SystemTime::now()).await.unwrap();
    let under = controller.issued.map(|(authority, _)| authority);
    assert_eq!(under.as_deref(), Some(first.certificate_pem()));
    assert_eq!(bundle_of(&objects), first.certificate_pem());
}

#[tokio::test]
async fn a_standby_writes_nothing_and_waits_for_the_leader() {
    let objects = Shared::default();
    let mut standby = controller(&objects);
    let now = SystemTime::now();
    assert_eq!(
        standby.reconcile(false, now).await.unwrap(),
        WAIT_FOR_LEADER
    );
    assert_eq!(writes(&objects), 0);
    controller(&objects).reconcile(true, now).await.unwrap();
    assert_eq!(standby.reconcile(false, now).await.unwrap(), LOOK_AGAIN);
    assert_eq!(writes(&objects), 2, "the leader's two");
    let under = standby.issued.map(|(authority, _)| authority);
    assert_eq!(under, Some(authority_of(&objects)));
}

#[tokio::test]
async fn renews_a_leaf_at_two_thirds_of_its_life() {
    let objects = Shared::default();
    let mut controller = controller(&objects);
    let now = SystemTime::now();
    let days = |count: u64| now + Duration::from_secs(count * 24 * 60 * 60);
    controller.reconcile(true, now).await.unwrap();
    let first = controller.issued.clone();
    controller.reconcile(true, days(19)).await.unwrap();
    assert_eq!(controller.issued, first);
    controller.reconcile(true, days(20)).await.unwrap();
    assert_ne!(controller.issued, first);
}

#[tokio::test]
async fn deleting_the_secret_rotates_the_authority() {
    let objects = Shared::default();
    let mut controller = controller(&objects);
    let now = SystemTime::now();
    controller.reconcile(true, now).await.unwrap();
    let former = authority_of(&objects);
    objects.lock().unwrap().secret = None;
    controller.reconcile(true, now).await.unwrap();
    let current = authority_of(&objects);
    assert_ne!(current, former);
    assert_eq!(bundle_of(&objects), format!("{current}{former}"));
    let under = controller.issued.clone().map(|(authority, _)| authority);
    assert_eq!(
        under.as_ref(),
        Some(&current),
        "the leaf is under the new one at once"
    );
    let later = now + Duration::from_secs(25 * 60 * 60);
    controller.reconcile(true, later).await.unwrap();
    assert_eq!(bundle_of(&objects), current);
}

fn stored(bundle: &Bundle) -> ConfigMap {
    serde_json::from_value(config_map_of(bundle)).unwrap()
}

#[test]
fn a_published_bundle_is_read_as_it_was_written() {
    let alone = Bundle {
        authority: "new".into(),
        former: None,
    };
    let rotated = Bundle {
        former: Some(Former {
            certificate_pem: "old".into(),
            trusted_until: UNIX_EPOCH + Duration::new(1_800_000_000, 5),
        }),
        ..alone.clone()
    };
    for bundle in [alone, rotated] {
        assert_eq!(published(&stored(&bundle)), Some(bundle));
    }
}

#[test]
fn restores_an_edited_bundle() {
    let mut edited = stored(&Bundle {
        authority: "new".into(),
        former: Some(Former {
            certificate_pem: "old".into(),
            trusted_until: UNIX_EPOCH,
        }),
    });
    edited
        .data
        .get_or_insert_default()
        .insert(FORMER_KEY.to_owned(), "another".into());
    assert_eq!(published(&edited), None);
    assert_eq!(published(&ConfigMap::default()), None);
}

#[test]
fn a_secret_holds_the_authority_that_was_put_in() {
    let made = Authority::generate(SystemTime::now()).unwrap();
    let mut secret = secret_of(&made);
    let read_back = read(&secret).unwrap();
    assert_eq!(read_back.certificate_pem(), made.certificate_pem());
    secret.data.as_mut().unwrap().remove("tls.key");
    let error = read(&secret).err().unwrap().to_string();
    assert!(
        error.starts_with("Secret portolan-ca: tls.key: is absent"),
        "{error}"
    );
}
