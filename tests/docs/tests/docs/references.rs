//! Pages that code, charts and scripts name exist, so that a moved page leaves no message that leads nowhere.

use super::{assert_none, root, tracked};
use regex::Regex;
use std::fs;

#[test]
fn every_page_that_code_names_exists() {
    let name = Regex::new(r"\bdocs/[A-Za-z0-9_./-]+\.(?:md|yaml|svg)\b").unwrap();
    let files = tracked(&["*.rs", "*.yaml", "*.tpl", "*.toml", "*.sh", "Makefile"]);
    let mut checked = 0;
    let mut findings = Vec::new();
    for file in files {
        // Modules of Kubernetes and others name pages of their own.
        if file.starts_with("tests/cluster/modules/") {
            continue;
        }
        let text = fs::read_to_string(root().join(&file)).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            for found in name.find_iter(line) {
                checked += 1;
                if !root().join(found.as_str()).exists() {
                    findings.push(format!("{file}:{number}: {}", found.as_str()));
                }
            }
        }
    }
    assert!(checked > 20, "only {checked} names");
    assert_none(&findings);
}

#[test]
fn every_path_to_a_route_field_exists() {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let (_, section) = page.split_once("\n## Add a route field\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let path = Regex::new(r"`([a-z_]+/[A-Za-z0-9_./-]*)`").unwrap();
    let paths = path.captures_iter(section).map(|found| found[1].to_owned());
    let paths: Vec<_> = paths.collect();
    assert!(paths.len() > 30, "only {} paths", paths.len());
    let missing = paths.into_iter().filter(|path| !root().join(path).exists());
    assert_none(&missing.collect::<Vec<_>>());
}
