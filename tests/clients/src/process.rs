//! Other programs: run to their end, or left running until the value is dropped. Always with a
//! deadline, and with their output in the error when they fail.

use crate::DEADLINE;
use anyhow::{Context, Result, bail, ensure};
use std::collections::VecDeque;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Lines of a program's output that are kept.
const KEPT_LINES: usize = 200;

/// Runs a program to its end, however that is.
///
/// # Errors
/// When it cannot be started (which says what installs it), or does not end in time.
pub async fn finish(command: &mut Command, deadline: Duration) -> Result<Output> {
    let shown = format!("{:?}", command.as_std());
    command
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command
        .spawn()
        .with_context(|| format!("{shown}: cannot be started; tests/clients/setup installs it"))?;
    timeout(deadline, child.wait_with_output())
        .await
        .with_context(|| format!("{shown}: not done within {deadline:?}"))?
        .with_context(|| shown)
}

/// Runs a program that must succeed, and gives what it wrote to its standard output.
///
/// # Errors
/// When it fails, with all that it wrote.
pub async fn succeed(command: &mut Command, deadline: Duration) -> Result<String> {
    let output = finish(command, deadline).await?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{:?}: {}\n{out}\n{}",
        command.as_std(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(out)
}

/// A program that runs beside a test, and ends with this value.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    /// Held open: our own servers end when it closes.
    _stdin: Option<ChildStdin>,
    out: Option<Lines<BufReader<ChildStdout>>>,
    output: Arc<Mutex<VecDeque<String>>>,
}

impl Running {
    /// Starts it; what it writes to its standard error is kept, the end of it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{:?}: cannot be started", command.as_std()))?;
        let output = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(keep(stderr, Arc::clone(&output)));
        }
        Ok(Self {
            name: name.into(),
            _stdin: child.stdin.take(),
            out: child.stdout.take().map(|out| BufReader::new(out).lines()),
            child,
            output,
        })
    }

    /// Its process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> Result<u32> {
        self.child
            .id()
            .with_context(|| format!("{} has ended", self.name))
    }

    /// The next line of its standard output.
    ///
    /// # Errors
    /// When none comes.
    pub async fn line(&mut self) -> Result<String> {
        let out = self.out.as_mut().context("its output is read elsewhere")?;
        let line = timeout(DEADLINE, out.next_line())
            .await
            .with_context(|| format!("{}: no line within {DEADLINE:?}", self.name))??;
        line.with_context(|| format!("{} ended\n{}", self.name, self.last_output()))
    }

    /// Reads its standard output from now on, into the same memory as its standard error.
    pub fn keep_output(&mut self) {
        if let Some(out) = self.out.take() {
            tokio::spawn(keep(out.into_inner(), Arc::clone(&self.output)));
        }
    }

    /// The end of what it wrote to its standard error.
    pub fn last_output(&self) -> String {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        output.iter().map(|line| format!("{line}\n")).collect()
    }

    /// It has not ended by itself.
    ///
    /// # Errors
    /// When it has, with the end of its output.
    pub fn still_runs(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended: {status}\n{}", self.name, self.last_output());
        }
        Ok(())
    }

    /// Asks it to end (SIGTERM), and waits until it has, which must be with success.
    ///
    /// # Errors
    /// When it does not end, fails, or has panicked.
    pub async fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.id()?)?;
        let id = rustix::process::Pid::from_raw(id).context("no process has that number")?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let status = timeout(DEADLINE, self.child.wait())
            .await
            .with_context(|| format!("{}: still there {DEADLINE:?} after TERM", self.name))??;
        let output = self.last_output();
        ensure!(
            status.success() && !output.contains("panicked at"),
            "{}: {status} after TERM\n{output}",
            self.name
        );
        Ok(())
    }
}

async fn keep(from: impl AsyncRead + Unpin, into: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut output = into.lock().unwrap_or_else(PoisonError::into_inner);
        if output.len() == KEPT_LINES {
            output.pop_front();
        }
        output.push_back(line);
    }
}
