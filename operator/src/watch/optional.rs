//! cert-manager's Certificates, which are watched while their CustomResourceDefinition is there:
//! it may come after the operator, and go again.

use super::follow::{Noticed, Sink, Watch};
use super::sources::{child, selecting};
use super::{Input, Source};
use crate::apply::ChildKind;
use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use portolan_core::{Change, Event, MANAGED_SELECTOR, ObjectRef};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// Listed when the kind is known to be absent, or its objects are.
pub(super) const SOURCE: Source = Source::Kind("certificates");

const DEFINITION: &str = "certificates.cert-manager.io";

/// Watches the definition, and the Certificates while it is established.
pub(super) async fn follow_certificates(client: Client, sink: Sink) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut definition = watch_object(definitions, DEFINITION)
        .default_backoff()
        .boxed();
    let tasks = TaskTracker::new();
    let mut running: Option<CancellationToken> = None;
    let mut told = false;
    loop {
        let seen = tokio::select! {
            seen = definition.next() => seen,
            () = sink.shutdown.cancelled() => break,
        };
        let established = match seen {
            None => break,
            Some(Ok(definition)) => definition.as_ref().is_some_and(is_established),
            Some(Err(error)) => {
                // What was known stays true until something else is known.
                warn!(%error, "cannot watch the definition of {DEFINITION}; trying again");
                continue;
            }
        };
        match (established, &running) {
            (true, None) => {
                info!("cert-manager is there");
                let unwanted = CancellationToken::new();
                if sink
                    .send([Input::Event(Event::CertManager(true))])
                    .await
                    .is_err()
                {
                    break;
                }
                let watch = Watch {
                    source: SOURCE,
                    api: Api::all_with(client.clone(), &ChildKind::Certificate.resource()),
                    config: selecting(MANAGED_SELECTOR),
                };
                tasks.spawn(watch.follow(certificate, sink.clone(), unwanted.clone()));
                running = Some(unwanted);
                told = true;
            }
            (false, Some(unwanted)) => {
                info!("cert-manager is gone");
                unwanted.cancel();
                running = None;
                if sink
                    .send([Input::Event(Event::CertManager(false))])
                    .await
                    .is_err()
                {
                    break;
                }
            }
            (false, None) if !told => {
                told = true;
                info!("cert-manager is not installed; no certificates are issued until it is");
                let absent = [
                    Input::Event(Event::CertManager(false)),
                    Input::Listed(SOURCE),
                ];
                if sink.send(absent).await.is_err() {
                    break;
                }
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let status = definition.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let going = definition.metadata.deletion_timestamp.is_some();
    let established = conditions
        .unwrap_or_default()
        .iter()
        .any(|it| it.type_ == "Established" && it.status == "True");
    established && !going
}

/// A Certificate is a child, and its status is for the index.
fn certificate(noticed: Noticed<DynamicObject>) -> Vec<Input> {
    let for_index = match &noticed {
        Noticed::Applied(object) => match object.as_ref().clone().try_parse() {
            Ok(certificate) => Change::Applied(Box::new(certificate)),
            Err(error) => {
                let name = ObjectRef::new(
                    object.metadata.namespace.clone().unwrap_or_default(),
                    object.metadata.name.clone().unwrap_or_default(),
                );
                warn!(certificate = %name, %error, "a Certificate cannot be read and is left out");
                Change::Deleted(name)
            }
        },
        Noticed::Gone { object, .. } => Change::Deleted(object.clone()),
    };
    let mut inputs = child(ChildKind::Certificate, noticed);
    inputs.push(Input::Event(Event::Certificate(for_index)));
    inputs
}
