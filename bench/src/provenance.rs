//! Of what a run's figures are: commit, machine, programs.

use crate::machine::{self, output_of};
use crate::results::Results;
use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A results file of the data plane without results.
pub(crate) fn of(portolan: &Path, envoy: Option<&Path>) -> anyhow::Result<Results> {
    let mut programs = vec![
        ("portolan", Some(portolan.to_owned())),
        ("haproxy", installed("haproxy")),
        ("nginx", installed("nginx")),
    ];
    programs.push(("envoy", envoy.map(Path::to_owned)));
    of_programs(programs, versions(envoy))
}

/// A results file without results: of these programs and of this one, which is of Portolan's version.
pub(crate) fn of_programs(
    mut programs: Vec<(&str, Option<PathBuf>)>,
    mut versions: BTreeMap<String, String>,
) -> anyhow::Result<Results> {
    programs.push(("portolan-bench", Some(std::env::current_exe()?)));
    versions.insert("portolan".to_owned(), version());
    let mut binaries = BTreeMap::new();
    for (name, path) in programs {
        if let Some(path) = path {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            binaries.insert(name.to_owned(), hex::encode(Sha256::digest(bytes)));
        }
    }
    Ok(Results {
        when: jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string(),
        commit: commit(),
        machine: machine::describe(),
        versions,
        binaries,
        configs: BTreeMap::new(),
        skipped: BTreeMap::new(),
        failed: BTreeMap::new(),
        cases: BTreeMap::new(),
        rows: Vec::new(),
        ratios: Vec::new(),
    })
}

fn commit() -> String {
    let hash = output_of("git", &["rev-parse", "--short=12", "HEAD"])
        .trim()
        .to_owned();
    let changed = output_of(
        "git",
        &[
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            ":!bench/results",
            ":!docs",
        ],
    );
    let mark = if changed.trim().is_empty() { "" } else { "+" };
    format!("{hash}{mark}")
}

/// Finds a program in PATH, as the shell does.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn versions(envoy: Option<&Path>) -> BTreeMap<String, String> {
    let line = |text: &str, with: &str| {
        let found = text.lines().find(|line| line.contains(with));
        found.unwrap_or_default().trim().to_owned()
    };
    let mut versions = BTreeMap::new();
    let haproxy = output_of("haproxy", &["-vv"]);
    if !haproxy.is_empty() {
        let tls = line(&haproxy, "Running on OpenSSL");
        let version = line(&haproxy, "HAProxy version");
        versions.insert("haproxy".to_owned(), format!("{version}; {tls}"));
    }
    let nginx = output_of("nginx", &["-V"]);
    if !nginx.is_empty() {
        let version = line(&nginx, "nginx version");
        versions.insert(
            "nginx".to_owned(),
            format!("{version}; {}", line(&nginx, "built with")),
        );
    }
    if let Some(envoy) = envoy {
        let text = output_of(&envoy.display().to_string(), &["--version"]);
        versions.insert(
            "envoy".to_owned(),
            line(&text, "version:").replace(&format!("{} ", envoy.display()), ""),
        );
    }
    versions
}

/// Of Portolan, with what it was built of.
fn version() -> String {
    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let libraries: Vec<String> = ["rustls", "aws-lc-rs", "tokio"]
        .iter()
        .filter_map(|name| {
            let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
            Some(format!("{name} {}", after.split('"').next()?))
        })
        .collect();
    let compiler = output_of("rustc", &["--version"]);
    format!(
        "{}; {}; {}",
        env!("CARGO_PKG_VERSION"),
        libraries.join(", "),
        compiler.trim()
    )
}
