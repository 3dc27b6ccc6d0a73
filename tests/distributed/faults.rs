//! What services live with: a store that misbehaves, a database that goes away, changes or is locked, a full Redis.

use sqlextract_system_tests::{Broker, Dialect, Dose, Faults, Fleet, FleetSource, Store, answers, eventually, secrets};

use crate::fingerprint::Orders;

const BATCHES: [&str; 4] = ["--table", "public.orders", "--batch-size", "500"];

fn slow(orders: &Orders, more: &str) -> Fleet {
    let url = orders.database.url();
    let source = FleetSource::shop(&url, "rate_limit = \"rows=6000\"");
    Fleet::with(&[source], more)
}

#[test]
fn a_store_that_refuses_loses_answers_and_flips_bits_costs_time_alone() {
    let orders = Orders::alone(Dialect::Postgres, 10_000);
    let fleet = Fleet::of(&orders.database.url());
    let _services = fleet.serve_all(2);
    let watch = fleet.watch();
    fleet.set_faults(Faults {
        seed: 5,
        slow_down: Dose::share(15),
        lose_answer: Dose::share(10),
        corrupt_upload: Dose::share(4),
        conflict: Dose::share(10),
        stall: Dose::share(3),
        stall_ms: 400,
        listing_lag_ms: 300,
        ..Faults::default()
    });
    let job = fleet.submit(&[&BATCHES[..], &["--target", "postgres"]].concat());
    assert_eq!(fleet.outcome(&job), "completed");
    let script = fleet.folder().join(&job).join("ingest/postgres.sql");
    eventually("the script", || script.exists());
    fleet.set_faults(Faults::default());
    orders.is_in(&fleet.job(&job));
    let told = watch.heard(&job, "extraction.completed");
    assert!(told.iter().all(|event| event["id"] == told[0]["id"]), "{told:?}");
}

#[test]
fn a_database_that_ends_its_sessions_is_read_again() {
    let orders = Orders::alone(Dialect::Postgres, 15_000);
    let fleet = slow(&orders, "");
    let _services = fleet.serve_all(1);
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 4);
    // The keeper of the snapshot is among them: the planner opens the next epoch, and nothing has changed in between.
    orders.database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();",
    );
    assert_eq!(fleet.outcome(&job), "completed");
    let whole = fleet.job(&job);
    orders.is_in(&whole);
    assert_eq!(
        whole.table("orders")["generation"],
        1,
        "the plan holds in the next epoch"
    );
}

#[test]
fn a_column_that_goes_away_in_the_middle_ends_the_job_once_and_clearly() {
    let orders = Orders::new(Dialect::Postgres, 20_000);
    let fleet = slow(
        &orders,
        "[planner]\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"2s\"\nmax_blocked = \"2s\"\n",
    );
    let _services = fleet.serve_all(1);
    let watch = fleet.watch();
    let job = fleet.submit(&[&BATCHES[..], &["--consistency", "batch"]].concat());
    eventually("the first commits", || fleet.commits(&job) >= 2);
    orders.database.run("ALTER TABLE orders DROP COLUMN cents;");
    assert_eq!(fleet.outcome(&job), "failed");
    let failures = fleet.job(&job).manifest["failures"].to_string();
    assert!(failures.contains("cents"), "{failures}");
    let told = watch.heard(&job, "extraction.failed");
    assert!(told.iter().all(|event| event["id"] == told[0]["id"]), "{told:?}");
    assert!(watch.about(&job, "extraction.completed").is_empty());
}

#[test]
fn a_full_redis_acknowledges_nothing_that_it_has_not_noted() {
    let orders = Orders::alone(Dialect::Postgres, 10_000);
    let (broker, store) = (Broker::start(), Store::start());
    let url = orders.database.url();
    let source = FleetSource::shop(&url, "rate_limit = \"rows=6000\"");
    let fleet = Fleet::on([broker.url(), store.url()], &[source], "");
    let _services = fleet.serve_all(1);
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 3);
    store.configure("maxmemory", "1");
    sqlextract_system_tests::pause(std::time::Duration::from_secs(3));
    assert!(!fleet.has_outcome(&job), "an outcome without a word of the store");
    store.configure("maxmemory", "0");
    assert_eq!(fleet.outcome(&job), "completed");
    orders.is_in(&fleet.job(&job));
}

#[test]
fn no_password_is_in_any_log_event_manifest_or_number() {
    let orders = Orders::new(Dialect::Postgres, 500);
    let fleet = Fleet::of(&orders.database.url());
    let command = fleet.command(&["--log-format", "json", "serve", "all"]);
    let all = fleet.scenario().start(command);
    eventually("the start", || all.said().contains("the service is up"));
    let watch = fleet.watch();
    let run = fleet
        .extract(&["--table", "public.orders", "--target", "postgres"])
        .exits(0);
    let told = answers(&run);
    let name = told[0]["data"]["job"].as_str().expect("an answer names its job");
    watch.heard(name, "ingest.generated");
    let ill = fleet.run(&[
        "submit",
        "--source",
        &orders.database.url(),
        "--destination",
        "lake",
        "--table",
        "t",
    ]);
    let mut everything = format!("{}{}{}{}", all.said(), run.stdout, run.stderr, ill.stderr);
    for event in watch.events() {
        everything += &event.to_string();
    }
    for file in sqlextract_system_tests::all_files(&fleet.folder()) {
        everything += &String::from_utf8_lossy(&std::fs::read(fleet.folder().join(file)).unwrap_or_default());
    }
    assert!(everything.len() > 10_000, "too little was said to prove anything");
    for secret in [secrets::PASSWORD, secrets::SECRET_KEY] {
        if let Some(at) = everything.find(secret) {
            let from = everything.floor_char_boundary(at.saturating_sub(300));
            panic!("{secret} is in: {}", &everything[from..at]);
        }
    }
}
