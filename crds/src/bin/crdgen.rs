//! Writes the CustomResourceDefinitions into the chart, or checks that they are there.
//!
//! `crdgen [--check] [FOLDER]`; the folder is `charts/portolan/crds` when none is given.

use portolan_crds::manifest::{self, Manifest};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: crdgen [--check] [FOLDER]";

fn main() -> ExitCode {
    let (mut check, mut folder) = (false, None);
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--check") => check = true,
            Some("--help") => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            Some(flag) if flag.starts_with('-') => {
                eprintln!("crdgen: {flag} is unknown; {USAGE}");
                return ExitCode::from(2);
            }
            _ if folder.is_none() => folder = Some(PathBuf::from(argument)),
            _ => {
                eprintln!("crdgen: one folder is enough; {USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let folder = folder.unwrap_or_else(|| "charts/portolan/crds".into());
    match run(check, &folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("crdgen: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool, folder: &Path) -> Result<(), String> {
    for Manifest { file_name, yaml } in manifest::all().map_err(|error| error.to_string())? {
        let path = folder.join(file_name);
        let message = |error: std::io::Error| format!("{}: {error}", path.display());
        if !check {
            std::fs::create_dir_all(folder).map_err(message)?;
            std::fs::write(&path, yaml).map_err(message)?;
        } else if std::fs::read_to_string(&path).map_err(message)? != yaml {
            return Err(format!(
                "{}: differs from the types in crds/src; run crdgen and commit what it writes",
                path.display()
            ));
        }
    }
    Ok(())
}
