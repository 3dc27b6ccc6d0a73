//! Jobs from request to outcome.

use sqlextract_system_tests::{Dialect, Fleet, FleetSource, answers, eventually};

use crate::fingerprint::Orders;

#[test]
fn a_job_goes_from_request_to_script_through_two_extractors() {
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let fleet = Fleet::of(&orders.database.url());
    let _services = fleet.serve_all(2);
    let watch = fleet.watch();
    let run = fleet
        .extract(&[
            "--table",
            "public.orders",
            "--batch-size",
            "1000",
            "--target",
            "postgres",
        ])
        .exits(0);
    let told = answers(&run);
    let kinds: Vec<&str> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(
        kinds.first(),
        Some(&"io.sqlextract.extraction.accepted.v1"),
        "{kinds:?}"
    );
    let last = [
        "io.sqlextract.extraction.completed.v1",
        "io.sqlextract.ingest.generated.v1",
    ];
    assert_eq!(kinds[kinds.len() - 2..], last, "the outcome, and then its script");
    let name = told[0]["data"]["job"].as_str().expect("an answer names its job");
    let job = fleet.job(name);
    orders.is_in(&job);
    assert!(job.entries.len() >= 15, "{} batches", job.entries.len());
    assert_eq!(job.manifest["consistency"], "snapshot");
    let load = &job.manifest["source_load"];
    for told in [
        "wire_bytes",
        "longest_statement_ms",
        "snapshot_age_ms",
        "peak_connections",
        "blocks_read",
        "temporary_bytes",
    ] {
        assert!(load[told].is_u64(), "no {told} in {load}");
    }
    let completed = watch.heard(name, "extraction.completed");
    assert_eq!(completed.len(), 1);
    assert_eq!(completed[0]["data"]["totals"]["rows"], 20_000);
    assert_eq!(completed[0]["data"]["destination"], "lake");
    let script = watch.heard(name, "ingest.generated").remove(0);
    assert!(
        script["data"]["script"]
            .as_str()
            .is_some_and(|sql| sql.contains("orders")),
        "{script}"
    );
    assert_eq!(watch.heard(name, "table.completed").len(), 1);
}

#[test]
fn sources_of_every_kind_are_served_side_by_side() {
    let tables = [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite].map(|dialect| Orders::new(dialect, 3000));
    let urls = tables.each_ref().map(|orders| orders.database.url());
    let names = ["shop", "mine", "lite"];
    let sources: Vec<FleetSource<'_>> = names
        .iter()
        .zip(&urls)
        .map(|(name, url)| FleetSource {
            name,
            url,
            tables: "*",
            more: "",
        })
        .collect();
    let fleet = Fleet::with(&sources, "");
    let _services = fleet.serve_all(1);
    for (name, orders) in names.iter().zip(&tables) {
        let table = orders.database.table("orders");
        let run = fleet.run(&[
            "submit",
            "--source",
            name,
            "--destination",
            "lake",
            "--table",
            &table,
            "--batch-size",
            "500",
            "--format",
            "csv",
            "--wait",
            "--json",
        ]);
        let job = answers(&run.exits(0))[0]["data"]["job"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        orders.is_in(&fleet.job(&job));
    }
}

#[test]
fn a_small_job_behind_a_large_one_takes_at_most_ten_times_its_time_alone() {
    let orders = Orders::new(Dialect::Postgres, 100_000);
    for few in ["alone", "behind"] {
        orders.database.run(&format!(
            "CREATE TABLE {few} AS SELECT * FROM orders WHERE id <= 100; ALTER TABLE {few} ADD PRIMARY KEY (id); ANALYZE {few};"
        ));
    }
    let fleet = Fleet::of(&orders.database.url());
    let _services = fleet.serve_all(1);
    let few = |table: &str| {
        let began = std::time::Instant::now();
        fleet
            .extract(&["--table", table, "--batch-size", "10", "--consistency", "batch"])
            .exits(0);
        began.elapsed()
    };
    let alone = few("public.alone");
    let large = fleet.submit(&[
        "--table",
        "public.orders",
        "--batch-size",
        "1",
        "--consistency",
        "batch",
    ]);
    eventually("the large job's first commits", || fleet.commits(&large) >= 10);
    let behind = few("public.behind");
    let done = fleet.commits(&large);
    assert!(!fleet.has_outcome(&large), "the large job was over: it proves nothing");
    assert!(
        behind < 10 * alone,
        "{behind:?} behind {done} of 100,000 batches, {alone:?} alone"
    );
}
