//! One measurement of one candidate, and whether it counts.

use crate::candidate::Candidate;
use crate::cases::{CPU, CPU_GIB, Exchange, Load, P99};
use crate::load::{Clients, Report};
use crate::machine::{Core, CoreUse, LOAD_CORE, PROXY_CORE};
use crate::results::Figures;
use crate::statistics::quantile;
use std::time::{Duration, Instant};

/// Above this share the clients themselves may be what is measured.
const BUSY: f64 = 0.85;
/// Limit of stolen time, as a share.
const STEAL: f64 = 0.01;
/// Limit of other processes' use of the proxy's core, as a share.
const FOREIGN: f64 = 0.05;
/// Below this share the clients, or the proxy, did not keep up with what was due.
const ANSWERED: f64 = 0.999;

/// Work and resources of a candidate during one measurement.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    report: Report,
    /// Nanoseconds.
    ran: u64,
    /// As long as the clocks were watched.
    watched: Duration,
    proxy_core: CoreUse,
    load_core: CoreUse,
}

impl Sample {
    /// Has the clients do something, and reads the clocks around it.
    pub(crate) fn of(
        candidate: &Candidate,
        work: impl FnOnce() -> std::io::Result<Report>,
    ) -> anyhow::Result<Self> {
        let start = Instant::now();
        let cores = (Core::read(PROXY_CORE)?, Core::read(LOAD_CORE)?);
        let before = candidate.processes.run_time()?;
        let report = work()?;
        let ran = candidate.processes.run_time()? - before;
        let watched = start.elapsed();
        Ok(Self {
            report,
            ran,
            watched,
            proxy_core: Core::read(PROXY_CORE)?.used_since(cores.0, watched),
            load_core: Core::read(LOAD_CORE)?.used_since(cores.1, watched),
        })
    }

    /// A second or so at a fixed rate.
    pub(crate) fn at_rate(
        candidate: &Candidate,
        clients: &mut Clients,
        rate: f64,
        length: Duration,
        seed: u64,
    ) -> anyhow::Result<Self> {
        Self::of(candidate, || clients.at(rate, length, seed))
    }

    /// Operations answered a second.
    pub(crate) fn rate(&self) -> f64 {
        self.report.done as f64 / self.report.elapsed.as_secs_f64().max(1e-9)
    }

    /// The rate at which the clients' core would be as busy as it may, with something to spare.
    pub(crate) fn clients_limit(&self) -> f64 {
        self.rate() * (BUSY - 0.1) / self.load_core.busy.max(0.01)
    }

    /// Returns the first cause that makes the measurement void.
    pub(crate) fn wrong(&self) -> Option<String> {
        let (why, count) = self.report.wrong.iter().next()?;
        Some(format!("wrong answers: {why} ({count} times)"))
    }

    /// Why the measurement does not count.
    pub(crate) fn void(&self) -> Option<String> {
        let foreign =
            self.proxy_core.busy - self.ran as f64 / self.watched.as_nanos().max(1) as f64;
        if let Some(wrong) = self.wrong() {
            Some(wrong)
        } else if self.load_core.busy > BUSY {
            Some("the clients' core was busy".to_owned())
        } else if self.proxy_core.steal.max(self.load_core.steal) > STEAL {
            Some("time was stolen".to_owned())
        } else if foreign > FOREIGN {
            Some("another process used the proxy's core".to_owned())
        } else if (self.report.done as f64) < self.report.offered as f64 * ANSWERED {
            Some("not everything was answered".to_owned())
        } else {
            None
        }
    }

    /// The figures of a round.
    pub(crate) fn figures(&self, load: Load) -> Figures {
        let done = self.report.done.max(1) as f64;
        let cpu = self.ran as f64 / 1000.0 / done;
        let latency = |at| quantile(&self.report.latencies, at).unwrap_or_default() / 1000.0;
        let moved = match load.exchange {
            Exchange::Get(size) => size,
            Exchange::Echo(size) | Exchange::Call(size) => 2 * size,
        };
        let gib = done * moved as f64 / f64::from(1 << 30);
        let busy = self.watched.mul_f64(self.proxy_core.busy).as_secs_f64() * 1e6;
        vec![
            (CPU, "µs", cpu),
            (CPU_GIB, "s", self.ran as f64 / 1e9 / gib),
            ("core busy per operation", "µs", busy / done),
            ("p50 latency", "µs", latency(0.5)),
            (P99, "µs", latency(0.99)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fault<'a> = &'a dyn Fn(&mut Sample);

    fn sample(change: impl FnOnce(&mut Sample)) -> Sample {
        let core = |busy| CoreUse { busy, steal: 0.0 };
        let mut sample = Sample {
            report: Report {
                offered: 10_000,
                done: 10_000,
                elapsed: Duration::from_secs(1),
                latencies: vec![50_000.0; 10_000],
                ..Report::default()
            },
            ran: 400_000_000,
            watched: Duration::from_secs(1),
            proxy_core: core(0.42),
            load_core: core(0.6),
        };
        change(&mut sample);
        sample
    }

    #[test]
    fn a_clean_measurement_counts_and_each_fault_makes_it_void() {
        assert_eq!(sample(|_| ()).void(), None);
        let wrong = |sample: &mut Sample| {
            sample.report.wrong.insert("another body".into(), 1);
        };
        let faults: [(&str, Fault); 5] = [
            ("wrong answers: another body (1 times)", &wrong),
            ("the clients' core was busy", &|sample| {
                sample.load_core.busy = 0.86
            }),
            ("time was stolen", &|sample| sample.proxy_core.steal = 0.02),
            ("another process used the proxy's core", &|sample| {
                sample.proxy_core.busy = 0.46
            }),
            ("not everything was answered", &|sample| {
                sample.report.done = 9_980
            }),
        ];
        for (why, fault) in faults {
            assert_eq!(sample(fault).void().as_deref(), Some(why));
        }
    }

    #[test]
    fn figures_are_per_operation_and_per_gib() {
        let load = Load {
            exchange: Exchange::Echo(1 << 14),
            version: crate::cases::Version::Http1,
            connections: 8,
            tls: None,
            lifetime: crate::cases::Lifetime::Kept,
        };
        let figures = sample(|_| ()).figures(load);
        let figure = |name| figures.iter().find(|figure| figure.0 == name).unwrap().2;
        assert_eq!(figure(CPU), 40.0);
        assert!((figure("core busy per operation") - 42.0).abs() < 1e-9);
        assert_eq!(figure(P99), 50.0);
        // 10,000 messages of 16 KiB both ways are 0.305 GiB.
        assert!((figure(CPU_GIB) - 0.4 / 0.305_175_781_25).abs() < 1e-9);
    }
}
