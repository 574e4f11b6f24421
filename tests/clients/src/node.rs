//! Node, with the packages of the lock file beside the scripts.

use crate::process;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// For `npm ci`, which fetches two small packages the first time.
const INSTALL: Duration = Duration::from_secs(180);

/// Node, ready to run a script of `tests/clients/node`.
///
/// # Errors
/// When its packages cannot be installed.
pub async fn script(name: &str) -> Result<Command> {
    with_flags(&[], name).await
}

/// The same for a script of tests, which are reported one by one as TAP.
///
/// # Errors
/// As [`script`].
pub async fn tests(name: &str) -> Result<Command> {
    with_flags(&["--test-reporter=tap"], name).await
}

async fn with_flags(flags: &[&str], name: &str) -> Result<Command> {
    let mut node = Command::new("node");
    node.env("NODE_PATH", packages().await?)
        .env_remove("NODE_OPTIONS")
        .args(flags)
        .arg(scripts().join(name));
    Ok(node)
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

/// The folder of the installed packages: in the user's cache, by the lock file's sum, so that a
/// fresh checkout does not fetch them again and another lock file does.
async fn packages() -> Result<&'static Path> {
    static PACKAGES: OnceCell<PathBuf> = OnceCell::const_new();
    PACKAGES
        .get_or_try_init(install)
        .await
        .map(PathBuf::as_path)
}

async fn install() -> Result<PathBuf> {
    let lock = std::fs::read(scripts().join("package-lock.json"))?;
    let name = hex::encode(Sha256::digest(&lock)).split_off(48);
    let folder = cache()?.join("node").join(name);
    let packages = folder.join("node_modules");
    if packages.is_dir() {
        return Ok(packages);
    }
    let parent = folder.parent().context("the cache has no parent")?;
    std::fs::create_dir_all(parent)?;
    // Put in place whole, so that an interrupted installation is not taken for one.
    let fresh = tempfile::TempDir::new_in(parent)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(scripts().join(file), fresh.path().join(file))?;
    }
    let mut npm = Command::new("npm");
    npm.current_dir(fresh.path())
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    process::succeed(&mut npm, INSTALL).await?;
    let fresh = fresh.keep();
    // Another run may have been faster.
    if std::fs::rename(&fresh, &folder).is_err() {
        std::fs::remove_dir_all(&fresh)?;
    }
    Ok(packages)
}

fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = set("PORTOLAN_CACHE") {
        return Ok(cache.into());
    }
    let base = set("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(base.context("HOME is not set")?.join("portolan"))
}
