//! One change done again and again, each time with the operator killed at another of its writes.
//! The result is the same as without a fault, for every write.

use crate::api_proxy::{KillPoint, Side};
use crate::cluster_snapshot::{ClusterSnapshot, cluster_snapshot, differences, identities};
use crate::operator_under_test::OperatorUnderTest;
use anyhow::{Context, Result, bail, ensure};
use portolan_e2e::wait::{LATER, SOON, eventually, quiet};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Time without a write that counts as the end of a change.
const SETTLED: Duration = Duration::from_millis(1500);
/// Time without a write at the end of a sweep.
const REST: Duration = Duration::from_secs(10);
/// More writes than any change of one object makes; a sweep that comes so far writes in circles.
const MOST: usize = 60;

/// A change that is swept over.
pub trait Change {
    /// Brings the namespace to where the change begins, undisturbed.
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
pub async fn sweep(
    operator: &OperatorUnderTest<'_>,
    namespace: &str,
    change: &impl Change,
) -> Result<()> {
    let began = Instant::now();
    change.prepare().await.context("prepare")?;
    settle(operator).await?;
    operator.arm(None);
    change.make().await?;
    finished(change).await.context("undisturbed")?;
    settle(operator).await?;
    // The environment before this one may still be deleted; what is written about it does not count.
    let elsewhere = |write: &String| match write.split_once("/namespaces/") {
        Some((_, rest)) => !rest.starts_with(&format!("{namespace}/")),
        None => false,
    };
    let mut writes = operator.api_proxy.writes();
    writes.retain(|write| !elsewhere(write));
    let wanted = cluster_snapshot(&operator.env.cluster, namespace).await?;
    println!(
        "undisturbed: {} writes in {:.1?}",
        writes.len(),
        began.elapsed()
    );
    writes.iter().for_each(|write| println!("    {write}"));
    ensure!(
        !writes.is_empty(),
        "a change without a write has no kill point"
    );

    let mut runs = 0;
    for side in [Side::Before, Side::After] {
        for at in 1.. {
            ensure!(at <= MOST, "still writing after {MOST} writes");
            let kill_point = KillPoint { at, side };
            let reached = run(operator, namespace, change, kill_point, &wanted).await;
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
    at_rest(operator).await
}

/// Returns true if every write gets a kill on both sides. Killed before the second write, the operator leaves what it
/// leaves when it is killed after the first, so the short sweep kills before the first and after each.
fn nightly() -> bool {
    std::env::var_os("NIGHTLY").is_some_and(|value| !value.is_empty())
}

/// Runs the change with a kill point; false when it ended before that was reached.
async fn run(
    operator: &OperatorUnderTest<'_>,
    namespace: &str,
    change: &impl Change,
    kill_point: KillPoint,
    wanted: &ClusterSnapshot,
) -> Result<bool> {
    let cluster = &operator.env.cluster;
    change.prepare().await.context("prepare")?;
    settle(operator).await?;
    operator.arm(Some(kill_point));
    change.make().await?;
    let mut killed = operator.api_proxy.killed();
    let reached = tokio::select! {
        killed = killed.wait_for(|killed| *killed) => { killed?; true }
        end = ended(operator, change) => { end?; false }
    };
    let mut app = BTreeMap::new();
    let last = operator.api_proxy.writes().pop().unwrap_or_default();
    if reached {
        app = identities(cluster, namespace).await?;
        operator.start(None)?;
    }
    let began = Instant::now();
    finished(change)
        .await
        .with_context(|| format!("after the kill at {last}"))?;
    // Garbage collection and cert-manager have their own pace: the end is when the snapshots agree.
    let same = eventually("the end is that of the undisturbed run", SOON, async || {
        let found = cluster_snapshot(cluster, namespace).await?;
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
    for (key, uid) in &app {
        if let Some(now) = after.get(key)
            && now != uid
        {
            bail!("{key} was deleted and made again after the kill at {last}");
        }
    }
    if reached {
        println!(
            "{:?} {:2} {last}: {:.1?}",
            kill_point.side,
            kill_point.at,
            began.elapsed()
        );
    }
    Ok(reached)
}

/// The change is done and its last write made, with the operator alive.
async fn ended(operator: &OperatorUnderTest<'_>, change: &impl Change) -> Result<()> {
    finished(change).await?;
    settle(operator).await
}

async fn finished(change: &impl Change) -> Result<()> {
    eventually("the change has its effect", LATER, async || {
        change.done().await
    })
    .await
}

async fn settle(operator: &OperatorUnderTest<'_>) -> Result<()> {
    let count = async || Ok(operator.api_proxy.writes().len());
    quiet("the operator writes nothing", SETTLED, LATER, count)
        .await
        .map(drop)
}

/// Nothing is written for a while.
async fn at_rest(operator: &OperatorUnderTest<'_>) -> Result<()> {
    settle(operator).await?;
    operator.arm(None);
    let count = async || {
        let writes = operator.api_proxy.writes();
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
