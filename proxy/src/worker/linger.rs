//! The end of a connection after which the client still has to read.

use crate::transport::Transport;
use crate::worker::Worker;
use crate::worker::buffer::Buffer;
use std::future::poll_fn;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::time::timeout;

/// How much is read of what was answered before it was read.
pub(crate) const MAX_DISCARDED: usize = 64 * 1024;

/// Closes so that the client gets to read what was written: a socket that is closed with unread bytes
/// sends a reset, which takes it away from the client (RFC 9112 9.6). So what still comes is read, up
/// to a bound; a client that sends more than that is held up, which gives it time to read.
pub(crate) async fn linger<S: Transport>(worker: &Worker, io: &mut S, input: &mut Option<Buffer>) {
    let buffers = &worker.buffers;
    let discarding = async {
        io.shutdown().await?;
        let mut left = MAX_DISCARDED;
        while left > 0 {
            if let Some(unread) = input.take() {
                buffers.take_back(unread);
            }
            match poll_fn(|cx| buffers.poll_fill(cx, io, input)).await? {
                0 => return Ok(()),
                count => left = left.saturating_sub(count),
            }
        }
        if let Some(unread) = input.take() {
            buffers.take_back(unread);
        }
        // Until the client resets the connection, having seen enough.
        io.tcp().ready(Interest::ERROR).await?;
        std::io::Result::Ok(())
    };
    // However it ends, the connection is closed now.
    let _ = timeout(worker.limits.linger, discarding).await;
}
