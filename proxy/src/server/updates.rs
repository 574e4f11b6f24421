//! The main task of a worker: applies what the control thread sends, and follows the phase.

use crate::lifecycle::Phase;
use crate::server::accept;
use crate::worker::Worker;
use crate::worker::mail::{HostChange, OpenListener, WorkerUpdate};
use crate::worker::peers::AcceptedConnection;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How often the worker looks after its pool and its log.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How often a worker that is closing looks whether its last connection has ended.
const CLOSING_POLL: Duration = Duration::from_millis(20);

/// Applies mail and follows the phase, until all connections have ended or must.
pub(super) async fn run_loop(
    worker: &Rc<Worker>,
    mut updates: mpsc::Receiver<WorkerUpdate>,
    mut inbox: mpsc::Receiver<AcceptedConnection>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut listeners = Listeners::default();
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            Some(accepted) = inbox.recv() => accept::serve(worker, accepted),
            () = worker.shed_requested.notified() => {
                worker.shed_idle();
            }
            Some(update) = updates.recv() => apply(worker, &mut listeners, update),
            changed = phase.changed() => {
                // The sender is gone: there is nothing left to drain for.
                let now = changed.map_or(Phase::Stopped, |()| *phase.borrow_and_update());
                worker.enter(now);
                if now == Phase::Closing {
                    listeners.close_all().await;
                    drain_inbox(worker, &mut inbox).await;
                }
            }
            () = sleep(CLOSING_POLL), if worker.is_closing() => {}
            _ = housekeeping.tick() => {
                worker.pool.sweep(Instant::now());
                worker.http2_pool.sweep(Instant::now().into());
                worker.memory.wake();
                if worker.is_overloaded() {
                    worker.shed_idle();
                }
                worker.log.flush(&worker.counters);
            }
        }
        let drained = worker.is_closing() && worker.counters.active() == 0;
        if drained || worker.phase() == Phase::Stopped {
            return;
        }
    }
}

/// Serves what other workers have sent, and takes no more: they keep what they still accept. No
/// connection is lost in between, as one is either refused or comes out here.
async fn drain_inbox(worker: &Rc<Worker>, inbox: &mut mpsc::Receiver<AcceptedConnection>) {
    inbox.close();
    while let Some(accepted) = inbox.recv().await {
        accept::serve(worker, accepted);
    }
}

/// The worker's open listeners: how to stop each, and the tasks that will have stopped.
#[derive(Default)]
struct Listeners {
    open: HashMap<String, (CancellationToken, Vec<u16>)>,
    tasks: JoinSet<()>,
}

impl Listeners {
    fn open(&mut self, worker: &Rc<Worker>, listener: OpenListener) {
        let stop = CancellationToken::new();
        let ports = listener
            .sockets
            .iter()
            .filter_map(|socket| socket.local_addr().ok());
        let ports = ports.map(|at| at.port()).collect();
        for socket in listener.sockets {
            let accepting = accept::run(Rc::clone(worker), socket, listener.protocol, stop.clone());
            self.tasks.spawn_local(accepting);
        }
        if let Some((former, _)) = self.open.insert(listener.name, (stop, ports)) {
            former.cancel();
        }
        self.publish_ports(worker);
        // Those that have ended are of no more interest.
        while self.tasks.try_join_next().is_some() {}
    }

    fn close(&mut self, worker: &Worker, name: &str) {
        if let Some((stop, _)) = self.open.remove(name) {
            stop.cancel();
        }
        self.publish_ports(worker);
    }

    fn publish_ports(&self, worker: &Worker) {
        let ports = self.open.values().flat_map(|(_, ports)| ports);
        worker.ports.replace(ports.copied().collect());
    }

    /// Closes all, and waits until what the kernel had accepted for us has been taken in.
    async fn close_all(&mut self) {
        self.open.drain().for_each(|(_, (stop, _))| stop.cancel());
        while self.tasks.join_next().await.is_some() {}
    }
}

fn apply(worker: &Rc<Worker>, listeners: &mut Listeners, update: WorkerUpdate) {
    {
        let mut hosts = worker.hosts.borrow_mut();
        for change in &*update.hosts {
            match change {
                HostChange::Set(host) => {
                    hosts.insert(host.policy.pattern.clone(), Arc::clone(host));
                }
                HostChange::Remove(pattern) => {
                    hosts.remove(pattern);
                }
                HostChange::DefaultTermination(termination) => {
                    worker.tls.set_default_termination(termination.clone())
                }
            }
        }
    }
    for name in &update.close {
        listeners.close(worker, name);
    }
    for listener in update.open {
        listeners.open(worker, listener);
    }
    // The control thread may have stopped waiting.
    let _ = update.applied.send(());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryBudget;
    use portolan_discovery::table::Protocol;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::LocalSet;

    fn accepted(worker: &Worker) -> (AcceptedConnection, tokio::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, client): (_, SocketAddr) = listener.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let accepted = AcceptedConnection {
            stream,
            client,
            protocol: Protocol::Http,
            active: worker.counters.open(),
            room: None,
        };
        (accepted, tokio::net::TcpStream::from_std(far).unwrap())
    }

    /// A connection handed to a closing worker is either given back or served.
    #[tokio::test]
    async fn no_connection_is_lost_when_an_inbox_closes() {
        LocalSet::new()
            .run_until(async {
                let worker = Rc::new(Worker::alone(MemoryBudget::new(None)));
                let (sender, mut inbox) = mpsc::channel(2);
                let (first, mut client) = accepted(&worker);
                client
                    .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                    .await
                    .unwrap();
                sender.try_send(first).unwrap();
                worker.enter(Phase::Closing);
                drain_inbox(&worker, &mut inbox).await;
                let (late, _client) = accepted(&worker);
                assert!(sender.try_send(late).is_err(), "given back");
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
            })
            .await;
    }
}
