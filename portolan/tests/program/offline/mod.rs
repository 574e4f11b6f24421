//! `portolan check` and `portolan render` as a pipeline runs them: the program, files, its exit code.

mod reasons;

use serde_json::Value;
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

/// Runs the program with this on its standard input.
fn portolan(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portolan"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn what_is_valid_is_no_line_and_exit_code_0() {
    let (code, out, err) = said(&portolan(&["check", "-f", "-"], SHOP));
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(
        err.starts_with("1 ExposedPort in 1 file: 0 errors"),
        "{err}"
    );
}

#[test]
fn an_error_is_a_line_and_exit_code_1() {
    let bad = SHOP.replace("8080", "0");
    let (code, out, _) = said(&portolan(&["check", "--filename", "-"], &bad));
    assert_eq!(code, Some(1));
    assert!(
        out.starts_with("<stdin>:6: error: ExposedPort team-a/shop: spec.port: Invalid value: "),
        "{out}"
    );
    let (code, out, _) = said(&portolan(&["check", "-f", "-", "-o", "json"], &bad));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["errors"]), (Some(1), &1.into()));
    assert_eq!(report["findings"][0]["line"], 6);
    assert_eq!(report["findings"][0]["weight"], "error");
    assert_eq!(report["findings"][0]["reason"], "InvalidSpec");
}

#[test]
fn a_warning_is_an_error_when_that_is_asked_for() {
    let theirs = SHOP.replace("selector: {app: shop}", "service: theirs");
    let (code, out, _) = said(&portolan(&["check", "-f", "-"], &theirs));
    assert_eq!(code, Some(0));
    assert!(out.contains(": warning: "), "{out}");
    let (code, out, _) = said(&portolan(&["check", "--strict", "-f", "-"], &theirs));
    assert_eq!(code, Some(1));
    assert!(out.contains(": error: "), "{out}");
}

#[test]
fn what_is_not_there_is_told_by_name() {
    for command in ["check", "render"] {
        let (code, out, err) = said(&portolan(&[command, "-f", "no/such.yaml"], ""));
        assert_eq!(code, Some(1), "{command}");
        assert!(
            (out + &err).contains("no/such.yaml: "),
            "{command}: told neither way"
        );
        let (code, _, err) = said(&portolan(&[command], ""));
        assert_eq!(code, Some(2), "{command}: {err}");
    }
}

/// Even of an object that was read out of a cluster, where it is older than its lease.
#[test]
fn a_lease_is_taken_to_be_renewed() {
    let leased = SHOP
        .replace(
            "namespace: team-a}",
            "namespace: team-a, creationTimestamp: 2020-01-01T00:00:00Z}",
        )
        .replace("  port:", "  lease: {duration: 30s}\n  port:");
    let (code, out, err) = said(&portolan(&["check", "-f", "-"], &leased));
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    let short = leased.replace("30s", "4s");
    let (code, out, _) = said(&portolan(&["check", "-f", "-"], &short));
    assert_eq!(code, Some(1));
    assert!(
        out.contains("spec.lease.duration: Invalid value: \"4s\": must be a duration from 5s to 24h"),
        "{out}"
    );
}

#[test]
fn rendered_is_a_document_of_either_form() {
    let (code, out, _) = said(&portolan(&["render", "-f", "-", "-o", "json"], SHOP));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(json["virtualHosts"][0]["hostname"], "shop.example.com");
    let (_, out, err) = said(&portolan(&["render", "-f", "-"], SHOP));
    assert!(out.starts_with("exposedPorts:\n"), "{out}");
    assert!(err.contains("ExposeClass public"), "{err}");
}

/// The examples of this repository are right, apart from what they leave to the reader.
#[test]
fn the_examples_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let examples = root.join("examples");
    let (code, out, err) = said(&portolan(&["check", "-f", examples.to_str().unwrap()], ""));
    assert_eq!(code, Some(0), "{out}{err}");
}

/// What a page says is wrong is told of it, and nothing else.
#[test]
fn the_examples_of_the_book_are_valid_but_for_what_they_show_to_be_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let mut pages = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let page = std::fs::read_to_string(&path).unwrap();
        let Some((_, behind)) = page.split_once("```yaml\n") else {
            assert!(path.ends_with("README.md"), "{}: no YAML", path.display());
            continue;
        };
        let (yaml, behind) = behind.split_once("```").unwrap();
        let (code, out, _) = said(&portolan(&["check", "-f", "-", "-o", "json"], yaml));
        let report: Value = serde_json::from_str(&out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let errors: Vec<_> = findings
            .iter()
            .filter(|it| it["weight"] == "error")
            .map(|it| it["reason"].as_str().unwrap())
            .collect();
        let shown: Vec<_> = behind
            .lines()
            .filter_map(|line| {
                let refused = ["| Invalid, `", "| Pending, `"];
                let (_, behind) = refused.iter().find_map(|it| line.split_once(it))?;
                Some(behind.split_once('`')?.0)
            })
            .collect();
        assert_eq!(errors, shown, "{}: {report:#}", path.display());
        assert_eq!(code, Some(i32::from(!shown.is_empty())));
        pages += 1;
    }
    assert!(pages >= 20, "only {pages}");
}
