//! Relative links lead to a file of the repository, and to a heading where they name one.

use super::{Page, assert_none, pages, root};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Resolves `..` without looking at the file system; `None` above the root.
fn normalize(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir if !normal.pop() => return None,
            Component::ParentDir | Component::CurDir => {}
            other => normal.push(other),
        }
    }
    Some(normal)
}

/// Returns what is wrong with a relative link.
fn problem(page: &Page, target: &str, pages: &BTreeMap<PathBuf, &Page>) -> Option<&'static str> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let own = Path::new(&page.path);
    let path = match file {
        "" => Some(own.to_owned()),
        _ => normalize(&own.parent().unwrap().join(file)),
    };
    let Some(path) = path else {
        return Some("leads out of the repository");
    };
    if !root().join(&path).exists() {
        return Some("no such file");
    }
    let known = |linked: &&Page| linked.anchors().contains(anchor);
    let found = anchor.is_empty() || pages.get(&path).is_some_and(known);
    (!found).then_some("no such heading")
}

#[test]
fn every_relative_link_has_a_target() {
    let pages = pages();
    let by_path = pages.iter().map(|page| (PathBuf::from(&page.path), page));
    let by_path: BTreeMap<_, _> = by_path.collect();
    let mut checked = 0;
    let mut findings = Vec::new();
    for page in &pages {
        for link in page.links() {
            if link.target.contains("://") || link.target.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            if let Some(problem) = problem(page, &link.target, &by_path) {
                let (path, line, target) = (&page.path, link.line, &link.target);
                findings.push(format!("{path}:{line}: {target}: {problem}"));
            }
        }
    }
    assert!(checked > 200, "only {checked} links");
    assert_none(&findings);
}

#[test]
fn every_page_of_the_docs_is_linked() {
    let pages = pages();
    let mut linked: Vec<PathBuf> = Vec::new();
    for page in &pages {
        let folder = Path::new(&page.path).parent().unwrap();
        for link in page.links() {
            let (file, _) = link.target.split_once('#').unwrap_or((&link.target, ""));
            linked.extend(normalize(&folder.join(file)));
        }
    }
    let orphans: Vec<_> = pages
        .iter()
        .map(|page| Path::new(&page.path))
        .filter(|path| path.starts_with("docs"))
        .filter(|path| {
            !path
                .ancestors()
                .take(2)
                .any(|it| linked.iter().any(|at| at == it))
        })
        .map(|path| format!("{}: no page links to it", path.display()))
        .collect();
    assert_none(&orphans);
}

#[test]
fn reports_links_that_lead_nowhere() {
    let page = Page::new("tests/clients/a.md".into(), "# Title\n".into());
    let pages = BTreeMap::from([(PathBuf::from("tests/clients/README.md"), &page)]);
    let problem = |target| problem(&page, target, &pages);
    assert_eq!(problem("README.md"), None);
    assert_eq!(problem("README.md#title"), None);
    assert_eq!(problem("README.md#other"), Some("no such heading"));
    assert_eq!(problem("none.md"), Some("no such file"));
    assert_eq!(problem("../../../x"), Some("leads out of the repository"));
}
