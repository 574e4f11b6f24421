//! The proxies: each with as many lanes as are asked for, on loopback, with its state in a
//! folder that goes away with it.

mod packaged;
mod portolan;

use crate::lane::Lane;
use anyhow::{Context as _, Result, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub use packaged::{haproxy, nginx};
pub(crate) use portolan::host_to_origin;
pub use portolan::portolan;

/// A proxy with a listener for each lane. Dropping it ends it.
#[derive(Debug)]
pub struct Peer<Running> {
    /// The routes through it.
    pub lanes: Vec<Lane>,
    /// Keeps it running.
    pub running: Running,
}

/// Ports below those that the kernel gives out, so that no client's port is in the way.
fn lanes(count: usize) -> Result<Vec<Lane>> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 90) as u16 * 100;
    let mut lanes = Vec::new();
    while lanes.len() < count {
        let taken = NEXT.fetch_add(1, Ordering::Relaxed);
        if taken > 2000 {
            bail!("no free ports from {first} on");
        }
        let listener = SocketAddr::from((Ipv4Addr::LOCALHOST, first + taken));
        if TcpListener::bind(listener).is_ok() {
            lanes.push(Lane::new(listener).context("an origin's port")?);
        }
    }
    Ok(lanes)
}

/// Waits until every listener accepts connections; `alive` fails if the proxy has ended.
fn reachable(lanes: &[Lane], mut alive: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    for lane in lanes {
        while TcpStream::connect(lane.listener()).is_err() {
            alive()?;
            if Instant::now() > deadline {
                bail!("{} takes no connection", lane.listener());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}
