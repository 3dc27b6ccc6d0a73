//! Two processes on one job.

use sqlextract_system_tests::{Dialect, Job, Running, Scenario, eventually};

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

/// A first process at work, and a second that is attached to it and has shown it once.
fn attached(scenario: &Scenario, url: &str) -> (Running, Running) {
    let before = commits(scenario);
    let mut first = scenario.start_extract(url, &SLOW);
    eventually("the next commits", || first.ended() || commits(scenario) >= before + 3);
    let attach = [&SLOW[..], &["--if-running", "attach", "--progress", "json"]].concat();
    let mut second = scenario.start_extract(url, &attach);
    eventually("news of the running job", || {
        second.ended() || second.said_so_far().contains("\"event\":\"attached\"")
    });
    (first, second)
}

#[test]
fn an_attached_process_shows_the_job_and_ends_as_it_ends() {
    let scenario = Scenario::new();
    scenario.hush();
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let (first, second) = attached(&scenario, &orders.database.url());
    let first = first.wait().exits(0).outcome("completed");
    let second = second.wait().exits(0).outcome("completed");
    assert_eq!(second.json["manifest"], first.json["manifest"]);
    assert_eq!(second.json["tables"], first.json["tables"]);
    let news: Vec<serde_json::Value> = second
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect("with `--progress json` every line is JSON"))
        .collect();
    assert_eq!(news[0]["job"], first.json["job"]);
    assert!(news[0]["batches"].as_u64() > Some(20), "{}", news[0]);
    assert!(news[0]["batches_done"].as_u64() >= Some(3), "{}", news[0]);
    orders.is_in(&Job::of(&second));
}

#[test]
fn an_attached_process_is_told_of_a_death_and_of_a_cancellation() {
    let scenario = Scenario::new();
    let orders = Orders::alone(Dialect::Postgres, 150_000);
    let url = orders.database.url();
    let (first, second) = attached(&scenario, &url);
    assert!(first.kill(), "the first was at work all the time");
    let second = second.wait().exits(130).outcome("unfinished");
    assert_eq!(second.json["error"]["code"], "interrupted");
    let job = second.json["job"].as_str().expect("the job is named").to_owned();
    let (first, second) = attached(&scenario, &url);
    let output = scenario.output();
    let output = output.to_str().expect("temporary paths are text");
    scenario.run(&["cancel", "--job", &job, "--output", output]).exits(0);
    second.wait().exits(12).outcome("cancelled");
    first.wait().exits(12).outcome("cancelled");
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
