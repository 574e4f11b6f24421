//! Effective objects: a function of the files, except for those that are invalid.

use super::field_in;
use super::object::{Key, Object};
use super::read::{self, DocumentError, Outcome, Target};
use super::walk::Contents;
use super::yaml::{self, Lines};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Files as they were last read, and the effective objects.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    target: Target,
    files: BTreeMap<String, File>,
    effective: BTreeMap<Key, Entry>,
}

/// A file as it was last read, so that an unchanged one is not parsed again.
#[derive(Debug)]
struct File {
    digest: [u8; 32],
    outcomes: Vec<Outcome>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    location: Location,
    object: Object,
}

/// Location of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Location {
    /// Relative to the folder.
    pub(crate) file: String,
    pub(crate) lines: Lines,
}

/// Error in a file or object, with its location.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Diagnostic {
    pub(crate) file: String,
    /// 0 for the whole file.
    pub(crate) line: usize,
    /// Such as `ExposedPort default/shop`; empty if unknown.
    pub(crate) object: String,
    pub(crate) field: String,
    pub(crate) problem: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        for part in [&self.object, &self.field] {
            if !part.is_empty() {
                write!(f, ": {part}")?;
            }
        }
        write!(f, ": {}", self.problem)
    }
}

/// Changes of objects, and current diagnostics.
#[derive(Debug, Default)]
pub(crate) struct Update {
    /// New or changed objects.
    pub(crate) applied: Vec<Object>,
    pub(crate) deleted: Vec<Key>,
    /// Current diagnostics, in the order of the files.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Number of skipped objects by kind.
    pub(crate) skipped: BTreeMap<String, usize>,
}

impl Folder {
    /// Returns an empty folder for objects of a cluster.
    pub(crate) fn for_cluster() -> Self {
        Self {
            target: Target::Cluster,
            ..Self::default()
        }
    }

    /// Returns the location of an effective object.
    pub(crate) fn location(&self, key: &Key) -> Option<&Location> {
        Some(&self.effective.get(key)?.location)
    }

    /// Returns the diagnostic for a message about an effective object.
    pub(crate) fn diagnostic(&self, key: &Key, message: &str) -> Option<Diagnostic> {
        let Location { file, lines } = self.location(key)?;
        let field = field_in(message);
        let problem = message.strip_prefix(field).unwrap_or(message);
        Some(Diagnostic {
            file: file.clone(),
            line: lines.of(field),
            object: key.to_string(),
            field: field.to_owned(),
            problem: problem.trim_start_matches(": ").to_owned(),
        })
    }

    /// Replaces the contents of the files.
    pub(crate) fn update(&mut self, contents: Contents) -> Update {
        let mut update = Update::default();
        let mut unreadable = BTreeMap::new();
        let mut files = BTreeMap::new();
        for (name, content) in contents {
            match content {
                Ok(bytes) => {
                    let digest = Sha256::digest(&bytes).into();
                    let file = match self.files.remove(&name) {
                        Some(file) if file.digest == digest => file,
                        _ => File::parse(digest, &bytes, self.target),
                    };
                    files.insert(name, file);
                }
                Err(problem) => {
                    unreadable.insert(name, problem);
                }
            }
        }
        self.files = files;
        let now = self.resolve(&unreadable, &mut update);
        let before = std::mem::replace(&mut self.effective, now);
        for (key, entry) in &self.effective {
            if before.get(key).map(|entry| &entry.object) != Some(&entry.object) {
                update.applied.push(entry.object.clone());
            }
        }
        let deleted = before
            .into_keys()
            .filter(|key| !self.effective.contains_key(key));
        update.deleted = deleted.collect();
        update
    }

