//! A job that is cancelled: its process ends, what was committed stays, and the job is over.

use sqlextract_system_tests::{Dialect, Job, Run, Scenario, all_files, eventually};

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
    "rows=5000",
];

/// The job's name, as its folder has it.
fn job_of(scenario: &Scenario) -> String {
    let files = all_files(&scenario.output());
    let record = files.iter().find(|f| f.ends_with("request.json"));
    let record = record.expect("a job that is at work has its record");
    let folder = record.iter().next().expect("a record is in a folder");
    folder.to_string_lossy().into_owned()
}

fn cancel(scenario: &Scenario, job: &str) -> Run {
    let output = scenario.output();
    let output = output.to_str().expect("temporary paths are text");
    scenario.run(&["cancel", "--json", "--job", job, "--output", output])
}

#[test]
fn a_running_job_ends_as_cancelled_and_keeps_what_was_committed() {
    for (dialect, arguments) in [
        (Dialect::Postgres, &SLOW[..]),
        // One batch that would take minutes: it is stopped in the middle.
        (
            Dialect::Mysql,
            &[
                "--table",
                "orders",
                "--batch-size",
                "100000",
                "--rate-limit",
                "rows=500",
            ][..],
        ),
        (Dialect::Sqlite, &SLOW[..]),
    ] {
        let scenario = Scenario::new();
        let orders = Orders::alone(dialect, 60_000);
        let url = orders.database.url();
        let mut running = scenario.start_extract(&url, arguments);
        let begun = || match arguments.len() {
            8 => commits(&scenario) >= 3,
            _ => all_files(&scenario.output())
                .iter()
                .any(|f| f.iter().any(|part| part == "plan")),
        };
        eventually("the first work", || running.ended() || begun());
        let job = job_of(&scenario);
        let told = cancel(&scenario, &job).exits(0);
        assert_eq!(told.json["state"], "cancel_requested");
        let ended = running.wait().exits(12).outcome("cancelled");
        assert_eq!(ended.json["error"]["code"], "job_cancelled");
        assert_eq!(ended.json["job"], job.as_str());
        let manifest = Job::of(&ended);
        assert_eq!(manifest.manifest["outcome"], "cancelled");
        let there = all_files(&manifest.folder.join("data")).len();
        let named = manifest.chunks("orders").len();
        assert_eq!(
            there, named,
            "what the manifest of a cancelled job does not name is gone"
        );
        assert_eq!(cancel(&scenario, &job).exits(0).json["state"], "cancelled");
        let again = scenario.extract(&url, arguments).exits(12).outcome("cancelled");
        assert_eq!(again.json["error"]["code"], "job_cancelled");
    }
}

#[test]
fn a_job_that_nobody_works_on_is_cancelled_by_its_own_command() {
    let scenario = Scenario::new();
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let url = orders.database.url();
    let mut running = scenario.start_extract(&url, &SLOW);
    eventually("the first commits", || running.ended() || commits(&scenario) >= 3);
    assert!(running.kill(), "the extraction was too fast");
    let before = commits(&scenario);
    cancel(&scenario, &job_of(&scenario)).exits(0);
    let ended = scenario.extract(&url, &SLOW).exits(12).outcome("cancelled");
    assert_eq!(Job::of(&ended).entries.len(), before, "nothing is read any more");
    let anew = [&["--table", "orders"][..], &["--restart"]].concat();
    let run = scenario.extract(&url, &anew).exits(0).outcome("completed");
    orders.is_in(&Job::of(&run));
}

#[test]
fn what_cannot_be_cancelled_is_told() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 100);
    let run = scenario
        .extract(&orders.database.url(), &["--table", "orders"])
        .exits(0);
    let job = run.json["job"].as_str().expect("the job has a name");
    cancel(&scenario, "orders-00000000")
        .exits(5)
        .says(&["no job orders-00000000", "--output", "[storage_missing]"]);
    cancel(&scenario, job)
        .exits(2)
        .says(&["completed already", "--restart"]);
    scenario.about(&run, "verify", &[]).exits(0);
    scenario
        .extract(&orders.database.url(), &["--table", "orders"])
        .exits(0)
        .outcome("already_complete");
}
