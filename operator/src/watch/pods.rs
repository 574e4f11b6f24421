//! Pods, which are watched while some class sends requests to pods only (`endpoints: PodsOnly`).

use super::follow::{Sink, Watch};
use super::sources::{change, selecting};
use super::{Input, Source};
use kube::Client;
use kube::api::Api;
use portolan_core::Event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Reports as listed once every pod is.
pub(crate) const SOURCE: Source = Source::Kind("pods");

/// Watches every pod while that is wanted.
pub(super) async fn follow_pods(client: Client, mut wanted: watch::Receiver<bool>, sink: Sink) {
    let shutdown = sink.shutdown.clone();
    let followed = async {
        while until(&mut wanted, true).await {
            let watch = Watch::new(SOURCE, Api::all(client.clone()), selecting(""));
            let pod = |it| vec![Input::Event(Event::Pod(change(it)))];
            let followed = watch.follow(pod, sink.clone(), CancellationToken::new());
            let goes_on = tokio::select! {
                () = followed => return,
                goes_on = until(&mut wanted, false) => goes_on,
            };
            if !goes_on {
                return;
            }
            // The watch has ended, so nothing of it can come after this: its pods are removed as one.
            let forgotten = [Input::Event(Event::PodsListed(false))];
            if sink.send(forgotten).await.is_err() {
                return;
            }
        }
    };
    shutdown.run_until_cancelled(followed).await;
}

/// Waits until the state is wanted; returns false if it can no longer change.
async fn until(wanted: &mut watch::Receiver<bool>, what: bool) -> bool {
    loop {
        if *wanted.borrow_and_update() == what {
            return true;
        }
        if wanted.changed().await.is_err() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::follow::tests::one;
    use super::*;
    use crate::metrics::Metrics;
    use portolan_core::Change;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn pods_are_watched_while_that_is_wanted_and_forgotten_as_one() {
        let (inputs, mut received) = mpsc::channel(1);
        let (want, wanted) = watch::channel(false);
        let sink = Sink {
            inputs,
            metrics: Metrics::registered().0,
            shutdown: CancellationToken::new(),
        };
        let followed = tokio::spawn(follow_pods(one("Pod"), wanted, sink));
        for _ in 0..2 {
            want.send_replace(true);
            let first = received.recv().await;
            let applied = matches!(first, Some(Input::Event(Event::Pod(Change::Applied(_)))));
            assert!(applied, "{first:?}");
            assert!(matches!(received.recv().await, Some(Input::Listed(SOURCE))));
            want.send_replace(false);
            let last = received.recv().await;
            let forgotten = matches!(last, Some(Input::Event(Event::PodsListed(false))));
            assert!(forgotten, "{last:?}");
        }
        // The end of a watch loses nothing.
        want.send_replace(true);
        assert!(received.recv().await.is_some() && received.recv().await.is_some());
        drop(want);
        followed.await.unwrap();
        assert!(received.recv().await.is_none());
    }
}
