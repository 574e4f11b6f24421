//! Kinds whose CustomResourceDefinition may come after the operator, and go again: cert-manager's
//! Certificates, Issuers and Challenges, the Gateway API's ReferenceGrants. They are watched while it is there.

use super::follow::{Noticed, Sink, Watch};
use super::sources::{child, selecting};
use super::{Input, Source};
use crate::apply::ChildKind;
use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use portolan_core::{Change, Event, MANAGED_SELECTOR, ObjectRef};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// A kind that a cluster may know or not.
pub(super) struct Optional {
    /// Listed when the kind is known to be absent, or its objects are.
    pub(super) source: Source,
    /// The name of its CustomResourceDefinition.
    definition: &'static str,
    /// Whose it is.
    of: &'static str,
    /// The versions that say the same to us, the one that is preferred first.
    versions: &'static [&'static str],
    resource: fn(version: &str) -> ApiResource,
    labels: &'static str,
    /// What the index is told of the kind itself, if anything.
    known: Option<fn(bool) -> Event>,
    translate: fn(Noticed<DynamicObject>) -> Vec<Input>,
}

/// What is watched without being there for sure.
pub(super) const OPTIONAL: [Optional; 5] = [
    Optional {
        source: Source::Kind("certificates"),
        definition: "certificates.cert-manager.io",
        of: "cert-manager",
        versions: &["v1"],
        resource: |_| ChildKind::Certificate.resource(),
        labels: MANAGED_SELECTOR,
        known: Some(Event::CertManager),
        translate: certificate,
    },
    Optional {
        source: Source::Kind("referencegrants"),
        definition: "referencegrants.gateway.networking.k8s.io",
        of: "the Gateway API",
        versions: &["v1", "v1beta1"],
        resource: reference_grants,
        labels: "",
        known: Some(Event::ReferenceGrants),
        translate: |noticed| {
            let change = typed("ReferenceGrant", &noticed);
            vec![Input::Event(Event::ReferenceGrant(change))]
        },
    },
    Optional {
        source: Source::Kind("issuers"),
        definition: "issuers.cert-manager.io",
        of: "cert-manager's Issuer",
        versions: &["v1"],
        resource: |version| {
            let kind = GroupVersionKind::gvk("cert-manager.io", version, "Issuer");
            ApiResource::from_gvk_with_plural(&kind, "issuers")
        },
        labels: "",
        known: Some(Event::Issuers),
        translate: |noticed| {
            let change = typed("Issuer", &noticed);
            vec![Input::Event(Event::Issuer(change))]
        },
    },
    Optional {
        source: Source::Kind("clusterissuers"),
        definition: "clusterissuers.cert-manager.io",
        of: "cert-manager's ClusterIssuer",
        versions: &["v1"],
        resource: |version| {
            let kind = GroupVersionKind::gvk("cert-manager.io", version, "ClusterIssuer");
            ApiResource::from_gvk_with_plural(&kind, "clusterissuers")
        },
        labels: "",
        known: Some(Event::ClusterIssuers),
        translate: |noticed| {
            let change = typed("ClusterIssuer", &noticed);
            vec![Input::Event(Event::ClusterIssuer(change))]
        },
    },
    Optional {
        source: Source::Kind("challenges"),
        definition: "challenges.acme.cert-manager.io",
        of: "cert-manager's ACME",
        versions: &["v1"],
        resource: |version| {
            let kind = GroupVersionKind::gvk("acme.cert-manager.io", version, "Challenge");
            ApiResource::from_gvk_with_plural(&kind, "challenges")
        },
        labels: "",
        known: None,
        translate: |noticed| {
            let change = typed("Challenge", &noticed);
            vec![Input::Event(Event::Challenge(change))]
        },
    },
];

impl Optional {
    /// Watches the definition, and the objects while it is established.
    pub(super) async fn follow(self, client: Client, sink: Sink) {
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let mut definition = watch_object(definitions, self.definition)
            .default_backoff()
            .boxed();
        let tasks = TaskTracker::new();
        let mut running: Option<(&str, CancellationToken)> = None;
        let mut told = None;
        loop {
            let seen = tokio::select! {
                seen = definition.next() => seen,
                () = sink.shutdown.cancelled() => break,
            };
            let version = match seen {
                None => break,
                Some(Ok(definition)) => definition.as_ref().and_then(|it| self.version(it)),
                Some(Err(error)) => {
                    // What was known stays true until something else is known.
                    warn!(%error, "cannot watch the definition of {}; trying again", self.definition);
                    continue;
                }
            };
            if running.as_ref().map(|(version, _)| *version) != version {
                if let Some((_, unwanted)) = running.take() {
                    unwanted.cancel();
                }
                running = version.map(|version| {
                    let unwanted = CancellationToken::new();
                    let watch = Watch::<DynamicObject>::new(
                        self.source.clone(),
                        Api::all_with(client.clone(), &(self.resource)(version)),
                        selecting(self.labels),
                    );
                    tasks.spawn(watch.follow(self.translate, sink.clone(), unwanted.clone()));
                    (version, unwanted)
                });
            }
            let known = version.is_some();
            if told.replace(known) != Some(known) {
                let of = self.of;
                match known {
                    true => info!("{of} is there"),
                    false => info!("{of} is not there"),
                }
                let of_kind = self.known.map(|event| Input::Event(event(known)));
                let mut inputs = Vec::from_iter(of_kind);
                // There is nothing to wait for.
                inputs.extend((!known).then(|| Input::Listed(self.source.clone())));
                if sink.send(inputs).await.is_err() {
                    break;
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// The version by which objects are to be watched; `None` while there are none to watch.
    fn version(&self, definition: &CustomResourceDefinition) -> Option<&'static str> {
        if !is_established(definition) {
            return None;
        }
        let served = |version: &&&str| {
            let mut all = definition.spec.versions.iter();
            all.any(|it| it.served && it.name == **version)
        };
        self.versions.iter().find(served).copied()
    }
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

fn reference_grants(version: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", version, "ReferenceGrant");
    ApiResource::from_gvk_with_plural(&kind, "referencegrants")
}

/// A Certificate is a child, and its status is for the index.
fn certificate(noticed: Noticed<DynamicObject>) -> Vec<Input> {
    let change = typed("Certificate", &noticed);
    let mut inputs = child(ChildKind::Certificate, noticed);
    inputs.push(Input::Event(Event::Certificate(change)));
    inputs
}

/// What cannot be read is as good as absent.
fn typed<K: DeserializeOwned>(kind: &str, noticed: &Noticed<DynamicObject>) -> Change<K> {
    let object = match noticed {
        Noticed::Applied(object) => object.as_ref(),
        Noticed::Gone { object, .. } => return Change::Deleted(object.clone()),
    };
    let read = serde_json::to_value(object).and_then(serde_json::from_value);
    match read {
        Ok(typed) => Change::Applied(Box::new(typed)),
        Err(error) => {
            let name = ObjectRef::new(
                object.metadata.namespace.clone().unwrap_or_default(),
                object.metadata.name.clone().unwrap_or_default(),
            );
            warn!(object = %name, %error, "a {kind} cannot be read and is left out");
            Change::Deleted(name)
        }
    }
}
