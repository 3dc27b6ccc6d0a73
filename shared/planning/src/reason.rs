//! The sentences about a split that `--dry-run` and the summary print.

use sqlextract_model::{ByteSize, KeyColumn, TableFacts, TableKind};

use crate::options::PlanOptions;
use crate::target::Target;

/// A single batch above this is worth a warning.
const LARGE_BYTES: u64 = 1_000_000_000;

/// Why block ranges are not used; `None` when they can be.
pub(crate) fn no_blocks(facts: &TableFacts, options: &PlanOptions, shared: bool) -> Option<String> {
    if facts.leaves.is_empty() {
        return None;
    }
    if let Some(leaf) = facts.leaves.iter().find(|leaf| !leaf.heap) {
        return Some(format!("rows of {} have no block address", leaf.name));
    }
    (!shared).then(|| match options.consistency {
        sqlextract_model::Consistency::Batch => "block ranges need `--consistency snapshot`".to_owned(),
        sqlextract_model::Consistency::Snapshot => "block ranges need one snapshot that all readers share".to_owned(),
    })
}

pub(crate) fn no_key(facts: &TableFacts) -> String {
    match facts.kind {
        TableKind::View => "a view has no index to split it by".to_owned(),
        TableKind::Foreign => "the rows are on another server".to_owned(),
        TableKind::Query => "a query is split only by a unique column named with `--key`".to_owned(),
        TableKind::Table | TableKind::Partitioned | TableKind::WithoutRowid | TableKind::Virtual => {
            "the table has no key that ranges can be made of".to_owned()
        }
    }
}

pub(crate) fn blocks(leaves: usize, target: &Target, batches: u64) -> String {
    let of = if leaves == 1 {
        String::new()
    } else {
        format!(" of {leaves} relations")
    };
    format!(
        "Ranges of physical blocks{of}, which all readers see alike under one snapshot: {}.",
        sizes(batches, target.rows)
    )
}

pub(crate) fn keys(name: &str, columns: &[KeyColumn], passed: &[String], batches: u64, rows: u64) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let key = if name == "rowid" {
        "rowid".to_owned()
    } else {
        format!("{name} ({})", names.join(", "))
    };
    let passed = if passed.is_empty() {
        String::new()
    } else {
        format!(", since {}", passed.join(", and "))
    };
    format!("Ranges of the key {key}{passed}: {}.", sizes(batches, rows))
}

pub(crate) fn small(target: &Target) -> String {
    format!(
        "One batch: about {} rows ({}) are not worth splitting.",
        target.rows,
        ByteSize(target.bytes)
    )
}

pub(crate) fn whole(passed: &[String]) -> String {
    format!("One batch: {}.", passed.join(", and "))
}

pub(crate) fn large_batch(facts: &TableFacts, target: &Target) -> Option<String> {
    let known = target.bytes >= LARGE_BYTES;
    let size = if known {
        format!("about {}", ByteSize(target.bytes))
    } else {
        "of unknown size".to_owned()
    };
    (known || target.unknown).then(|| {
        format!(
            "{} is one batch {size}: one reader, and a failure reads it again from its start.",
            facts.name
        )
    })
}

pub(crate) fn unknown_rows(facts: &TableFacts) -> Option<String> {
    (facts.estimated_rows == 0 && facts.estimated_bytes > 0).then(|| {
        format!(
            "{} has no row statistics, so batches follow its size; ANALYZE gives better ones.",
            facts.name
        )
    })
}

pub(crate) fn fewer(facts: &TableFacts, batches: u64, wanted: u64) -> Option<String> {
    (batches < wanted / 4).then(|| {
        format!(
            "{} has {batches} batches where {wanted} were aimed at: its key divides no further.",
            facts.name
        )
    })
}

fn sizes(batches: u64, rows: u64) -> String {
    match batches {
        1 => format!("one batch of about {rows} rows"),
        _ => format!("{batches} batches of about {} rows", rows / batches.max(1)),
    }
}
