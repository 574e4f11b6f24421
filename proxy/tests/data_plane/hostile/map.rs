//! `docs/internals/request-hardening.md` names a test for each case: here the tests are looked for.

use std::collections::BTreeSet;
use std::path::Path;

/// Attacks over HTTP/2, through the whole program.
const HTTP2: &str = "../tests/clients/tests/hostile";

/// The names of all test functions below a folder.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            tests_in(&std::fs::read_to_string(&path).unwrap(), found);
        }
    }
}

fn tests_in(source: &str, found: &mut BTreeSet<String>) {
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[tokio::test")
            || line == "#[test]"
            || line.starts_with("each_protocol!(")
        {
            is_test = true;
        } else if is_test && let Some((_, name)) = line.split_once("fn ") {
            let name = name.split('(').next().unwrap_or_default();
            found.insert(name.to_owned());
            is_test = false;
        }
    }
}

/// The rows of the page's tables: the case, its answer, its tests.
fn rows(page: &str) -> Vec<[&str; 3]> {
    page.lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| case |"))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            cells
                .try_into()
                .unwrap_or_else(|_| panic!("not three cells: {line}"))
        })
        .collect()
}

fn named(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn each_case_of_the_page_has_its_test() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    tests_below(&manifest.join("tests/data_plane"), &mut tests);
    // What a turn of a worker's loop does is not seen from outside.
    tests_below(&manifest.join("src/server"), &mut tests);
    tests_below(&manifest.join(HTTP2), &mut tests);
    assert!(tests.len() > 100, "the tests were not found");
    let page =
        std::fs::read_to_string(manifest.join("../docs/internals/request-hardening.md")).unwrap();
    let rows = rows(&page);
    assert!(rows.len() > 40, "the tables were not found");
    for [case, answer, cell] in rows {
        let names = named(cell);
        assert!(
            !answer.is_empty() && !names.is_empty(),
            "{case}: no answer or no test"
        );
        for name in names {
            assert!(tests.contains(name), "{case}: there is no test {name}");
        }
    }
}

/// And in reverse: the page names every test of hostile input.
#[test]
fn each_test_of_hostile_input_is_on_the_page() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    tests_below(&manifest.join("tests/data_plane/hostile"), &mut tests);
    tests_below(&manifest.join(HTTP2), &mut tests);
    let page =
        std::fs::read_to_string(manifest.join("../docs/internals/request-hardening.md")).unwrap();
    let listed: BTreeSet<_> = rows(&page)
        .iter()
        .flat_map(|[.., cell]| named(cell))
        .collect();
    // Those of the tests' own tools.
    let own = [
        "each_case_of_the_page_has_its_test",
        "each_test_of_hostile_input_is_on_the_page",
        "a_status_is_read_in_each_way_of_writing",
        "a_long_field_says_its_length",
        "a_frame_is_read_as_it_was_written",
    ];
    for test in tests.iter().filter(|it| !own.contains(&it.as_str())) {
        assert!(listed.contains(test.as_str()), "{test} is not on the page");
    }
}
