//! What operators do with jobs from a terminal.

use sqlextract_system_tests::{Dialect, Fleet, FleetSource, eventually};

use crate::fingerprint::Orders;

/// Each batch is read at an instant of its own, so that a repair of the source is seen.
const BATCHES: [&str; 6] = [
    "--table",
    "public.orders",
    "--batch-size",
    "500",
    "--consistency",
    "batch",
];

fn fleet(orders: &Orders, rows_per_second: u32) -> Fleet {
    let url = orders.database.url();
    let more = format!("rate_limit = \"rows={rows_per_second}\"");
    let source = FleetSource::shop(&url, &more);
    Fleet::with(&[source], "")
}

/// A table one of whose values has no form in a chunk, and its job, whose other batches are done.
fn blocked() -> (Orders, Fleet, Vec<sqlextract_system_tests::Running>, String) {
    let orders = Orders::new(Dialect::Postgres, 2000);
    orders.database.run(
        "ALTER TABLE orders ADD price numeric(10,2) DEFAULT 1; UPDATE orders SET price = 'NaN' WHERE id = 700; VACUUM ANALYZE orders;",
    );
    let fleet = fleet(&orders, 50_000);
    let services = fleet.serve_all(1);
    let job = fleet.submit(&BATCHES);
    eventually("a blocked job", || {
        let status = fleet.run(&["status", &job, "--json"]).exits(0);
        status.json["jobs"][0]["state"] == "blocked"
    });
    (orders, fleet, services, job)
}

#[test]
fn a_parked_batch_is_named_and_after_a_repair_replayed() {
    let (orders, fleet, _services, job) = blocked();
    let status = fleet.run(&["status", &job]).exits(0).stdout;
    assert!(
        status.contains("parked: public.orders") && status.contains("price"),
        "{status}"
    );
    let listed = fleet.run(&["parked", "list", "--json"]).exits(0);
    assert_eq!(listed.json["job"], job.as_str(), "{}", listed.stdout);
    assert!(listed.json["reason"].to_string().contains("price"), "{}", listed.stdout);
    assert!(!fleet.has_outcome(&job), "a job with a parked batch has no outcome");
    orders.database.run("UPDATE orders SET price = 7 WHERE id = 700;");
    let told = fleet.run(&["parked", "replay", "--job", &job]).exits(0).stdout;
    assert!(told.contains("1 messages are on their way again"), "{told}");
    assert_eq!(fleet.outcome(&job), "completed");
    orders.is_in(&fleet.job(&job));
    let nothing = fleet.run(&["parked", "list"]).exits(0);
    assert!(nothing.stdout.contains("nothing is parked"), "{}", nothing.stdout);
}

#[test]
fn a_job_whose_parked_batch_is_given_up_ends_as_failed_with_its_reason() {
    let (_orders, fleet, _services, job) = blocked();
    let told = fleet.run(&["parked", "drop", "--job", &job]).exits(0).stdout;
    assert!(told.contains("1 messages are removed"), "{told}");
    assert_eq!(fleet.outcome(&job), "failed");
    let failures = fleet.job(&job).manifest["failures"].to_string();
    assert!(failures.contains("price"), "{failures}");
    let watched = fleet.run(&["watch", &job]);
    assert_ne!(watched.exit, 0, "{}", watched.stderr);
    assert!(watched.stderr.contains("price"), "{}", watched.stderr);
}

#[test]
fn a_job_is_cancelled_by_a_command_and_whoever_watches_is_told() {
    let orders = Orders::new(Dialect::Postgres, 20_000);
    let fleet = fleet(&orders, 2000);
    let _services = fleet.serve_all(1);
    let job = fleet.submit(&BATCHES);
    let watching = fleet.start(&["watch", &job]);
    eventually("the first commits", || fleet.commits(&job) >= 2);
    fleet.run(&["cancel", &job]).exits(0);
    watching.wait().exits(12);
    assert_eq!(fleet.outcome(&job), "cancelled");
    fleet.run(&["watch", &job]).exits(12);
}

