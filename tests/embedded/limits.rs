//! Limits of bytes per second, by the clock: off the source, and to the output.

use std::num::NonZeroU64;

use sqlextract_system_tests::{Dialect, Run, Scenario};

use crate::fingerprint::Orders;
use crate::s3::Lake;

const ROWS: u64 = 250_000;
const LIMIT: f64 = 2_000_000.0;
/// Few batches, so that what a batch costs does not count.
const SIZES: [&str; 4] = ["--batch-size", "50000", "--workers", "2"];

fn seconds(run: &Run) -> f64 {
    let elapsed = run.json["elapsed_seconds"].as_f64();
    elapsed.unwrap_or_else(|| panic!("no time in {}", run.json))
}

fn bytes(run: &Run) -> f64 {
    let bytes = run.json["tables"][0]["bytes"].as_u64().and_then(NonZeroU64::new);
    bytes.unwrap_or_else(|| panic!("no bytes in {}", run.json)).get() as f64
}

/// What beginning and end cost is the same in a small run and a large one: the rest is at the limit.
#[track_caller]
fn is_within_five_percent((small, small_bytes): (&Run, f64), (large, large_bytes): (&Run, f64)) {
    let rate = (large_bytes - small_bytes) / (seconds(large) - seconds(small));
    let part = rate / LIMIT;
    assert!(
        (0.95..=1.05).contains(&part),
        "{part} of the limit: {} s and {} s",
        seconds(small),
        seconds(large)
    );
}

#[test]
fn bytes_come_off_postgresql_at_the_limit_within_five_percent() {
    let orders = Orders::new(Dialect::Postgres, ROWS);
    let run = |rows: u64| {
        // As the binary COPY has them: two bytes a row, four a value, and the values.
        let bytes = format!(
            "SELECT sum(2 + 4 * 4 + 8 + 4 + 4 + coalesce(octet_length(note), 0)) FROM orders WHERE id <= {rows};"
        );
        let bytes: f64 = orders.database.value(&bytes).parse().expect("a sum is a number");
        let filter = format!("id <= {rows}");
        let arguments = [
            &SIZES[..],
            &["--table", "orders", "--where", &filter, "--rate-limit", "bytes=2MB"],
        ]
        .concat();
        let run = Scenario::new().extract(&orders.database.url(), &arguments);
        (run.exits(0).outcome("completed"), bytes)
    };
    let ((small, small_bytes), (large, large_bytes)) = (run(ROWS / 5), run(ROWS));
    let told = &large.json["resources"]["disk"];
    let written = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    assert!(
        written("value").contains("disk") && written("why").contains("written"),
        "{told}"
    );
    is_within_five_percent((&small, small_bytes), (&large, large_bytes));
}

#[test]
fn chunks_are_sent_to_a_bucket_at_the_limit_within_five_percent() {
    let orders = Orders::new(Dialect::Sqlite, ROWS);
    let run = |rows: u64| {
        let filter = format!("id <= {rows}");
        let arguments = ["--table", "orders", "--where", &filter, "--format", "csv"];
        let limit = ["--upload-bandwidth", "2MB"];
        let run = Lake::new().extract(&orders.database.url(), &[&SIZES[..], &arguments, &limit].concat());
        run.exits(0).outcome("completed")
    };
    let (small, large) = (run(ROWS / 5), run(ROWS));
    is_within_five_percent((&small, bytes(&small)), (&large, bytes(&large)));
    assert!(large.json["resources"]["disk"].is_null(), "a bucket has no disk");
    let told = &large.json["resources"]["upload"];
    assert_eq!(
        (&told["value"], &told["why"]),
        (&"2 MB per second".into(), &"as asked for".into())
    );
}
