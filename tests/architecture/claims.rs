//! What the README promises is followed by the tests that would fail if it were not so.

use std::collections::BTreeSet;

use crate::sources::files;

/// The last column of the README's table of promises.
fn proofs() -> Vec<(String, Vec<String>)> {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("the README is there");
    let table = readme
        .split("| promise |")
        .nth(1)
        .expect("the README has a table of promises");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let proofs = cells.last().unwrap_or(&"").split(',').map(str::trim);
        let names = proofs.filter_map(|name| Some(name.strip_prefix('`')?.strip_suffix('`')?.to_owned()));
        (cells[0].to_owned(), names.collect())
    })
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

#[test]
fn every_promise_names_tests_that_exist() {
    let (proofs, tests) = (proofs(), tests());
    assert!(
        proofs.len() >= 7 && tests.len() > 300,
        "{} promises, {} tests",
        proofs.len(),
        tests.len()
    );
    for (promise, names) in proofs {
        assert!(!names.is_empty(), "nothing proves: {promise}");
        for name in names {
            assert!(tests.contains(&name), "{name} is no test, but is to prove: {promise}");
        }
    }
}
