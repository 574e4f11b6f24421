//! The watches that always run.

use super::follow::{Noticed, Sink, Watch};
use super::named::follow_named_secrets;
use super::optional::OPTIONAL;
use super::pods::follow_pods;
use super::{Input, Source, Via};
use crate::apply::{ChildId, ChildKind, Seen};
use crate::metrics::Metrics;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Config;
use kube::{Client, Resource};
use portolan_core::{
    Change, EXPOSED_PORT, Event, INGRESS, MANAGED_BY, MANAGED_SELECTOR, ObjectRef,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The server ends a watch after this long; kube takes one that is silent for 5 s more for dead.
pub(super) const WATCH_SECONDS: u32 = 290;

/// A renewal that is not seen is none, so a watch of Leases that is dead is noticed sooner.
const LEASE_WATCH_SECONDS: u32 = 20;

/// Where children are watched: no wider than they are written.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The namespace of the release, where the children of classes are.
    pub namespace: String,
}

/// Everything that the watches need.
pub struct Sources {
    /// For lists and watches.
    pub client: Client,
    /// Where to look.
    pub scope: Scope,
    /// Where everything goes.
    pub inputs: mpsc::Sender<Input>,
    /// The Secrets that are named by objects.
    pub secrets: watch::Receiver<BTreeSet<ObjectRef>>,
    /// Whether pods are needed.
    pub pods: watch::Receiver<bool>,
    /// What is counted.
    pub metrics: Metrics,
    /// Ends all of them.
    pub shutdown: CancellationToken,
}

/// The kinds of child that have a watch of their own. Services, Ingresses and IngressClasses are watched
/// whole, for the index; Certificates while cert-manager is there.
const CHILDREN: [ChildKind; 4] = [
    ChildKind::Deployment,
    ChildKind::ServiceAccount,
    ChildKind::PodDisruptionBudget,
    ChildKind::NetworkPolicy,
];

impl Sources {
    /// Starts every watch; the answer says which have to be listed before anything is believed.
    pub fn start(self, tasks: &TaskTracker) -> BTreeSet<Source> {
        let mut sources = BTreeSet::new();
        let client = || self.client.clone();
        let mut all = Starter {
            sources: &mut sources,
            tasks,
            sink: Sink {
                inputs: self.inputs.clone(),
                metrics: self.metrics.clone(),
                shutdown: self.shutdown.clone(),
            },
        };
        all.start("exposedports", Api::all(client()), "", |it| {
            vec![Input::Event(Event::ExposedPort(change(it)))]
        });
        all.start("exposeclasses", Api::all(client()), "", |it| {
            vec![Input::Event(Event::ExposeClass(change(it)))]
        });
        all.start("hostnameholds", Api::all(client()), "", |it| {
            vec![Input::Event(Event::HostnameHold(change(it)))]
        });
        // Those that programs keep objects alive with; no others are read.
        all.start_with(
            "leases",
            Api::<DeserializeGuard<Lease>>::all(client()),
            selecting(EXPOSED_PORT).timeout(LEASE_WATCH_SECONDS),
            |it| vec![Input::Event(Event::Lease(change(it)))],
        );
        all.start("services", Api::all(client()), "", |it| {
            input(ChildKind::Service, Event::Service, it)
        });
        all.start("ingresses", Api::all(client()), "", |it| {
            input(ChildKind::Ingress, Event::Ingress, it)
        });
        all.start("ingressclasses", Api::all(client()), "", |it| {
            input(ChildKind::IngressClass, Event::IngressClass, it)
        });
        let namespaces = Watch::of_metadata(
            Source::Kind("namespaces"),
            Api::all(client()),
            selecting(""),
        );
        all.follow(namespaces, |it| {
            vec![Input::Event(Event::Namespace(namespace(it)))]
        });
        all.start(
            "endpointslices",
            Api::<DeserializeGuard<EndpointSlice>>::all(client()),
            "",
            |it| vec![Input::Event(Event::EndpointSlice(change(it)))],
        );
        // Only what cert-manager made for a Certificate of ours: both labels come from its template.
        for (name, owner) in [("secrets", EXPOSED_PORT), ("secrets of ingresses", INGRESS)] {
            all.start(
                name,
                Api::<DeserializeGuard<Secret>>::all(client()),
                &format!("{MANAGED_SELECTOR},{owner}"),
                |it| vec![Input::Secret(Via::Label, change(it))],
            );
        }
        for kind in CHILDREN {
            let api = self.children(kind);
            let plural = kind.plural();
            all.start(plural, api, MANAGED_SELECTOR, move |it| child(kind, it));
        }
        let sink = all.sink.clone();
        for kind in OPTIONAL {
            sources.insert(kind.source.clone());
            tasks.spawn(kind.follow(self.client.clone(), sink.clone()));
        }
        tasks.spawn(follow_pods(client(), self.pods.clone(), sink.clone()));
        tasks.spawn(follow_named_secrets(self.client, self.secrets, sink));
        sources
    }

