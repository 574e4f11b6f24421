//! Answers of our own.

use crate::exchange::Counted;
use crate::forward::plan::Answer;
use crate::server::http1::{After, Connection};
use crate::transport::Transport;
use portolan_proxy_core::headers::{self, Delivery, Persistence};
use std::time::SystemTime;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

impl<S: Transport> Connection<S> {
    /// Answers a request ourselves.
    pub(super) async fn answer(&mut self, answer: Answer) -> (After, u16, Counted) {
        let said = &answer.answer;
        self.record.reason.push_str(said.reason.as_str());
        let date = httpdate::fmt_http_date(SystemTime::now());
        let mut out = self.worker.buffers.room();
        let delivery = Delivery {
            request_id: &self.record.request_id,
            date: &date,
            head_only: answer.head_only,
            persistence: Persistence::of(answer.keep_client, answer.http10),
        };
        headers::local_response(&mut out, said, delivery);
        let stream = &mut self.wire.stream;
        let writing = async {
            stream.write_all(&out).await?;
            stream.flush().await
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
}
