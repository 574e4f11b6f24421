//! A connection on which anything may be sent. What comes back is read at once, or, for attackers
//! that do not read, never.

use crate::block;
use crate::frame::{
    ACK, DATA, Frame, GOAWAY, HEADER_TABLE_SIZE, HEADERS, MAX_CONCURRENT_STREAMS, PING, PREFACE,
    RST_STREAM, SETTINGS,
};
use anyhow::{Result, bail};
use portolan_clients::DEADLINE;
use portolan_clients::http2::{Connector, Transport};
use portolan_clients::proxy::Proxy;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Everything that came back.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// By stream.
    pub(crate) statuses: BTreeMap<u32, u16>,
    pub(crate) resets: BTreeMap<u32, u32>,
    /// Bytes of bodies.
    pub(crate) data: u64,
    /// Answers to SETTINGS and PING.
    pub(crate) acknowledged: u64,
    /// Limit of concurrent streams.
    pub(crate) most_streams: Option<u32>,
    /// Code of a GOAWAY other than NO_ERROR.
    pub(crate) rejected: Option<u32>,
    /// Code of any GOAWAY.
    pub(crate) goaway: Option<u32>,
    /// No more comes.
    pub(crate) ended: bool,
}

/// The connection of an attacker, and the number of bytes sent on it.
pub(crate) struct Attacker {
    to: WriteHalf<Box<dyn Transport>>,
    observed: Arc<Mutex<Observed>>,
    reading: Option<JoinHandle<()>>,
    /// Held, so that the connection stays open.
    _unread: Option<ReadHalf<Box<dyn Transport>>>,
    pub(crate) sent: u64,
    next: u32,
    /// Timeout of a write. An attacker that reads must not be kept waiting.
    pub(crate) write_timeout: Duration,
}

/// Timeout for attackers that the proxy may stop reading from.
pub(crate) const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

impl Drop for Attacker {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

impl Attacker {
    /// Opens a connection and sends the client preface.
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
        attacker.send_preface(settings).await?;
        Ok(attacker)
    }

    /// Opens a connection and sends nothing yet.
    pub(crate) async fn silent(proxy: &Proxy, tls: bool) -> Result<Self> {
        let (from, to) = tokio::io::split(Connector::of(proxy, tls)?.open().await?);
        let observed = Arc::new(Mutex::new(Observed::default()));
        let reading = tokio::spawn(listen(from, Arc::clone(&observed)));
        Ok(Self {
            to,
            observed,
            reading: Some(reading),
            _unread: None,
            sent: 0,
            next: 1,
            write_timeout: DEADLINE,
        })
    }

    /// One that reads nothing of what comes back.
    pub(crate) async fn without_reading(proxy: &Proxy, tls: bool) -> Result<Self> {
        let (from, to) = tokio::io::split(Connector::of(proxy, tls)?.open().await?);
        let mut attacker = Self {
            to,
            observed: Arc::default(),
            reading: None,
            _unread: Some(from),
            sent: 0,
            next: 1,
            write_timeout: SHORT_TIMEOUT,
        };
        attacker.send_preface(&[]).await?;
        Ok(attacker)
    }

    async fn send_preface(&mut self, settings: &[(u16, u32)]) -> Result<()> {
        let mut hello = PREFACE.to_vec();
        let all = [&[(HEADER_TABLE_SIZE, 0)], settings].concat();
        Frame::settings(&all).write(&mut hello);
        Frame::new(SETTINGS, ACK, 0, []).write(&mut hello);
        match self.write_all(&hello).await? {
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

    pub(crate) fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends these bytes; `false` when the other side takes no more: it has closed, or reads no
    /// further until something is read here.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> Result<bool> {
        let writing = async {
            self.to.write_all(bytes).await?;
            self.to.flush().await
        };
        match timeout(self.write_timeout, writing).await {
            Ok(Ok(())) => {
                self.sent += bytes.len() as u64;
                Ok(true)
            }
            Ok(Err(_)) => Ok(false),
            Err(_) if self.write_timeout < DEADLINE => Ok(false),
            Err(_) => bail!("the proxy reads no further, although everything is read here"),
        }
    }

    /// Sends these frames, as [`Self::write_all`].
    pub(crate) async fn send(&mut self, frames: &[Frame]) -> Result<bool> {
        let mut bytes = Vec::new();
        for frame in frames {
            frame.write(&mut bytes);
        }
        self.write_all(&bytes).await
    }

    /// Returns true if the proxy has rejected the connection.
    pub(crate) fn is_rejected(&self) -> bool {
        let observed = self.observed();
        observed.rejected.is_some() || observed.ended
    }

    /// Waits until what was observed is as wanted.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        wanted: impl Fn(&Observed) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while !wanted(&self.observed()) {
            if self.observed().ended || Instant::now() > end {
                bail!("{what}: not observed; {:?}", self.observed());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Waits until the connection is closed; gives the code that went before, if one did.
    pub(crate) async fn is_closed(&self) -> Result<Option<u32>> {
        self.wait_for("the end", |observed| observed.ended).await?;
        Ok(self.observed().goaway)
    }

    /// Returns how a stream was refused: its status, or the code by which it or the connection ended.
    pub(crate) async fn refusal(&self, stream: u32) -> Result<Refusal> {
        let decided = |observed: &Observed| {
            observed.statuses.contains_key(&stream)
                || observed.resets.contains_key(&stream)
                || observed.rejected.is_some()
                || observed.ended
        };
        self.wait_for("an answer", decided).await?;
        let observed = self.observed();
        Ok(
            match (observed.statuses.get(&stream), observed.resets.get(&stream)) {
                (Some(status), _) => Refusal::Status(*status),
                (None, Some(code)) => Refusal::Reset(*code),
                (None, None) => Refusal::Connection(observed.goaway),
            },
        )
    }
}

/// Outcome of a stream that must not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Status(u16),
    Reset(u32),
    /// The connection ended, with this code.
    Connection(Option<u32>),
}

async fn listen(mut from: ReadHalf<Box<dyn Transport>>, observed: Arc<Mutex<Observed>>) {
    let lock = || observed.lock().unwrap_or_else(PoisonError::into_inner);
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

fn note(observed: &mut Observed, frame: &Frame) {
    match frame.kind {
        HEADERS => {
            if let Some(status) = block::status(&frame.payload) {
                observed.statuses.entry(frame.stream).or_insert(status);
            }
        }
        DATA => observed.data += frame.payload.len() as u64,
        RST_STREAM => {
            observed
                .resets
                .insert(frame.stream, frame.number(0).unwrap_or(0));
        }
        SETTINGS if frame.flags & ACK == 0 => {
            let settings = frame.payload.chunks_exact(6);
            for setting in settings.filter_map(|setting| setting.first_chunk::<6>()) {
                let [0, MAX_CONCURRENT_STREAMS, a, b, c, d] = *setting else {
                    continue;
                };
                observed.most_streams = Some(u32::from_be_bytes([a, b, c, d]));
            }
        }
        SETTINGS | PING if frame.flags & ACK != 0 => observed.acknowledged += 1,
        GOAWAY => {
            observed.goaway = frame.number(4);
            observed.rejected = frame.number(4).filter(|code| *code != 0);
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
