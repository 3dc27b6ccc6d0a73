//! What the README promises, and what is said of faults, is followed by the tests that would fail if it were not so.

use std::collections::BTreeSet;
use std::path::Path;

use crate::sources::files;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The words in backticks of a cell, between commas.
fn names(cell: &str) -> Vec<String> {
    let words = cell.split(',').map(str::trim);
    let names = words.filter_map(|name| Some(name.strip_prefix('`')?.strip_suffix('`')?.to_owned()));
    names.collect()
}

/// The rows of every table whose first column is called like this.
fn rows<'a>(text: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let heading = format!("| {first} |");
    let tables = text.split(&heading).skip(1);
    let lines = tables.flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    lines
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// What is claimed, and the last column's tests.
fn proofs(text: &str, first: &str) -> Vec<(String, Vec<String>)> {
    let claims = rows(text, first).into_iter();
    claims
        .map(|cells| (cells[0].to_owned(), names(cells.last().unwrap_or(&""))))
        .collect()
}

/// Every test function as `file::name`, and as `name` alone where a macro makes it.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in files(".rs") {
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&path).expect("a file of the tree can be read");
        let mut marked = false;
        for line in source.lines().map(str::trim) {
            let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
            if let (true, Some(name)) = (marked, name) {
                let name = name.split(['(', '<']).next().unwrap_or_default();
                found.insert(format!("{file}::{name}"));
            }
            marked =
                line.starts_with("#[test]") || line.starts_with("#[tokio::test") || (marked && line.starts_with('#'));
        }
    }
    found
}

fn are_proved(claims: Vec<(String, Vec<String>)>, least: usize) {
    let tests = tests();
    assert!(
        claims.len() >= least && tests.len() > 300,
        "{} claims, {} tests",
        claims.len(),
        tests.len()
    );
    for (claim, names) in claims {
        assert!(!names.is_empty(), "nothing proves: {claim}");
        for name in names {
            assert!(tests.contains(&name), "{name} is no test, but is to prove: {claim}");
        }
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    are_proved(proofs(&read("README.md"), "promise"), 7);
}

#[test]
fn every_fault_names_tests_that_exist() {
    let text = read("tests/FAULTS.md");
    are_proved(proofs(&text, "fault"), 40);
    are_proved(proofs(&text, "point"), 15);
}

#[test]
fn the_crash_points_of_the_services_are_those_of_the_table() {
    let text = read("tests/FAULTS.md");
    let listed: BTreeSet<String> = rows(&text, "point").iter().flat_map(|cells| names(cells[0])).collect();
    let mut called = BTreeSet::new();
    for path in files(".rs")
        .iter()
        .filter(|path| !path.ends_with("architecture/claims.rs"))
    {
        let source = std::fs::read_to_string(path).expect("a file of the tree can be read");
        for call in source.split("crash_point(").skip(1) {
            let name = call.trim_start_matches("format_args!(").strip_prefix('"');
            called.extend(name.and_then(|name| name.split('"').next()).map(str::to_owned));
        }
    }
    assert_eq!(called, listed, "points in the services, and points that are listed");
}
