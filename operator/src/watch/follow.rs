//! One watch, from its list to its end: what appeared, what changed, what is gone.

use super::{Input, Source};
use crate::metrics::{Metrics, WatchLabels};
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PartialObjectMeta};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Config, Event, InitialListStrategy, watcher};
use portolan_core::ObjectRef;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// What a watch has noticed about an object.
pub(super) enum Noticed<K> {
    /// It is like this now.
    Applied(Box<K>),
    /// The one with this UID is there no more, or cannot be read.
    Gone { object: ObjectRef, uid: String },
}

/// A watch that is to be followed.
pub(super) struct Watch<K> {
    pub(super) source: Source,
    open: Open<K>,
    config: Config,
}

/// Begins to list and to watch. Guarded, so that one object that cannot be read does not hide all others.
type Open<K> = Box<dyn Fn(Config) -> Events<K> + Send + Sync>;
type Events<K> = BoxStream<'static, Result<Event<DeserializeGuard<K>>, watcher::Error>>;

/// Where what is noticed goes.
#[derive(Clone)]
pub(super) struct Sink {
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) metrics: Metrics,
    /// The process ends; nothing that was seen became untrue by that.
    pub(super) shutdown: CancellationToken,
}

impl Sink {
    /// Waits for room; returns an error if the receiver is closed.
    pub(super) async fn send(
        &self,
        inputs: impl IntoIterator<Item = Input>,
    ) -> Result<(), mpsc::error::SendError<Input>> {
        for input in inputs {
            self.inputs.send(input).await?;
        }
        Ok(())
    }
}

impl<K> Watch<K>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Clone + Send + Sync,
{
    /// Of whole objects.
    pub(super) fn new(source: Source, api: Api<DeserializeGuard<K>>, config: Config) -> Self {
        Self {
            source,
            open: Box::new(move |config| watcher(api.clone(), config).boxed()),
            config,
        }
    }
}

impl<K> Watch<PartialObjectMeta<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// Of metadata alone; more is not sent. kube sees what is asked for by a type that is not guarded.
    pub(super) fn of_metadata(
        source: Source,
        api: Api<PartialObjectMeta<K>>,
        config: Config,
    ) -> Self {
        let guarded = |event| match event {
            Event::Apply(it) => Event::Apply(DeserializeGuard(Ok(it))),
            Event::Delete(it) => Event::Delete(DeserializeGuard(Ok(it))),
            Event::Init => Event::Init,
            Event::InitApply(it) => Event::InitApply(DeserializeGuard(Ok(it))),
            Event::InitDone => Event::InitDone,
        };
        let open = move |config| {
            let events = watcher(api.clone(), config);
            events.map(move |event| event.map(guarded)).boxed()
        };
        Self {
            source,
            open: Box::new(open),
            config,
        }
    }
}

impl<K: kube::Resource> Watch<K> {
    /// Follows the watch until it is no longer wanted; then all objects it reported are removed for
    /// listens. At shutdown it ends without a word: a replica that leaves must take nothing with it
    /// that proxies still serve.
    pub(super) async fn follow(
        self,
        translate: impl Fn(Noticed<K>) -> Vec<Input>,
        sink: Sink,
        unwanted: CancellationToken,
    ) {
        let mut known = ReportedObjects::default();
        let followed = self.events(&translate, &sink, &mut known);
        tokio::select! {
            biased;
            () = sink.shutdown.cancelled() => {}
            () = followed => {}
            () = unwanted.cancelled() => {
                for gone in known.all() {
                    if sink.send(translate(gone)).await.is_err() {
                        break;
                    }
                }
            }
        }
    }

    async fn events(
        &self,
        translate: &impl Fn(Noticed<K>) -> Vec<Input>,
        sink: &Sink,
        known: &mut ReportedObjects,
    ) {
        let mut config = self.config.clone().streaming_lists();
        loop {
            let mut events = (self.open)(config.clone()).default_backoff().boxed();
            while let Some(event) = events.next().await {
                let inputs: Vec<Input> = match event {
                    Ok(event) => self
                        .note(event, known)
                        .into_iter()
                        .flat_map(|noticed| match noticed {
                            Note::Object(noticed) => translate(noticed),
                            Note::Listed => vec![Input::Listed(self.source.clone())],
                        })
                        .collect(),
                    Err(error) if refuses_streaming(&error, &config) => {
                        debug!(source = %self.source, "API server does not support streaming lists");
                        config.initial_list_strategy = InitialListStrategy::ListWatch;
                        break;
                    }
                    Err(error) => {
                        self.complain(&error, sink);
                        self.given_up(&error)
                    }
                };
                if sink.send(inputs).await.is_err() {
                    return;
                }
            }
        }
    }

