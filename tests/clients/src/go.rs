//! The Go programs: those of the modules beside this crate, and of the modules that these name.
//! Each is built when a run of tests first needs it.

use crate::process;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::{Mutex, OnceCell};

/// Compiling Go's own library and gRPC is part of it the first time.
const BUILD: Duration = Duration::from_secs(600);

/// A program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    name: &'static str,
    /// The folder of its module below `go`.
    module: &'static str,
    arguments: &'static [&'static str],
}

/// The origin.
pub const ORIGIN: Program = Program {
    name: "origin",
    module: ".",
    arguments: &["build", "./origin"],
};

/// The tests with Go's net/http as their client.
pub const CLIENT_TESTS: Program = Program {
    name: "client",
    module: ".",
    arguments: &["test", "-c", "./client"],
};

/// h2spec itself.
pub const H2SPEC: Program = Program {
    name: "h2spec",
    module: "h2spec",
    arguments: &["build", "github.com/summerwind/h2spec/cmd/h2spec"],
};

/// The client of gRPC's interoperability tests, as gRPC has it.
pub const GRPC_CLIENT: Program = Program {
    name: "grpc-client",
    module: "grpc",
    arguments: &["build", "google.golang.org/grpc/interop/client"],
};

/// Their server.
pub const GRPC_SERVER: Program = Program {
    name: "grpc-server",
    module: "grpc",
    arguments: &["build", "./server"],
};

impl Program {
    /// Builds it, unless that has been done; gives where it is. The folder goes with the process.
    ///
    /// # Errors
    /// When it does not build.
    pub async fn built(self) -> Result<PathBuf> {
        static FOLDER: OnceCell<TempDir> = OnceCell::const_new();
        static BUILT: Mutex<BTreeSet<&str>> = Mutex::const_new(BTreeSet::new());
        let new = async || TempDir::new().context("a folder for the Go programs");
        let program = FOLDER.get_or_try_init(new).await?.path().join(self.name);
        // One after another: each takes all cores.
        let mut built = BUILT.lock().await;
        if !built.contains(self.name) {
            self.build(&program).await?;
            built.insert(self.name);
        }
        Ok(program)
    }

    async fn build(self, program: &Path) -> Result<()> {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let (package, arguments) = self.arguments.split_last().context("no package")?;
        let mut go = Command::new("go");
        // Reproducible whatever the user's environment says: go.sum has the sums of all modules.
        go.current_dir(modules.join(self.module))
            .env("GOFLAGS", "-mod=readonly")
            .env("GOWORK", "off")
            .args(arguments)
            .arg("-o")
            .arg(program)
            .arg(package);
        process::succeed(&mut go, BUILD).await?;
        Ok(())
    }
}
