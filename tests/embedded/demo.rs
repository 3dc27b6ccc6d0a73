//! The first minutes: `demo`, the commands that it and the summary print, and those of the README.

use std::process::Command;

use sqlextract_system_tests::{Dialect, Job, Run, Scenario, variable};

use crate::fingerprint::Orders;

/// Runs lines as a person types them, with the executable in the PATH and one variable set.
fn typed(scenario: &Scenario, variable_set: (&str, &str), lines: &str) -> Run {
    let folder = scenario.path("bin");
    if !folder.exists() {
        std::fs::create_dir(&folder).expect("the temporary folder takes folders");
        let program = std::fs::canonicalize(variable("SQLEXTRACT_BINARY")).expect("the executable is there");
        std::os::unix::fs::symlink(program, folder.join("sqlextract")).expect("the folder takes links");
    }
    let mut shell = Command::new("sh");
    shell.args(["-ec", lines]).current_dir(scenario.path(""));
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}", folder.display()));
    shell
        .env_remove("SQLEXTRACT_SOURCE")
        .env(variable_set.0, variable_set.1);
    scenario.start(shell).wait()
}

#[test]
fn the_demo_runs_twice_and_its_printed_commands_work() {
    let scenario = Scenario::new();
    let none = ("UNUSED", "");
    for _ in 0..2 {
        let demo = typed(&scenario, none, "sqlextract demo --rows 20000").exits(0);
        assert!(demo.stdout.contains("20000 rows"), "{}", demo.stdout);
        assert!(demo.stdout.contains("verified"), "{}", demo.stdout);
        let printed: Vec<&str> = demo
            .stdout
            .lines()
            .filter_map(|line| {
                line.split_once("sqlextract ")
                    .filter(|(before, _)| before.trim().len() <= 5)
            })
            .map(|(_, command)| command)
            .collect();
        assert!(printed.len() >= 3, "{}", demo.stdout);
        for command in printed {
            typed(&scenario, none, &format!("sqlextract {command}")).exits(0);
        }
    }
}

#[test]
fn the_commands_of_the_summary_and_the_examples_work_as_written() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 25_000);
    orders.database.run("ALTER TABLE orders RENAME TO users;");
    let url = orders.database.url();
    let source = ("DATABASE_URL", url.as_str());
    let line = "sqlextract extract --table users --workers 8 --batch-size 10000 --buffer-size 1GB --parallel-write";
    let first = typed(&scenario, source, line).exits(0);
    let next: Vec<&str> = first
        .stdout
        .lines()
        .filter_map(|l| l.find("sqlextract ").map(|at| &l[at..]))
        .collect();
    assert!(next.len() >= 2, "{}", first.stdout);
    for line in next {
        typed(&scenario, source, line).exits(0);
    }
    let small = "sqlextract extract --table users --batch-size 1000 --workers 8 --parallel-write --json";
    let again = typed(&scenario, source, small).exits(0).outcome("already_complete");
    assert!(Job::of(&again).is_sound().entries.len() <= 4, "the stored plan counts");
    let anew = format!("{small} --restart");
    let anew = typed(&scenario, source, &anew).exits(0).outcome("completed");
    assert!(
        Job::of(&anew).is_sound().entries.len() >= 20,
        "the new plan has the new size"
    );
}
