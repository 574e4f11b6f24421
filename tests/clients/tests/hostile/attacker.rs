//! A connection on which anything may be sent. What comes back is read at once, or, for attackers
//! that do not read, never.

use crate::block;
use crate::frame::{
    ACK, DATA, Frame, GOAWAY, HEADER_TABLE_SIZE, HEADERS, MAX_CONCURRENT_STREAMS, PING, PREFACE,
    RST_STREAM, SETTINGS,
};
use anyhow::{Result, bail};
use portolan_clients::DEADLINE;
use portolan_clients::http2::{Door, Transport};
use portolan_clients::proxy::Proxy;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Everything that came back.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// By stream.
    pub(crate) statuses: BTreeMap<u32, u16>,
    pub(crate) resets: BTreeMap<u32, u32>,
    /// Bytes of bodies.
    pub(crate) data: u64,
    /// Answers to SETTINGS and PING.
    pub(crate) acknowledged: u64,
    /// How many streams may be open at once.
    pub(crate) most_streams: Option<u32>,
    /// The code of a GOAWAY that is no farewell in peace.
    pub(crate) sent_away: Option<u32>,
    /// Whatever its code.
    pub(crate) goaway: Option<u32>,
    /// No more comes.
    pub(crate) ended: bool,
}

/// The connection, and how much was said on it.
pub(crate) struct Attacker {
    to: WriteHalf<Box<dyn Transport>>,
    heard: Arc<Mutex<Heard>>,
    reading: Option<JoinHandle<()>>,
    /// Held, so that the connection stays open.
    _unread: Option<ReadHalf<Box<dyn Transport>>>,
    pub(crate) sent: u64,
    next: u32,
    /// How long it waits to be read. Whoever reads itself need not be kept waiting.
    pub(crate) patience: Duration,
}

/// For those that break the rules of waiting.
pub(crate) const IMPATIENT: Duration = Duration::from_secs(3);

impl Drop for Attacker {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

impl Attacker {
    /// Opens a connection and says what every client says first.
    pub(crate) async fn connect(proxy: &Proxy, tls: bool) -> Result<Self> {
        Self::with_settings(proxy, tls, &[]).await
    }

    /// The same, with these settings beside that for statuses to be readable.
    pub(crate) async fn with_settings(
        proxy: &Proxy,
        tls: bool,
        settings: &[(u16, u32)],
    ) -> Result<Self> {
        let mut attacker = Self::silent(proxy, tls).await?;
        attacker.greet(settings).await?;
        Ok(attacker)
    }

    /// Opens a connection and says nothing yet.
    pub(crate) async fn silent(proxy: &Proxy, tls: bool) -> Result<Self> {
        let (from, to) = tokio::io::split(Door::of(proxy, tls)?.open().await?);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let reading = tokio::spawn(listen(from, Arc::clone(&heard)));
        Ok(Self {
            to,
            heard,
            reading: Some(reading),
            _unread: None,
            sent: 0,
            next: 1,
            patience: DEADLINE,
        })
    }

    /// One that reads nothing of what comes back.
    pub(crate) async fn deaf(proxy: &Proxy, tls: bool) -> Result<Self> {
        let (from, to) = tokio::io::split(Door::of(proxy, tls)?.open().await?);
        let mut attacker = Self {
            to,
            heard: Arc::default(),
            reading: None,
            _unread: Some(from),
            sent: 0,
            next: 1,
            patience: IMPATIENT,
        };
        attacker.greet(&[]).await?;
        Ok(attacker)
    }

    async fn greet(&mut self, settings: &[(u16, u32)]) -> Result<()> {
        let mut hello = PREFACE.to_vec();
        let all = [&[(HEADER_TABLE_SIZE, 0)], settings].concat();
        Frame::settings(&all).write(&mut hello);
        Frame::new(SETTINGS, ACK, 0, []).write(&mut hello);
        match self.say(&hello).await? {
            true => Ok(()),
            false => bail!("closed at once"),
        }
    }

    /// A number for the next stream.
    pub(crate) fn stream(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        stream
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends these bytes; `false` when the other side takes no more: it has closed, or reads no
    /// further until something is read here.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> Result<bool> {
        let saying = async {
            self.to.write_all(bytes).await?;
            self.to.flush().await
        };
        match timeout(self.patience, saying).await {
            Ok(Ok(())) => {
                self.sent += bytes.len() as u64;
                Ok(true)
            }
            Ok(Err(_)) => Ok(false),
            Err(_) if self.patience < DEADLINE => Ok(false),
            Err(_) => bail!("the proxy reads no further, although everything is read here"),
        }
    }

