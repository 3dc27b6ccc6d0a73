//! The broker is full, has lost a queue or a binding, stands still, is in alarm, or is gone with its disk.

use std::collections::BTreeSet;
use std::path::Path;

use sqlextract_system_tests::{Broker, Dialect, Fleet, FleetSource, eventually, variable};

use crate::clients::{publish, python};
use crate::fingerprint::Orders;
use crate::proof::{Committed, completed_once, leave_empty_queues, swept, waiting};

/// A window of eight, so that batches are published as long as the job goes on.
const SETTINGS: &str =
    "[planner]\njob_window = 8\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"1s\"\nlinger = \"2s\"\n";
/// A page of 64, all at once.
const WIDE: &str = "[planner]\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"1s\"\nlinger = \"2s\"\n";
const BATCHES: [&str; 6] = [
    "--table",
    "public.orders",
    "--batch-size",
    "250",
    "--target",
    "postgres",
];

fn source(url: &str) -> FleetSource<'_> {
    FleetSource::shop(url, "rate_limit = \"rows=5000\"")
}

fn careless(fleet: &Fleet, words: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("distributed/broker.py");
    let ran = python(fleet, &script).args(words).output();
    let ran = ran.expect("SQLEXTRACT_TEST_PYTHON starts");
    assert!(
        ran.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// The same job again, by the size of its chunks.
fn submit(fleet: &Fleet, number: u32) -> String {
    let size = format!("{number}MB");
    fleet.submit(&[&BATCHES[..], &["--chunk-size", &size]].concat())
}

/// The same job as a message.
fn request(id: &str, number: u32) -> String {
    let data = serde_json::json!({
        "source": "shop", "destination": "lake", "tables": [{"name": "public.orders"}], "batch_rows": 250,
        "chunk_bytes": number << 20, "targets": [{"platform": "postgres"}],
    });
    let kind = "io.sqlextract.extraction.requested.v1";
    serde_json::json!({"specversion": "1.0", "id": id, "source": "/tests", "type": kind, "data": data}).to_string()
}

/// Asks by nobody who subscribes and leaves: RabbitMQ may bring a queue that was deleted just before a kill back as one
/// that never answers.
fn ask(fleet: &Fleet, number: u32) -> String {
    let before = jobs(fleet);
    publish(fleet, "requests", &request(&format!("r-{number}"), number));
    let mut new = None;
    eventually("a job", || {
        new = jobs(fleet).difference(&before).next().cloned();
        new.is_some()
    });
    new.unwrap_or_default()
}

fn jobs(fleet: &Fleet) -> BTreeSet<String> {
    let folders = std::fs::read_dir(fleet.folder()).into_iter().flatten().flatten();
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("orders-")).collect()
}

#[test]
fn a_full_queue_holds_a_page_up_and_a_planner_killed_in_its_middle_is_followed() {
    let orders = Orders::alone(Dialect::Postgres, 10_000);
    let url = orders.database.url();
    let fleet = Fleet::narrow(&[source(&url)], WIDE);
    let planner = fleet.serve("planner");
    let watch = fleet.watch();
    let job = submit(&fleet, 1);
    eventually("a queue that is full in the middle of a page", || {
        waiting(&fleet)["batches.shop"] >= 9
    });
    assert!(planner.kill(), "the planner had ended by itself");
    let services = fleet.serve_all(1);
    completed_once(&fleet, &watch, &orders, &job, "a full queue");
    swept(&fleet);
    fleet.job(&job).is_sound();
    leave_empty_queues(&fleet, services);
}

#[test]
fn an_outcome_that_no_queue_takes_is_told_once_the_binding_is_back() {
    let orders = Orders::alone(Dialect::Postgres, 1000);
    let url = orders.database.url();
    let fleet = Fleet::with(&[source(&url)], WIDE);
    let services = fleet.serve_all(1);
    careless(&fleet, &["unbind", "scripter", "events", "extraction.completed.#"]);
    // Whoever subscribes takes the event, and then it has been told to somebody.
    let job = ask(&fleet, 1);
    assert_eq!(fleet.outcome(&job), "completed");
    eventually("an announcement that failed", || {
        services[0].said().contains("queue_missing")
    });
    assert_eq!(fleet.open_jobs(), 1, "what was told to nobody counts as told");
    fleet.run(&["topology", "apply"]).exits(0);
    let script = fleet.folder().join(&job).join("ingest/postgres.sql");
    eventually("the script of an outcome that was told at last", || script.exists());
    swept(&fleet);
    orders.is_in(&fleet.job(&job));
    leave_empty_queues(&fleet, services);
}

/// It refuses every event, and the broker's answer does not tell who did.
#[test]
fn a_subscriber_whose_queue_is_full_holds_no_job_up() {
    let orders = Orders::alone(Dialect::Postgres, 1000);
    let url = orders.database.url();
    let fleet = Fleet::with(&[source(&url)], WIDE);
    let services = fleet.serve_all(1);
    let watch = fleet.watch();
    careless(&fleet, &["subscribe-full", "foreign"]);
    let job = submit(&fleet, 1);
    completed_once(&fleet, &watch, &orders, &job, "a full subscriber");
    watch.heard(&job, "ingest.generated");
    assert_eq!(fleet.open_jobs(), 1, "an outcome that was refused counts as told");
    careless(&fleet, &["delete", "foreign"]);
    swept(&fleet);
    fleet.job(&job).is_sound();
    leave_empty_queues(&fleet, services);
}

#[test]
fn a_queue_that_is_deleted_in_mid_work_costs_no_batch() {
    let orders = Orders::alone(Dialect::Postgres, 8000);
    let url = orders.database.url();
    let fleet = Fleet::with(&[source(&url)], WIDE);
    let services = fleet.serve_all(1);
    let watch = fleet.watch();
    let job = submit(&fleet, 1);
    eventually("the first commits", || fleet.commits(&job) >= 3);
    careless(&fleet, &["delete", "batches.shop"]);
    let committed = Committed::of(&fleet, &job);
    fleet.run(&["topology", "apply"]).exits(0);
    completed_once(&fleet, &watch, &orders, &job, "a deleted queue");
    committed.is_untouched("a deleted queue");
    swept(&fleet);
    fleet.job(&job).is_sound();
    leave_empty_queues(&fleet, services);
}

#[test]
fn a_service_refuses_a_queue_of_another_kind_and_takes_nothing_from_it() {
    let orders = Orders::new(Dialect::Postgres, 10);
    let fleet = Fleet::of(&orders.database.url());
    careless(&fleet, &["delete", "batches.shop"]);
    careless(&fleet, &["declare-classic", "batches.shop"]);
    for role in ["planner", "extractor", "scripter"] {
        let refused = fleet.run(&["serve", role]).exits(6);
        refused.says(&[
            "batches.shop exists at the broker with other properties",
            "inequivalent arg",
        ]);
    }
    assert_eq!(waiting(&fleet)["batches.shop"], 1, "the message is where it was");
}

#[test]
fn a_broker_that_is_killed_or_stands_still_or_is_in_alarm_costs_time_alone() {
    let orders = Orders::alone(Dialect::Postgres, 10_000);
    let url = orders.database.url();
    let mut broker = Broker::start();
    let at = [broker.url() + "?heartbeat=2", variable("SQLEXTRACT_TEST_REDIS")];
    let fleet = Fleet::on(at, &[source(&url)], SETTINGS);
    let services = fleet.serve_all(1);
    let watch = fleet.watch();
    let begin = |number: u32| {
        let job = ask(&fleet, number);
        eventually("the first commits", || fleet.commits(&job) >= 3);
        (Committed::of(&fleet, &job), job)
    };
    let end = |(committed, job): (Committed, String), case: &str| {
        completed_once(&fleet, &watch, &orders, &job, case);
        committed.is_untouched(case);
        swept(&fleet);
        fleet.job(&job).is_sound();
    };

    let frozen = begin(2);
    broker.signal("-STOP");
    for service in &services {
        eventually("the silence to be noticed", || {
            service.said().contains("no heartbeat received")
        });
    }
    broker.signal("-CONT");
    end(frozen, "a broker that stood still");

    let alarmed = begin(3);
    broker.control(&["set_vm_memory_high_watermark", "0.000001"]);
    let then = fleet.commits(&alarmed.1);
    eventually("commits during the alarm", || fleet.commits(&alarmed.1) >= then + 2);
    assert!(
        !fleet.has_outcome(&alarmed.1),
        "the alarm came too late to prove anything"
    );
    broker.control(&["set_vm_memory_high_watermark", "0.4"]);
    end(alarmed, "a broker in alarm");

    // Last, when no subscriber has left for a while.
    let killed = begin(1);
    broker.kill();
    broker.go();
    end(killed, "a broker that was killed");
    leave_empty_queues(&fleet, services);
}

#[test]
fn a_broker_that_gives_up_on_a_slow_batch_or_comes_back_without_its_disk_loses_no_batch() {
    let orders = Orders::alone(Dialect::Postgres, 10_000);
    let url = orders.database.url();
    let mut broker = Broker::start();
    let fleet = Fleet::on([broker.url(), variable("SQLEXTRACT_TEST_REDIS")], &[source(&url)], WIDE);
    // Read by channels when they are opened.
    let impatient =
        "application:set_env(rabbit, consumer_timeout, 1000), application:set_env(rabbit, channel_tick_interval, 300).";
    broker.control(&["eval", impatient]);
    let services = fleet.serve_all(1);
    let watch = fleet.watch();
    // Two batches, each of which takes longer than the broker waits.
    let slow = fleet.submit(&[
        "--table",
        "public.orders",
        "--batch-size",
        "5000",
        "--target",
        "postgres",
    ]);
    completed_once(&fleet, &watch, &orders, &slow, "an impatient broker");
    let told = services[2].said();
    assert!(
        told.contains("could not be settled and comes again"),
        "no channel was closed: {told}"
    );
    let patient = "application:set_env(rabbit, consumer_timeout, 1800000).";
    broker.control(&["eval", patient]);

    let job = submit(&fleet, 2);
    eventually("the first commits", || fleet.commits(&job) >= 3);
    broker.kill();
    let committed = Committed::of(&fleet, &job);
    broker.wipe();
    broker.go();
    fleet.run(&["topology", "apply"]).exits(0);
    assert_eq!(fleet.outcome(&job), "completed", "a broker without its disk");
    committed.is_untouched("a broker without its disk");
    swept(&fleet);
    for job in [&slow, &job] {
        orders.is_in(&fleet.job(job));
    }
    leave_empty_queues(&fleet, services);
}
