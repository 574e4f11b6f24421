//! Reads the files of a folder, and of the folders in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// What is in each file, by its path relative to the folder; or why it, or a folder, cannot be read.
pub(crate) type Contents = BTreeMap<String, Result<Vec<u8>, String>>;

/// A larger file is refused.
const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// More files are refused.
const FILES: usize = 100_000;
/// Folders in folders.
const DEPTH: usize = 32;

/// Reads every `.yaml`, `.yml` and `.json`. What begins with a dot is passed over: editors and mounted
/// ConfigMaps keep their own things there. Links are followed, a folder is read once.
pub(crate) fn walk(root: &Path) -> Contents {
    let mut walk = Walk::new(root);
    walk.folder(root, 0);
    walk.contents
}

/// Reads what is named: a file whatever it is called, a folder as [`walk`] does, and for `-` standard
/// input. Each has the name that it was given.
pub(crate) fn gather(paths: &[PathBuf]) -> Contents {
    let mut walk = Walk::new(Path::new(""));
    for path in paths {
        if path.as_os_str() == "-" {
            let read = read(io::stdin().lock());
            walk.contents.insert(STDIN.to_owned(), read);
            continue;
        }
        match fs::metadata(path) {
            Ok(it) if it.is_dir() => walk.folder(path, 0),
            Ok(_) => walk.file(path),
            Err(error) => walk.unreadable(path, &error),
        }
    }
    walk.contents
}

/// What standard input is called.
const STDIN: &str = "<stdin>";

fn read(from: impl io::Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = from.take(FILE_BYTES + 1).read_to_end(&mut bytes);
    match read {
        Ok(_) if bytes.len() as u64 > FILE_BYTES => {
            Err(format!("larger than {FILE_BYTES} bytes; divide it"))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

struct Walk<'a> {
    root: &'a Path,
    contents: Contents,
    /// Folders by what they really are, so that a link back up ends.
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
            return self.refuse(at, format!("more than {DEPTH} folders in one another"));
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
        // Follows links. What is gone by now is as good as never seen.
        match fs::metadata(path) {
            Ok(it) if it.is_dir() => self.folder(path, depth + 1),
            Ok(it) if it.is_file() && is_ours(path) => self.file(path),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if is_ours(path) => self.unreadable(path, &error),
            Err(_) => {}
        }
    }

    fn file(&mut self, path: &Path) {
        if self.contents.len() >= FILES {
            return self.refuse(self.root, format!("more than {FILES} files"));
        }
        match fs::File::open(path) {
            Ok(file) => drop(self.contents.insert(self.name(path), read(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable(path, &error),
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.refuse(path, format!("cannot be read: {error}"));
    }

    fn refuse(&mut self, path: &Path, problem: String) {
        let name = self.name(path);
        self.contents.insert(name, Err(problem));
    }

    /// Relative to the root, which itself is `.`.
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

fn is_ours(path: &Path) -> bool {
    let extension = path.extension().and_then(|it| it.to_str());
    matches!(extension, Some("yaml" | "yml" | "json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_are_read_with_what_is_in_them_and_links_end() {
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
    fn what_is_too_large_or_absent_is_told_by_name() {
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