    fn note(&self, event: Event<DeserializeGuard<K>>, known: &mut ReportedObjects) -> Vec<Note<K>> {
        match event {
            Event::Init => {
                known.begin();
                Vec::new()
            }
            Event::InitApply(guarded) | Event::Apply(guarded) => {
                vec![Note::Object(self.applied(guarded, known))]
            }
            Event::Delete(guarded) => {
                let (object, uid) = identity(guarded.meta_of());
                known.remove(&object);
                vec![Note::Object(Noticed::Gone { object, uid })]
            }
            Event::InitDone => {
                let gone = known
                    .finish()
                    .map(|(object, uid)| Noticed::Gone { object, uid });
                gone.map(Note::Object).chain([Note::Listed]).collect()
            }
        }
    }

    fn applied(&self, guarded: DeserializeGuard<K>, known: &mut ReportedObjects) -> Noticed<K> {
        let (object, uid) = identity(guarded.meta_of());
        match guarded.0 {
            Ok(readable) => {
                known.insert(object, uid);
                Noticed::Applied(Box::new(readable))
            }
            Err(error) => {
                warn!(source = %self.source, %object, %error, "skipped object that cannot be parsed");
                known.remove(&object);
                Noticed::Gone { object, uid }
            }
        }
    }

    /// A Secret that we may not read is as good as absent to the object that names it. Waiting for it
    /// would let one reference hold up everybody else.
    fn given_up(&self, error: &watcher::Error) -> Vec<Input> {
        match (&self.source, error) {
            (
                Source::Secret(_),
                watcher::Error::InitialListFailed(kube::Error::Api(status))
                | watcher::Error::WatchStartFailed(kube::Error::Api(status)),
            ) if status.is_forbidden() => vec![Input::Listed(self.source.clone())],
            _ => Vec::new(),
        }
    }

    fn complain(&self, error: &watcher::Error, sink: &Sink) {
        let watch = self.source.label();
        sink.metrics
            .watch_restarts
            .get_or_create(&WatchLabels { watch })
            .inc();
        // A watch that fell too far behind, or was cut off, is everyday life of a cluster.
        match error {
            watcher::Error::WatchError(status) if status.code == 410 => {
                debug!(source = %self.source, "resource version expired, relisting");
            }
            watcher::Error::WatchFailed(error) => {
                debug!(source = %self.source, %error, "watch ended, restarting");
            }
            error => warn!(source = %self.source, %error, "watch failed, retrying"),
        }
    }
}

enum Note<K> {
    Object(Noticed<K>),
    Listed,
}

trait MetaOf {
    fn meta_of(&self) -> &ObjectMeta;
}

impl<K: kube::Resource> MetaOf for DeserializeGuard<K> {
    fn meta_of(&self) -> &ObjectMeta {
        kube::Resource::meta(self)
    }
}

fn identity(metadata: &ObjectMeta) -> (ObjectRef, String) {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let object = ObjectRef::new(text(&metadata.namespace), text(&metadata.name));
    (object, text(&metadata.uid))
}

/// An API server without `sendInitialEvents` (before Kubernetes 1.34, by its feature gates) calls it invalid.
fn refuses_streaming(error: &watcher::Error, config: &Config) -> bool {
    let streaming = config.initial_list_strategy == InitialListStrategy::StreamingList;
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            streaming && matches!(status.code, 400 | 422)
        }
        _ => false,
    }
}

/// Objects reported by a watch, so that a new list reveals which are missing.
#[derive(Debug, Default)]
struct ReportedObjects {
    objects: HashMap<ObjectRef, String>,
    /// What was known before the list that is under way, and was not in it so far.
    unconfirmed: HashMap<ObjectRef, String>,
}

impl ReportedObjects {
    fn begin(&mut self) {
        // A list that was broken off has confirmed only what it named.
        self.unconfirmed.extend(self.objects.drain());
    }

    fn insert(&mut self, object: ObjectRef, uid: String) {
        self.unconfirmed.remove(&object);
        self.objects.insert(object, uid);
    }

    fn remove(&mut self, object: &ObjectRef) {
        self.unconfirmed.remove(object);
        self.objects.remove(object);
    }

