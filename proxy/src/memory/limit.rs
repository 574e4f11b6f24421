//! How much memory this container may use, as its control group and the machine say.

use std::fs::read_to_string;
use std::path::Path;

/// Returns the limit in bytes; `None` when there is none.
pub fn bytes() -> Option<u64> {
    let group = group_limit(Path::new("/sys/fs/cgroup"));
    let machine = kibibytes(&read_to_string("/proc/meminfo").ok()?, "MemTotal:");
    [group, machine].into_iter().flatten().min()
}

/// How much of it this process has in memory now, and the kernel for it: what waits in sockets.
pub(crate) fn resident() -> Option<u64> {
    let own = kibibytes(&read_to_string("/proc/self/status").ok()?, "VmRSS:")?;
    Some(own + in_sockets(Path::new("/sys/fs/cgroup")).unwrap_or(0))
}

/// Socket memory that counts against a control group of version 2. Version 1
/// counts it apart.
fn in_sockets(root: &Path) -> Option<u64> {
    let stat = read_to_string(root.join("memory.stat")).ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("sock "))?;
    line.trim().parse().ok()
}

/// `root` is where the container sees its control group, of version 2 or 1.
fn group_limit(root: &Path) -> Option<u64> {
    /// Version 1 writes the largest number of pages for no limit.
    const NONE: u64 = 1 << 62;
    let text = read_to_string(root.join("memory.max"))
        .or_else(|_| read_to_string(root.join("memory/memory.limit_in_bytes")));
    // No limit is "max" in version 2: no number.
    let limit: u64 = text.ok()?.trim().parse().ok()?;
    (limit < NONE).then_some(limit)
}

/// A line such as `VmRSS:      1234 kB` (proc(5)).
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    number.checked_mul(1024)
}

/// Bytes as Kubernetes writes them: `536870912`, `512Mi`, `1G`.
///
/// # Errors
/// The sentence that says what is wrong.
pub fn parse(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("", 1),
    ];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at_checked(digits).unwrap_or_default();
    let unit = UNITS.iter().find(|(name, _)| *name == suffix);
    let bytes = unit.and_then(|(_, unit)| number.parse::<u64>().ok()?.checked_mul(*unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
        format!(
            "{text:?} is not an amount of memory; use a number with a unit, such as 512Mi (Ki, Mi, Gi, Ti, k, M, G, T or bytes)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir, write};

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let root = tempfile::tempdir().unwrap();
        let limit = || group_limit(root.path());
        assert_eq!(limit(), None);
        create_dir(root.path().join("memory")).unwrap();
        let v1 = root.path().join("memory/memory.limit_in_bytes");
        write(&v1, "9223372036854771712\n").unwrap();
        assert_eq!(limit(), None);
        write(&v1, "268435456\n").unwrap();
        assert_eq!(limit(), Some(256 << 20));
        write(root.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(limit(), None);
        write(root.path().join("memory.max"), "134217728\n").unwrap();
        assert_eq!(limit(), Some(128 << 20));
    }

    #[test]
    fn what_waits_in_sockets_counts_where_the_kernel_counts_it() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(in_sockets(root.path()), None);
        let stat = "anon 1048576\nfile 12\nsock 65536\nsockets 3\n";
        write(root.path().join("memory.stat"), stat).unwrap();
        assert_eq!(in_sockets(root.path()), Some(65_536));
    }

    #[test]
    fn what_the_kernel_says_of_us_is_read() {
        let text = "VmPeak:\t  999 kB\nVmRSS:\t    2048 kB\nThreads:\t4\n";
        assert_eq!(kibibytes(text, "VmRSS:"), Some(2 << 20));
        assert_eq!(kibibytes(text, "VmSwap:"), None);
        assert!(resident().unwrap() > 0);
        assert!(bytes().unwrap() > 1 << 20);
    }

    #[test]
    fn amounts_have_the_units_of_kubernetes() {
        assert_eq!(parse("512Mi"), Ok(512 << 20));
        assert_eq!(parse("1G"), Ok(1_000_000_000));
        assert_eq!(parse("4096"), Ok(4096));
        for bad in ["", "Mi", "0", "-1", "1.5Gi", "1mi", "99999999999Ti"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
