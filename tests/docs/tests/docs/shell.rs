//! Shell blocks have valid syntax, and name targets of the Makefile and values of the chart that exist.

use super::page::Block;
use super::{assert_none, pages, root};
use regex::Regex;
use serde_yaml::Value;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Languages of fenced blocks: commands, transcripts, objects, and what is neither.
const LANGUAGES: [&str; 4] = ["sh", "console", "yaml", "text"];

/// Returns the commands of a block: all of it, or what follows the prompts of a transcript.
fn script(block: &Block) -> Option<String> {
    match block.language.as_str() {
        "sh" => Some(block.content.clone()),
        "console" => {
            let lines = block.content.lines();
            let commands = lines.filter_map(|line| line.strip_prefix("$ "));
            Some(commands.map(|line| format!("{line}\n")).collect())
        }
        _ => None,
    }
}

/// Every script of every page, with its place.
fn scripts() -> Vec<(String, String)> {
    let mut scripts = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            let place = format!("{}:{}", page.path, block.line);
            scripts.extend(script(&block).map(|script| (place, script)));
        }
    }
    assert!(scripts.len() > 30, "only {} scripts", scripts.len());
    scripts
}

/// Has bash parse a script without running it.
fn parse(script: &str) -> Result<(), String> {
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = bash.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    let output = bash.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    // A here-document without its end is a warning only.
    if output.status.success() && error.is_empty() {
        Ok(())
    } else {
        Err(error)
    }
}

#[test]
fn every_block_has_a_known_language() {
    let mut findings = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            if !LANGUAGES.contains(&block.language.as_str()) {
                let language = &block.language;
                findings.push(format!("{}:{}: {language:?}", page.path, block.line));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn every_shell_block_has_valid_syntax() {
    let findings: Vec<_> = scripts()
        .into_iter()
        .filter_map(|(place, script)| Some(format!("{place}: {}", parse(&script).err()?)))
        .collect();
    assert_none(&findings);
}

#[test]
fn every_make_target_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let command = Regex::new(r"(?m)^(?:[A-Z_]+=\S* )*make ([a-z-]+)").unwrap();
    let mut findings = Vec::new();
    for (place, script) in scripts() {
        for found in command.captures_iter(&script) {
            if !makefile.contains(&format!("\n{}:", &found[1])) {
                findings.push(format!("{place}: make {}", &found[1]));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn every_value_of_the_chart_exists() {
    let values = fs::read_to_string(root().join("charts/portolan/values.yaml")).unwrap();
    let values: Value = serde_yaml::from_str(&values).unwrap();
    let flag = Regex::new(r"--set ([A-Za-z.]+)=").unwrap();
    let mut checked = 0;
    let mut findings = Vec::new();
    for (place, script) in scripts() {
        for found in flag.captures_iter(&script) {
            let mut keys = found[1].split('.');
            if keys
                .try_fold(&values, |value, key| value.get(key))
                .is_none()
            {
                findings.push(format!("{place}: {}", &found[1]));
            }
            checked += 1;
        }
    }
    assert!(checked > 2, "only {checked} values");
    assert_none(&findings);
}

#[test]
fn rejects_scripts_that_do_not_end() {
    assert_eq!(parse("echo a | cat"), Ok(()));
    assert!(parse("if true; then").is_err());
    assert!(parse("cat <<X\nY\n").is_err());
}
