//! Runs `portolan check` and `portolan render` like CI: files in, output and exit code out.

mod reasons;

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const SHOP: &str = "\
apiVersion: portolan.dev/v1alpha1
kind: ExposedPort
metadata: {name: shop, namespace: team-a}
spec:
  selector: {app: shop}
  port: 8080
  hostnames: [shop.example.com]
";

/// Runs the program with this standard input.
fn portolan(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portolan"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that rejects its arguments reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn result(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn valid_files_print_nothing_and_exit_0() {
    let (code, out, err) = result(&portolan(&["check", "-f", "-"], SHOP));
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(
        err.starts_with("1 ExposedPort in 1 file: 0 errors"),
        "{err}"
    );
}

#[test]
fn an_error_prints_a_line_and_exits_1() {
    let bad = SHOP.replace("8080", "0");
    let (code, out, _) = result(&portolan(&["check", "--filename", "-"], &bad));
    assert_eq!(code, Some(1));
    assert!(
        out.starts_with("<stdin>:6: error: ExposedPort team-a/shop: spec.port: Invalid value: "),
        "{out}"
    );
    let (code, out, _) = result(&portolan(&["check", "-f", "-", "-o", "json"], &bad));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["errors"]), (Some(1), &1.into()));
    assert_eq!(report["findings"][0]["line"], 6);
    assert_eq!(report["findings"][0]["severity"], "error");
    assert_eq!(report["findings"][0]["reason"], "InvalidSpec");
}

#[test]
fn strict_turns_warnings_into_errors() {
    let theirs = SHOP.replace("selector: {app: shop}", "service: theirs");
    let (code, out, _) = result(&portolan(&["check", "-f", "-"], &theirs));
    assert_eq!(code, Some(0));
    assert!(out.contains(": warning: "), "{out}");
    let (code, out, _) = result(&portolan(&["check", "--strict", "-f", "-"], &theirs));
    assert_eq!(code, Some(1));
    assert!(out.contains(": error: "), "{out}");
}

#[test]
fn missing_files_are_named() {
    for command in ["check", "render"] {
        let (code, out, err) = result(&portolan(&[command, "-f", "no/such.yaml"], ""));
        assert_eq!(code, Some(1), "{command}");
        assert!(
            (out + &err).contains("no/such.yaml: "),
            "{command}: not named"
        );
        let (code, _, err) = result(&portolan(&[command], ""));
        assert_eq!(code, Some(2), "{command}: {err}");
    }
}

/// Even for an object exported from a cluster, which is older than its lease.
#[test]
fn leases_count_as_renewed() {
    let leased = SHOP
        .replace(
            "namespace: team-a}",
            "namespace: team-a, creationTimestamp: 2020-01-01T00:00:00Z}",
        )
        .replace("  port:", "  lease: {duration: 30s}\n  port:");
    let (code, out, err) = result(&portolan(&["check", "-f", "-"], &leased));
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    let short = leased.replace("30s", "4s");
    let (code, out, _) = result(&portolan(&["check", "-f", "-"], &short));
    assert_eq!(code, Some(1));
    assert!(
        out.contains(
            "spec.lease.duration: Invalid value: \"4s\": must be a duration from 5s to 24h"
        ),
        "{out}"
    );
}

#[test]
fn renders_json_and_yaml() {
    let (code, out, _) = result(&portolan(&["render", "-f", "-", "-o", "json"], SHOP));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(json["virtualHosts"][0]["hostname"], "shop.example.com");
    let (_, out, err) = result(&portolan(&["render", "-f", "-"], SHOP));
    assert!(out.starts_with("exposedPorts:\n"), "{out}");
    assert!(err.contains("ExposeClass public"), "{err}");
}

/// The examples of this repository have no errors.
#[test]
fn the_examples_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let examples = root.join("examples");
    let (code, out, err) = result(&portolan(&["check", "-f", examples.to_str().unwrap()], ""));
    assert_eq!(code, Some(0), "{out}{err}");
}

/// Every error that a page documents is found, and no other.
#[test]
fn documented_examples_have_only_documented_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides/examples");
    let mut pages = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let page = std::fs::read_to_string(&path).unwrap();
        let Some((_, behind)) = page.split_once("```yaml\n") else {
            assert!(path.ends_with("README.md"), "{}: no YAML", path.display());
            continue;
        };
        let (yaml, behind) = behind.split_once("```").unwrap();
        let (code, out, _) = result(&portolan(&["check", "-f", "-", "-o", "json"], yaml));
        let report: Value = serde_json::from_str(&out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let errors: Vec<_> = findings
            .iter()
            .filter(|finding| finding["severity"] == "error")
            .map(|finding| finding["reason"].as_str().unwrap())
            .collect();
        let shown: Vec<_> = behind
            .lines()
            .filter_map(|line| {
                let documented = ["| Invalid, `", "| Pending, `"];
                let (_, behind) = documented.iter().find_map(|start| line.split_once(start))?;
                Some(behind.split_once('`')?.0)
            })
            .collect();
        assert_eq!(errors, shown, "{}: {report:#}", path.display());
        assert_eq!(code, Some(i32::from(!shown.is_empty())));
        pages += 1;
    }
    assert!(pages >= 20, "only {pages}");
}

/// Returns a page of this repository.
fn page(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// Returns the flags at the beginning of lines, such as `--files`.
fn flags<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let long = lines.flat_map(|line| {
        line.split(['`', ' ', ','])
            .filter(|word| word.starts_with("--") && *word != "---")
    });
    long.map(|flag| flag.trim_end_matches([',', ';']).to_owned())
        .collect()
}

#[test]
fn the_reference_has_every_flag() {
    let reference = page("docs/reference/cli.md");
    for command in ["check", "render", "serve"] {
        let output = portolan(&[command, "--help"], "");
        let help = String::from_utf8(output.stdout).unwrap();
        // An option's line is indented, its description more.
        let options = help.lines().map(str::trim_start);
        let exported = flags(
            options
                .filter(|line| line.starts_with('-'))
                .map(|line| line.split_once("  ").map_or(line, |(names, _)| names)),
        );
        let (_, section) = reference
            .split_once(&format!("\n## portolan {command}\n"))
            .unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let documented = flags(section.lines());
        let common = ["--help", "--log-format"].map(str::to_owned);
        let missing: Vec<_> = exported
            .difference(&documented)
            .filter(|flag| !common.contains(flag))
            .collect();
        let unknown: Vec<_> = documented.difference(&exported).collect();
        assert!(missing.is_empty(), "{command}: {missing:?} not documented");
        assert!(unknown.is_empty(), "{command} has no {unknown:?}");
    }
}

/// Besides the examples: objects of a page fit together, with the consent that the page shows.
#[test]
fn the_objects_of_the_pages_are_valid() {
    for path in [
        "README.md",
        "docs/getting-started/install.md",
        "docs/guides/ingress.md",
        "docs/reference/exposeclass.md",
        "docs/reference/exposedport.md",
    ] {
        let page = page(path);
        let blocks = page.split("```yaml\n").skip(1);
        let yaml: Vec<_> = blocks
            .filter_map(|block| block.split("```").next())
            .collect();
        assert!(!yaml.is_empty(), "{path}: no YAML");
        let yaml = yaml.join("---\n");
        let output = portolan(&["check", "-f", "-", "-o", "json"], &yaml);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["errors"], 0, "{path}: {report:#}");
    }
}
