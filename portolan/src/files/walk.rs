//! Reads the files of a folder and its subfolders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Contents of files by path relative to the folder, or the error for a file or folder.
pub(crate) type Contents = BTreeMap<String, Result<Vec<u8>, String>>;

/// Maximum size of a file.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum number of files.
const FILES: usize = 100_000;
/// Maximum nesting of folders.
const DEPTH: usize = 32;

/// Reads every `.yaml`, `.yml` and `.json`. Names that begin with a dot are skipped, as editors and
/// mounted ConfigMaps use them. Links are followed, and each folder is read once.
pub(crate) fn walk(root: &Path) -> Contents {
    let mut walk = Walk::new(root);
    walk.folder(root, 0);
    walk.contents
}

/// Reads these paths: a file of any name, a folder like [`walk`], and standard input for `-`. Contents
/// are keyed by the given path.
pub(crate) fn walk_paths(paths: &[PathBuf]) -> Contents {
    let mut walk = Walk::new(Path::new(""));
    for path in paths {
        if path.as_os_str() == "-" {
            let read = read(io::stdin().lock());
            walk.contents.insert(STDIN.to_owned(), read);
            continue;
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => walk.folder(path, 0),
            Ok(_) => walk.file(path),
            Err(error) => walk.unreadable(path, &error),
        }
    }
    walk.contents
}

/// Name of standard input.
const STDIN: &str = "<stdin>";

fn read(from: impl io::Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = from.take(FILE_BYTES + 1).read_to_end(&mut bytes);
    match read {
        Ok(_) if bytes.len() as u64 > FILE_BYTES => {
            Err(format!("larger than {FILE_BYTES} bytes; split it"))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

struct Walk<'a> {
    root: &'a Path,
    contents: Contents,
    /// Canonical paths of folders, so that cyclic links end.
    seen: BTreeSet<PathBuf>,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            contents: Contents::new(),
            seen: BTreeSet::new(),
        }
    }

    fn folder(&mut self, at: &Path, depth: usize) {
        if depth > DEPTH {
            return self.fail(at, format!("folders are nested more than {DEPTH} deep"));
        }
        match fs::canonicalize(at) {
            Ok(real) => {
                if !self.seen.insert(real) {
                    return;
                }
            }
            Err(error) => return self.unreadable(at, &error),
        }
        let entries = fs::read_dir(at).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut paths: Vec<PathBuf> = match entries {
            Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
            Err(error) => return self.unreadable(at, &error),
        };
        paths.sort();
        for path in paths {
            if !is_hidden(&path) {
                self.entry(&path, depth);
            }
        }
    }

    fn entry(&mut self, path: &Path, depth: usize) {
        // Follows links. A file that was deleted meanwhile is ignored.
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path, depth + 1),
            Ok(metadata) if metadata.is_file() && has_known_extension(path) => self.file(path),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if has_known_extension(path) => self.unreadable(path, &error),
            Err(_) => {}
        }
    }

    fn file(&mut self, path: &Path) {
        if self.contents.len() >= FILES {
            return self.fail(self.root, format!("more than {FILES} files"));
        }
        match fs::File::open(path) {
            Ok(file) => drop(self.contents.insert(self.name(path), read(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.fail(path, format!("cannot be read: {error}"));
    }

    fn fail(&mut self, path: &Path, problem: String) {
        let name = self.name(path);
        self.contents.insert(name, Err(problem));
    }

    /// Returns the path relative to the root, which itself is `.`.
    fn name(&self, path: &Path) -> String {
        let relative = path.strip_prefix(self.root).unwrap_or(path);
        match relative.to_string_lossy() {
            name if name.is_empty() => ".".to_owned(),
            name => name.into_owned(),
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_none_or(|name| name.starts_with('.'))
}

fn has_known_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn reads_subfolders_and_follows_links_once() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::create_dir(at(".git")).unwrap();
        for name in [
            "x.yaml",
            "a/y.yml",
            "a/b/z.json",
            "notes.txt",
            ".x.yaml.swp",
            ".git/c.yaml",
        ] {
            fs::write(at(name), name).unwrap();
        }
        symlink("..", at("a/up")).unwrap();
        symlink("x.yaml", at("link.yaml")).unwrap();
        symlink("nowhere", at("broken.yaml")).unwrap();
        let contents = walk(root.path());
        let names: Vec<&str> = contents.keys().map(String::as_str).collect();
        assert_eq!(names, ["a/b/z.json", "a/y.yml", "link.yaml", "x.yaml"]);
        assert_eq!(contents["a/y.yml"], Ok(b"a/y.yml".to_vec()));
    }

    #[test]
    fn reports_large_and_missing_files() {
        let root = tempfile::tempdir().unwrap();
        let large = fs::File::create(root.path().join("large.yaml")).unwrap();
        large.set_len(FILE_BYTES + 1).unwrap();
        let contents = walk(root.path());
        assert!(
            contents["large.yaml"]
                .as_ref()
                .unwrap_err()
                .contains("larger")
        );
        let absent = walk(&root.path().join("absent"));
        assert!(
            absent["."]
                .as_ref()
                .unwrap_err()
                .starts_with("cannot be read")
        );
    }
}
