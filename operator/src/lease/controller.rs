//! Acquires and renews the Lease: reads it, asks the elector, writes it, and publishes the leadership.

use super::elector::{Elector, Record, Step, Terms};
use super::epoch::{Memory, Recorded};
use super::{Leadership, Permit};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Identity of a replica in the election, and its Lease.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where the Lease is.
    pub namespace: String,
    /// The name of the Lease.
    pub lease: String,
    /// The Secret whose annotation remembers the epoch.
    pub epoch_secret: String,
    /// Unlike that of any other process, also of an earlier one in the same pod.
    pub identity: String,
    /// How long things may take.
    pub terms: Terms,
}

/// Runs the election until `shutdown`, then releases the Lease, so that a successor need not wait.
///
/// Cancel `shutdown` only when nothing writes any more. `client` should be one of its own: renewal must
/// not queue behind a thousand reconciles.
pub async fn run(
    client: Client,
    candidate: Candidate,
    permit: Permit,
    leadership: watch::Sender<Leadership>,
    shutdown: CancellationToken,
) {
    let mut controller = LeaseController {
        leases: Api::namespaced(client.clone(), &candidate.namespace),
        memory: Memory::new(client, &candidate.namespace, &candidate.epoch_secret),
        elector: Elector::new(candidate.identity.clone(), candidate.terms),
        term: None,
        acquired: Timestamp::now(),
        candidate,
        permit,
        leadership,
    };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = controller.round() => {}
        }
    }
    controller.release().await;
}

/// A term that this replica serves.
struct Term {
    epoch: u64,
    recorded: Recorded,
}

struct LeaseController {
    candidate: Candidate,
    leases: Api<Lease>,
    memory: Memory,
    elector: Elector,
    term: Option<Term>,
    /// Since when the Lease is ours; for people who look at it.
    acquired: Timestamp,
    permit: Permit,
    leadership: watch::Sender<Leadership>,
}

