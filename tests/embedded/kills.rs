//! An extraction that is killed again and again ends complete, without a row lost, doubled or read anew.

use std::time::Duration;

use sqlextract_system_tests::{Dialect, Dice, Job, Scenario, all_files, eventually, full_size, pause};

use crate::fingerprint::Orders;

pub(crate) fn commits(scenario: &Scenario) -> usize {
    let files = all_files(&scenario.output());
    files
        .iter()
        .filter(|f| f.components().any(|c| c.as_os_str() == "commits"))
        .count()
}

fn survives(dialect: Dialect, rows: u64, kills: u64, seed: u64) {
    let scenario = Scenario::new();
    let orders = Orders::alone(dialect, rows);
    let url = orders.database.url();
    let batch = (rows / 100).to_string();
    // Slow enough for the kills to fall into the work, whatever the machine.
    let limit = format!("rows={}", rows / 2);
    let mut command = vec!["--table", "orders", "--batch-size", &batch, "--workers", "3"];
    command.extend(["--rate-limit", &limit]);
    let mut dice = Dice::new(seed);
    let step = (80 / kills).max(1);
    for kill in 0..kills {
        let mut running = scenario.start_extract(&url, &command);
        if kill > 0 {
            let enough = commits(&scenario) + usize::try_from(dice.below(step)).expect("a small number");
            eventually("the next commits", || running.ended() || commits(&scenario) >= enough);
        }
        pause(Duration::from_millis(dice.below(if kill == 0 { 300 } else { 20 })));
        assert!(
            running.kill(),
            "kill {kill} of seed {seed} came after the end: make the extraction slower"
        );
    }
    let before = commits(&scenario) as u64;
    let run = scenario.extract(&url, &command).exits(0).outcome("completed");
    let job = Job::of(&run);
    orders.is_in(&job);
    assert_eq!(
        run.json["resumed_batches"], before,
        "what was committed is not read again"
    );
    assert_eq!(
        job.table("orders")["generation"],
        1,
        "the source did not change, so nothing is planned anew"
    );
    let plans = all_files(&job.folder.join("plan"));
    assert!(!plans.iter().any(|p| p.ends_with("g0002.json")), "{plans:?}");
    scenario.about(&run, "verify", &["--depth", "full"]).exits(0);
}

#[test]
fn postgresql_survives_kills_at_random_moments() {
    let kills = if full_size() { 20 } else { 6 };
    survives(Dialect::Postgres, 200_000, kills, 11);
}

#[test]
fn mariadb_survives_kills_at_random_moments() {
    survives(Dialect::Mysql, 60_000, if full_size() { 20 } else { 3 }, 12);
}

#[test]
fn sqlite_survives_kills_at_random_moments() {
    survives(Dialect::Sqlite, 60_000, if full_size() { 20 } else { 3 }, 13);
}
