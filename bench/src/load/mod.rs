//! Clients: connections over which operations are begun when they are due, whether or not
//! earlier ones are answered, and every answer compared byte by byte.

mod answer;
mod pace;
pub(crate) mod tls;
mod wire;

use crate::cases::{Exchange, Life, Load};
use crate::message;
use crate::poller::{EventFlags, Poller};
use answer::Answer;
use pace::Pace;
use rustls::{ClientConfig, HandshakeKind};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wire::Wire;

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the clients have seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Operations that were due.
    pub(crate) offered: u64,
    /// Answered, and as they should be.
    pub(crate) done: u64,
    /// What went wrong, and how often.
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
    /// Where it is TLS: with whose certificates.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// The clients of one candidate.
#[derive(Debug)]
pub(crate) struct Clients {
    load: Load,
    target: Target,
    poller: Poller,
    slots: Vec<Slot>,
    /// The longest waiting first, so that all connections carry the same.
    free: VecDeque<usize>,
    /// Operations that are due and found no free connection.
    waiting: VecDeque<Instant>,
    request: Vec<u8>,
    buffer: Vec<u8>,
    report: Report,
}

/// A place for a connection.
#[derive(Debug)]
struct Slot {
    wire: Option<Wire>,
    stage: Stage,
    due: Instant,
}

#[derive(Debug)]
enum Stage {
    Free,
    /// The WebSocket's handshake is under way; the message follows.
    Upgrading(Answer),
    Asked(Answer),
    /// Answered; the proxy closes.
    Ending,
}

impl Clients {
    pub(crate) fn new(load: Load, target: Target) -> io::Result<Self> {
        let request = match load.exchange {
            Exchange::Get(size) => message::get(&target.host, size, load.life != Life::Kept),
            Exchange::Echo(size) => message::content().get(..size).unwrap_or_default().to_vec(),
        };
        let slot = |_| Slot {
            wire: None,
            stage: Stage::Free,
            due: Instant::now(),
        };
        Ok(Self {
            load,
            target,
            poller: Poller::new()?,
            slots: (0..load.connections).map(slot).collect(),
            free: (0..load.connections).collect(),
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

    /// So many operations a second.
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
            let idle = self.free.len() == self.slots.len() && self.waiting.is_empty();
            if next.is_none() && (idle || now > start + length + PATIENCE) {
                break;
            }
            let pause = match next {
                Some(due) if !self.free.is_empty() => due.saturating_duration_since(now),
                _ => Duration::from_millis(100),
            };
            for index in 0..self.poller.wait(Some(pause))? {
                if let Some((slot, flags)) = self.poller.event(index) {
                    self.attend(slot, flags);
                }
            }
        }
        let unanswered = self.slots.len() - self.free.len() + self.waiting.len();
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
                    self.attend(slot, flags);
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
        slot.due = due;
        if let Err(error) = slot.begin(at, self.load, &self.target, &self.request, &self.poller) {
            self.fail(at, &error.to_string());
        }
    }

    fn attend(&mut self, at: usize, flags: EventFlags) {
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        match slot.attend(
            flags,
            self.load,
            &self.request,
            &mut self.buffer,
            &self.poller,
            at,
        ) {
            Ok(Progress::Nothing | Progress::Upgraded) => {}
            Ok(Progress::Answered) => {
                self.report.done += 1;
                let latency = slot.due.elapsed().as_nanos() as f64;
                self.report.latencies.push(latency);
                if matches!(slot.stage, Stage::Free) {
                    self.free.push_back(at);
                }
            }
            Ok(Progress::Ended) => {
                slot.wire = None;
                // One that was free is in the queue already.
                if !matches!(slot.stage, Stage::Free) {
                    slot.stage = Stage::Free;
                    self.free.push_back(at);
                }
            }
            Err(why) => self.fail(at, &why),
        }
    }

    fn fail(&mut self, at: usize, why: &str) {
        self.wrong(why, 1);
        if let Some(slot) = self.slots.get_mut(at) {
            slot.wire = None;
            slot.stage = Stage::Free;
            self.free.push_back(at);
        }
    }

    fn wrong(&mut self, why: &str, count: u64) {
        *self.report.wrong.entry(why.to_owned()).or_default() += count;
    }
}

/// What came of an event.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Nothing,
    /// The WebSocket is open; the message that was due can go.
    Upgraded,
    Answered,
    /// The connection was closed where that was due.
    Ended,
}

impl Slot {
    fn begin(
        &mut self,
        key: usize,
        load: Load,
        target: &Target,
        request: &[u8],
        poller: &Poller,
    ) -> io::Result<()> {
        let new = self.wire.is_none();
        let wire = match &mut self.wire {
            Some(wire) => wire,
            wire => wire.insert(Wire::connect(target, key, poller)?),
        };
        if new && matches!(load.exchange, Exchange::Echo(_)) {
            wire.send(&message::upgrade(&target.host))?;
            self.stage = Stage::Upgrading(Answer::with_head(load.exchange));
        } else {
            wire.send(request)?;
            self.stage = Stage::Asked(match load.exchange {
                Exchange::Get(_) => Answer::with_head(load.exchange),
                Exchange::Echo(_) => Answer::without_head(load.exchange),
            });
        }
        wire.watch(key, poller)
    }

    fn attend(
        &mut self,
        flags: EventFlags,
        load: Load,
        request: &[u8],
        buffer: &mut [u8],
        poller: &Poller,
        key: usize,
    ) -> Result<Progress, String> {
        let Some(wire) = &mut self.wire else {
            return Ok(Progress::Nothing);
        };
        let told = |error: io::Error| error.to_string();
        let mut progress = Progress::Nothing;
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let stage = &mut self.stage;
            let open = wire.receive(buffer, |bytes| match stage {
                Stage::Upgrading(answer) => answer.take(bytes).map(|whole| {
                    if whole {
                        *stage = Stage::Asked(Answer::without_head(load.exchange));
                        progress = Progress::Upgraded;
                    }
                }),
                Stage::Asked(answer) => answer.take(bytes).map(|whole| {
                    if whole {
                        *stage = match load.life {
                            Life::Kept => Stage::Free,
                            Life::Fresh | Life::Resumed => Stage::Ending,
                        };
                        progress = Progress::Answered;
                    }
                }),
                Stage::Free | Stage::Ending => Err("bytes that nobody asked for"),
            });
            let open = open.map_err(|failed| failed.to_string())?;
            match (progress == Progress::Answered, &self.stage) {
                (true, _) => check_handshake(load, wire.handshake())?,
                (false, Stage::Free | Stage::Ending) if !open => return Ok(Progress::Ended),
                _ if !open => return Err("closed within an answer".to_owned()),
                _ => {}
            }
            if progress == Progress::Upgraded {
                wire.send(request).map_err(told)?;
            }
            if !open && progress == Progress::Answered {
                self.stage = Stage::Free;
                self.wire = None;
                return Ok(progress);
            }
        }
        wire.flush().map_err(told)?;
        wire.watch(key, poller).map_err(told)?;
        Ok(progress)
    }
}

/// Each operation makes the handshake that the case is about.
fn check_handshake(load: Load, made: Option<HandshakeKind>) -> Result<(), String> {
    let due = match (load.tls, load.life) {
        (None, _) | (_, Life::Kept) => return Ok(()),
        (Some(_), Life::Fresh) => HandshakeKind::Full,
        (Some(_), Life::Resumed) => HandshakeKind::Resumed,
    };
    match made == Some(due) {
        true => Ok(()),
        false => Err(format!("a handshake that was {made:?} and not {due:?}")),
    }
}