    fn finish(&mut self) -> impl Iterator<Item = (ObjectRef, String)> + '_ {
        self.unconfirmed.drain()
    }

    fn all<K>(&mut self) -> Vec<Noticed<K>> {
        self.begin();
        let gone = self.finish();
        gone.map(|(object, uid)| Noticed::Gone { object, uid })
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bytes::Bytes;
    use futures::stream;
    use http::{Request, Response};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Client;
    use kube::client::Body;
    use std::convert::Infallible;

    fn object(name: &str) -> ObjectRef {
        ObjectRef::new("n", name)
    }

    fn missing(known: &mut ReportedObjects) -> Vec<(ObjectRef, String)> {
        let mut missing: Vec<_> = known.finish().collect();
        missing.sort();
        missing
    }

    #[test]
    fn a_new_list_tells_what_is_gone_since() {
        let mut known = ReportedObjects::default();
        known.begin();
        known.insert(object("a"), "1".into());
        known.insert(object("b"), "2".into());
        assert_eq!(missing(&mut known), []);
        known.begin();
        known.insert(object("b"), "2".into());
        known.insert(object("c"), "3".into());
        assert_eq!(missing(&mut known), [(object("a"), "1".into())]);
    }

    #[test]
    fn a_list_that_breaks_off_loses_nothing() {
        let mut known = ReportedObjects::default();
        known.begin();
        known.insert(object("a"), "1".into());
        known.insert(object("b"), "2".into());
        known.finish().for_each(drop);
        known.begin();
        known.insert(object("a"), "1".into());
        known.begin();
        assert_eq!(
            missing(&mut known),
            [(object("a"), "1".into()), (object("b"), "2".into())]
        );
    }

    #[test]
    fn what_was_deleted_or_became_unreadable_is_not_reported_twice() {
        let mut known = ReportedObjects::default();
        known.insert(object("a"), "1".into());
        known.begin();
        known.remove(&object("a"));
        assert_eq!(missing(&mut known), []);
    }

    /// An API server that lists one object of a kind and then says no more. A real one cannot be had within
    /// a unit test, and what is tested is not how it behaves, but how a watch ends.
    pub(in crate::watch) fn one(kind: &str) -> Client {
        let metadata = r#"{"name":"a","namespace":"n","uid":"1","resourceVersion":"5"}"#;
        let listed =
            r#"{"resourceVersion":"6","annotations":{"k8s.io/initial-events-end":"true"}}"#;
        let types = format!(r#""apiVersion":"v1","kind":"{kind}""#);
        let lines = format!(
            "{{\"type\":\"ADDED\",\"object\":{{{types},\"metadata\":{metadata}}}}}\n\
             {{\"type\":\"BOOKMARK\",\"object\":{{{types},\"metadata\":{listed}}}}}\n"
        );
        let service = tower::service_fn(move |_: Request<Body>| {
            let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(lines.clone())));
            let stream = stream::iter([frame]).chain(stream::pending());
            std::future::ready(Ok::<_, Infallible>(Response::new(StreamBody::new(stream))))
        });
        Client::new(service, "n")
    }

    #[tokio::test]
    async fn of_metadata_nothing_else_is_asked_for() {
        let (asked, mut accepted) = mpsc::channel(16);
        let service = tower::service_fn(move |request: Request<Body>| {
            let accept = request.headers().get("accept").cloned();
            let asked = asked.clone();
            async move {
                let _ = asked.send(accept).await;
                std::future::pending::<Result<Response<Body>, Infallible>>().await
            }
        });
        let api: Api<PartialObjectMeta<ConfigMap>> = Api::all(Client::new(service, "n"));
        let watch = Watch::of_metadata(Source::Kind("configmaps"), api, Config::default());
        let mut events = (watch.open)(Config::default());
        let accept = tokio::select! {
            // It reports its start, and then waits for a response.
            () = async { while events.next().await.is_some() {} } => panic!("the API server is not asked"),
            accept = accepted.recv() => accept.flatten().unwrap(),
        };
        let accept = accept.to_str().unwrap();
        assert!(accept.contains("as=PartialObjectMetadata"), "{accept}");
    }

    /// Returns the number of objects reported as gone when a watch that has listed one ends.
    async fn reported_gone(end: impl FnOnce(&CancellationToken, &CancellationToken)) -> usize {
        let (inputs, mut received) = mpsc::channel(16);
        let (shutdown, unwanted) = (CancellationToken::new(), CancellationToken::new());
        let sink = Sink {
            inputs,
            metrics: Metrics::registered().0,
            shutdown: shutdown.clone(),
        };
        let api = Api::<DeserializeGuard<ConfigMap>>::all(one("ConfigMap"));
        let watch = Watch::new(Source::Kind("configmaps"), api, Config::default());
        let translate = |noticed| match noticed {
            Noticed::Applied(_) => Vec::new(),
            Noticed::Gone { .. } => vec![Input::Event(portolan_core::Event::CertManager(false))],
        };
        let followed = tokio::spawn(watch.follow(translate, sink, unwanted.clone()));
        assert!(matches!(received.recv().await, Some(Input::Listed(_))));
        end(&shutdown, &unwanted);
        followed.await.unwrap();
        let mut gone = 0;
        while received.recv().await.is_some() {
            gone += 1;
        }
        gone
    }

    #[tokio::test]
    async fn a_replica_that_ends_takes_nothing_with_it() {
        assert_eq!(reported_gone(|shutdown, _| shutdown.cancel()).await, 0);
    }

    #[tokio::test]
    async fn objects_of_an_ended_watch_are_gone() {
        assert_eq!(reported_gone(|_, unwanted| unwanted.cancel()).await, 1);
    }
}