    /// Determines the effective objects.
    fn resolve(
        &self,
        unreadable: &BTreeMap<String, String>,
        update: &mut Update,
    ) -> BTreeMap<Key, Entry> {
        let mut now: BTreeMap<Key, Entry> = BTreeMap::new();
        // Objects that invalid documents may define: these, or any of these files.
        let mut uncertain: BTreeSet<Key> = BTreeSet::new();
        let mut uncertain_files: BTreeSet<&str> = BTreeSet::new();
        for (name, file) in &self.files {
            for outcome in &file.outcomes {
                match outcome {
                    Outcome::Skipped { kind } => {
                        *update.skipped.entry(kind.clone()).or_default() += 1;
                    }
                    Outcome::Invalid(error) => {
                        match &error.object {
                            Some(key) => drop(uncertain.insert(key.clone())),
                            None => drop(uncertain_files.insert(name)),
                        }
                        update.diagnostics.push(diagnostic(name, error));
                    }
                    Outcome::Object { key, lines, object } => match now.get(key) {
                        Some(first) => {
                            let Location { file, lines: other } = &first.location;
                            let line = other.of("");
                            update.diagnostics.push(Diagnostic {
                                file: name.clone(),
                                line: lines.of(""),
                                object: key.to_string(),
                                field: String::new(),
                                problem: format!("Duplicate value: already defined at {file}:{line}; remove one of them"),
                            });
                        }
                        None => {
                            let location = Location {
                                file: name.clone(),
                                lines: lines.clone(),
                            };
                            let object = object.clone();
                            now.insert(key.clone(), Entry { location, object });
                        }
                    },
                }
            }
        }
        for (name, problem) in unreadable {
            update.diagnostics.push(Diagnostic {
                file: name.clone(),
                line: 0,
                object: String::new(),
                field: String::new(),
                problem: problem.clone(),
            });
        }
        let is_unread = |file: &str| {
            let below = |name: &String| file == name || file.starts_with(&format!("{name}/"));
            uncertain_files.contains(file)
                || unreadable.keys().any(|name| name == "." || below(name))
        };
        for (key, entry) in &self.effective {
            if uncertain.contains(key) || is_unread(&entry.location.file) {
                now.entry(key.clone()).or_insert_with(|| entry.clone());
            }
        }
        now
    }
}

impl File {
    fn parse(digest: [u8; 32], bytes: &[u8], target: Target) -> Self {
        let invalid = |line, field, problem| {
            vec![Outcome::Invalid(DocumentError {
                line,
                object: None,
                field,
                problem,
            })]
        };
        let outcomes = match std::str::from_utf8(bytes) {
            Ok(text) => yaml::documents(text)
                .into_iter()
                .flat_map(|document| match document {
                    Ok(document) => read::read(document, target),
                    Err(error) => invalid(error.line, error.field, error.problem),
                })
                .collect(),
            Err(_) => invalid(0, String::new(), "invalid UTF-8".to_owned()),
        };
        Self { digest, outcomes }
    }
}

