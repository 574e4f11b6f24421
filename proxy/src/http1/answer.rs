//! Answers of our own, and the end of a connection after which the client still has to read.

use crate::http1::connection::{After, Connection};
use crate::http1::exchange::Counted;
use crate::http1::judge::Answer;
use crate::http1::transport::Transport;
use portolan_proxy_core::edit::{self, Delivery, Persistence};
use std::future::poll_fn;
use std::time::SystemTime;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::time::timeout;

/// How much is read of a request that was answered before it was read.
const MAX_DISCARDED: usize = 64 * 1024;

impl<S: Transport> Connection<S> {
    /// Answers a request ourselves.
    pub(super) async fn answer(&mut self, answer: Answer) -> (After, u16, Counted) {
        let said = &answer.answer;
        self.record.reason.push_str(said.reason.as_str());
        let persistence = match (answer.keep_client, answer.http10) {
            (false, _) => Persistence::Closed,
            (true, true) => Persistence::KeptAloud,
            (true, false) => Persistence::Kept,
        };
        let date = httpdate::fmt_http_date(SystemTime::now());
        let mut out = self.worker.buffers.room();
        let delivery = Delivery {
            request_id: &self.record.request_id,
            date: &date,
            head_only: answer.head_only,
            persistence,
        };
        edit::answer(&mut out, said, delivery);
        let io = &mut self.io;
        let writing = async {
            io.write_all(&out).await?;
            io.flush().await
        };
        let written = timeout(self.worker.limits.head, writing).await;
        let counted = Counted {
            received: 0,
            sent: match answer.head_only {
                true => 0,
                false => said.length().unwrap_or_default(),
            },
        };
        self.worker.buffers.take_back_room(out);
        let after = match written {
            Ok(Ok(())) if answer.keep_client => After::Kept,
            Ok(Ok(())) => After::Closed,
            _ => After::Reset,
        };
        (after, said.status, counted)
    }

    /// Closes so that the client gets to read the response: a socket that is closed with unread
    /// bytes sends a reset, which takes the response away from the client (RFC 9112 9.6). So what
    /// still comes is read, up to a bound; a client that sends more than that is held up, which
    /// gives it time to read.
    pub(super) async fn linger(mut self) {
        let patience = self.worker.limits.linger;
        let Self {
            worker, io, input, ..
        } = &mut self;
        let discarding = async {
            io.shutdown().await?;
            let mut left = MAX_DISCARDED;
            while left > 0 {
                if let Some(unread) = input.take() {
                    worker.buffers.take_back(unread);
                }
                match poll_fn(|cx| worker.buffers.poll_fill(cx, io, input)).await? {
                    0 => return Ok(()),
                    count => left = left.saturating_sub(count),
                }
            }
            if let Some(unread) = input.take() {
                worker.buffers.take_back(unread);
            }
            // Until the client resets the connection, having seen enough.
            io.tcp().ready(Interest::ERROR).await?;
            std::io::Result::Ok(())
        };
        // However it ends, the connection is closed now.
        let _ = timeout(patience, discarding).await;
    }
}
