//! How many CPUs this container may use, as its control group says.

use std::fs::read_to_string;
use std::path::Path;
use std::thread::available_parallelism;

/// More workers than this only on request: a proxy without a limit must not take a whole node.
const MOST: usize = 4;

/// The default number of workers.
pub fn workers() -> usize {
    let visible = available_parallelism().map_or(1, usize::from);
    let limit = limit(Path::new("/sys/fs/cgroup")).unwrap_or(usize::MAX);
    visible.min(limit).min(MOST)
}

/// The CPU limit in whole CPUs, rounded up; `None` without one. `root` is where the container
/// sees its control group, of version 2 or 1.
fn limit(root: &Path) -> Option<usize> {
    let (quota, period) = match read_to_string(root.join("cpu.max")) {
        Ok(text) => {
            let (quota, period) = text.trim().split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        }
        Err(_) => {
            let read = |name: &str| read_to_string(root.join("cpu").join(name)).ok();
            (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?)
        }
    };
    // No limit is "max" in version 2 and -1 in version 1: neither is a number.
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok().filter(|period| *period > 0)?;
    usize::try_from(quota.div_ceil(period))
        .ok()
        .map(|cpus| cpus.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir, write};

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(limit(root.path()), None);
        create_dir(root.path().join("cpu")).unwrap();
        write(root.path().join("cpu/cpu.cfs_period_us"), "100000\n").unwrap();
        write(root.path().join("cpu/cpu.cfs_quota_us"), "-1\n").unwrap();
        assert_eq!(limit(root.path()), None);
        write(root.path().join("cpu/cpu.cfs_quota_us"), "250000\n").unwrap();
        assert_eq!(limit(root.path()), Some(3));
        write(root.path().join("cpu.max"), "max 100000\n").unwrap();
        assert_eq!(limit(root.path()), None);
        write(root.path().join("cpu.max"), "50000 100000\n").unwrap();
        assert_eq!(limit(root.path()), Some(1));
    }
}
