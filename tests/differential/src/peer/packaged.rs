//! nginx and HAProxy as Debian packages them, run as children with the committed configuration.

use super::{Peer, lanes, reachable};
use crate::lane::Lane;
use anyhow::{Context as _, Result, anyhow, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A child and its folder; both end with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    folder: TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx with this many lanes.
///
/// # Errors
/// The package is not installed, or nginx does not start; its own words are in the error.
pub fn nginx(count: usize) -> Result<Peer<Process>> {
    let template = include_str!("../../peers/nginx.conf");
    start(
        "nginx",
        "nginx-light",
        count,
        template,
        |command, config| {
            command.arg("-p").arg(config.parent().unwrap_or(config));
            command.arg("-c").arg(config).args(["-e", "stderr"]);
        },
    )
}

/// HAProxy with this many lanes.
///
/// # Errors
/// The package is not installed, or HAProxy does not start; its own words are in the error.
pub fn haproxy(count: usize) -> Result<Peer<Process>> {
    let template = include_str!("../../peers/haproxy.cfg");
    start("haproxy", "haproxy", count, template, |command, config| {
        command.arg("-db").arg("-f").arg(config);
    })
}

fn start(
    program: &str,
    package: &str,
    count: usize,
    template: &str,
    arguments: impl FnOnce(&mut Command, &Path),
) -> Result<Peer<Process>> {
    let path = find(program).with_context(|| {
        format!("{program}: not found; install the Debian package {package} (`tests/differential/setup` does)")
    })?;
    let lanes = lanes(count)?;
    let folder = TempDir::new()?;
    let config = folder.path().join("config");
    fs::write(&config, filled(template, &lanes)?)?;
    let words = folder.path().join("stderr");
    let mut command = Command::new(path);
    command.current_dir(folder.path()).stdin(Stdio::null());
    command
        .stdout(Stdio::null())
        .stderr(fs::File::create(&words)?);
    arguments(&mut command, &config);
    let child = command
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let mut running = Process { child, folder };
    reachable(&lanes, || match running.child.try_wait()? {
        None => Ok(()),
        Some(status) => {
            let errors = fs::read_to_string(running.folder.path().join("stderr"))?;
            Err(anyhow!("{program} ended with {status}: {errors}"))
        }
    })?;
    Ok(Peer { lanes, running })
}

/// Programs of the system's administrator are not on everybody's PATH.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The part between `# for each lane` and `# end` once for each lane.
fn filled(template: &str, lanes: &[Lane]) -> Result<String> {
    let (before, rest) = template
        .split_once("# for each lane\n")
        .context("no lanes in the template")?;
    let Some((section, after)) = rest.split_once("# end\n") else {
        bail!("the lanes of the template have no end");
    };
    let mut out = before.to_owned();
    for lane in lanes {
        let section = section.replace("FRONT", &lane.listener().port().to_string());
        out.push_str(&section.replace("ORIGIN", &lane.origin()?.port().to_string()));
    }
    Ok(out + after)
}
