//! A source that changes while it is read: the extraction is one instant of it.

use std::io::Write;
use std::process::{Child, Stdio};

use sqlextract_system_tests::{Database, Dialect, Job, Rows, Scenario, eventually};

use crate::fingerprint::Orders;
use crate::kills::commits;

const STATE: &str = "SELECT id, place, note FROM moving ORDER BY id";

fn moving() -> Database {
    let database = Database::new(Dialect::Postgres);
    database.run(
        "CREATE TABLE moving (id bigint PRIMARY KEY, place integer NOT NULL, note text);
         INSERT INTO moving SELECT i, i % 100, CASE WHEN i % 3 > 0 THEN repeat('x', i % 50) END FROM generate_series(1, 20000) AS i;
         ANALYZE moving;",
    );
    database
}

/// Rows change their keys, their pages and their values; some go and come back elsewhere.
fn round(number: u32) -> String {
    let step = number % 5;
    format!(
        "UPDATE moving SET place = place + 1, note = coalesce(note, '') || 'y' WHERE id % 5 = {step};
         UPDATE moving SET id = id + 1000000 WHERE id % 11 = {step} AND id < 1000000;
         UPDATE moving SET id = id - 1000000 WHERE id % 13 = {step} AND id > 1000000;
         WITH gone AS (DELETE FROM moving WHERE id % 17 = {step} RETURNING *)
           INSERT INTO moving SELECT -id, place, 'moved' FROM gone;\n"
    )
}

/// A second client that changes the table for as long as it is fed.
struct Updater {
    client: Child,
    rounds: u32,
}

impl Updater {
    fn new(database: &Database) -> Self {
        let mut client = database.client_program(database.name());
        let client = client
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("psql starts");
        Self { client, rounds: 0 }
    }

    fn change(&mut self) {
        let stdin = self.client.stdin.as_mut().expect("standard input is a pipe");
        stdin
            .write_all(round(self.rounds).as_bytes())
            .expect("the updater is alive");
        self.rounds += 1;
    }

    fn finish(mut self) -> u32 {
        drop(self.client.stdin.take());
        let ended = self.client.wait().expect("psql can be waited for");
        assert!(ended.success(), "every change was made");
        self.rounds
    }
}

fn sorted(job: &Job) -> Rows {
    job.query("moving", "SELECT id, place, note FROM chunks ORDER BY id")
}

#[test]
fn a_snapshot_is_the_state_at_the_start_though_rows_move() {
    let scenario = Scenario::new();
    let database = moving();
    let start = database.rows(&format!("{STATE};"));
    let mut updater = Updater::new(&database);
    let mut running = scenario.start_extract(
        &database.url(),
        &[
            "--table",
            "moving",
            "--consistency",
            "snapshot",
            "--batch-size",
            "500",
            "--workers",
            "2",
            "--rate-limit",
            "rows=8000",
        ],
    );
    // A commit shows that the snapshot is taken.
    eventually("the first commit", || running.ended() || commits(&scenario) > 0);
    let mut seen = commits(&scenario);
    assert!(seen < 30, "the changes come while most is unread");
    while !running.ended() {
        updater.change();
        eventually("the next commit", || running.ended() || commits(&scenario) > seen);
        seen = commits(&scenario);
    }
    let run = running.wait().exits(0).outcome("completed");
    assert!(updater.finish() >= 5, "the table moved during the extraction");
    let end = database.rows(&format!("{STATE};"));
    assert_ne!(start, end);
    let job = Job::of(&run);
    job.is_sound();
    assert_eq!(run.json["consistency"], "snapshot");
    assert!(
        sorted(&job) == start,
        "the chunks are not the table as it was at the start"
    );
}

#[test]
fn a_table_that_moved_after_a_kill_is_planned_anew() {
    let scenario = Scenario::new();
    let database = moving();
    let command = [
        "--table",
        "moving",
        "--batch-size",
        "500",
        "--workers",
        "2",
        "--rate-limit",
        "rows=8000",
    ];
    let mut running = scenario.start_extract(&database.url(), &command);
    eventually("ten commits", || running.ended() || commits(&scenario) >= 10);
    assert!(running.kill());
    let mut updater = Updater::new(&database);
    (0..5).for_each(|_| updater.change());
    updater.finish();
    let run = scenario
        .extract(&database.url(), &command)
        .exits(0)
        .outcome("completed");
    let job = Job::of(&run);
    job.is_sound();
    assert_eq!(job.table("moving")["generation"], 2);
    assert_eq!(job.table("moving")["consistency"], "snapshot");
    assert_eq!(run.json["consistency"], "snapshot");
    assert!(
        sorted(&job) == database.rows(&format!("{STATE};")),
        "the chunks are not the table as it is now"
    );
    scenario
        .about(&run, "verify", &["--depth", "source", "--source", &database.url()])
        .exits(0);
}

#[test]
fn a_continued_extraction_says_that_its_batches_are_instants_of_their_own() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 20_000);
    let url = orders.database.url();
    let mut command = vec!["--table", "orders", "--batch-size", "500", "--workers", "2"];
    command.extend(["--rate-limit", "rows=8000"]);
    let mut running = scenario.start_extract(&url, &command);
    eventually("ten commits", || running.ended() || commits(&scenario) >= 10);
    assert!(running.kill());
    orders.database.run("UPDATE orders SET note = 'new';");
    let fail = [&command[..], &["--on-snapshot-lost", "fail"]].concat();
    scenario
        .extract(&url, &fail)
        .exits(10)
        .says(&["the snapshot of main.orders is gone"]);
    let go_on = [&command[..], &["--on-snapshot-lost", "continue"]].concat();
    let run = scenario.extract(&url, &go_on).exits(0).outcome("completed");
    let job = Job::of(&run);
    job.is_sound();
    assert_eq!(run.json["consistency"], "batch");
    assert_eq!(job.table("orders")["generation"], 1);
    let ids = job.query(
        "orders",
        "SELECT count(*), count(DISTINCT id), count(DISTINCT note) FROM chunks",
    );
    assert_eq!(ids[0][..2], [Some("20000".to_owned()), Some("20000".to_owned())]);
    assert_ne!(
        ids[0][2].as_deref(),
        Some("1"),
        "the first batches are of the first instant"
    );
}

#[test]
fn a_plan_by_physical_blocks_never_goes_on_over_rows_that_moved() {
    let scenario = Scenario::new();
    let database = moving();
    let mut command = vec!["--table", "moving", "--batch-size", "500", "--workers", "2"];
    command.extend(["--rate-limit", "rows=8000", "--on-snapshot-lost", "continue"]);
    let mut running = scenario.start_extract(&database.url(), &command);
    eventually("ten commits", || running.ended() || commits(&scenario) >= 10);
    assert!(running.kill());
    // Every row gets a new place; vacuum and the second update fill the old places.
    database.run("UPDATE moving SET note = 'new'; VACUUM moving; UPDATE moving SET note = 'newer' WHERE id % 2 = 0;");
    let run = scenario
        .extract(&database.url(), &command)
        .exits(0)
        .outcome("completed");
    let job = Job::of(&run);
    job.is_sound();
    assert_eq!(job.table("moving")["generation"], 2);
    assert!(
        sorted(&job) == database.rows(&format!("{STATE};")),
        "the chunks are not the table as it is now"
    );
}
