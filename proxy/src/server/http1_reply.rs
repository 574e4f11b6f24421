//! Answers of our own.

use crate::exchange::Counted;
use crate::forward::plan::LocalResponse;
use crate::server::http1::{After, Connection};
use crate::transport::Transport;
use portolan_proxy_core::headers::{self, Delivery, Persistence};
use std::time::SystemTime;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

impl<S: Transport> Connection<S> {
    /// Answers a request ourselves.
    pub(super) async fn respond(&mut self, local: LocalResponse) -> (After, u16, Counted) {
        let response = &local.response;
        self.record.reason.push_str(response.reason.as_str());
        let date = httpdate::fmt_http_date(SystemTime::now());
        let mut out = self.worker.buffers.room();
        let delivery = Delivery {
            request_id: &self.record.request_id,
            date: &date,
            head_only: local.head_only,
            persistence: Persistence::of(local.keep_client, local.http10),
        };
        headers::local_response(&mut out, response, delivery);
        let stream = &mut self.wire.stream;
        let writing = async {
            stream.write_all(&out).await?;
            stream.flush().await
        };
        let written = timeout(self.worker.limits.head, writing).await;
        let counted = Counted {
            received: 0,
            sent: if local.head_only {
                0
            } else {
                response.length().unwrap_or_default()
            },
        };
        self.worker.buffers.take_back_room(out);
        let after = match written {
            Ok(Ok(())) if local.keep_client => After::KeepAlive,
            Ok(Ok(())) => After::Linger,
            _ => After::Reset,
        };
        (after, response.status, counted)
    }
}