fn diagnostic(file: &str, error: &DocumentError) -> Diagnostic {
    Diagnostic {
        file: file.to_owned(),
        line: error.line,
        object: error
            .object
            .as_ref()
            .map(Key::to_string)
            .unwrap_or_default(),
        field: error.field.clone(),
        problem: error.problem.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, port: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  ports: [{{port: {port}}}]\n---\n"
        )
    }

    fn contents(files: &[(&str, &str)]) -> Contents {
        let read = |(name, text): &(&str, &str)| ((*name).to_owned(), Ok(text.as_bytes().to_vec()));
        files.iter().map(read).collect()
    }

    /// Names of applied and deleted objects, and diagnostics.
    fn summary(update: &Update) -> (Vec<String>, Vec<String>, Vec<String>) {
        let name = |object: &Object| object.clone().metadata().name.clone().unwrap();
        (
            update.applied.iter().map(name).collect(),
            update
                .deleted
                .iter()
                .map(|key| key.object.name.clone())
                .collect(),
            update.diagnostics.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn reports_only_changes() {
        let mut folder = Folder::default();
        let two = service("a", "80") + &service("b", "80");
        let update = folder.update(contents(&[("x.yaml", &two)]));
        assert_eq!(
            summary(&update),
            (vec!["a".into(), "b".into()], vec![], vec![])
        );
        let two = service("a", "81") + &service("c", "80");
        let update = folder.update(contents(&[("x.yaml", &two)]));
        assert_eq!(
            summary(&update),
            (vec!["a".into(), "c".into()], vec!["b".into()], vec![])
        );
        let update = folder.update(contents(&[("y.yaml", &two)]));
        assert_eq!(
            summary(&update),
            (vec![], vec![], vec![]),
            "a file may be renamed"
        );
    }

    #[test]
    fn an_invalid_object_keeps_its_last_valid_state() {
        let mut folder = Folder::default();
        folder.update(contents(&[(
            "x.yaml",
            &(service("a", "80") + &service("b", "80")),
        )]));
        let invalid = service("a", "eighty") + &service("b", "81");
        let (applied, deleted, diagnostics) =
            summary(&folder.update(contents(&[("x.yaml", &invalid)])));
        assert_eq!((applied, deleted), (vec!["b".to_owned()], vec![]));
        assert!(
            diagnostics[0].starts_with("x.yaml:5: Service default/a: spec.ports[0].port: "),
            "{diagnostics:?}"
        );
        let (applied, deleted, diagnostics) =
            summary(&folder.update(contents(&[("x.yaml", &service("b", "81"))])));
        assert_eq!(
            (applied, deleted, diagnostics),
            (vec![], vec!["a".to_owned()], vec![])
        );
    }

    #[test]
    fn an_unnamed_document_keeps_all_objects_of_its_file() {
        let mut folder = Folder::default();
        folder.update(contents(&[
            ("x.yaml", &(service("a", "80") + &service("b", "80"))),
            ("y.yaml", &service("c", "80")),
        ]));
        let torn = service("a", "81") + "kind: [\n";
        let (applied, deleted, diagnostics) =
            summary(&folder.update(contents(&[("x.yaml", &torn)])));
        assert_eq!(
            (applied, deleted),
            (vec!["a".to_owned()], vec!["c".to_owned()])
        );
        assert_eq!(diagnostics.len(), 1);
    }

    #[test]
    fn an_unreadable_folder_keeps_its_objects() {
        let mut folder = Folder::default();
        let files = [
            ("d/x.yaml", service("a", "80")),
            ("y.yaml", service("b", "80")),
        ];
        folder.update(contents(
            &files.each_ref().map(|(name, text)| (*name, text.as_str())),
        ));
        let unreadable = |name: &str| -> Contents {
            [(name.to_owned(), Err("no permission".to_owned()))].into()
        };
        assert_eq!(
            summary(&folder.update(unreadable("."))).1,
            Vec::<String>::new()
        );
        let (applied, deleted, diagnostics) = summary(&folder.update(unreadable("d")));
        assert_eq!((applied, deleted), (vec![], vec!["b".to_owned()]));
        assert_eq!(diagnostics, ["d: no permission"]);
    }

    #[test]
    fn the_first_of_two_objects_with_one_name_wins() {
        let mut folder = Folder::default();
        let (first, second) = (service("a", "80"), service("a", "81"));
        let update = folder.update(contents(&[("x.yaml", &first), ("y.yaml", &second)]));
        let (applied, _, diagnostics) = summary(&update);
        assert_eq!(applied, ["a"]);
        assert_eq!(
            diagnostics,
            [
                "y.yaml:1: Service default/a: Duplicate value: already defined at x.yaml:1; remove one of them"
            ]
        );
        let update = folder.update(contents(&[("y.yaml", &second)]));
        assert_eq!(summary(&update).0, ["a"], "the other one is effective now");
    }

    #[test]
    fn counts_skipped_kinds() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\n".repeat(2);
        let update = Folder::default().update(contents(&[("x.yaml", &text)]));
        assert_eq!(update.skipped, [("ConfigMap".to_owned(), 2)].into());
        assert!(update.diagnostics.is_empty());
    }
}
