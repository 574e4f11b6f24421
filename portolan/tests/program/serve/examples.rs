//! Whatever stands in the repository as an example means here what it means to kubectl.

use super::stand::{Stand, origin};
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
        } else if path.extension().is_some_and(|it| it == "yaml") {
            found.push(path);
        }
    }
}

/// kubectl reads YAML 1.1, where a plain `on` is true; most other readers take 1.2, where it is text.
/// What is the same in both surprises nobody.
#[test]
fn no_example_has_a_plain_word_that_yaml_1_1_takes_for_a_truth_value() {
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
                "{}:{line}: {word:?} needs quotes, or is the wrong word",
                file.display()
            );
        }
    }
}

/// As docs/getting-started/standalone.md says it: one serves at once, the other waits for its certificate.
#[test]
fn the_standalone_example_does_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/standalone");
    let read = |name: &str, port: &str, origin: u16| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.contains(port), "{name}");
        text.replace(port, &origin.to_string())
    };
    let stand = Stand::start(&[
        ("hello.yaml", &read("hello.yaml", "3001", origin("hello"))),
        ("shop.yaml", &read("shop.yaml", "3002", origin("a shop"))),
    ]);
    stand.told_status("hello", "Ready");
    assert_eq!(
        stand.get("hello.localhost"),
        Some((200, "hello".to_owned()))
    );
    assert_eq!(stand.get("shop.localhost").unwrap().0, 503);
    let made = Command::new(folder.join("certificate"))
        .arg(stand.path("."))
        .status();
    assert!(made.unwrap().success());
    stand.told_status("shop", "Ready");
    let pem = fs::read(stand.path("shop.crt")).unwrap();
    let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
    let answer = stand.get_tls("shop.localhost", &certificate);
    assert_eq!(answer, Some((200, "a shop".to_owned())));
}
