//! The chart carries exactly what the types say.

use portolan_crds::manifest;
use std::path::Path;

#[test]
fn the_chart_carries_the_definitions_of_these_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/portolan/crds");
    let mut expected: Vec<String> = Vec::new();
    for manifest in manifest::all().unwrap() {
        let path = folder.join(&manifest.file_name);
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(
            committed == manifest.yaml,
            "{} differs from the types; run `cargo run -p portolan-crds --bin crdgen`",
            path.display()
        );
        expected.push(manifest.file_name);
    }
    let mut found: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "a file without a type");
}
