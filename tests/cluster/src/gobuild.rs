//! Builds what is missing into the cache, one program after the other, each with its time.
//!
//! ```text
//! cluster/modules/kubernetes-<hash>/bin/kube-apiserver     one folder per module: changing one rebuilds one
//! cluster/modules/images-<hash>/images/echo.tar            programs that run in pods, as OCI images
//! cluster/modules/crds-<hash>/crds/gateway-api.yaml
//! cluster/<hash of all>/{bin,images,crds}                  links to all of them: what a cluster uses
//! ```

use crate::{modules, oci, paths, program, progress};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths of a build.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// The folder with every program, fit for PATH.
    pub(crate) bin: PathBuf,
    /// The folder with an OCI tar per image.
    pub(crate) images: PathBuf,
    /// The folder with one YAML file per source of CRDs.
    pub(crate) crds: PathBuf,
}

impl Built {
    /// What lies in a folder that [`build`] made.
    fn in_folder(dir: &Path) -> Self {
        Self {
            bin: dir.join("bin"),
            images: dir.join("images"),
            crds: dir.join("crds"),
        }
    }

    /// Notes for a cluster what it was started with.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn record(&self, file: &Path) -> Result<()> {
        fs::write(file, self.bin.display().to_string())
            .with_context(|| format!("write {}", file.display()))
    }

    /// What was noted with [`Built::record`].
    ///
    /// # Errors
    /// When the note is missing or the cache was deleted meanwhile.
    pub(crate) fn recorded(file: &Path) -> Result<Self> {
        let bin = PathBuf::from(
            fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?,
        );
        anyhow::ensure!(
            bin.is_dir(),
            "{}: the build cache was deleted; `testbed up` builds it again",
            bin.display()
        );
        Ok(Self::in_folder(bin.parent().unwrap_or(&bin)))
    }
}

/// Builds what is missing.
///
/// # Errors
/// When Go is missing, or a program does not build.
pub(crate) fn build() -> Result<Built> {
    let cache = paths::cache()?;
    let mut parts = Vec::new();
    for module in modules::ALL {
        let ldflags = module.ldflags()?;
        let dir = cache.join("modules").join(format!(
            "{}-{}",
            module.folder,
            modules::hash(module.folder, &ldflags)?
        ));
        for program in module.programs {
            let file = dir.join("bin").join(program.name);
            if !file.exists() {
                check_go()?;
                progress::step(&format!("building {}", program.name), || {
                    compile(module.folder, program.package, &ldflags, &file)
                })?;
            }
            if let Some(image) = program.image {
                let tar = dir.join("images").join(format!("{}.tar", program.name));
                if !tar.exists() {
                    atomically(&tar, |tmp| {
                        oci::image_of(tmp, image, std::slice::from_ref(&file))
                    })?;
                }
            }
        }
        parts.push(dir);
    }
    let crds = cache.join("modules").join(format!(
        "{}-{}",
        modules::CRDS,
        modules::hash(modules::CRDS, "")?
    ));
    if modules::CRD_SOURCES
        .iter()
        .any(|(file, ..)| !crds.join("crds").join(file).exists())
    {
        check_go()?;
        progress::step("fetching CRDs", || fetch_crds(&crds.join("crds")))?;
    }
    parts.push(crds);
    link_all(&cache, &parts)
}

fn compile(folder: &str, package: &str, ldflags: &str, file: &Path) -> Result<()> {
    atomically(file, |tmp| {
        let mut go = Command::new("go");
        go.args(modules::FLAGS)
            .args(["-ldflags", ldflags, "-o"])
            .arg(tmp)
            .arg(package);
        go.current_dir(modules::sources().join(folder))
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .env_remove("GOFLAGS");
        program::output(&mut go).map(|_| ())
    })
}

fn fetch_crds(dir: &Path) -> Result<()> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json"])
        .current_dir(modules::sources().join(modules::CRDS));
    go.env("GOWORK", "off").env_remove("GOFLAGS");
    let text = program::output(&mut go)?;
    let mut found = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>() {
        let value = value.context("parse the output of go mod download")?;
        let field = |name: &str| {
            value
                .get(name)
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        found.push((field("Path"), PathBuf::from(field("Dir"))));
    }
    for (file, module, below) in modules::CRD_SOURCES {
        let Some((_, root)) = found.iter().find(|(path, _)| path == module) else {
            bail!("go.mod: {module} is not required")
        };
        let yaml = concatenate(&root.join(below))?;
        atomically(&dir.join(file), |tmp| Ok(fs::write(tmp, &yaml)?))?;
    }
    Ok(())
}

