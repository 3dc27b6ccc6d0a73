//! The destination lists late, takes every write for a new one, or has lost a chunk; the source's table is locked.

use std::process::{Command, Stdio};

use sqlextract_system_tests::{Dialect, Faults, Fleet, FleetSource, all_files, eventually, full_size};

use crate::fingerprint::Orders;
use crate::proof::{Committed, completed_once, leave_empty_queues, swept};

const SETTINGS: &str = "[planner]\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"1s\"\nlinger = \"2s\"\n";
const BATCHES: [&str; 4] = ["--table", "public.orders", "--batch-size", "500"];

fn source(url: &str) -> FleetSource<'_> {
    FleetSource::shop(url, "rate_limit = \"rows=3000\"")
}

#[test]
fn a_listing_that_lags_behind_is_not_taken_for_a_loss() {
    let orders = Orders::alone(Dialect::Postgres, 5000);
    let url = orders.database.url();
    let fleet = Fleet::with(&[source(&url)], SETTINGS);
    let services = fleet.serve_all(1);
    let watch = fleet.watch();
    fleet.set_faults(Faults {
        listing_lag_ms: 4000,
        ..Faults::default()
    });
    let job = fleet.submit(&BATCHES);
    eventually("the last commits", || fleet.commits(&job) >= 8);
    let committed = Committed::of(&fleet, &job);
    completed_once(&fleet, &watch, &orders, &job, "a listing that lags");
    committed.is_untouched("a listing that lags");
    let told = services[0].said();
    assert!(!told.contains("is gone") && !told.contains("is missing"), "{told}");
    fleet.set_faults(Faults::default());
    swept(&fleet);
    fleet.job(&job).is_sound();
    leave_empty_queues(&fleet, services);
}

#[test]
fn a_service_refuses_a_store_that_takes_every_write_for_a_new_one() {
    let orders = Orders::new(Dialect::Postgres, 10);
    let fleet = Fleet::of(&orders.database.url());
    fleet.set_faults(Faults {
        ignore_if_none_match: true,
        ..Faults::default()
    });
    for role in ["planner", "extractor", "scripter"] {
        fleet.run(&["serve", role]).exits(3).says(&["ignores If-None-Match"]);
    }
}

/// The planner's own questions do not read the table, so that only batches meet the lock. With the full size it outlasts
/// a statement's patience.
#[test]
fn a_table_that_is_locked_for_a_while_is_read_afterwards() {
    let orders = Orders::alone(Dialect::Postgres, 5000);
    let url = orders.database.url();
    let fleet = Fleet::with(&[source(&url)], SETTINGS);
    let services = fleet.serve_all(1);
    let watch = fleet.watch();
    let job = fleet.submit(&[&BATCHES[..], &["--consistency", "batch"]].concat());
    eventually("the first commits", || fleet.commits(&job) >= 2);
    let seconds = if full_size() { 40 } else { 3 };
    let lock = format!("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT;");
    let mut locked = Command::new("psql")
        .args(["-X", "-q", &url, "-c", &lock])
        .stdout(Stdio::null())
        .spawn()
        .expect("psql is in the PATH");
    let holders = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'orders'::regclass";
    eventually("the lock", || orders.database.value(holders) == "1");
    assert!(!fleet.has_outcome(&job), "the lock came too late to prove anything");
    assert!(locked.wait().expect("a child can be waited for").success());
    completed_once(&fleet, &watch, &orders, &job, "a locked table");
    swept(&fleet);
    fleet.job(&job).is_sound();
    leave_empty_queues(&fleet, services);
}

/// Nobody makes up for a storage that loses what it has confirmed, but nobody takes the rest for the whole either.
#[test]
fn a_chunk_that_is_gone_leaves_no_outcome_until_it_is_back() {
    let orders = Orders::alone(Dialect::Postgres, 5000);
    let url = orders.database.url();
    let fleet = Fleet::with(&[source(&url)], SETTINGS);
    let services = fleet.serve_all(1);
    let watch = fleet.watch();
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 2);
    let data = fleet.folder().join(&job).join("data");
    let chunk = all_files(&data)
        .into_iter()
        .next()
        .expect("a committed batch has a chunk");
    let chunk = format!("{job}/data/{}", chunk.display());
    let bytes = fleet.take_out(&chunk);
    assert!(!fleet.has_outcome(&job), "the loss came too late to prove anything");
    eventually("the loss to be told", || {
        services[0].said().contains("of a committed batch is gone")
    });
    assert!(!fleet.has_outcome(&job), "an outcome names a chunk that is not there");
    fleet.put(&chunk, &bytes);
    completed_once(&fleet, &watch, &orders, &job, "a chunk that is back");
    swept(&fleet);
    fleet.job(&job).is_sound();
    leave_empty_queues(&fleet, services);
}
