//! Requests and responses that are begun and not continued.

use crate::attacker::{Attacker, Observed, get};
use crate::fixture::{Account, everywhere};
use crate::frame::{Frame, HEADERS, INITIAL_WINDOW_SIZE, PREFACE};
use anyhow::{Context, Result};
use futures::future::try_join_all;

/// Responses that the client does not read are not fetched either, and end with the client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_without_a_window_are_not_collected() -> Result<()> {
    const STREAMS: usize = 200;
    everywhere("no window", async |fixture| {
        let none = [(INITIAL_WINDOW_SIZE, 0)];
        let mut attacker = Attacker::with_settings(&fixture.proxy, fixture.tls, &none).await?;
        let block = get("/bytes/1000000", fixture.tls);
        let streams = (0..STREAMS).map(|_| Frame::headers(attacker.stream(), block.clone(), true));
        let frames: Vec<_> = streams.collect();
        attacker.send(&frames).await?;
        let decided = |observed: &Observed| {
            observed.statuses.len() + observed.resets.len() >= STREAMS || observed.ended
        };
        attacker.wait_for("heads", decided).await?;
        Ok(Account {
            sent: attacker.sent,
            upstream: STREAMS as u64,
        })
    })
    .await
}

/// A connection whose first bytes, or whose head, never ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beginning_that_does_not_end_is_closed() -> Result<()> {
    everywhere("beginnings", async |fixture| {
        let begun = Frame::new(HEADERS, 0, 1, get("/", fixture.tls));
        let mut head = PREFACE.to_vec();
        Frame::settings(&[]).write(&mut head);
        begun.write(&mut head);
        let beginnings = [
            ("a byte", &PREFACE[..1]),
            ("half a preface", &PREFACE[..16]),
            ("a preface alone", PREFACE),
            ("half a head", &head),
        ];
        let sent = try_join_all(beginnings.map(async |(name, bytes)| {
            let mut attacker = Attacker::silent(&fixture.proxy, fixture.tls).await?;
            attacker.write_all(bytes).await?;
            attacker.is_closed().await.context(name)?;
            anyhow::Ok(attacker.sent)
        }))
        .await?;
        Ok(Account {
            sent: sent.iter().sum(),
            upstream: 0,
        })
    })
    .await
}
