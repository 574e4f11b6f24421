//! One change done again and again, each time with the operator killed at another of its writes.
//! Whatever the write, the end is the same as without a fault.

use crate::front::{Cut, Side};
use crate::picture::{Picture, differences, identities, picture};
use crate::stand::Stand;
use anyhow::{Context, Result, bail, ensure};
use portolan_e2e::wait::{LATER, SOON, eventually, quiet};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// So long without a write counts as the end of a change.
const SETTLED: Duration = Duration::from_millis(1500);
/// So long nothing is written at the end of a sweep.
const REST: Duration = Duration::from_secs(10);
/// More writes than any change of one object makes; a sweep that comes so far writes in circles.
const MOST: usize = 60;

/// A change that is swept over.
pub trait Change {
    /// Brings the scene to where the change begins, undisturbed.
    fn prepare(&self) -> impl Future<Output = Result<()>>;
    /// Makes the change.
    fn make(&self) -> impl Future<Output = Result<()>>;
    /// Succeeds once the change has taken its whole effect.
    fn done(&self) -> impl Future<Output = Result<()>>;
}

/// Sweeps over all writes of a change in a namespace.
///
/// # Errors
/// When a run does not come to its end, or the end differs from the undisturbed one.
pub async fn sweep(stand: &Stand<'_>, namespace: &str, change: &impl Change) -> Result<()> {
    let began = Instant::now();
    change.prepare().await.context("prepare")?;
    settle(stand).await?;
    stand.arm(None);
    change.make().await?;
    finished(change).await.context("undisturbed")?;
    settle(stand).await?;
    // The scene before this one may still be taken away; what is written about it does not count.
    let elsewhere = |write: &String| match write.split_once("/namespaces/") {
        Some((_, rest)) => !rest.starts_with(&format!("{namespace}/")),
        None => false,
    };
    let mut writes = stand.front.writes();
    writes.retain(|write| !elsewhere(write));
    let wanted = picture(&stand.scene.cluster, namespace).await?;
    println!(
        "undisturbed: {} writes in {:.1?}",
        writes.len(),
        began.elapsed()
    );
    writes.iter().for_each(|write| println!("    {write}"));
    ensure!(
        !writes.is_empty(),
        "a change without a write has nothing to be cut"
    );

    let mut runs = 0;
    for side in [Side::Before, Side::After] {
        for at in 1.. {
            ensure!(at <= MOST, "still writing after {MOST} writes");
            let cut = Cut { at, side };
            let reached = run(stand, namespace, change, cut, &wanted).await;
            if !reached.with_context(|| format!("killed {side:?} write {at}"))? {
                break;
            }
            runs += 1;
            if side == Side::Before && !nightly() {
                break;
            }
        }
    }
    let sides = if nightly() { 2 } else { 1 };
    // Status writes are merged when they come together, so a run may have fewer writes than another.
    ensure!(
        runs > sides * writes.len() / 2,
        "only {runs} kills for {} writes",
        writes.len()
    );
    println!("{runs} kills in {:.1?}", began.elapsed());
    at_rest(stand).await
}

/// Whether every write is cut on both sides. Killed before the second write, the operator leaves what it
/// leaves when it is killed after the first, so the short sweep cuts before the first and after each.
fn nightly() -> bool {
    std::env::var_os("NIGHTLY").is_some_and(|value| !value.is_empty())
}

/// One run with a cut; false when the change ended before the cut was reached.
async fn run(
    stand: &Stand<'_>,
    namespace: &str,
    change: &impl Change,
    cut: Cut,
    wanted: &Picture,
) -> Result<bool> {
    let cluster = &stand.scene.cluster;
    change.prepare().await.context("prepare")?;
    settle(stand).await?;
    stand.arm(Some(cut));
    change.make().await?;
    let mut happened = stand.front.happened();
    let reached = tokio::select! {
        killed = happened.wait_for(|happened| *happened) => { killed?; true }
        end = ended(stand, change) => { end?; false }
    };
    let mut standing = BTreeMap::new();
    let last = stand.front.writes().pop().unwrap_or_default();
    if reached {
        standing = identities(cluster, namespace).await?;
        stand.start(None)?;
    }
    let began = Instant::now();
    finished(change)
        .await
        .with_context(|| format!("after the kill at {last}"))?;
    // Garbage collection and cert-manager have their own pace: the end is when the picture is right.
    let same = eventually("the end is that of the undisturbed run", SOON, async || {
        let found = picture(cluster, namespace).await?;
        let differences = differences(wanted, &found);
        ensure!(
            differences.is_empty(),
            "\n    {}",
            differences.join("\n    ")
        );
        Ok(())
    });
    same.await
        .with_context(|| format!("after the kill at {last}"))?;
    let after = identities(cluster, namespace).await?;
    for (key, uid) in &standing {
        if let Some(now) = after.get(key)
            && now != uid
        {
            bail!("{key} was deleted and made again after the kill at {last}");
        }
    }
    if reached {
        println!(
            "{:?} {:2} {last}: {:.1?}",
            cut.side,
            cut.at,
            began.elapsed()
        );
    }
    Ok(reached)
}

/// The change is done and its last write made, with the operator alive.
async fn ended(stand: &Stand<'_>, change: &impl Change) -> Result<()> {
    finished(change).await?;
    settle(stand).await
}

async fn finished(change: &impl Change) -> Result<()> {
    eventually("the change has its effect", LATER, async || {
        change.done().await
    })
    .await
}

async fn settle(stand: &Stand<'_>) -> Result<()> {
    let count = async || Ok(stand.front.writes().len());
    quiet("the operator writes nothing", SETTLED, LATER, count)
        .await
        .map(drop)
}

/// Nothing is written for a while.
async fn at_rest(stand: &Stand<'_>) -> Result<()> {
    settle(stand).await?;
    stand.arm(None);
    let count = async || {
        let writes = stand.front.writes();
        ensure!(
            writes.is_empty(),
            "written at rest:\n    {}",
            writes.join("\n    ")
        );
        Ok(writes.len())
    };
    quiet("nothing is written", REST, REST * 10, count)
        .await
        .map(drop)
}
