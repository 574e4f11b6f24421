//! Reads from the kernel the use of cores by programs, and the kind of the machine.

use anyhow::Context as _;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The proxy's core.
pub(crate) const PROXY_CORE: usize = 0;
/// The core of origin and clients.
pub(crate) const LOAD_CORE: usize = 1;

/// The unit of /proc/stat, whatever the kernel's own.
const TICK: Duration = Duration::from_millis(10);

/// Keeps this thread, and what it starts from now on, to one core.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("pinning to core {core}"))
}

/// Idle and stolen time of one core since boot, in ticks (proc(5), /proc/stat).
///
/// The kernel samples what a core does 100 to 1,000 times a second, but clocks its idling: so busy
/// is what was not idle, never the sum of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Core {
    idle: u64,
    steal: u64,
}

/// Shares of a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CoreUse {
    pub(crate) busy: f64,
    pub(crate) steal: f64,
}

impl Core {
    pub(crate) fn read(core: usize) -> anyhow::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        Self::parse(&stat, core).with_context(|| format!("/proc/stat names no cpu{core}"))
    }

    fn parse(stat: &str, core: usize) -> Option<Self> {
        let name = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal; guests follow.
        let [_, _, _, idle, iowait, _, _, steal, ..] = *ticks.as_slice() else {
            return None;
        };
        Some(Self {
            idle: idle + iowait,
            steal,
        })
    }

    /// Returns the use of the core since `before`.
    pub(crate) fn used_since(self, before: Self, elapsed: Duration) -> CoreUse {
        let share = |ticks: u64| TICK.mul_f64(ticks as f64).div_duration_f64(elapsed);
        CoreUse {
            busy: (1.0 - share(self.idle.saturating_sub(before.idle))).max(0.0),
            steal: share(self.steal.saturating_sub(before.steal)),
        }
    }
}

/// A program with all its children.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(Vec<Pid>);

impl Processes {
    /// The descendants are looked up once, here.
    pub(crate) fn of(root: u32) -> anyhow::Result<Self> {
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // A process may end between the listing and the look.
            if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
                parents.insert(pid, parent(&stat));
            }
        }
        let mut found = vec![root];
        let mut next = 0;
        while let Some(of) = found.get(next).copied() {
            let children = parents.iter().filter(|(_, parent)| **parent == Some(of));
            found.extend(children.map(|(pid, _)| *pid));
            next += 1;
        }
        let pids = found
            .into_iter()
            .filter_map(|pid| Pid::from_raw(pid as i32));
        Ok(Self(pids.collect()))
    }

    /// Nanoseconds that all threads have run (the scheduler's account, not the tick's).
    pub(crate) fn run_time(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for pid in &self.0 {
            let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
            for task in fs::read_dir(&tasks).with_context(|| tasks.clone())? {
                let path = task?.path().join("schedstat");
                let text = fs::read_to_string(&path).unwrap_or_default();
                let ran = text.split_whitespace().next().unwrap_or("0");
                sum += ran
                    .parse::<u64>()
                    .with_context(|| path.display().to_string())?;
            }
        }
        Ok(sum)
    }

    /// Resident bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for pid in &self.0 {
            let path = format!("/proc/{}/status", pid.as_raw_nonzero());
            let status = fs::read_to_string(&path).with_context(|| path.clone())?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = line.and_then(|line| line.split_whitespace().next());
            sum += kib.context("no VmRSS")?.parse::<u64>()? * 1024;
        }
        Ok(sum)
    }
}

/// The parent in `/proc/PID/stat`, whose second field may hold spaces and parentheses.
fn parent(stat: &str) -> Option<u32> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

/// Open connections to this port of this machine.
pub(crate) fn connections_to(port: u16) -> anyhow::Result<usize> {
    const ESTABLISHED: &str = "01";
    let to = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp")?;
    let connected = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|remote| remote.ends_with(&to))
            && fields.next() == Some(ESTABLISHED)
    };
    Ok(table.lines().filter(connected).count())
}

/// Description of the machine.
pub(crate) fn describe() -> BTreeMap<String, String> {
    let line = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    BTreeMap::from([
        ("cpu".to_owned(), line("/proc/cpuinfo", "model name")),
        ("cores".to_owned(), cores.to_string()),
        ("kernel".to_owned(), kernel.trim().to_owned()),
        ("memory".to_owned(), line("/proc/meminfo", "MemTotal")),
    ])
}

/// Returns the output of a program, both streams; empty if it cannot be started.
pub(crate) fn output_of(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return String::new();
    };
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_busy_when_it_neither_idles_nor_waits() {
        let stat =
            "cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 10 0 20 60 4 1 2 3 0 0\ncpu1 0 0 0 9 0 0 0 0 0 0\n";
        let before = Core::parse(stat, 0).unwrap();
        assert_eq!((before.idle, before.steal), (64, 3));
        assert_eq!(Core::parse(stat, 2), None);
        let later = Core { idle: 94, steal: 4 };
        let used = later.used_since(before, Duration::from_secs(1));
        assert!((used.busy - 0.7).abs() < 1e-9 && (used.steal - 0.01).abs() < 1e-9);
    }

    #[test]
    fn a_name_may_hold_what_it_likes() {
        assert_eq!(parent("12 (a (b) c) S 7 12 12 0"), Some(7));
    }

    #[test]
    fn counts_time_and_memory_of_a_program() {
        // Its own child: what other tests of this process start ends when it likes.
        let busy = ["-c", "while :; do :; done"];
        let mut child = Command::new("sh").args(busy).spawn().unwrap();
        let program = Processes::of(child.id()).unwrap();
        let before = program.run_time().unwrap();
        while program.run_time().unwrap() == before {
            std::thread::yield_now();
        }
        let resident = program.resident().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(resident > 100_000);
    }
}
