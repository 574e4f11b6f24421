//! Paths of the build cache and of the state of a cluster.

use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The name of a cluster: a DNS label of at most 20 characters, so that it fits host names and cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterName(String);

/// The folder beside the clusters that keeps the logs of what failed.
const KEPT: &str = "failed";

impl FromStr for ClusterName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let fits = (1..=20).contains(&text.len())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-');
        if !fits || text == KEPT {
            bail!(
                "a cluster's name is 1 to 20 characters of a-z, 0-9 and -, begins with a letter, and is not {KEPT:?}"
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClusterName {
    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the cluster's node, and the host name inside its namespace.
    pub(crate) fn node(&self) -> String {
        format!("{}-1", self.0)
    }

    /// The cgroup below which everything of the cluster runs, without leading slash.
    pub(crate) fn cgroup(&self) -> String {
        format!("portolan-{}", self.0)
    }
}

/// The build cache: `${XDG_CACHE_HOME:-~/.cache}/portolan/cluster`.
///
/// # Errors
/// When neither the variable nor HOME is set.
pub(crate) fn cache() -> Result<PathBuf> {
    Ok(base("XDG_CACHE_HOME", ".cache")?.join("portolan/cluster"))
}

/// The folder of one cluster: `${XDG_STATE_HOME:-~/.local/state}/portolan/NAME`.
///
/// # Errors
/// When neither the variable nor HOME is set.
pub(crate) fn state(name: &ClusterName) -> Result<State> {
    Ok(State {
        dir: state_root()?.join(name.as_str()),
    })
}

/// Folder in which `down` keeps the logs of a cluster in which a part failed.
///
/// # Errors
/// When neither the variable nor HOME is set.
pub(crate) fn kept_logs(name: &ClusterName) -> Result<PathBuf> {
    Ok(state_root()?.join(KEPT).join(name.as_str()))
}

/// The folder of all clusters: `${XDG_STATE_HOME:-~/.local/state}/portolan`.
///
/// # Errors
/// When neither the variable nor HOME is set.
pub(crate) fn state_root() -> Result<PathBuf> {
    Ok(base("XDG_STATE_HOME", ".local/state")?.join("portolan"))
}

fn base(variable: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|d| d.is_absolute())
    {
        return Ok(dir);
    }
    let home =
        std::env::var_os("HOME").with_context(|| format!("neither {variable} nor HOME is set"))?;
    Ok(PathBuf::from(home).join(below_home))
}

/// The files of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct State {
    dir: PathBuf,
}

impl State {
    /// The folder itself.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file or folder below it.
    pub(crate) fn at(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    /// The same as text, for configuration files.
    pub(crate) fn text(&self, below: &str) -> String {
        self.at(below).display().to_string()
    }

    /// The kubeconfig of the cluster's administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.at("kubeconfig")
    }

    /// The root certificate of the ClusterIssuer `portolan-test-ca`.
    pub(crate) fn test_ca(&self) -> PathBuf {
        self.at("test-ca.crt")
    }

    /// The pinned network namespace of the node.
    pub(crate) fn netns(&self) -> PathBuf {
        self.at("ns/net")
    }

    /// The log of a part.
    pub(crate) fn log(&self, part: &str) -> PathBuf {
        self.at("logs").join(format!("{part}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["portolan", "a", "ci-42"] {
            assert!(good.parse::<ClusterName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "1a",
            "../x",
            "failed",
            "a-name-that-is-too-long",
        ] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad}");
        }
    }
}
