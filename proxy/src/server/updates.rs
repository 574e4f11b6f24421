//! The main task of a worker: applies what the control thread sends, and follows the phase.

use crate::lifecycle::Phase;
use crate::server::accept;
use crate::worker::Worker;
use crate::worker::mail::{HostChange, Mail, OpenListener};
use crate::worker::peers::Arrival;
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
const LAST_LOOKS: Duration = Duration::from_millis(20);

/// Applies mail and follows the phase, until all connections have ended or must.
pub(super) async fn attend(
    worker: &Rc<Worker>,
    mut mail: mpsc::Receiver<Mail>,
    mut inbox: mpsc::Receiver<Arrival>,
    mut phase: watch::Receiver<Phase>,
) {
    let mut listeners = Listeners::default();
    let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            Some(arrival) = inbox.recv() => accept::serve(worker, arrival),
            () = worker.crowded.notified() => {
                worker.have_idle_leave();
            }
            Some(mail) = mail.recv() => apply(worker, &mut listeners, mail),
            changed = phase.changed() => {
                // Whoever held the other end is gone; nobody is left to drain for.
                let now = changed.map_or(Phase::Stopped, |()| *phase.borrow_and_update());
                worker.enter(now);
                if now == Phase::Closing {
                    listeners.close_all().await;
                    take_in(worker, &mut inbox).await;
                }
            }
            () = sleep(LAST_LOOKS), if worker.is_closing() => {}
            _ = housekeeping.tick() => {
                worker.pool.sweep(Instant::now());
                worker.http2_pool.sweep(Instant::now().into());
                worker.account.wake();
                if worker.is_overloaded() {
                    worker.have_idle_leave();
                }
                worker.log.flush(&worker.cells);
            }
        }
        let drained = worker.is_closing() && worker.cells.active() == 0;
        if drained || worker.phase() == Phase::Stopped {
            return;
        }
    }
}

/// Serves what others have sent, and refuses more: whoever still accepts keeps what it accepts. No
/// connection is lost in between, as one is either refused or comes out here.
async fn take_in(worker: &Rc<Worker>, inbox: &mut mpsc::Receiver<Arrival>) {
    inbox.close();
    while let Some(arrival) = inbox.recv().await {
        accept::serve(worker, arrival);
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
            .filter_map(|it| it.local_addr().ok());
        let ports = ports.map(|at| at.port()).collect();
        for socket in listener.sockets {
            let accepting = accept::run(Rc::clone(worker), socket, listener.protocol, stop.clone());
            self.tasks.spawn_local(accepting);
        }
        if let Some((former, _)) = self.open.insert(listener.name, (stop, ports)) {
            former.cancel();
        }
        self.tell_ports(worker);
        // Those that have ended are of no more interest.
        while self.tasks.try_join_next().is_some() {}
    }

    fn close(&mut self, worker: &Worker, name: &str) {
        if let Some((stop, _)) = self.open.remove(name) {
            stop.cancel();
        }
        self.tell_ports(worker);
    }

    fn tell_ports(&self, worker: &Worker) {
        let ports = self.open.values().flat_map(|(_, ports)| ports);
        worker.ports.replace(ports.copied().collect());
    }

    /// Closes all, and waits until what the kernel had accepted for us has been taken in.
    async fn close_all(&mut self) {
        self.open.drain().for_each(|(_, (stop, _))| stop.cancel());
        while self.tasks.join_next().await.is_some() {}
    }
}

fn apply(worker: &Rc<Worker>, listeners: &mut Listeners, mail: Mail) {
    {
        let mut hosts = worker.hosts.borrow_mut();
        for change in &*mail.hosts {
            match change {
                HostChange::Set(host) => {
                    hosts.insert(host.policy.pattern.clone(), Arc::clone(host));
                }
                HostChange::Remove(pattern) => {
                    hosts.remove(pattern);
                }
                HostChange::Unnamed(termination) => worker.tls.set_unnamed(termination.clone()),
            }
        }
    }
    for name in &mail.close {
        listeners.close(worker, name);
    }
    for listener in mail.open {
        listeners.open(worker, listener);
    }
    // The control thread may have stopped waiting.
    let _ = mail.applied.send(());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Ledger;
    use portolan_discovery::table::Protocol;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::LocalSet;

    fn arrival(worker: &Worker) -> (Arrival, tokio::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, client): (_, SocketAddr) = listener.accept().unwrap();
        far.set_nonblocking(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        let arrival = Arrival {
            stream,
            client,
            protocol: Protocol::Http,
            active: worker.cells.open(),
            room: None,
        };
        (arrival, tokio::net::TcpStream::from_std(far).unwrap())
    }

    /// Whoever hands a connection to a worker that is closing either gets it back or has it served.
    #[tokio::test]
    async fn no_connection_is_lost_when_an_inbox_closes() {
        LocalSet::new()
            .run_until(async {
                let worker = Rc::new(Worker::alone(Ledger::new(None)));
                let (sender, mut inbox) = mpsc::channel(2);
                let (first, mut client) = arrival(&worker);
                client
                    .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                    .await
                    .unwrap();
                sender.try_send(first).unwrap();
                worker.enter(Phase::Closing);
                take_in(&worker, &mut inbox).await;
                let (late, _client) = arrival(&worker);
                assert!(sender.try_send(late).is_err(), "given back");
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
            })
            .await;
    }
}
