//! One line for each request, on standard output.
//!
//! A worker never waits for the reader of the log: lines gather in the worker, go in blocks to
//! a thread that writes them, and are dropped and counted when that thread is far behind.

use crate::telemetry::counters::WorkerCounters;
use jiff::Timestamp;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Size at which gathered lines are handed over.
const BLOCK: usize = 8 * 1024;
/// How many blocks may wait to be written.
const QUEUE: usize = 128;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AccessLogFormat {
    /// Not at all.
    Off,
    /// Fields in a fixed order, separated by spaces; `-` for an absent one.
    Text,
    /// One JSON object a line.
    Json,
}

/// Fields known when a request arrives; the rest follows when it ends.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) method: String,
    pub(crate) host: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) request_id: String,
    pub(crate) endpoint: Option<SocketAddr>,
    /// `x-portolan-reason` when the answer is our own.
    pub(crate) reason: String,
}

impl Record {
    /// Forgets the last request and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.method.clear();
        self.host.clear();
        self.path.clear();
        self.request_id.clear();
        self.endpoint = None;
        self.reason.clear();
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) client: &'a str,
    pub(crate) scheme: &'a str,
    /// 0 when the client went away before there was one.
    pub(crate) status: u16,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) took: Duration,
}

/// The end of the log that one worker holds.
#[derive(Debug)]
pub(crate) struct AccessLog {
    format: AccessLogFormat,
    gathered: RefCell<String>,
    writer: SyncSender<String>,
}

/// Where all workers send their lines.
#[derive(Clone, Debug)]
pub(crate) struct LogSink {
    format: AccessLogFormat,
    writer: SyncSender<String>,
}

impl LogSink {
    /// Starts the thread that writes.
    pub(crate) fn start(format: AccessLogFormat) -> std::io::Result<Self> {
        let (writer, blocks) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_blocks(&blocks))?;
        Ok(Self { format, writer })
    }

    /// An end for one worker.
    pub(crate) fn worker_end(&self) -> AccessLog {
        AccessLog {
            format: self.format,
            gathered: RefCell::default(),
            writer: self.writer.clone(),
        }
    }
}

fn write_blocks(blocks: &Receiver<String>) {
    let mut stdout = std::io::stdout();
    while let Ok(block) = blocks.recv() {
        // There is no place to report that stdout is closed.
        let _ = stdout
            .write_all(block.as_bytes())
            .and_then(|()| stdout.flush());
    }
}

impl AccessLog {
    pub(crate) fn is_on(&self) -> bool {
        self.format != AccessLogFormat::Off
    }

    /// Adds the line of a request that ended at `now`.
    pub(crate) fn write(
        &self,
        now: Timestamp,
        record: &Record,
        outcome: Outcome<'_>,
        counters: &WorkerCounters,
    ) {
        let mut gathered = self.gathered.borrow_mut();
        // Writing into a string cannot fail.
        let _ = match self.format {
            AccessLogFormat::Off => return,
            AccessLogFormat::Text => text(&mut gathered, now, record, outcome),
            AccessLogFormat::Json => json(&mut gathered, now, record, outcome),
        };
        if gathered.len() >= BLOCK {
            self.hand_over(&mut gathered, counters);
        }
    }

    /// Hands over what has gathered; called now and then, so that no line waits for long.
    pub(crate) fn flush(&self, counters: &WorkerCounters) {
        self.hand_over(&mut self.gathered.borrow_mut(), counters);
    }

    fn hand_over(&self, gathered: &mut String, counters: &WorkerCounters) {
        if gathered.is_empty() {
            return;
        }
        let lines = gathered.lines().count() as u64;
        let block = std::mem::replace(gathered, String::with_capacity(BLOCK + 1024));
        if self.writer.try_send(block).is_err() {
            counters.log_lines_dropped.add(lines);
        }
    }
}

