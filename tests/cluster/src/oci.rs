//! Writes a container image as an OCI layout in a tar file: static binaries in one layer, nothing else to trust.

use anyhow::{Context, Result, bail};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The user that images run as: the customary "nonroot".
pub(crate) const USER: u32 = 65532;

/// A file of an image: its name in `/`, and its bytes.
pub(crate) struct Binary {
    name: String,
    bytes: Vec<u8>,
}

impl Binary {
    /// Reads a static binary.
    ///
    /// # Errors
    /// When it cannot be read, is no ELF file, or asks for a dynamic loader that the image would not have.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        let name = path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
        let Some(name) = name else {
            bail!("{}: no file name", path.display())
        };
        if !bytes.starts_with(b"\x7fELF") {
            bail!(
                "{}: not an ELF binary; an image takes statically linked programs",
                path.display()
            );
        }
        if asks_for_loader(&bytes) {
            bail!(
                "{}: dynamically linked; the image holds no loader. Build it with `-C target-feature=+crt-static` and --target, or CGO_ENABLED=0",
                path.display()
            );
        }
        Ok(Self { name, bytes })
    }
}

/// Returns true if an ELF file has a PT_INTERP program header (ELF-64, little endian; others are let through).
fn asks_for_loader(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let u16_at = |at: usize| {
        elf.get(at..at + 2)
            .and_then(|b| b.try_into().ok())
            .map(u16::from_le_bytes)
    };
    let u32_at = |at: usize| {
        elf.get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map(u32::from_le_bytes)
    };
    let u64_at = |at: usize| {
        elf.get(at..at + 8)
            .and_then(|b| b.try_into().ok())
            .map(u64::from_le_bytes)
    };
    if elf.get(4..6) != Some(&[2, 1]) {
        return false;
    }
    let (Some(table), Some(size), Some(count)) = (u64_at(32), u16_at(54), u16_at(56)) else {
        return false;
    };
    let Ok(table) = usize::try_from(table) else {
        return false;
    };
    (0..usize::from(count)).any(|n| {
        let at = n
            .checked_mul(usize::from(size))
            .and_then(|o| o.checked_add(table));
        at.and_then(|at| if at < elf.len() { u32_at(at) } else { None }) == Some(PT_INTERP)
    })
}

/// Writes the image `name` to `out`. The first binary is the entrypoint. Equal input gives equal bytes.
///
/// # Errors
/// When there is no binary, two have one name, or the file cannot be written.
pub(crate) fn write_image(out: &Path, name: &str, binaries: &[Binary]) -> Result<()> {
    let Some(first) = binaries.first() else {
        bail!("image {name}: no binary; name at least one")
    };
    let mut names: Vec<&str> = binaries.iter().map(|b| b.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.get(1)) {
        bail!("image {name}: two binaries have the same file name");
    }

    let layer = layer(binaries)?;
    let config = serde_json::to_vec(&json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": [format!("/{}", first.name)],
            "User": USER.to_string(),
            "WorkingDir": "/",
            "Env": ["PATH=/"],
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    }))?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer), "size": layer.len()}],
    }))?;
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(&manifest),
            "size": manifest.len(),
            "platform": {"os": "linux", "architecture": architecture()},
            "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
        }],
    }))?;

    let file = std::fs::File::create(out).with_context(|| format!("create {}", out.display()))?;
    let mut tar = tar::Builder::new(std::io::BufWriter::new(file));
    append(
        &mut tar,
        "oci-layout",
        br#"{"imageLayoutVersion":"1.0.0"}"#,
        0o644,
    )?;
    append(&mut tar, "index.json", &index, 0o644)?;
    for blob in [&layer, &config, &manifest] {
        append(&mut tar, &blob_path(blob), blob, 0o644)?;
    }
    tar.into_inner()?
        .flush()
        .with_context(|| format!("write {}", out.display()))
}