    fn children(&self, kind: ChildKind) -> Api<DeserializeGuard<DynamicObject>> {
        let resource = kind.resource();
        match kind {
            ChildKind::NetworkPolicy => Api::all_with(self.client.clone(), &resource),
            _ => Api::namespaced_with(self.client.clone(), &self.scope.namespace, &resource),
        }
    }
}

struct Starter<'a> {
    sources: &'a mut BTreeSet<Source>,
    tasks: &'a TaskTracker,
    sink: Sink,
}

impl Starter<'_> {
    fn start<K>(
        &mut self,
        name: &'static str,
        api: Api<DeserializeGuard<K>>,
        labels: &str,
        translate: impl Fn(Noticed<K>) -> Vec<Input> + Send + Sync + 'static,
    ) where
        K: kube::Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Clone + Send + Sync,
    {
        self.start_with(name, api, selecting(labels), translate);
    }

    fn start_with<K>(
        &mut self,
        name: &'static str,
        api: Api<DeserializeGuard<K>>,
        config: Config,
        translate: impl Fn(Noticed<K>) -> Vec<Input> + Send + Sync + 'static,
    ) where
        K: kube::Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Clone + Send + Sync,
    {
        self.follow(Watch::new(Source::Kind(name), api, config), translate);
    }

    fn follow<K>(
        &mut self,
        watch: Watch<K>,
        translate: impl Fn(Noticed<K>) -> Vec<Input> + Send + Sync + 'static,
    ) where
        K: kube::Resource + Send + Sync + 'static,
    {
        self.sources.insert(watch.source.clone());
        let followed = watch.follow(translate, self.sink.clone(), CancellationToken::new());
        self.tasks.spawn(followed);
    }
}

/// A watch of what has these labels; of everything when there are none.
pub(super) fn selecting(labels: &str) -> Config {
    let config = Config::default().timeout(WATCH_SECONDS);
    match labels {
        "" => config,
        labels => config.labels(labels),
    }
}

/// The change as the index takes it in.
pub(super) fn change<K>(noticed: Noticed<K>) -> Change<K> {
    match noticed {
        Noticed::Applied(object) => Change::Applied(object),
        Noticed::Gone { object, .. } => Change::Deleted(object),
    }
}

/// A namespace with what was sent of it.
fn namespace(noticed: Noticed<PartialObjectMeta<Namespace>>) -> Change<Namespace> {
    match noticed {
        Noticed::Applied(it) => Change::Applied(Box::new(Namespace {
            metadata: it.metadata,
            ..Namespace::default()
        })),
        Noticed::Gone { object, .. } => Change::Deleted(object),
    }
}

/// A child as the store takes it in.
pub(super) fn child(kind: ChildKind, noticed: Noticed<DynamicObject>) -> Vec<Input> {
    vec![match noticed {
        Noticed::Applied(object) => {
            let seen = Seen::of(object.as_ref());
            Input::Child(seen.id(kind), Box::new(seen))
        }
        Noticed::Gone { object, uid } => gone(kind, object, uid),
    }]
}

/// What is for the index whosever it is; with our label it is a child besides.
fn input<K: Resource + Serialize>(
    kind: ChildKind,
    event: fn(Change<K>) -> Event,
    noticed: Noticed<K>,
) -> Vec<Input> {
    let as_child = match &noticed {
        Noticed::Applied(object) => {
            let labels = object.meta().labels.as_ref();
            let managed = labels.and_then(|labels| labels.get(MANAGED_BY.0));
            if managed.is_some_and(|by| by == MANAGED_BY.1) {
                let seen = Seen::of(object.as_ref());
                Input::Child(seen.id(kind), Box::new(seen))
            } else {
                let uid = object.meta().uid.clone().unwrap_or_default();
                gone(kind, ObjectRef::of(object.as_ref()), uid)
            }
        }
        Noticed::Gone { object, uid } => gone(kind, object.clone(), uid.clone()),
    };
    vec![as_child, Input::Event(event(change(noticed)))]
}

fn gone(kind: ChildKind, object: ObjectRef, uid: String) -> Input {
    let id = ChildId {
        kind,
        namespace: object.namespace,
        name: object.name,
    };
    Input::ChildGone { id, uid }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn noticed(labels: serde_json::Value) -> Vec<Input> {
        let metadata = json!({"name": "shop", "namespace": "n", "uid": "1", "labels": labels});
        let service = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        input(
            ChildKind::Service,
            Event::Service,
            Noticed::Applied(Box::new(service)),
        )
    }

    #[test]
    fn only_services_of_portolan_are_children() {
        let ours = noticed(json!({"app.kubernetes.io/managed-by": "portolan"}));
        assert!(matches!(ours.first(), Some(Input::Child(id, _)) if id.name == "shop"));
        let other = noticed(json!({"app.kubernetes.io/managed-by": "Helm"}));
        assert!(matches!(other.first(), Some(Input::ChildGone { uid, .. }) if uid == "1"));
        assert!(matches!(
            other.last(),
            Some(Input::Event(Event::Service(_)))
        ));
    }
}
