//! The examples of the repository mean the same as with kubectl.

use super::fixture::{Fixture, origin};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn yaml_files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            yaml_files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            found.push(path);
        }
    }
}

/// kubectl reads YAML 1.1, where a plain `on` is true; most other parsers read 1.2, where it is a string.
#[test]
fn examples_have_no_plain_yaml_1_1_booleans() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut files = Vec::new();
    yaml_files(&root, &mut files);
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for event in granit_parser::Parser::new_from_str(&text) {
            let (event, span) = event.unwrap();
            let Some((word, granit_parser::ScalarStyle::Plain)) = event.scalar() else {
                continue;
            };
            let words = ["y", "n", "yes", "no", "on", "off"];
            let line = span.start.line();
            assert!(
                !words.contains(&word.to_ascii_lowercase().as_str()),
                "{}:{line}: quote {word:?}",
                file.display()
            );
        }
    }
}

/// As docs/getting-started/standalone.md says it: one serves at once, the other waits for its certificate.
#[test]
fn the_standalone_example_works_as_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/standalone");
    let read = |name: &str, port: &str, origin: u16| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.contains(port), "{name}");
        text.replace(port, &origin.to_string())
    };
    let fixture = Fixture::start(&[
        ("hello.yaml", &read("hello.yaml", "3001", origin("hello"))),
        ("shop.yaml", &read("shop.yaml", "3002", origin("a shop"))),
    ]);
    fixture.wait_for_status("hello", "Ready");
    assert_eq!(
        fixture.get("hello.localhost"),
        Some((200, "hello".to_owned()))
    );
    assert_eq!(fixture.get("shop.localhost").unwrap().0, 503);
    let status = Command::new(folder.join("certificate"))
        .arg(fixture.path("."))
        .status();
    assert!(status.unwrap().success());
    fixture.wait_for_status("shop", "Ready");
    let pem = fs::read(fixture.path("shop.crt")).unwrap();
    let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
    let response = fixture.get_tls("shop.localhost", &certificate);
    assert_eq!(response, Some((200, "a shop".to_owned())));
}
