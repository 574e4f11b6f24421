//! `kubectl`, where what it prints to a person is the matter.

use crate::Cluster;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

impl Cluster {
    /// Runs `kubectl` and gives its output.
    ///
    /// # Errors
    /// When it fails: what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self
            .command(arguments)
            .output()
            .await
            .context("run kubectl")?;
        if !output.status.success() {
            bail!(
                "kubectl {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Applies an object that the schema must refuse, and gives the sentence that a person reads.
    ///
    /// # Errors
    /// When it is accepted.
    pub async fn refusal(&self, object: &Value) -> Result<String> {
        let mut command = self.command(&["apply", "--dry-run=server", "-f", "-"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("run kubectl")?;
        let mut input = child.stdin.take().context("no standard input")?;
        input.write_all(object.to_string().as_bytes()).await?;
        drop(input);
        let output = child.wait_with_output().await?;
        if output.status.success() {
            bail!("the schema accepts what it must refuse: {object}");
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(&self.environment.kubeconfig)
            .args(arguments);
        command.kill_on_drop(true);
        command
    }
}
