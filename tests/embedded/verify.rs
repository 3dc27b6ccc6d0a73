//! `verify` holds for a fresh job, and names what is wrong with a damaged one.

use std::path::PathBuf;

use sqlextract_system_tests::{Dialect, Job, Run, Scenario};

use crate::fingerprint::Orders;

struct Extracted {
    scenario: Scenario,
    orders: Orders,
    run: Run,
}

impl Extracted {
    fn new(dialect: Dialect, format: &str) -> Self {
        let scenario = Scenario::new();
        let orders = Orders::new(dialect, 6000);
        let run = scenario
            .extract(
                &orders.database.url(),
                &["--table", "orders", "--batch-size", "1000", "--format", format],
            )
            .exits(0)
            .outcome("completed");
        Self { scenario, orders, run }
    }

    fn verify(&self, depth: &str) -> Run {
        let url = self.orders.database.url();
        let mut arguments = vec!["--json", "--depth", depth];
        if depth == "source" {
            arguments.extend(["--source", &url]);
        }
        self.scenario.about(&self.run, "verify", &arguments)
    }

    /// The third chunk: its path, and its key as the manifest has it.
    fn chunk(&self) -> (PathBuf, String) {
        let job = Job::of(&self.run);
        let path = job.chunks("orders").swap_remove(2);
        let key = path
            .strip_prefix(&job.folder)
            .expect("it is in the job")
            .to_string_lossy()
            .into_owned();
        (path, key)
    }

    #[track_caller]
    fn mismatches(&self, depth: &str, named: &str) {
        let run = self.verify(depth).exits(8).says(&[named]);
        assert_eq!(run.json["verdict"], "mismatch");
        assert_eq!(run.json["error"]["code"], "verification_mismatch");
    }
}

#[test]
fn a_fresh_job_is_verified_at_every_depth() {
    for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
        for format in ["parquet", "csv"] {
            let extracted = Extracted::new(dialect, format);
            for depth in ["listing", "full", "source"] {
                let run = extracted.verify(depth).exits(0);
                assert_eq!(run.json["verdict"], "verified", "{dialect:?} {format} {depth}");
                assert_eq!(run.json["rows"], 6000);
            }
        }
    }
}

#[test]
fn a_deleted_chunk_is_named() {
    let extracted = Extracted::new(Dialect::Postgres, "parquet");
    let (path, key) = extracted.chunk();
    std::fs::remove_file(path).unwrap();
    for depth in ["listing", "full", "source"] {
        extracted.mismatches(depth, &format!("chunk {key} is missing"));
    }
}

#[test]
fn a_truncated_chunk_is_named() {
    for format in ["parquet", "csv"] {
        let extracted = Extracted::new(Dialect::Postgres, format);
        let (path, key) = extracted.chunk();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        for depth in ["listing", "full"] {
            extracted.mismatches(depth, &key);
        }
    }
}

#[test]
fn a_flipped_byte_is_found_wherever_it_is() {
    for format in ["parquet", "csv"] {
        let extracted = Extracted::new(Dialect::Postgres, format);
        let (path, key) = extracted.chunk();
        let bytes = std::fs::read(&path).unwrap();
        for place in [0, bytes.len() / 3, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            extracted.mismatches("full", &key);
        }
        std::fs::write(&path, &bytes).unwrap();
        extracted.verify("full").exits(0);
    }
}

#[test]
fn a_foreign_file_among_the_chunks_is_named() {
    let extracted = Extracted::new(Dialect::Postgres, "parquet");
    let (path, _) = extracted.chunk();
    std::fs::copy(&path, path.with_file_name("batch-0000099-0000000000000000-00.parquet")).unwrap();
    for depth in ["listing", "full"] {
        extracted.mismatches(depth, "batch-0000099-0000000000000000-00.parquet");
    }
}

#[test]
fn a_changed_source_is_told_from_a_damaged_job() {
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let extracted = Extracted::new(dialect, "parquet");
        extracted
            .orders
            .database
            .run("UPDATE orders SET cents = cents + 1 WHERE id = 77;");
        let run = extracted
            .verify("source")
            .exits(8)
            .says(&["has changed since job", "cents"]);
        assert_eq!(run.json["error"]["code"], "source_changed", "{dialect:?}");
        extracted.verify("full").exits(0);
    }
}

#[test]
fn a_row_that_is_gone_from_mariadb_is_a_difference_with_its_table() {
    let extracted = Extracted::new(Dialect::Mysql, "parquet");
    extracted.orders.database.run("DELETE FROM orders WHERE id = 77;");
    extracted.verify("source").exits(8).says(&["5999", "6000", "orders"]);
}

#[test]
fn a_manifest_that_says_another_sum_is_found_out() {
    let extracted = Extracted::new(Dialect::Postgres, "parquet");
    let job = Job::of(&extracted.run);
    let page = job.folder.join("manifest/page-00000.jsonl");
    let text = std::fs::read_to_string(&page).unwrap();
    let sum = job.entries[0]["columns"][3]["sum"].as_str().unwrap();
    std::fs::write(&page, text.replacen(&format!("\"sum\":\"{sum}\""), "\"sum\":\"1\"", 1)).unwrap();
    extracted.verify("full").exits(8).says(&["page"]);
}
