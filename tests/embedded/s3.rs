//! The same extractions into a bucket, on a server that can be told to misbehave.

use std::process::Command;

use sqlextract_system_tests::{
    Bucket, Database, Dialect, Dice, Dose, Faults, Run, Running, Scenario, all_files, eventually, pause,
};

use crate::fingerprint::Orders;

/// A bucket, and where the program is run that extracts into it.
pub(crate) struct Lake {
    scenario: Scenario,
    bucket: Bucket,
}

impl Lake {
    pub(crate) fn new() -> Self {
        Self {
            scenario: Scenario::new(),
            bucket: Bucket::new(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.scenario.command(arguments);
        self.bucket.reached_by(&mut command);
        command.env("SQLEXTRACT_STATE", self.scenario.path("state.db"));
        command
    }

    fn extract_command(&self, source: &str, arguments: &[&str]) -> Command {
        let output = self.bucket.output();
        let fixed = [
            "extract",
            "--json",
            "--progress",
            "none",
            "--source",
            source,
            "--output",
            &output,
        ];
        self.command(&[&fixed[..], arguments].concat())
    }

    fn start(&self, source: &str, arguments: &[&str]) -> Running {
        self.scenario.start(self.extract_command(source, arguments))
    }

    pub(crate) fn extract(&self, source: &str, arguments: &[&str]) -> Run {
        self.start(source, arguments).wait()
    }

    fn about(&self, run: &Run, command: &str, arguments: &[&str]) -> Run {
        let manifest = run.json["manifest"].as_str().expect("the run has a manifest");
        let command = self.command(&[&[command, "--manifest", manifest], arguments].concat());
        self.scenario.start(command).wait()
    }

    fn commits(&self) -> usize {
        let files = all_files(&self.bucket.folder());
        let commits = files.iter().filter(|f| f.iter().any(|part| part == "commits"));
        commits.count()
    }

    /// The run failed for this reason, showed no secret, and left neither a manifest nor a chunk that counts.
    #[track_caller]
    fn fails(&self, run: Run, exit: i32, code: &str, named: &[&str]) {
        let run = run.exits(exit).says(named).says(&[&format!("[{code}]"), "hint: "]);
        assert_eq!(run.json["error"]["code"], code, "{}", run.stdout);
        assert!(!run.stderr.contains(Bucket::SECRET) && !run.stdout.contains(Bucket::SECRET));
        let files = all_files(&self.bucket.folder());
        assert!(!files.iter().any(|f| f.ends_with("manifest.json")), "{files:?}");
        assert_eq!(self.bucket.open_uploads(), 0, "an upload stays open");
    }
}

const TABLE: [&str; 4] = ["--table", "orders", "--batch-size", "1000"];

#[test]
fn a_bucket_holds_what_the_database_holds_at_every_depth() {
    for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
        let orders = Orders::new(dialect, 6000);
        for format in ["parquet", "csv"] {
            let lake = Lake::new();
            let url = orders.database.url();
            let arguments = [&TABLE[..], &["--format", format, "--target", "postgres"]].concat();
            let run = lake.extract(&url, &arguments).exits(0).outcome("completed");
            let job = lake.bucket.job(&run);
            assert!(job.entries.len() > 2, "{} batches", job.entries.len());
            orders.is_in(&job);
            for depth in ["listing", "full", "source"] {
                let mut arguments = vec!["--json", "--depth", depth];
                if depth == "source" {
                    arguments.extend(["--source", &url]);
                }
                let verified = lake.about(&run, "verify", &arguments).exits(0);
                assert_eq!(verified.json["rows"], 6000, "{dialect:?} {format} {depth}");
            }
            let script = run.json["scripts"]["postgres"]
                .as_str()
                .expect("a script was asked for");
            assert!(lake.bucket.file(script).is_file(), "{script}");
            let before = all_files(&lake.bucket.folder());
            lake.extract(&url, &arguments).exits(0).outcome("already_complete");
            assert_eq!(all_files(&lake.bucket.folder()), before);
        }
    }
}

#[test]
fn what_cat_reads_from_a_bucket_is_every_row() {
    let lake = Lake::new();
    let orders = Orders::new(Dialect::Sqlite, 2500);
    let run = lake.extract(&orders.database.url(), &TABLE).exits(0);
    let cat = lake.about(&run, "cat", &["--as", "csv"]).exits(0);
    assert_eq!(cat.stdout.lines().count(), 2501, "rows and one header");
}

#[test]
fn a_changed_byte_in_a_bucket_is_found_and_its_chunk_named() {
    let mut lake = Lake::new();
    let orders = Orders::new(Dialect::Postgres, 6000);
    let run = lake.extract(&orders.database.url(), &TABLE).exits(0);
    let job = lake.bucket.job(&run);
    let chunk = job.chunks("orders").swap_remove(1);
    let mut bytes = std::fs::read(&chunk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&chunk, bytes).unwrap();
    // The old server still has the checksum of what was written, and its clients notice by themselves.
    lake.bucket.restart();
    let name = chunk.file_name().unwrap().to_str().unwrap();
    let told = lake.about(&run, "verify", &["--json", "--depth", "full"]).exits(8);
    assert!(told.says(&[name]).json["verdict"] == "mismatch");
    lake.about(&run, "verify", &["--depth", "listing"]).exits(0);
}

/// Kills at random moments; with `forget` the checkpoint is lost after each.
fn survives(dialect: Dialect, seed: u64, forget: bool) {
    let lake = Lake::new();
    let orders = Orders::alone(dialect, 40_000);
    let url = orders.database.url();
    let command = [
        "--table",
        "orders",
        "--batch-size",
        "500",
        "--workers",
        "3",
        "--rate-limit",
        "rows=15000",
    ];
    let mut dice = Dice::new(seed);
    for kill in 0..3 {
        let mut running = lake.start(&url, &command);
        let enough = lake.commits() + 1 + usize::try_from(dice.below(12)).expect("a small number");
        eventually("the next commits", || running.ended() || lake.commits() >= enough);
        pause(std::time::Duration::from_millis(dice.below(20)));
        assert!(running.kill(), "kill {kill} of seed {seed} came after the end");
        if forget {
            std::fs::remove_file(lake.scenario.path("state.db")).expect("the checkpoint was there");
        }
    }
    let before = lake.commits();
    let run = lake.extract(&url, &command).exits(0).outcome("completed");
    let job = lake.bucket.job(&run);
    orders.is_in(&job);
    assert_eq!(
        run.json["resumed_batches"], before,
        "what is committed is not read again"
    );
    assert_eq!(
        job.table("orders")["generation"],
        1,
        "an unchanged source is not planned anew"
    );
    lake.about(&run, "verify", &["--depth", "full"]).exits(0);
}

#[test]
fn an_extraction_into_a_bucket_survives_kills() {
    survives(Dialect::Postgres, 21, false);
    survives(Dialect::Sqlite, 22, false);
}

#[test]
fn a_lost_checkpoint_is_rebuilt_from_the_bucket() {
    survives(Dialect::Postgres, 23, true);
    survives(Dialect::Mysql, 24, true);
}

#[test]
fn wrong_credentials_are_refused_without_being_shown() {
    let lake = Lake::new();
    let orders = Orders::new(Dialect::Sqlite, 10);
    let mut command = lake.extract_command(&orders.database.url(), &TABLE);
    command.env("AWS_SECRET_ACCESS_KEY", "not-the-word");
    let run = lake.scenario.start(command).wait();
    assert!(!run.stderr.contains("not-the-word"), "{}", run.stderr);
    lake.fails(run, 5, "storage_authentication", &["s3://lake/shop"]);
    let mut command = lake.extract_command(&orders.database.url(), &TABLE);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    command.env("HOME", lake.scenario.path("no-home"));
    let run = lake.scenario.start(command).wait();
    lake.fails(
        run,
        5,
        "storage_authentication",
        &["no credentials", "AWS_ACCESS_KEY_ID"],
    );
}

#[test]
fn a_missing_bucket_is_named() {
    let lake = Lake::new();
    let orders = Orders::new(Dialect::Sqlite, 10);
    let url = orders.database.url();
    let swamp = [
        "extract",
        "--json",
        "--source",
        &url,
        "--table",
        "orders",
        "--output",
        "s3://swamp/shop",
    ];
    let run = lake.scenario.start(lake.command(&swamp)).wait();
    lake.fails(run, 5, "storage_missing", &["swamp"]);
}

#[test]
fn plain_text_to_another_host_is_refused() {
    let lake = Lake::new();
    let orders = Orders::new(Dialect::Sqlite, 10);
    let mut command = lake.extract_command(&orders.database.url(), &TABLE);
    command.env("AWS_ENDPOINT_URL", "http://192.0.2.1:9000");
    let run = lake.scenario.start(command).wait();
    lake.fails(run, 3, "plaintext_refused", &["192.0.2.1", "--allow-plaintext"]);
}

#[test]
fn a_store_that_ignores_create_only_writes_needs_a_promise() {
    let lake = Lake::new();
    let orders = Orders::new(Dialect::Postgres, 6000);
    let url = orders.database.url();
    lake.bucket.set_faults(Faults {
        ignore_if_none_match: true,
        ..Faults::default()
    });
    let run = lake.extract(&url, &TABLE);
    lake.fails(run, 3, "store_not_create_only", &["--single-writer"]);
    let promised = [&TABLE[..], &["--single-writer"]].concat();
    let run = lake.extract(&url, &promised).exits(0).outcome("completed");
    let job = lake.bucket.job(&run);
    assert_eq!(job.manifest["single_writer"], true, "the manifest says so");
    orders.is_in(&job);
}

/// One chunk of about 20 MB of CSV, in parts of 5 MiB.
fn large() -> Database {
    let database = Database::new(Dialect::Postgres);
    database.run(
        "CREATE TABLE letters (id bigint PRIMARY KEY, body text NOT NULL);
         INSERT INTO letters SELECT i, repeat(md5(i::text), 16) FROM generate_series(1, 40000) AS i;
         ANALYZE letters;",
    );
    database
}

#[test]
fn a_large_chunk_goes_up_in_parts_and_a_lost_answer_loses_nothing() {
    let lake = Lake::new();
    let database = large();
    lake.bucket.set_faults(Faults {
        lose_completions: Dose::next(1),
        ..Faults::default()
    });
    let arguments = [
        "--table",
        "letters",
        "--format",
        "csv",
        "--workers",
        "1",
        "--batch-size",
        "40000",
        "--buffer-size",
        "64MiB",
    ];
    let run = lake.extract(&database.url(), &arguments).exits(0).outcome("completed");
    let lost = lake.bucket.faults().lose_completions.times;
    assert_eq!(lost, Some(0), "no multipart upload was completed");
    let job = lake.bucket.job(&run);
    let found = job.is_sound().query(
        "letters",
        "SELECT count(*), count(DISTINCT body), sum(length(body)) FROM chunks",
    );
    let expected = database.rows("SELECT count(*), count(DISTINCT body), sum(length(body)) FROM letters;");
    assert_eq!(found, expected);
    assert_eq!(lake.bucket.open_uploads(), 0, "an upload stays open");
    lake.about(&run, "verify", &["--depth", "full"]).exits(0);
}

#[test]
fn a_kill_in_the_middle_of_parts_leaves_nothing_that_counts() {
    let lake = Lake::new();
    let database = large();
    let arguments = [
        "--table",
        "letters",
        "--format",
        "csv",
        "--workers",
        "1",
        "--batch-size",
        "40000",
        "--buffer-size",
        "64MiB",
    ];
    let slow = [&arguments[..], &["--rate-limit", "rows=20000"]].concat();
    let mut running = lake.start(&database.url(), &slow);
    eventually("an open upload", || running.ended() || lake.bucket.open_uploads() > 0);
    assert!(running.kill(), "the extraction was too fast");
    assert!(lake.bucket.open_uploads() > 0, "the kill came before the parts");
    let run = lake.extract(&database.url(), &arguments).exits(0).outcome("completed");
    let job = lake.bucket.job(&run);
    let found = job
        .is_sound()
        .query("letters", "SELECT count(*), count(DISTINCT id) FROM chunks");
    assert_eq!(
        found,
        database.rows("SELECT count(*), count(DISTINCT id) FROM letters;")
    );
    assert_eq!(lake.bucket.open_uploads(), 0, "an upload stays open");
}

#[test]
fn a_flaky_store_costs_time_and_no_row() {
    let lake = Lake::new();
    let orders = Orders::new(Dialect::Postgres, 6000);
    lake.bucket.set_faults(Faults {
        seed: 5,
        slow_down: Dose::share(10),
        lose_answer: Dose::share(10),
        conflict: Dose::share(5),
        corrupt_upload: Dose::share(5),
        listing_lag_ms: 50,
        ..Faults::default()
    });
    let run = lake
        .extract(&orders.database.url(), &TABLE)
        .exits(0)
        .outcome("completed");
    lake.bucket.set_faults(Faults::default());
    orders.is_in(&lake.bucket.job(&run));
    lake.about(&run, "verify", &["--depth", "full"]).exits(0);
}

#[test]
fn a_full_store_is_named_and_the_same_command_goes_on_once_there_is_room() {
    let lake = Lake::new();
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let url = orders.database.url();
    let slow = [
        "--table",
        "orders",
        "--batch-size",
        "500",
        "--workers",
        "2",
        "--rate-limit",
        "rows=15000",
    ];
    let mut running = lake.start(&url, &slow);
    eventually("five commits", || running.ended() || lake.commits() >= 5);
    lake.bucket.set_faults(Faults {
        full: Dose::share(100),
        ..Faults::default()
    });
    let run = running.wait();
    lake.fails(run, 5, "storage_full", &["s3://lake/shop"]);
    let before = lake.commits();
    lake.bucket.set_faults(Faults::default());
    let run = lake.extract(&url, &slow).exits(0).outcome("completed");
    assert_eq!(run.json["resumed_batches"], before);
    orders.is_in(&lake.bucket.job(&run));
}