/// The YAML files of a folder (or the one file) as one stream of documents. A kustomization is no object.
fn concatenate(source: &Path) -> Result<String> {
    let mut files = if source.is_dir() {
        let entries = fs::read_dir(source).with_context(|| format!("read {}", source.display()))?;
        entries.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?
    } else {
        vec![source.to_owned()]
    };
    files.retain(|f| {
        f.extension().is_some_and(|e| e == "yaml") && !f.ends_with("kustomization.yaml")
    });
    files.sort();
    let mut all = String::new();
    for file in files {
        all.push_str("---\n");
        all.push_str(
            &fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?,
        );
        all.push('\n');
    }
    Ok(all)
}

/// Makes the folder of links that a cluster uses.
fn link_all(cache: &Path, parts: &[PathBuf]) -> Result<Built> {
    let names: Vec<String> = parts
        .iter()
        .map(|p| {
            p.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let dir = cache.join(short_hash(&names.join(" ")));
    for kind in ["bin", "images", "crds"] {
        fs::create_dir_all(dir.join(kind)).with_context(|| format!("create {}", dir.display()))?;
        for part in parts {
            let Ok(entries) = fs::read_dir(part.join(kind)) else {
                continue;
            };
            for entry in entries {
                let entry = entry?;
                let link = dir.join(kind).join(entry.file_name());
                let hidden = entry.file_name().to_string_lossy().starts_with('.');
                if !hidden && fs::symlink_metadata(&link).is_err() {
                    symlink(entry.path(), &link)
                        .with_context(|| format!("link {}", link.display()))?;
                }
            }
        }
    }
    Ok(Built::in_folder(&dir))
}

/// Lets `write` create a temporary file and renames it: the file is never visible in part.
fn atomically(file: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let Some(dir) = file.parent() else {
        bail!("{}: no folder", file.display())
    };
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let tmp = dir.join(format!(".{name}.{}", std::process::id()));
    let result = write(&tmp).and_then(|()| {
        fs::rename(&tmp, file).with_context(|| format!("rename to {}", file.display()))
    });
    if result.is_err() {
        let _ = fs::remove_file(&tmp);
    }
    result
}

fn short_hash(text: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(text)).chars().take(12).collect()
}

/// Says clearly that Go is missing or too old.
///
/// # Errors
/// When `go version` does not answer, or the version cannot fetch the toolchain that a go.mod asks for.
pub(crate) fn check_go() -> Result<()> {
    let version = program::output(Command::new("go").arg("version").env("GOTOOLCHAIN", "local"))
        .context("go: not found; install Go 1.26 or newer (https://go.dev/dl) and put its bin folder into PATH")?;
    match go_minor(&version) {
        // Go 1.21 and newer fetch the toolchain that a go.mod asks for.
        Some(minor) if minor >= 21 => Ok(()),
        _ => bail!(
            "{}: too old; install Go 1.26 or newer (https://go.dev/dl)",
            version.trim()
        ),
    }
}

fn go_minor(version: &str) -> Option<u32> {
    let number = version
        .split_whitespace()
        .find_map(|word| word.strip_prefix("go1."))?;
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_are_read() {
        assert_eq!(go_minor("go version go1.26.8 linux/amd64"), Some(26));
        assert_eq!(go_minor("go version go1.27 linux/amd64"), Some(27));
        assert_eq!(go_minor("nothing"), None);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        assert!(
            atomically(&file, |tmp| {
                fs::write(tmp, "half")?;
                bail!("stop")
            })
            .is_err()
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        atomically(&file, |tmp| Ok(fs::write(tmp, "whole")?)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "whole");
    }

    #[test]
    fn folders_of_yaml_become_one_stream() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.yaml"), "kind: B").unwrap();
        fs::write(dir.path().join("a.yaml"), "kind: A").unwrap();
        fs::write(dir.path().join("kustomization.yaml"), "kind: Kustomization").unwrap();
        fs::write(dir.path().join("README.md"), "text").unwrap();
        assert_eq!(
            concatenate(dir.path()).unwrap(),
            "---\nkind: A\n---\nkind: B\n"
        );
    }
}
