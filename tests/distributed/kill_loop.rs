//! Everything is killed or frozen at random moments while many jobs run: nothing is lost and nothing doubled.

use std::time::{Duration, Instant};

use sqlextract_system_tests::{
    Broker, Dialect, Dice, Fleet, FleetSource, Running, Store, eventually, full_size, pause,
};

use crate::fingerprint::Orders;

const ROLES: [&str; 5] = ["planner", "scripter", "extractor", "extractor", "extractor"];
const SETTINGS: &str = "[planner]\nsweep_interval = \"1s\"\nstall_after = \"5s\"\nlease = \"2s\"\nlinger = \"6s\"\n\
     [extractor]\nworkers = 2\nbuffer_size = \"64MB\"\nbatch_deadline = \"20s\"\n";

/// How long things are killed; `SQLEXTRACT_TEST_KILL_SECONDS` makes it as long as wanted.
fn time() -> Duration {
    let asked = std::env::var("SQLEXTRACT_TEST_KILL_SECONDS").ok();
    let seconds = asked.and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(if full_size() { 120 } else { 30 }))
}

struct Everything {
    fleet: Fleet,
    services: Vec<Running>,
    broker: Broker,
    store: Store,
    dice: Dice,
    broker_kills: u32,
}

impl Everything {
    /// Kills or freezes one of them, and brings it back.
    fn strike(&mut self) {
        let frozen = Duration::from_millis(500 + self.dice.below(2500));
        match (self.dice.below(10), self.dice.below(3)) {
            (0, _) => self.store.flush(),
            (1, 0) => {
                self.store.signal("-STOP");
                pause(frozen);
                self.store.signal("-CONT");
            }
            (1, _) => {
                self.store.kill();
                self.store.go();
            }
            // A node takes long to start; one restart in half a minute leaves time for the others.
            (2, _) if self.broker_kills == 0 || full_size() => {
                self.broker_kills += 1;
                self.broker.kill();
                self.broker.go();
            }
            (_, how) => {
                let victim = self.dice.below(ROLES.len() as u64) as usize;
                if how == 0 {
                    self.services[victim].signal("-STOP");
                    pause(frozen);
                    self.services[victim].signal("-CONT");
                } else {
                    let next = self.fleet.start(&["--log-format", "json", "serve", ROLES[victim]]);
                    assert!(
                        std::mem::replace(&mut self.services[victim], next).kill(),
                        "a {} had ended by itself",
                        ROLES[victim]
                    );
                }
            }
        }
    }
}

#[test]
fn ten_jobs_are_whole_whatever_is_killed_meanwhile() {
    // As much work as the limit leaves time for while things are killed.
    let orders = Orders::alone(Dialect::Postgres, 500 * time().as_secs());
    let url = orders.database.url();
    let source = FleetSource::shop(&url, "rate_limit = \"rows=7000\"");
    let (broker, store) = (Broker::start(), Store::start());
    let fleet = Fleet::on([broker.url(), store.url()], &[source], SETTINGS);
    let services = ROLES.iter().map(|role| fleet.serve(role)).collect();
    let shapes = [
        ("parquet", "zstd"),
        ("parquet", "snappy"),
        ("parquet", "gzip"),
        ("parquet", "lz4"),
        ("parquet", "none"),
        ("csv", "none"),
    ];
    let request = [
        "--table",
        "public.orders",
        "--batch-size",
        "500",
        "--target",
        "postgres",
    ];
    let mut jobs: Vec<String> = Vec::new();
    for (format, compression) in shapes {
        let shape = ["--format", format, "--compression", compression];
        jobs.push(fleet.submit(&[&request[..], &shape].concat()));
    }
    for size in ["1MB", "2MB", "3MB", "4MB"] {
        jobs.push(fleet.submit(&[&request[..], &["--chunk-size", size]].concat()));
    }
    let seed = std::env::var("SQLEXTRACT_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let mut everything = Everything {
        fleet,
        services,
        broker,
        store,
        dice: Dice::new(seed.unwrap_or(31)),
        broker_kills: 0,
    };
    let begun = Instant::now();
    let mut strikes = 0;
    while begun.elapsed() < time() {
        let rest = 500 + everything.dice.below(2000);
        pause(Duration::from_millis(rest));
        everything.strike();
        strikes += 1;
    }
    assert!(strikes >= 5, "{strikes} strikes prove little");
    let fleet = &everything.fleet;
    for job in &jobs {
        assert_eq!(fleet.outcome(job), "completed", "{job}");
        let script = || fleet.folder().join(job).join("ingest/postgres.sql").exists();
        eventually(&format!("the script of {job}"), script);
    }
    // What a frozen process uploaded too late is removed by the second sweep, which ends the job's mark.
    eventually("the last sweep", || {
        let marks = sqlextract_system_tests::all_files(&fleet.folder().join("_sqlextract/open"));
        marks.is_empty()
    });
    for job in &jobs {
        orders.is_in(&fleet.job(job));
    }
}