#[test]
fn a_chunk_that_no_manifest_names_is_found_and_removed() {
    let orders = Orders::new(Dialect::Postgres, 1000);
    let fleet = Fleet::of(&orders.database.url());
    let _services = fleet.serve_all(1);
    let run = fleet.extract(&["--table", "public.orders"]).exits(0);
    let told = sqlextract_system_tests::answers(&run);
    let name = told[0]["data"]["job"].as_str().expect("an answer names its job");
    let job = fleet.job(name);
    let chunk = job.chunks("orders").remove(0);
    let late = chunk.with_file_name("batch-0000000-00000000deadbeef-00.parquet");
    let key = late.strip_prefix(fleet.folder()).unwrap().to_str().unwrap().to_owned();
    fleet.put(&key, b"too late");
    let gc = ["gc", "--destination", "lake", "--job", name];
    let named = fleet.run(&gc).exits(0).stdout;
    assert!(
        named.contains("unnamed") && named.contains("deadbeef") && late.exists(),
        "{named}"
    );
    fleet.run(&[&gc[..], &["--remove"]].concat()).exits(0);
    assert!(
        !late.exists() && chunk.exists(),
        "only the chunk that nobody names is removed"
    );
    orders.is_in(&fleet.job(name));
}

#[test]
fn two_extractors_share_the_limit_of_their_source() {
    let orders = Orders::new(Dialect::Postgres, 30_000);
    let fleet = fleet(&orders, 6000);
    let _services = fleet.serve_all(2);
    let begun = std::time::Instant::now();
    let job = fleet.submit(&BATCHES);
    assert_eq!(fleet.outcome(&job), "completed");
    let seconds = begun.elapsed().as_secs_f64();
    orders.is_in(&fleet.job(&job));
    assert!(
        (4.5..8.0).contains(&seconds),
        "30,000 rows at 6,000 a second took {seconds:.1} s"
    );
}

#[test]
fn status_tells_progress_by_table_and_extractor_with_limits_and_the_time_left() {
    let orders = Orders::new(Dialect::Postgres, 40_000);
    let fleet = fleet(&orders, 2000);
    let _services = fleet.serve_all(2);
    let job = fleet.submit(&BATCHES);
    let mut told = serde_json::Value::Null;
    eventually("two extractors that tell what they do", || {
        told = fleet.run(&["status", "--json"]).exits(0).json;
        let extractors = told["sources"]["shop"]["extractors"].as_object();
        let working = extractors.map_or(0, |all| {
            all.values().filter(|one| one["batches"].as_u64() > Some(0)).count()
        });
        working == 2 && told["jobs"][0]["seconds_left"].is_u64() && told["jobs"][0]["tables"][0]["done"] != 0
    });
    let (seen, source) = (&told["jobs"][0], &told["sources"]["shop"]);
    assert_eq!(
        (&seen["job"], &seen["state"]),
        (&job.as_str().into(), &"running".into())
    );
    let table = &seen["tables"][0];
    assert_eq!(
        (&table["table"], &table["batches"]),
        (&"public.orders".into(), &80.into())
    );
    assert!(
        table["rows"].as_u64() <= Some(40_000) && table["rows"].as_u64() > Some(0),
        "{table}"
    );
    assert_eq!(source["limits"], "2000 rows/s");
    let rate = source["rows_per_second"].as_u64().unwrap_or_default();
    // Read alone, 40,000 rows last twenty seconds; the first moment's rate may be low.
    let left = seen["seconds_left"].as_u64().unwrap_or_default();
    assert!(left * rate <= 40_000, "{left} s at {rate} rows/s");
    let text = fleet.run(&["status", &job]).exits(0).stdout;
    for part in [
        "  public.orders: ",
        " of 80 batches, ",
        "source shop: 2000 rows/s",
        "  extractor ",
        " rows/s",
        ", ETA ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    fleet.run(&["cancel", &job]).exits(0);
    assert_eq!(fleet.outcome(&job), "cancelled");
}

#[test]
fn watch_shows_the_progress_of_a_job_as_extract_does() {
    let orders = Orders::new(Dialect::Postgres, 20_000);
    let fleet = fleet(&orders, 5000);
    let _services = fleet.serve_all(1);
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 2);
    let watching = fleet.start(&["watch", &job, "--progress", "plain"]);
    eventually("the first numbers", || watching.said().contains(" public.orders "));
    let first = watching.said();
    let line = first
        .lines()
        .find(|line| line.contains(" public.orders "))
        .unwrap_or_default();
    assert!(line.contains("/40 batches") && line.contains(" rows "), "{first}");
    let all = watching.wait().exits(0).stderr;
    assert!(all.contains("public.orders 40/40 batches 20.0k rows "), "{all}");
    assert!(all.contains("extraction.completed"), "{all}");
    assert!(all.contains("source: longest statement "), "{all}");
    let later = fleet.run(&["watch", &job]).exits(0).stderr;
    assert!(later.contains("source: longest statement "), "{later}");
    assert!(
        !all.contains("mem "),
        "what holds this process back holds no other: {all}"
    );
}
