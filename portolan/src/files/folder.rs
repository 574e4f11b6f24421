//! What is in force: a function of the files, but for those that are broken.

use super::field_in;
use super::object::{Key, Object};
use super::read::{self, Fault, Home, Outcome};
use super::walk::Contents;
use super::yaml::{self, Lines};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Every file as it was read last, and what is in force of it.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    home: Home,
    files: BTreeMap<String, File>,
    in_force: BTreeMap<Key, Entry>,
}

/// A file as it was read last, so that one that did not change costs no parsing.
#[derive(Debug)]
struct File {
    digest: [u8; 32],
    outcomes: Vec<Outcome>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    place: Place,
    object: Object,
}

/// Where an object stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    /// Relative to the folder.
    pub(crate) file: String,
    pub(crate) lines: Lines,
}

/// Something that is not in force, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trouble {
    pub(crate) file: String,
    /// 0 when the whole file is meant.
    pub(crate) line: usize,
    /// Such as `ExposedPort default/shop`; empty when that is unknown.
    pub(crate) object: String,
    pub(crate) field: String,
    pub(crate) problem: String,
}

impl fmt::Display for Trouble {
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

/// What became different, and what is wrong now.
#[derive(Debug, Default)]
pub(crate) struct Update {
    /// New or different.
    pub(crate) applied: Vec<Object>,
    pub(crate) gone: Vec<Key>,
    /// Everything that is wrong, in the order of the files.
    pub(crate) troubles: Vec<Trouble>,
    /// Kinds that are passed over, with how many objects of each there are.
    pub(crate) passed_over: BTreeMap<String, usize>,
}

impl Folder {
    /// An empty one, for objects that will live in a cluster.
    pub(crate) fn for_cluster() -> Self {
        Self {
            home: Home::Cluster,
            ..Self::default()
        }
    }

    /// Where an object stands that is in force.
    pub(crate) fn place(&self, key: &Key) -> Option<&Place> {
        Some(&self.in_force.get(key)?.place)
    }

    /// What a sentence says of an object that is in force.
    pub(crate) fn trouble(&self, key: &Key, sentence: &str) -> Option<Trouble> {
        let Place { file, lines } = self.place(key)?;
        let field = field_in(sentence);
        let problem = sentence.strip_prefix(field).unwrap_or(sentence);
        Some(Trouble {
            file: file.clone(),
            line: lines.of(field),
            object: key.to_string(),
            field: field.to_owned(),
            problem: problem.trim_start_matches(": ").to_owned(),
        })
    }

    /// Takes in what the files contain now.
    pub(crate) fn take_in(&mut self, contents: Contents) -> Update {
        let mut update = Update::default();
        let mut unreadable = BTreeMap::new();
        let mut files = BTreeMap::new();
        for (name, content) in contents {
            match content {
                Ok(bytes) => {
                    let digest = Sha256::digest(&bytes).into();
                    let file = match self.files.remove(&name) {
                        Some(file) if file.digest == digest => file,
                        _ => File::parse(digest, &bytes, self.home),
                    };
                    files.insert(name, file);
                }
                Err(problem) => {
                    unreadable.insert(name, problem);
                }
            }
        }
        self.files = files;
        let now = self.judge(&unreadable, &mut update);
        let before = std::mem::replace(&mut self.in_force, now);
        for (key, entry) in &self.in_force {
            if before.get(key).map(|it| &it.object) != Some(&entry.object) {
                update.applied.push(entry.object.clone());
            }
        }
        let gone = before
            .into_keys()
            .filter(|key| !self.in_force.contains_key(key));
        update.gone = gone.collect();
        update
    }

