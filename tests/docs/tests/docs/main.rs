//! Every page of the repository, and everything that refers to one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test that cannot go on panics.

mod links;
mod page;
mod references;
mod shell;
mod yaml;

use page::Page;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Paths that git tracks, or would track, below the root. Patterns are git's.
fn tracked(patterns: &[&str]) -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .args(patterns)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files failed");
    let paths = String::from_utf8(output.stdout).unwrap();
    let paths = paths.lines().map(str::to_owned);
    // A file that was deleted and not staged yet is still listed.
    paths.filter(|path| root().join(path).exists()).collect()
}

/// Every Markdown page.
fn pages() -> Vec<Page> {
    let paths = tracked(&["*.md"]);
    assert!(paths.len() > 50, "only {} pages", paths.len());
    let read = |path: String| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        Page::new(path, text)
    };
    paths.into_iter().map(read).collect()
}

/// Fails with all findings at once, so that a page is corrected in one go.
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}
