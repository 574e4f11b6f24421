//! The programs of the Go module beside this crate, built once for each run of tests.

use crate::process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Compiling Go's own library is part of it the first time.
const BUILD: Duration = Duration::from_secs(300);

/// Both programs; the folder goes with the process.
struct Built {
    folder: TempDir,
}

/// The origin.
///
/// # Errors
/// When it does not build.
pub async fn origin() -> Result<PathBuf> {
    Ok(built().await?.folder.path().join("origin"))
}

/// The tests with Go's net/http as their client, a program of its own.
///
/// # Errors
/// When it does not build.
pub async fn client_tests() -> Result<PathBuf> {
    Ok(built().await?.folder.path().join("client"))
}

async fn built() -> Result<&'static Built> {
    static BUILT: OnceCell<Built> = OnceCell::const_new();
    BUILT.get_or_try_init(build).await
}

async fn build() -> Result<Built> {
    let folder = TempDir::new().context("a folder for the Go programs")?;
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    for (arguments, name) in [
        (["build"].as_slice(), "origin"),
        (["test", "-c"].as_slice(), "client"),
    ] {
        let mut go = Command::new("go");
        // Reproducible whatever the user's environment says, and without a network.
        go.current_dir(&module)
            .env("GOFLAGS", "-mod=readonly")
            .env("GOWORK", "off")
            .args(arguments)
            .arg("-o")
            .arg(folder.path().join(name))
            .arg(format!("./{name}"));
        process::succeed(&mut go, BUILD).await?;
    }
    Ok(Built { folder })
}