    /// What is in force now.
    fn judge(
        &self,
        unreadable: &BTreeMap<String, String>,
        update: &mut Update,
    ) -> BTreeMap<Key, Entry> {
        let mut now: BTreeMap<Key, Entry> = BTreeMap::new();
        // What each broken file may have meant: these objects of it, or any that it had.
        let mut doubtful: BTreeSet<Key> = BTreeSet::new();
        let mut doubtful_files: BTreeSet<&str> = BTreeSet::new();
        for (name, file) in &self.files {
            for outcome in &file.outcomes {
                match outcome {
                    Outcome::Other { kind } => {
                        *update.passed_over.entry(kind.clone()).or_default() += 1;
                    }
                    Outcome::Broken(fault) => {
                        match &fault.object {
                            Some(key) => drop(doubtful.insert(key.clone())),
                            None => drop(doubtful_files.insert(name)),
                        }
                        update.troubles.push(trouble(name, fault));
                    }
                    Outcome::Read { key, lines, object } => match now.get(key) {
                        Some(first) => {
                            let Place { file, lines: other } = &first.place;
                            let line = other.of("");
                            update.troubles.push(Trouble {
                                file: name.clone(),
                                line: lines.of(""),
                                object: key.to_string(),
                                field: String::new(),
                                problem: format!("the object is there already, at {file}:{line}; remove one of them"),
                            });
                        }
                        None => {
                            let place = Place {
                                file: name.clone(),
                                lines: lines.clone(),
                            };
                            let object = object.clone();
                            now.insert(key.clone(), Entry { place, object });
                        }
                    },
                }
            }
        }
        for (name, problem) in unreadable {
            update.troubles.push(Trouble {
                file: name.clone(),
                line: 0,
                object: String::new(),
                field: String::new(),
                problem: problem.clone(),
            });
        }
        let lost = |file: &str| {
            let below = |name: &String| file == name || file.starts_with(&format!("{name}/"));
            doubtful_files.contains(file)
                || unreadable.keys().any(|name| name == "." || below(name))
        };
        for (key, entry) in &self.in_force {
            if doubtful.contains(key) || lost(&entry.place.file) {
                now.entry(key.clone()).or_insert_with(|| entry.clone());
            }
        }
        now
    }
}

impl File {
    fn parse(digest: [u8; 32], bytes: &[u8], home: Home) -> Self {
        let broken = |line, field, problem| {
            vec![Outcome::Broken(Fault {
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
                    Ok(document) => read::read(document, home),
                    Err(it) => broken(it.line, it.field, it.problem),
                })
                .collect(),
            Err(_) => broken(0, String::new(), "this is no text in UTF-8".to_owned()),
        };
        Self { digest, outcomes }
    }
}

fn trouble(file: &str, fault: &Fault) -> Trouble {
    Trouble {
        file: file.to_owned(),
        line: fault.line,
        object: fault
            .object
            .as_ref()
            .map(Key::to_string)
            .unwrap_or_default(),
        field: fault.field.clone(),
        problem: fault.problem.clone(),
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

    /// What is applied and gone, and what is wrong, by name.
    fn told(update: &Update) -> (Vec<String>, Vec<String>, Vec<String>) {
        let name = |object: &Object| object.clone().metadata().name.clone().unwrap();
        (
            update.applied.iter().map(name).collect(),
            update
                .gone
                .iter()
                .map(|key| key.object.name.clone())
                .collect(),
            update.troubles.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn only_what_differs_is_told() {
        let mut folder = Folder::default();
        let two = service("a", "80") + &service("b", "80");
        let update = folder.take_in(contents(&[("x.yaml", &two)]));
        assert_eq!(
            told(&update),
            (vec!["a".into(), "b".into()], vec![], vec![])
        );
        let two = service("a", "81") + &service("c", "80");
        let update = folder.take_in(contents(&[("x.yaml", &two)]));
        assert_eq!(
            told(&update),
            (vec!["a".into(), "c".into()], vec!["b".into()], vec![])
        );
        let update = folder.take_in(contents(&[("y.yaml", &two)]));
        assert_eq!(
            told(&update),
            (vec![], vec![], vec![]),
            "a file may be renamed"
        );
    }

    #[test]
    fn a_broken_object_keeps_its_last_good_state_and_its_neighbours_change() {
        let mut folder = Folder::default();
        folder.take_in(contents(&[(
            "x.yaml",
            &(service("a", "80") + &service("b", "80")),
        )]));
        let broken = service("a", "eighty") + &service("b", "81");
        let (applied, gone, troubles) = told(&folder.take_in(contents(&[("x.yaml", &broken)])));
        assert_eq!((applied, gone), (vec!["b".to_owned()], vec![]));
        assert!(
            troubles[0].starts_with("x.yaml:5: Service default/a: spec.ports[0].port: "),
            "{troubles:?}"
        );
        let (applied, gone, troubles) =
            told(&folder.take_in(contents(&[("x.yaml", &service("b", "81"))])));
        assert_eq!(
            (applied, gone, troubles),
            (vec![], vec!["a".to_owned()], vec![])
        );
    }

    #[test]
    fn a_document_that_nobody_can_name_keeps_whatever_the_file_had() {
        let mut folder = Folder::default();
        folder.take_in(contents(&[
            ("x.yaml", &(service("a", "80") + &service("b", "80"))),
            ("y.yaml", &service("c", "80")),
        ]));
        let torn = service("a", "81") + "kind: [\n";
        let (applied, gone, troubles) = told(&folder.take_in(contents(&[("x.yaml", &torn)])));
        assert_eq!(
            (applied, gone),
            (vec!["a".to_owned()], vec!["c".to_owned()])
        );
        assert_eq!(troubles.len(), 1);
    }

    #[test]
    fn what_cannot_be_opened_keeps_everything_below_it() {
        let mut folder = Folder::default();
        let files = [
            ("d/x.yaml", service("a", "80")),
            ("y.yaml", service("b", "80")),
        ];
        folder.take_in(contents(
            &files.each_ref().map(|(name, text)| (*name, text.as_str())),
        ));
        let shut = |name: &str| -> Contents {
            [(name.to_owned(), Err("no permission".to_owned()))].into()
        };
        assert_eq!(told(&folder.take_in(shut("."))).1, Vec::<String>::new());
        let (applied, gone, troubles) = told(&folder.take_in(shut("d")));
        assert_eq!((applied, gone), (vec![], vec!["b".to_owned()]));
        assert_eq!(troubles, ["d: no permission"]);
    }

    #[test]
    fn of_two_with_one_name_the_first_counts_and_the_other_is_told() {
        let mut folder = Folder::default();
        let (first, second) = (service("a", "80"), service("a", "81"));
        let update = folder.take_in(contents(&[("x.yaml", &first), ("y.yaml", &second)]));
        let (applied, _, troubles) = told(&update);
        assert_eq!(applied, ["a"]);
        assert_eq!(
            troubles,
            [
                "y.yaml:1: Service default/a: the object is there already, at x.yaml:1; remove one of them"
            ]
        );
        let update = folder.take_in(contents(&[("y.yaml", &second)]));
        assert_eq!(told(&update).0, ["a"], "the other one counts now");
    }

    #[test]
    fn other_kinds_are_counted() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\n".repeat(2);
        let update = Folder::default().take_in(contents(&[("x.yaml", &text)]));
        assert_eq!(update.passed_over, [("ConfigMap".to_owned(), 2)].into());
        assert!(update.troubles.is_empty());
    }
}
