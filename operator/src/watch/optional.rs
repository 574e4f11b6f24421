//! Kinds whose CustomResourceDefinition may come after the operator, and go again: cert-manager's
//! Certificates, Issuers and Challenges, the Gateway API's ReferenceGrants. They are watched while it is there.

use super::follow::{Noticed, Sink, Watch};
use super::sources::{child, selecting};
use super::{Input, Source};
use crate::apply::ChildKind;
use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Client, Resource};
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
    /// As it stands in `kind`.
    kind: &'static str,
    labels: &'static str,
    /// Event that reports the presence of the kind itself, if any.
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
        kind: "Certificate",
        labels: MANAGED_SELECTOR,
        known: Some(Event::CertManager),
        translate: certificate,
    },
    Optional {
        source: Source::Kind("referencegrants"),
        definition: "referencegrants.gateway.networking.k8s.io",
        of: "the Gateway API",
        versions: &["v1", "v1beta1"],
        kind: "ReferenceGrant",
        labels: "",
        known: Some(Event::ReferenceGrants),
        translate: |it| vec![Input::Event(Event::ReferenceGrant(typed(&it)))],
    },
    Optional {
        source: Source::Kind("issuers"),
        definition: "issuers.cert-manager.io",
        of: "cert-manager's Issuer",
        versions: &["v1"],
        kind: "Issuer",
        labels: "",
        known: Some(Event::Issuers),
        translate: |it| vec![Input::Event(Event::Issuer(typed(&it)))],
    },
    Optional {
        source: Source::Kind("clusterissuers"),
        definition: "clusterissuers.cert-manager.io",
        of: "cert-manager's ClusterIssuer",
        versions: &["v1"],
        kind: "ClusterIssuer",
        labels: "",
        known: Some(Event::ClusterIssuers),
        translate: |it| vec![Input::Event(Event::ClusterIssuer(typed(&it)))],
    },
    Optional {
        source: Source::Kind("challenges"),
        definition: "challenges.acme.cert-manager.io",
        of: "cert-manager's ACME",
        versions: &["v1"],
        kind: "Challenge",
        labels: "",
        known: None,
        translate: |it| vec![Input::Event(Event::Challenge(typed(&it)))],
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
        let mut reported = None;
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
                    warn!(%error, "watch of the definition of {} failed, retrying", self.definition);
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
                        Api::all_with(client.clone(), &self.resource(version)),
                        selecting(self.labels),
                    );
                    tasks.spawn(watch.follow(self.translate, sink.clone(), unwanted.clone()));
                    (version, unwanted)
                });
            }
            let known = version.is_some();
            if reported.replace(known) != Some(known) {
                let of = self.of;
                match known {
                    true => info!("{of} is installed"),
                    false => info!("{of} is not installed"),
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

    /// A definition is named by plural and group.
    fn resource(&self, version: &str) -> ApiResource {
        let (plural, group) = self.definition.split_once('.').unwrap_or_default();
        let kind = GroupVersionKind::gvk(group, version, self.kind);
        ApiResource::from_gvk_with_plural(&kind, plural)
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

/// A Certificate is a child, and its status is for the index.
fn certificate(noticed: Noticed<DynamicObject>) -> Vec<Input> {
    let change = typed(&noticed);
    let mut inputs = child(ChildKind::Certificate, noticed);
    inputs.push(Input::Event(Event::Certificate(change)));
    inputs
}

/// What cannot be read is as good as absent.
fn typed<K>(noticed: &Noticed<DynamicObject>) -> Change<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let object = match noticed {
        Noticed::Applied(object) => object.as_ref(),
        Noticed::Gone { object, .. } => return Change::Deleted(object.clone()),
    };
    let read = serde_json::to_value(object).and_then(serde_json::from_value);
    match read {
        Ok(typed) => Change::Applied(Box::new(typed)),
        Err(error) => {
            let name = ObjectRef::of(object);
            let kind = K::kind(&());
            warn!(object = %name, %error, "skipped {kind} that cannot be parsed");
            Change::Deleted(name)
        }
    }
}
