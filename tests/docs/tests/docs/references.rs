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