/// Reads the binaries at these paths and writes the image.
///
/// # Errors
/// As [`Binary::read`] and [`write_image`].
pub(crate) fn image_of(out: &Path, name: &str, paths: &[PathBuf]) -> Result<()> {
    if !name.contains('/')
        || !name
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'))
    {
        bail!("{name}: an image is named with registry and tag, such as portolan.dev/portolan:dev");
    }
    let binaries = paths
        .iter()
        .map(|p| Binary::read(p))
        .collect::<Result<Vec<_>>>()?;
    write_image(out, name, &binaries)
}

fn layer(binaries: &[Binary]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, mode) in [("etc/", 0o755), ("tmp/", 0o1777)] {
        let mut header = header(0, mode);
        header.set_entry_type(tar::EntryType::Directory);
        tar.append_data(&mut header, path, std::io::empty())?;
    }
    let passwd = format!("root:x:0:0:root:/:/\nnonroot:x:{USER}:{USER}:nonroot:/tmp:/\n");
    let group = format!("root:x:0:\nnonroot:x:{USER}:\n");
    append(&mut tar, "etc/passwd", passwd.as_bytes(), 0o644)?;
    append(&mut tar, "etc/group", group.as_bytes(), 0o644)?;
    for binary in binaries {
        append(&mut tar, &binary.name, &binary.bytes, 0o755)?;
    }
    Ok(tar.into_inner()?)
}

fn append<W: Write>(tar: &mut tar::Builder<W>, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let mut header = header(bytes.len() as u64, mode);
    tar.append_data(&mut header, path, bytes)
        .with_context(|| format!("add {path}"))
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", hex::encode(Sha256::digest(bytes)))
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read;

    fn entries(tar_file: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(tar_file);
        let mut all = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            all.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        all
    }

    fn binary(name: &str) -> Binary {
        Binary {
            name: name.to_owned(),
            bytes: b"\x7fELF and more".to_vec(),
        }
    }

    #[test]
    fn every_digest_leads_to_a_blob_with_that_content() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("image.tar");
        write_image(
            &out,
            "portolan.test/echo:dev",
            &[binary("echo"), binary("other")],
        )
        .unwrap();
        let files = entries(&std::fs::read(out).unwrap());
        let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let find = |digest: &str| files[&format!("blobs/{}", digest.replace(':', "/"))].clone();
        let manifest = find(index["manifests"][0]["digest"].as_str().unwrap());
        assert_eq!(index["manifests"][0]["size"], manifest.len());
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let config: serde_json::Value =
            serde_json::from_slice(&find(manifest["config"]["digest"].as_str().unwrap())).unwrap();
        let layer_digest = manifest["layers"][0]["digest"].as_str().unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], layer_digest);
        assert_eq!(config["config"]["Entrypoint"][0], "/echo");
        assert_eq!(config["config"]["User"], "65532");
        let layer = entries(&find(layer_digest));
        assert_eq!(layer["echo"], b"\x7fELF and more");
        assert!(
            layer.contains_key("other")
                && layer.contains_key("etc/passwd")
                && layer.contains_key("tmp/")
        );
    }

    #[test]
    fn equal_input_gives_equal_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        write_image(&a, "x:dev", &[binary("x")]).unwrap();
        write_image(&b, "x:dev", &[binary("x")]).unwrap();
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    }

    #[test]
    fn an_image_without_or_with_equal_binaries_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("image.tar");
        assert!(write_image(&out, "x:dev", &[]).is_err());
        assert!(write_image(&out, "x:dev", &[binary("x"), binary("x")]).is_err());
    }

    #[test]
    fn rejects_dynamic_binaries() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(
            Binary::read(&script)
                .err()
                .unwrap()
                .to_string()
                .contains("ELF")
        );
        let shell = Path::new("/bin/sh");
        assert!(
            Binary::read(shell)
                .err()
                .unwrap()
                .to_string()
                .contains("dynamically linked")
        );
    }
}
