//! `kubectl`, where what it prints to a person is the matter.

use crate::Cluster;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

impl Cluster {
    /// Runs `kubectl` and gives its output.
    ///
    /// # Errors
    /// When it fails: what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl_with(arguments, "").await
    }

    /// Runs `kubectl` with this as its standard input and gives its output.
    ///
    /// # Errors
    /// When it fails: what it printed.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let output = self.output(arguments, input).await?;
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
        let arguments = ["apply", "--dry-run=server", "-f", "-"];
        let output = self.output(&arguments, &object.to_string()).await?;
        if output.status.success() {
            bail!("the schema accepts what it must refuse: {object}");
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    async fn output(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("run kubectl")?;
        let mut standard_input = child.stdin.take().context("no standard input")?;
        standard_input.write_all(input.as_bytes()).await?;
        drop(standard_input);
        Ok(child.wait_with_output().await?)
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
