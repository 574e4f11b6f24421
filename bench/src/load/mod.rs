//! Clients: connections over which operations are begun when they are due, whether or not
//! earlier ones are answered, and every answer compared byte by byte.

mod answer;
mod connection;
mod pace;
mod session;
pub(crate) mod tls;
mod wire;

use crate::cases::{Exchange, Lifetime, Load, Version};
use crate::message;
use crate::poller::{EventFlags, Poller};
use connection::{Connection, Progress, Stage};
use pace::Pace;
use rustls::ClientConfig;
use session::{Question, Session};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Timeout of the last responses.
const PATIENCE: Duration = Duration::from_secs(5);

/// Results of the clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Operations that were due.
    pub(crate) offered: u64,
    /// Answered, and as they should be.
    pub(crate) done: u64,
    /// Failures and their number.
    pub(crate) wrong: BTreeMap<String, u64>,
    /// Nanoseconds from the moment an operation was due until its answer was whole, in order.
    pub(crate) latencies: Vec<f64>,
    pub(crate) elapsed: Duration,
}

/// Whom the clients ask.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Host and server name.
    pub(crate) host: String,
    /// TLS configuration, if the load uses TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// The clients of one candidate.
#[derive(Debug)]
pub(crate) struct Clients {
    load: Load,
    target: Target,
    poller: Poller,
    slots: Vec<Slot>,
    /// The longest waiting first, so that all connections carry the same; a connection is in here as
    /// often as it can take another operation.
    free: VecDeque<usize>,
    /// Number of concurrent operations.
    room: usize,
    /// Operations that are due and found no free connection.
    waiting: VecDeque<Instant>,
    /// Over HTTP/1.1.
    request: Vec<u8>,
    /// Over HTTP/2.
    question: Question,
    buffer: Vec<u8>,
    report: Report,
}

/// Slot of a connection.
#[derive(Debug)]
enum Slot {
    Http1(Connection),
    Http2(Session),
}

impl Clients {
    pub(crate) fn new(load: Load, target: Target) -> io::Result<Self> {
        let request = match load.exchange {
            Exchange::Get(size) => {
                message::get(&target.host, size, load.lifetime != Lifetime::Kept)
            }
            Exchange::Echo(size) | Exchange::Call(size) => {
                message::content().get(..size).unwrap_or_default().to_vec()
            }
        };
        let (slot, streams): (fn() -> Slot, usize) = match load.version {
            Version::Http1 => (|| Slot::Http1(Connection::new()), 1),
            Version::Http2 { streams } => (|| Slot::Http2(Session::default()), streams),
        };
        let free: VecDeque<usize> = (0..streams).flat_map(|_| 0..load.connections).collect();
        Ok(Self {
            question: Question::new(load.exchange, &target),
            load,
            target,
            poller: Poller::new()?,
            slots: (0..load.connections).map(|_| slot()).collect(),
            room: free.len(),
            free,
            waiting: VecDeque::new(),
            request,
            buffer: vec![0; 256 * 1024],
            report: Report::default(),
        })
    }

    /// As many operations as the proxy takes.
    pub(crate) fn flat_out(&mut self, length: Duration) -> io::Result<Report> {
        self.run(Pace::unbounded(Instant::now(), length), length)
    }

    /// Runs at this rate of operations a second.
    pub(crate) fn at(&mut self, rate: f64, length: Duration, seed: u64) -> io::Result<Report> {
        self.run(Pace::at(rate, Instant::now(), length, seed), length)
    }

