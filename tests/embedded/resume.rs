//! The same command again: it finishes what is unfinished, and leaves what is finished alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sqlextract_system_tests::{Dialect, Job, Scenario, all_files, eventually};

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
    "rows=15000",
];

/// Every file of the jobs with its content; the checkpoint is the program's own affair.
fn contents(scenario: &Scenario) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = scenario.output();
    let files = all_files(&folder).into_iter().filter(|f| !f.starts_with(".sqlextract"));
    files
        .map(|file| {
            let bytes = std::fs::read(folder.join(&file)).expect("a file of the job can be read");
            (file, bytes)
        })
        .collect()
}

/// Ten batches of forty are committed, then the process is killed.
fn interrupted(scenario: &Scenario, orders: &Orders) {
    let mut running = scenario.start_extract(&orders.database.url(), &SLOW);
    eventually("ten commits", || running.ended() || commits(scenario) >= 10);
    assert!(running.kill(), "the extraction was too fast");
}

#[test]
fn a_finished_job_is_complete_already_and_changes_no_file() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Postgres, 5000);
    let command = ["--table", "orders", "--batch-size", "1000"];
    let first = scenario
        .extract(&orders.database.url(), &command)
        .exits(0)
        .outcome("completed");
    let before = contents(&scenario);
    let second = scenario
        .extract(&orders.database.url(), &command)
        .exits(0)
        .outcome("already_complete");
    assert_eq!(second.json["job"], first.json["job"]);
    assert_eq!(second.json["manifest"], first.json["manifest"]);
    assert!(contents(&scenario) == before, "a file was changed");
}

#[test]
fn a_restart_is_a_job_of_its_own_and_the_latest() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 5000);
    let command = ["--table", "orders"];
    let first = scenario.extract(&orders.database.url(), &command).exits(0);
    let before = contents(&scenario);
    orders.database.run("UPDATE orders SET cents = cents + 1;");
    let again = [&command[..], &["--restart"]].concat();
    let second = scenario
        .extract(&orders.database.url(), &again)
        .exits(0)
        .outcome("completed");
    let name = first.json["job"].as_str().unwrap();
    assert_eq!(second.json["job"], format!("{name}-r2"));
    orders.is_in(&Job::of(&second));
    let after = contents(&scenario);
    let kept = before.iter().filter(|(file, _)| file.starts_with(name));
    for (file, bytes) in kept {
        assert!(after.get(file) == Some(bytes), "{} was changed", file.display());
    }
    let output = scenario.output();
    let verified = scenario
        .run(&["verify", "--json", "--output", output.to_str().unwrap()])
        .exits(0);
    assert_eq!(verified.json["job"], second.json["job"]);
}

#[test]
fn another_batch_size_keeps_the_plan_and_says_so() {
    let scenario = Scenario::new();
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    interrupted(&scenario, &orders);
    let plans = |contents: BTreeMap<PathBuf, Vec<u8>>| {
        let plan = |file: &PathBuf| file.components().any(|c| c.as_os_str() == "plan");
        contents.into_iter().filter(|(file, _)| plan(file)).collect::<Vec<_>>()
    };
    let before = plans(contents(&scenario));
    let mut other = SLOW.to_vec();
    other[3] = "4000";
    other.extend(["--progress", "plain"]);
    let run = scenario
        .extract(&orders.database.url(), &other)
        .exits(0)
        .outcome("completed");
    assert!(plans(contents(&scenario)) == before, "the plan was changed");
    let job = Job::of(&run);
    orders.is_in(&job);
    let batches = job.entries.len();
    assert!(batches > 20, "{batches} batches: the new size would give five");
    run.says(&["the stored plan of", "is kept"]);
}

#[test]
fn a_lost_checkpoint_is_rebuilt_from_the_output() {
    for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
        let scenario = Scenario::new();
        let orders = Orders::alone(dialect, 20_000);
        interrupted(&scenario, &orders);
        let committed = commits(&scenario);
        std::fs::remove_dir_all(scenario.output().join(".sqlextract")).unwrap();
        let run = scenario
            .extract(&orders.database.url(), &SLOW)
            .exits(0)
            .outcome("completed");
        assert_eq!(run.json["resumed_batches"], committed, "{dialect:?}");
        let job = Job::of(&run);
        orders.is_in(&job);
        assert_eq!(job.table("orders")["generation"], 1);
    }
}

#[test]
fn a_query_with_a_key_is_split_by_it() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Postgres, 20_000);
    let run = scenario
        .extract(
            &orders.database.url(),
            &[
                "--query",
                "orders=SELECT * FROM orders",
                "--key",
                "id",
                "--batch-size",
                "500",
            ],
        )
        .exits(0);
    let job = Job::of(&run);
    orders.is_in(&job);
    let batches = job.entries.len();
    assert!((20..=80).contains(&batches), "{batches} batches, 40 were aimed at");
}