fn text(
    out: &mut String,
    now: Timestamp,
    record: &Record,
    outcome: Outcome<'_>,
) -> std::fmt::Result {
    write!(out, "{now:.3} {} ", outcome.client)?;
    write!(out, "{} ", or_dash(&record.method))?;
    match record.host.is_empty() {
        true => out.push_str("- "),
        // The parser let no space, quote or control character into host and path.
        false => write!(out, "{}://{}{} ", outcome.scheme, record.host, record.path)?,
    }
    write!(
        out,
        "{} {} {} ",
        outcome.status, outcome.received, outcome.sent
    )?;
    write!(out, "{:.6} ", outcome.took.as_secs_f64())?;
    match record.endpoint {
        Some(endpoint) => write!(out, "{endpoint} ")?,
        None => out.push_str("- "),
    }
    writeln!(
        out,
        "{} {}",
        or_dash(&record.reason),
        or_dash(&record.request_id)
    )
}

fn json(
    out: &mut String,
    now: Timestamp,
    record: &Record,
    outcome: Outcome<'_>,
) -> std::fmt::Result {
    write!(out, r#"{{"time":"{now:.3}","client":"{}""#, outcome.client)?;
    write!(out, r#","scheme":"{}","method":"#, outcome.scheme)?;
    quoted(out, &record.method);
    out.push_str(r#","host":"#);
    quoted(out, &record.host);
    out.push_str(r#","path":"#);
    quoted(out, &record.path);
    write!(
        out,
        r#","status":{},"bytes_received":{}"#,
        outcome.status, outcome.received
    )?;
    write!(out, r#","bytes_sent":{}"#, outcome.sent)?;
    write!(out, r#","seconds":{:.6}"#, outcome.took.as_secs_f64())?;
    if let Some(endpoint) = record.endpoint {
        write!(out, r#","endpoint":"{endpoint}""#)?;
    }
    if !record.reason.is_empty() {
        out.push_str(r#","reason":"#);
        quoted(out, &record.reason);
    }
    writeln!(out, r#","request_id":"{}"}}"#, record.request_id)
}

fn or_dash(field: &str) -> &str {
    if field.is_empty() { "-" } else { field }
}

/// A JSON string (RFC 8259 7). Everything logged is visible ASCII by the time it comes here.
fn quoted(out: &mut String, field: &str) {
    out.push('"');
    for character in field.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: AccessLogFormat) -> String {
        let record = Record {
            method: "GET".into(),
            host: "shop.example.com".into(),
            path: r"/a?q=\d".into(),
            request_id: "id-1".into(),
            endpoint: Some("10.0.0.1:8080".parse().unwrap()),
            reason: String::new(),
        };
        let outcome = Outcome {
            client: "192.0.2.7",
            scheme: "https",
            status: 200,
            received: 0,
            sent: 1234,
            took: Duration::from_micros(1500),
        };
        let mut out = String::new();
        let now = Timestamp::UNIX_EPOCH;
        match format {
            AccessLogFormat::Json => json(&mut out, now, &record, outcome).unwrap(),
            _ => text(&mut out, now, &record, outcome).unwrap(),
        }
        out
    }

    #[test]
    fn text_has_its_fields_in_order() {
        assert_eq!(
            line(AccessLogFormat::Text),
            "1970-01-01T00:00:00.000Z 192.0.2.7 GET https://shop.example.com/a?q=\\d \
             200 0 1234 0.001500 10.0.0.1:8080 - id-1\n"
        );
    }

    #[test]
    fn json_is_json() {
        let value: serde_json::Value = serde_json::from_str(&line(AccessLogFormat::Json)).unwrap();
        assert_eq!(value["path"], r"/a?q=\d");
        assert_eq!(value["status"], 200);
        assert_eq!(value["endpoint"], "10.0.0.1:8080");
    }

    #[test]
    fn drops_and_counts_lines_when_the_writer_is_behind() {
        let (writer, _blocks) = sync_channel(0);
        let log = AccessLog {
            format: AccessLogFormat::Text,
            gathered: RefCell::new("a\nb\n".into()),
            writer,
        };
        let counters = WorkerCounters::default();
        log.flush(&counters);
        assert_eq!(counters.log_lines_dropped.get(), 2);
        assert!(log.gathered.borrow().is_empty());
    }
}
