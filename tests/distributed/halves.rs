//! Batches that turn out longer than their deadline, although their plan did not look like it.

use std::path::PathBuf;

use sqlextract_system_tests::{Dialect, Fleet, FleetSource, all_files, eventually};

use crate::fingerprint::Orders;
use crate::proof::{completed_once, leave_empty_queues, swept};

/// A batch alone fits its deadline; four of them at once, under the limit of their source, do not.
const LIMIT: &str = "rate_limit = \"rows=2500\"";
const SETTINGS: &str = "[planner]\nsweep_interval = \"500ms\"\nstall_after = \"20s\"\nlease = \"1s\"\nlinger = \"6s\"\n\
                        [extractor]\nworkers = 4\nbuffer_size = \"128MB\"\nbatch_deadline = \"3s\"\n";

/// The parts of a job's batches that were read, by their records.
fn parts_read(fleet: &Fleet, job: &str) -> Vec<PathBuf> {
    let folder = fleet.folder().join(job).join("parts");
    let records = all_files(&folder).into_iter().map(|record| folder.join(record));
    records
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("\"read\"")))
        .collect()
}

fn read_in_halves(dialect: Dialect) {
    let orders = Orders::alone(dialect, 20_000);
    let url = orders.database.url();
    let table = orders.database.table("orders");
    let tables = orders.database.table("*");
    let source = FleetSource {
        tables: &tables,
        ..FleetSource::shop(&url, LIMIT)
    };
    let fleet = Fleet::with(&[source], SETTINGS);
    let mut services = fleet.serve_all(1);
    let watch = fleet.watch();
    let job = fleet.submit(&["--table", &table, "--batch-size", "5000", "--consistency", "batch"]);
    eventually("the first part that was read", || !parts_read(&fleet, &job).is_empty());
    // Whoever comes next goes on with what is there.
    let extractor = services.pop().expect("the extractor is the last");
    extractor.signal("-KILL");
    extractor.wait();
    let read = parts_read(&fleet, &job);
    let records = || {
        read.iter()
            .map(|path| std::fs::read(path).expect("records stay"))
            .collect::<Vec<_>>()
    };
    let before = records();
    services.push(fleet.serve("extractor"));
    completed_once(&fleet, &watch, &orders, &job, "batches that were too long");
    assert_eq!(records(), before, "{dialect:?}");
    let told = services[2].said();
    assert!(!told.contains("is parked"), "{dialect:?}: {told}");
    swept(&fleet);
    let whole = fleet.job(&job);
    whole.is_sound();
    // The chunks of what was read before the kill are among those that count.
    let named = whole.chunks("orders");
    for record in before {
        let record: serde_json::Value = serde_json::from_slice(&record).expect("a record is JSON");
        for chunk in record["read"]["chunks"]
            .as_array()
            .expect("a part that was read has chunks")
        {
            let path = whole.folder.join(chunk["key"].as_str().expect("a chunk has a key"));
            assert!(
                named.contains(&path),
                "{dialect:?}: {} is not among {named:?}",
                path.display()
            );
        }
    }
    leave_empty_queues(&fleet, services);
}

#[test]
fn a_batch_of_postgresql_that_turns_out_too_long_is_read_in_halves_and_what_was_read_stays() {
    read_in_halves(Dialect::Postgres);
}

#[test]
fn a_batch_of_mysql_that_turns_out_too_long_is_read_in_halves_and_what_was_read_stays() {
    read_in_halves(Dialect::Mysql);
}
