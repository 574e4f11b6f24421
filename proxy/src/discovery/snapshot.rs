//! The state file: what was applied last, so that a restart of the container needs no operator.
//!
//! `<snapshot-dir>/state` lies in a memory volume of the pod: it contains private keys, is readable
//! by its owner only, and dies with the pod. It is written beside and renamed, so it is whole or
//! absent; what is neither is refused, and the proxy starts as a new one does.

use portolan_discovery::delta::Update;
use portolan_discovery::table::ResourceName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Applied resources, by name.
pub(super) type State = BTreeMap<ResourceName, Arc<Update>>;

const FILE: &str = "state";
const UNFINISHED: &str = "state.unfinished";
/// The encoding follows the types of this build: another release's file is another format.
const FORMAT: &[u8] = concat!("portolan-proxy state ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();
const CHECKSUM: usize = 32;

/// Where the state is kept.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    folder: PathBuf,
    class: String,
}

/// Reasons for which a state file is ignored.
#[derive(Debug, Error)]
pub(super) enum SnapshotError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("was not written by this release")]
    Format,
    #[error("is damaged: its checksum does not fit")]
    Checksum,
    #[error("cannot be decoded: {0}")]
    Encoding(#[from] postcard::Error),
    #[error("is of class {0}")]
    Class(String),
}

#[derive(Serialize)]
struct Written<'a> {
    class: &'a str,
    resources: Vec<&'a Update>,
}

#[derive(Deserialize)]
struct Read {
    class: String,
    resources: Vec<Update>,
}

impl Snapshot {
    pub(super) fn new(folder: &Path, class: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            class: class.to_owned(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Replaces the file as a whole.
    pub(super) fn save(&self, state: &State) -> io::Result<()> {
        let content = postcard::to_stdvec(&Written {
            class: &self.class,
            resources: state.values().map(AsRef::as_ref).collect(),
        });
        let content = content.map_err(io::Error::other)?;
        let unfinished = self.folder.join(UNFINISHED);
        // One that a crash left behind; it may have been made with other rights.
        if let Err(error) = fs::remove_file(&unfinished)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(FORMAT)?;
        file.write_all(&Sha256::digest(&content))?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.path())?;
        File::open(&self.folder)?.sync_all()
    }

    /// Loads the saved state; `None` when there is none.
    pub(super) fn load(&self) -> Result<Option<State>, SnapshotError> {
        let bytes = match fs::read(self.path()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let rest = bytes.strip_prefix(FORMAT).ok_or(SnapshotError::Format)?;
        let (checksum, content) = rest
            .split_at_checked(CHECKSUM)
            .ok_or(SnapshotError::Checksum)?;
        if Sha256::digest(content).as_slice() != checksum {
            return Err(SnapshotError::Checksum);
        }
        let read: Read = postcard::from_bytes(content)?;
        if read.class != self.class {
            return Err(SnapshotError::Class(read.class));
        }
        let updates = read.resources.into_iter().map(Arc::new);
        Ok(Some(
            updates
                .map(|update| (update.resource.name(), update))
                .collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table::{Certificate, Resource};
    use std::os::unix::fs::PermissionsExt;
    use tempfile::{TempDir, tempdir};

    fn state() -> State {
        let certificate = |name: &str| Certificate {
            name: name.into(),
            chain_pem: "chain".into(),
            key_pem: "key".into(),
        };
        let updates = ["a", "b"].map(|name| {
            Arc::new(Update::new(
                Resource::Certificate(certificate(name)),
                Vec::new(),
            ))
        });
        updates
            .map(|update| (update.resource.name(), update))
            .into()
    }

    fn saved() -> (TempDir, Snapshot) {
        let folder = tempdir().unwrap();
        let snapshot = Snapshot::new(folder.path(), "public");
        snapshot.save(&state()).unwrap();
        (folder, snapshot)
    }

    #[test]
    fn what_was_saved_is_loaded_and_only_its_owner_can_read_it() {
        let (folder, snapshot) = saved();
        assert_eq!(snapshot.load().unwrap(), Some(state()));
        let mode = fs::metadata(snapshot.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn a_new_pod_has_nothing_saved() {
        let folder = tempdir().unwrap();
        let snapshot = Snapshot::new(folder.path(), "public");
        assert!(snapshot.load().unwrap().is_none());
    }

    #[test]
    fn ignores_and_replaces_an_unfinished_file() {
        let (folder, snapshot) = saved();
        fs::write(folder.path().join(UNFINISHED), b"half").unwrap();
        assert_eq!(snapshot.load().unwrap(), Some(state()));
        snapshot.save(&State::new()).unwrap();
        assert_eq!(snapshot.load().unwrap(), Some(State::new()));
    }

    #[test]
    fn a_file_with_any_byte_changed_or_missing_is_refused() {
        let (_folder, snapshot) = saved();
        let whole = fs::read(snapshot.path()).unwrap();
        for index in 0..whole.len() {
            let mut changed = whole.clone();
            changed[index] ^= 1;
            fs::write(snapshot.path(), &changed).unwrap();
            assert!(snapshot.load().is_err(), "byte {index} changed");
            fs::write(snapshot.path(), &whole[..index]).unwrap();
            assert!(snapshot.load().is_err(), "cut to {index} bytes");
        }
    }

    #[test]
    fn the_state_of_another_class_is_refused_by_name() {
        let (folder, _) = saved();
        let other = Snapshot::new(folder.path(), "private");
        assert_eq!(other.load().unwrap_err().to_string(), "is of class public");
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_and_no_panic() {
        let (folder, snapshot) = saved();
        drop(folder);
        assert!(snapshot.save(&state()).is_err());
    }
}
