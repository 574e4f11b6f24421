//! Secrets that are named by objects: a watch for each, by name, for as long as it is named.
//!
//! So the operator reads no Secret that is not referenced, and RBAC may name them one by one.

use super::follow::{Sink, Watch};
use super::sources::{WATCH_SECONDS, change};
use super::{Input, Source, Via};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use kube::runtime::watcher::Config;
use portolan_core::ObjectRef;
use std::collections::{BTreeSet, HashMap};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Keeps exactly the watches that `wanted` names running.
pub(super) async fn follow_named_secrets(
    client: Client,
    mut wanted: watch::Receiver<BTreeSet<ObjectRef>>,
    sink: Sink,
) {
    let tasks = TaskTracker::new();
    let mut running: HashMap<ObjectRef, CancellationToken> = HashMap::new();
    loop {
        let named = wanted.borrow_and_update().clone();
        running.retain(|secret, unwanted| {
            let keep = named.contains(secret);
            if !keep {
                unwanted.cancel();
            }
            keep
        });
        for secret in named {
            running.entry(secret).or_insert_with_key(|secret| {
                let unwanted = CancellationToken::new();
                let watch = watch_of(&client, secret);
                let translate = |it| vec![Input::Secret(Via::Name, change(it))];
                tasks.spawn(watch.follow(translate, sink.clone(), unwanted.clone()));
                unwanted
            });
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { break },
            () = sink.shutdown.cancelled() => break,
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn watch_of(client: &Client, secret: &ObjectRef) -> Watch<Secret> {
    let by_name = format!("metadata.name={}", secret.name);
    Watch::<Secret>::new(
        Source::Secret(secret.clone()),
        Api::namespaced(client.clone(), &secret.namespace),
        Config::default().timeout(WATCH_SECONDS).fields(&by_name),
    )
}
