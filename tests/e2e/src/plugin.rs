//! Runs the kubectl plugin as a user does.

use crate::Cluster;
use anyhow::{Context, Result, ensure};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use tokio::process::Command;

/// Result of a run.
#[derive(Clone, Debug)]
pub struct PluginOutput {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Cluster {
    /// Runs `kubectl portolan` with these arguments, as the administrator.
    ///
    /// # Errors
    /// When it cannot be run, or is ended by a signal; an exit code other than 0 is no error.
    pub async fn plugin(&self, arguments: &[&str]) -> Result<PluginOutput> {
        let mut command = Command::new("kubectl");
        command
            .arg("portolan")
            .args(arguments)
            .env("PATH", path()?)
            .env("KUBECONFIG", &self.environment.kubeconfig)
            .kill_on_drop(true);
        let output = command.output().await.context("run kubectl")?;
        Ok(PluginOutput {
            code: output.status.code().context("ended by a signal")?,
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    }
}

/// The search path with the plugin first: built beside this test.
fn path() -> Result<OsString> {
    let test = env::current_exe()?;
    let built = test
        .parent()
        .and_then(|deps| deps.parent())
        .context("no folder of programs")?;
    let program = built.join("kubectl-portolan");
    ensure!(
        program.is_file(),
        "{}: not built; `cargo build -p kubectl-portolan`",
        program.display()
    );
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path);
    let all = std::iter::once(PathBuf::from(built)).chain(folders);
    Ok(env::join_paths(all)?)
}