    /// Sends these frames, as [`Self::say`].
    pub(crate) async fn send(&mut self, frames: &[Frame]) -> Result<bool> {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.write(&mut bytes);
        }
        self.say(&bytes).await
    }

    /// Whether the proxy has said that it wants no more of this.
    pub(crate) fn is_sent_away(&self) -> bool {
        let heard = self.heard();
        heard.sent_away.is_some() || heard.ended
    }

    /// Waits for something to be heard.
    pub(crate) async fn hears(&self, what: &str, wanted: impl Fn(&Heard) -> bool) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while !wanted(&self.heard()) {
            if self.heard().ended || Instant::now() > end {
                bail!("{what}: not heard; {:?}", self.heard());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Waits until the connection is closed; gives the code that went before, if one did.
    pub(crate) async fn is_closed(&self) -> Result<Option<u32>> {
        self.hears("the end", |heard| heard.ended).await?;
        Ok(self.heard().goaway)
    }

    /// How a stream was refused: its status, or the code by which it or the connection ended.
    pub(crate) async fn refusal(&self, stream: u32) -> Result<Refusal> {
        let decided = |heard: &Heard| {
            heard.statuses.contains_key(&stream)
                || heard.resets.contains_key(&stream)
                || heard.sent_away.is_some()
                || heard.ended
        };
        self.hears("an answer", decided).await?;
        let heard = self.heard();
        Ok(
            match (heard.statuses.get(&stream), heard.resets.get(&stream)) {
                (Some(status), _) => Refusal::Status(*status),
                (None, Some(code)) => Refusal::Reset(*code),
                (None, None) => Refusal::Connection(heard.goaway),
            },
        )
    }
}

/// What became of a stream that should not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Status(u16),
    Reset(u32),
    /// The connection ended, with this code.
    Connection(Option<u32>),
}

async fn listen(mut from: ReadHalf<Box<dyn Transport>>, heard: Arc<Mutex<Heard>>) {
    let lock = || heard.lock().unwrap_or_else(PoisonError::into_inner);
    let mut bytes = Vec::with_capacity(64 << 10);
    loop {
        while let Some(frame) = Frame::take(&mut bytes) {
            note(&mut lock(), &frame);
        }
        match from.read_buf(&mut bytes).await {
            Ok(count) if count > 0 => {}
            _ => break,
        }
    }
    lock().ended = true;
}

fn note(heard: &mut Heard, frame: &Frame) {
    match frame.kind {
        HEADERS => {
            if let Some(status) = block::status(&frame.payload) {
                heard.statuses.entry(frame.stream).or_insert(status);
            }
        }
        DATA => heard.data += frame.payload.len() as u64,
        RST_STREAM => {
            heard
                .resets
                .insert(frame.stream, frame.number(0).unwrap_or(0));
        }
        SETTINGS if frame.flags & ACK == 0 => {
            let settings = frame.payload.chunks_exact(6);
            for setting in settings.filter_map(|it| it.first_chunk::<6>()) {
                let [0, MAX_CONCURRENT_STREAMS, a, b, c, d] = *setting else {
                    continue;
                };
                heard.most_streams = Some(u32::from_be_bytes([a, b, c, d]));
            }
        }
        SETTINGS | PING if frame.flags & ACK != 0 => heard.acknowledged += 1,
        GOAWAY => {
            heard.goaway = frame.number(4);
            heard.sent_away = frame.number(4).filter(|code| *code != 0);
        }
        _ => {}
    }
}

/// The fields of a request that nothing is wrong with.
pub(crate) fn request<'a>(method: &'a str, path: &'a str, tls: bool) -> Vec<(&'a str, &'a str)> {
    let (scheme, authority) = match tls {
        true => ("https", portolan_clients::TLS_HOST),
        false => ("http", portolan_clients::PLAIN_HOST),
    };
    vec![
        (":method", method),
        (":scheme", scheme),
        (":authority", authority),
        (":path", path),
    ]
}

/// Its block.
pub(crate) fn get(path: &str, tls: bool) -> Vec<u8> {
    block::block(&request("GET", path, tls))
}

/// The block of a request with a body.
pub(crate) fn post(path: &str, tls: bool) -> Vec<u8> {
    block::block(&request("POST", path, tls))
}
