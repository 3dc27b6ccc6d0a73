//! Two processes on one job.

use sqlextract_system_tests::{Dialect, Job, Scenario, eventually};

use crate::fingerprint::Orders;
use crate::kills::commits;

const SLOW: [&str; 8] = [
    "--table",
    "orders",
    "--batch-size",
    "500",
    "--workers",
    "2",
    "--rate-limit",
    "rows=10000",
];

#[test]
fn a_second_process_leaves_with_busy_until_the_first_is_killed() {
    let scenario = Scenario::new();
    let orders = Orders::alone(Dialect::Postgres, 30_000);
    let url = orders.database.url();
    let mut first = scenario.start_extract(&url, &SLOW);
    eventually("the first commits", || first.ended() || commits(&scenario) >= 5);
    let second = scenario.extract(&url, &SLOW).exits(11).says(&["is working on job"]);
    assert_eq!(second.json["error"]["code"], "job_busy");
    assert_eq!(second.json["error"]["class"], "busy");
    assert!(first.kill(), "the first was at work all the time");
    let third = scenario.extract(&url, &SLOW).exits(0).outcome("completed");
    assert!(third.json["resumed_batches"].as_u64() >= Some(5));
    orders.is_in(&Job::of(&third));
}

#[test]
fn a_second_process_may_wait_for_the_first() {
    let scenario = Scenario::new();
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let url = orders.database.url();
    let mut first = scenario.start_extract(&url, &SLOW);
    eventually("the first commits", || first.ended() || commits(&scenario) >= 3);
    let waiting = [&SLOW[..], &["--if-running", "wait"]].concat();
    let second = scenario.start_extract(&url, &waiting);
    let first = first.wait().exits(0).outcome("completed");
    second.wait().exits(0).outcome("already_complete");
    orders.is_in(&Job::of(&first));
}

#[test]
fn an_interrupt_ends_cleanly_and_the_next_run_goes_on() {
    for (signal, exit) in [("-INT", 130), ("-TERM", 143)] {
        let scenario = Scenario::new();
        let orders = Orders::alone(Dialect::Postgres, 20_000);
        let url = orders.database.url();
        let mut first = scenario.start_extract(&url, &SLOW);
        eventually("the first commits", || first.ended() || commits(&scenario) >= 3);
        first.signal(signal);
        first.wait().exits(exit).says(&["resumes"]);
        let committed = commits(&scenario);
        let second = scenario.extract(&url, &SLOW).exits(0).outcome("completed");
        assert_eq!(second.json["resumed_batches"], committed);
        orders.is_in(&Job::of(&second));
    }
}
