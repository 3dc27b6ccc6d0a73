//! `--workers auto`: fewer while others are strained, all of them again when nobody is, and never fewer for our own load.

use std::io::Write;
use std::process::{Child, Stdio};

use serde_json::Value;
use sqlextract_system_tests::{Database, Dialect, Job, Run, Running, Scenario, eventually};

use crate::fingerprint::Orders;
use crate::kills::commits;

const ROWS: u64 = 40_000;
/// Long enough for both ways to be gone.
const SLOW: [&str; 7] = [
    "-v",
    "--table",
    "orders",
    "--batch-size",
    "250",
    "--rate-limit",
    "rows=1500",
];

/// A client of somebody else, at work until its standard input ends or its session is terminated.
fn other(database: &Database, statements: &str) -> Child {
    let mut client = database.client_program(database.name());
    let client = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut client = client.spawn().expect("psql starts");
    let stdin = client.stdin.as_mut().expect("standard input is a pipe");
    stdin.write_all(statements.as_bytes()).expect("psql takes statements");
    client
}

fn end(mut client: Child) {
    drop(client.stdin.take());
    // One whose session was terminated fails, which is what was asked of it.
    let _ = client.wait().expect("psql can be waited for");
}

/// Three clients, of which two wait for what the first holds until it ends.
fn held_up(database: &Database) -> [Child; 3] {
    let first = other(database, "BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE;\n");
    let holds = "SELECT count(*) FROM pg_locks WHERE granted AND relation = 'held'::regclass;";
    eventually("the lock is held", || database.value(holds) == "1");
    let [second, third] = [(); 2].map(|()| other(database, "SELECT count(*) FROM held;\n"));
    let wait = "SELECT count(*) FROM pg_locks WHERE NOT granted;";
    eventually("two wait", || database.value(wait) == "2");
    [first, second, third]
}

fn says(running: &mut Running, what: &str, holds: impl Fn(&str) -> bool) {
    eventually(what, || {
        let ended = running.ended();
        let said = running.said();
        assert!(!ended || holds(&said), "it ended before it told {what}: {said}");
        holds(&said)
    });
}

fn number(workers: &Value, name: &str) -> u64 {
    let found = workers[name].as_u64();
    found.unwrap_or_else(|| panic!("{name} is no number in {workers}"))
}

/// The summary's account of the workers, of a run that lowered them and gave them back.
#[track_caller]
fn went_down_and_came_back(run: &Run) {
    let workers = &run.json["workers"];
    let chosen = number(workers, "chosen");
    assert!(number(workers, "lowest") < chosen, "{workers}");
    assert_eq!(number(workers, "last"), chosen, "{workers}\n{}", run.stderr);
    let reason = workers["last_reason"].as_str();
    assert!(reason.is_some_and(|reason| reason.starts_with("calm")), "{workers}");
    // As many ups as downs at most, each in one step or more.
    assert!(number(workers, "changes") <= 2 * chosen, "{workers}\n{}", run.stderr);
}

/// Strain comes while the extraction runs, and goes before it ends.
fn extraction_beside(orders: &Orders, signal: &str, come: impl Fn() -> Vec<Child>, go: impl Fn(Vec<Child>)) {
    let scenario = Scenario::new();
    let url = orders.database.url();
    let mut running = scenario.start_extract(&url, &SLOW);
    eventually("the first commits", || running.ended() || commits(&scenario) >= 3);
    let others = come();
    let lowered = format!(": {signal} at ");
    says(&mut running, "fewer workers", |said| said.contains(&lowered));
    go(others);
    says(&mut running, "more workers", |said| said.contains(": calm"));
    let run = running.wait().exits(0).outcome("completed");
    went_down_and_came_back(&run);
    orders.is_in(&Job::of(&run));
}

#[test]
fn workers_make_room_while_others_wait_for_locks() {
    let orders = Orders::alone(Dialect::Postgres, ROWS);
    orders.database.run("CREATE TABLE held (id integer);");
    let come = || Vec::from(held_up(&orders.database));
    extraction_beside(&orders, "lock waits of others", come, |others| {
        others.into_iter().for_each(end)
    });
}

#[test]
fn workers_make_room_while_many_others_work() {
    let orders = Orders::alone(Dialect::Postgres, ROWS);
    let database = &orders.database;
    let many = database.value("SHOW max_connections;").parse::<usize>().unwrap() / 10 + 1;
    let come = || {
        let clients = (0..many).map(|_| other(database, "SELECT pg_sleep(600);\n"));
        let clients: Vec<Child> = clients.collect();
        let working = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep' AND state = 'active';";
        eventually("all work", || database.value(working) == many.to_string());
        clients
    };
    extraction_beside(&orders, "other sessions at work", come, |others| {
        database.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep';");
        others.into_iter().for_each(end);
    });
}

#[test]
fn an_extraction_alone_keeps_all_its_workers() {
    let orders = Orders::alone(Dialect::Postgres, ROWS);
    for more in [&["--consistency", "snapshot"], &["--consistency", "batch"]] {
        let scenario = Scenario::new();
        let arguments = [&SLOW[..5], &["--rate-limit", "rows=6000"], &more[..]].concat();
        let run = scenario.extract(&orders.database.url(), &arguments).exits(0);
        let run = run.outcome("completed");
        let workers = &run.json["workers"];
        assert!(run.json["elapsed_seconds"].as_f64() > Some(5.0), "{}", run.json);
        assert_eq!(number(workers, "changes"), 0, "{workers}\n{}", run.stderr);
        assert_eq!(number(workers, "lowest"), number(workers, "chosen"));
        assert!(workers["why"].as_str().is_some_and(|why| !why.is_empty()), "{workers}");
        run.says(&["workers: "]);
    }
}

#[test]
fn a_number_that_was_asked_for_stays() {
    let orders = Orders::alone(Dialect::Postgres, ROWS / 4);
    orders.database.run("CREATE TABLE held (id integer);");
    let others = held_up(&orders.database);
    let scenario = Scenario::new();
    let arguments = [&SLOW[..], &["--workers", "3"]].concat();
    let run = scenario.extract(&orders.database.url(), &arguments).exits(0);
    others.into_iter().for_each(end);
    let workers = &run.json["workers"];
    let figures = ["chosen", "lowest", "highest", "changes"].map(|name| number(workers, name));
    assert_eq!(figures, [3, 3, 3, 0], "{workers}");
}