impl LeaseController {
    /// One attempt, and the pause after it. An attempt that hangs past the end of the term ends the term first.
    async fn round(&mut self) {
        let retry = self.candidate.terms.retry;
        let deadline = self.permit.until();
        let attempt = timeout(self.candidate.terms.renew_deadline, self.attempt());
        let result = match deadline {
            Some(deadline) => tokio::select! {
                result = attempt => result,
                () = sleep_until(deadline) => Ok(Ok(())),
            },
            None => attempt.await,
        };
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "failed to read or write the Lease"),
            Err(_) => debug!("request for the Lease timed out"),
        }
        self.announce();
        let pause = sleep(jittered(retry));
        match self.permit.until() {
            Some(until) => tokio::select! { () = pause => {}, () = sleep_until(until) => {} },
            None => pause.await,
        }
        self.announce();
    }

    async fn attempt(&mut self) -> kube::Result<()> {
        let now = Instant::now();
        if self.elector.covered_until(now).is_none() {
            let lease = self.leases.get_opt(&self.candidate.lease).await?;
            self.elector.observe(lease.as_ref().map(record_of), now);
        }
        let sent = Instant::now();
        let step = self.elector.step(sent);
        if matches!(step, Step::Create | Step::Take { .. }) {
            self.acquired = Timestamp::now();
        }
        let written = match step {
            Step::Wait => return Ok(()),
            Step::Create => self.create().await,
            Step::Take {
                resource_version,
                transitions,
            }
            | Step::Renew {
                resource_version,
                transitions,
            } => self.replace(resource_version, transitions).await,
        };
        match written {
            Ok(lease) => {
                let record = record_of(&lease);
                let transitions = record.transitions;
                self.elector.wrote(record, sent);
                self.serve(transitions).await
            }
            Err(error) => {
                // Whatever it was, the next decision is made from what is stored now.
                let lease = self.leases.get_opt(&self.candidate.lease).await?;
                self.elector
                    .observe(lease.as_ref().map(record_of), Instant::now());
                Err(error)
            }
        }
    }

    /// Begins the term, unless it runs already: its epoch is stored before it is published.
    async fn serve(&mut self, transitions: u64) -> kube::Result<()> {
        match &mut self.term {
            None => {
                let (epoch, recorded) = self.memory.begin(transitions).await?;
                self.term = Some(Term { epoch, recorded });
            }
            Some(term) if term.recorded == Recorded::NotYet => {
                let leadership = Leadership {
                    leader: true,
                    epoch: term.epoch,
                };
                // Permission first: a Secret that cannot be written must not end a term that is served.
                self.permit.set(self.elector.covered_until(Instant::now()));
                term.recorded = self.memory.record(leadership).await?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Publishes the current leadership.
    fn announce(&mut self) {
        let until = self.elector.covered_until(Instant::now());
        if until.is_none() {
            self.term = None;
        }
        let epoch = self.term.as_ref().map(|term| term.epoch);
        self.permit.set(until.filter(|_| epoch.is_some()));
        self.leadership.send_if_modified(|known| {
            let now = Leadership {
                leader: epoch.is_some(),
                epoch: epoch.unwrap_or(known.epoch),
            };
            if *known == now {
                return false;
            }
            if now.leader {
                info!(epoch = now.epoch, "acquired leadership");
            } else {
                warn!(epoch = now.epoch, "lost leadership");
            }
            *known = now;
            true
        });
    }

    async fn create(&self) -> kube::Result<Lease> {
        let metadata = ObjectMeta {
            name: Some(self.candidate.lease.clone()),
            ..ObjectMeta::default()
        };
        let lease = self.lease(metadata, &self.candidate.identity, 0);
        self.leases.create(&by_us(), &lease).await
    }

    async fn replace(&self, resource_version: String, transitions: u64) -> kube::Result<Lease> {
        let metadata = ObjectMeta {
            name: Some(self.candidate.lease.clone()),
            resource_version: Some(resource_version),
            ..ObjectMeta::default()
        };
        let lease = self.lease(metadata, &self.candidate.identity, transitions);
        let name = &self.candidate.lease;
        self.leases.replace(name, &by_us(), &lease).await
    }

    /// Hands the Lease back if it is ours. Failing costs a successor the rest of the term, nothing else.
    async fn release(&mut self) {
        self.permit.set(None);
        let step = self.elector.step(Instant::now());
        let Step::Renew {
            resource_version,
            transitions,
        } = step
        else {
            return;
        };
        let metadata = ObjectMeta {
            name: Some(self.candidate.lease.clone()),
            resource_version: Some(resource_version),
            ..ObjectMeta::default()
        };
        let lease = self.lease(metadata, "", transitions);
        let params = by_us();
        let write = self.leases.replace(&self.candidate.lease, &params, &lease);
        match timeout(self.candidate.terms.retry, write).await {
            Ok(Ok(_)) => info!("released the Lease"),
            Ok(Err(error)) => debug!(%error, "failed to release the Lease"),
            Err(_) => debug!("release of the Lease timed out"),
        }
    }

    fn lease(&self, metadata: ObjectMeta, holder: &str, transitions: u64) -> Lease {
        Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(seconds(self.candidate.terms.duration)),
                lease_transitions: Some(i32::try_from(transitions).unwrap_or(i32::MAX)),
                renew_time: Some(MicroTime(Timestamp::now())),
                acquire_time: Some(MicroTime(self.acquired)),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// Converts a Lease for the elector. A corrupted Lease counts as released, so the next election repairs it.
fn record_of(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let transitions = spec.and_then(|spec| spec.lease_transitions).unwrap_or(0);
    Record {
        holder: spec
            .and_then(|spec| spec.holder_identity.clone())
            .unwrap_or_default(),
        transitions: u64::try_from(transitions).unwrap_or(0),
        resource_version: lease.resource_version().unwrap_or_default(),
    }
}

fn by_us() -> PostParams {
    PostParams {
        field_manager: Some(crate::FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn seconds(duration: Duration) -> i32 {
    // The API refuses 0.
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX).max(1)
}

/// Up to a fifth longer, so that replicas do not ask in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + fastrand::f64() / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrupted_lease_counts_as_released() {
        let lease = Lease {
            spec: Some(LeaseSpec {
                lease_transitions: Some(-4),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        assert_eq!(record_of(&lease), Record::default());
        assert_eq!(record_of(&Lease::default()), Record::default());
    }
}
