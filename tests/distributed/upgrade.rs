//! A rolling upgrade: services of two versions at work together.

use std::path::Path;

use sqlextract_system_tests::{Dialect, Fleet, FleetSource, eventually, full_size, variable};

use crate::clients::python;
use crate::fingerprint::Orders;
use crate::proof::{Committed, completed_once, leave_empty_queues, swept};

const SETTINGS: &str =
    "[planner]\njob_window = 8\nsweep_interval = \"500ms\"\nstall_after = \"5s\"\nlease = \"1s\"\nlinger = \"2s\"\n";
const BATCHES: [&str; 4] = ["--table", "public.orders", "--batch-size", "250"];

/// Rewrites what waits in a queue, and returns how many messages there were.
fn of_other_versions(fleet: &Fleet, queue: &str, golden: &str) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = folder.join("../shared/model/schemas/golden/v1").join(golden);
    let script = folder.join("distributed/first_version.py");
    let done = python(fleet, &script).arg(queue).arg(golden).output();
    let done = done.expect("SQLEXTRACT_TEST_PYTHON starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let count = String::from_utf8_lossy(&done.stdout);
    count.trim().parse().expect("a number of messages")
}

#[test]
fn messages_of_the_version_before_and_of_the_one_after_are_worked_off_beside_todays() {
    let orders = Orders::alone(Dialect::Postgres, 5000);
    let url = orders.database.url();
    let fleet = Fleet::with(&[FleetSource::shop(&url, "")], SETTINGS);
    let planner = fleet.serve("planner");
    let watch = fleet.watch();
    let job = fleet.submit(&[&BATCHES[..], &["--target", "postgres"]].concat());
    eventually("a full window", || crate::proof::waiting(&fleet)["batches.shop"] == 8);
    // Gone without a word: its batches, and the tick that looks for room, are what another version left.
    planner.signal("-KILL");
    planner.wait();
    eventually("a tick in nobody's hands", || {
        crate::proof::waiting(&fleet)["ticks"] >= 1
    });
    assert_eq!(of_other_versions(&fleet, "batches.shop", "batch.json"), 8);
    assert!(of_other_versions(&fleet, "ticks", "tick.json") >= 1);
    let mut services = vec![
        fleet.serve("planner"),
        fleet.serve("extractor"),
        fleet.serve("extractor"),
    ];
    assert_eq!(fleet.outcome(&job), "completed");
    eventually("a completion for the scripter", || {
        crate::proof::waiting(&fleet)["scripter"] >= 1
    });
    assert!(of_other_versions(&fleet, "scripter", "extraction.completed.json") >= 1);
    services.push(fleet.serve("scripter"));
    completed_once(&fleet, &watch, &orders, &job, "messages of three versions");
    assert!(!watch.heard(&job, "ingest.generated").is_empty());
    swept(&fleet);
    fleet.job(&job).is_sound();
    leave_empty_queues(&fleet, services);
}

/// Every role of an executable of the version before is replaced while one job runs, in the order that an operator takes,
/// and for a while both versions are at work.
#[test]
fn a_job_outlives_the_upgrade_of_all_services() {
    if !full_size() {
        return;
    }
    let older = variable("SQLEXTRACT_OLDER_BINARY");
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let url = orders.database.url();
    let fleet = Fleet::with(&[FleetSource::shop(&url, "rate_limit = \"rows=1500\"")], SETTINGS);
    let mut before: Vec<_> = ["planner", "scripter", "extractor", "extractor"]
        .map(|role| fleet.serve_of(&older, role))
        .into();
    let watch = fleet.watch();
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 3);
    let mut after = Vec::new();
    for role in ["extractor", "planner", "scripter", "extractor"] {
        let committed = Committed::of(&fleet, &job);
        let seen = fleet.commits(&job);
        after.push(fleet.serve(role));
        // The scripter leaves second, and the last of the old extractors at the end.
        let leaves = before.remove(match role {
            "extractor" => before.len() - 1,
            _ => 0,
        });
        eventually("commits of both versions", || fleet.commits(&job) >= seen + 5);
        leaves.signal("-TERM");
        leaves.wait().exits(0);
        eventually("commits after one has left", || fleet.commits(&job) >= seen + 10);
        committed.is_untouched(&format!("an upgrade of the {role}"));
        assert!(!fleet.has_outcome(&job), "the upgrade came too late to prove anything");
    }
    completed_once(&fleet, &watch, &orders, &job, "an upgrade");
    swept(&fleet);
    fleet.job(&job).is_sound();
    leave_empty_queues(&fleet, after);
}