    fn run(&mut self, mut pace: Pace, length: Duration) -> io::Result<Report> {
        let start = Instant::now();
        loop {
            let now = Instant::now();
            while let Some(due) = pace.due(now)
                && due <= now
                && (pace.is_open_loop() || self.waiting.len() < self.free.len())
            {
                self.waiting.push_back(due);
                self.report.offered += 1;
                pace.advance();
            }
            while let Some(slot) = self.free.front().copied()
                && let Some(due) = self.waiting.pop_front()
            {
                self.free.pop_front();
                self.begin(slot, due);
            }
            let next = pace.due(now);
            let idle = self.free.len() == self.room && self.waiting.is_empty();
            if next.is_none() && (idle || now > start + length + PATIENCE) {
                break;
            }
            let pause = match next {
                Some(due) if !self.free.is_empty() => due.saturating_duration_since(now),
                _ => Duration::from_millis(100),
            };
            for index in 0..self.poller.wait(Some(pause))? {
                if let Some((slot, flags)) = self.poller.event(index) {
                    self.handle_event(slot, flags);
                }
            }
        }
        let unanswered = self.room - self.free.len() + self.waiting.len();
        if unanswered > 0 {
            self.wrong("no answer", unanswered as u64);
        }
        let mut report = std::mem::take(&mut self.report);
        report.elapsed = start.elapsed();
        report.latencies.sort_by(f64::total_cmp);
        Ok(report)
    }

    /// One operation on every connection, so many at a time.
    pub(crate) fn each_once(&mut self, wave: usize) -> io::Result<Report> {
        let start = Instant::now();
        let mut begun = 0;
        loop {
            let wrong: u64 = self.report.wrong.values().sum();
            let ended = (self.report.done + wrong) as usize;
            if ended >= self.slots.len() || wrong > 0 {
                break;
            }
            while begun < self.slots.len() && begun < ended + wave {
                self.begin(begun, Instant::now());
                begun += 1;
            }
            for index in 0..self.poller.wait(Some(PATIENCE))? {
                if let Some((slot, flags)) = self.poller.event(index) {
                    self.handle_event(slot, flags);
                }
            }
            if start.elapsed() > PATIENCE * 24 {
                self.wrong("no answer", 1);
            }
        }
        Ok(std::mem::take(&mut self.report))
    }

    fn begin(&mut self, at: usize, due: Instant) {
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        let begun = match slot {
            Slot::Http1(connection) => {
                connection.due = due;
                connection.begin(at, self.load, &self.target, &self.request, &self.poller)
            }
            Slot::Http2(session) => {
                session.begin(at, due, &self.question, &self.target, &self.poller)
            }
        };
        if let Err(error) = begun {
            self.fail(at, &error.to_string());
        }
    }

    fn handle_event(&mut self, at: usize, flags: EventFlags) {
        let Self {
            free,
            report,
            buffer,
            poller,
            ..
        } = self;
        let mut answered = |due: Instant| {
            report.done += 1;
            report.latencies.push(due.elapsed().as_nanos() as f64);
        };
        let attended = match self.slots.get_mut(at) {
            None => Ok(()),
            Some(Slot::Http2(session)) => {
                let answered = |due| {
                    answered(due);
                    free.push_back(at);
                };
                session.handle_event(at, flags, &self.question, buffer, poller, answered)
            }
            Some(Slot::Http1(connection)) => {
                let progress =
                    connection.handle_event(flags, self.load, &self.request, buffer, poller, at);
                progress.map(|progress| match progress {
                    Progress::Nothing | Progress::Upgraded => {}
                    Progress::Answered => {
                        answered(connection.due);
                        if matches!(connection.stage, Stage::Free) {
                            free.push_back(at);
                        }
                    }
                    Progress::Ended => {
                        connection.wire = None;
                        // One that was free is in the queue already.
                        if !matches!(connection.stage, Stage::Free) {
                            connection.stage = Stage::Free;
                            free.push_back(at);
                        }
                    }
                })
            }
        };
        if let Err(why) = attended {
            self.fail(at, &why);
        }
    }

    fn fail(&mut self, at: usize, why: &str) {
        let ended = match self.slots.get_mut(at) {
            None => 0,
            Some(Slot::Http1(connection)) => {
                *connection = Connection::new();
                1
            }
            Some(Slot::Http2(session)) => session.close(),
        };
        self.wrong(why, ended.max(1) as u64);
        self.free.extend(std::iter::repeat_n(at, ended));
    }

    fn wrong(&mut self, why: &str, count: u64) {
        *self.report.wrong.entry(why.to_owned()).or_default() += count;
    }
}
