//! Tables that have misled others: equal values, gaps between keys, words in names, the same failure again and again.

use std::process::Command;

use sqlextract_system_tests::{Database, Dialect, Job, Scenario, variable};

#[test]
fn equal_values_do_not_cancel_each_other_in_the_proof() {
    for dialect in [Dialect::Mysql, Dialect::Sqlite] {
        let database = Database::new(dialect);
        // Every value an even number of times: what is folded by XOR comes to nothing.
        database.run(
            "CREATE TABLE same (id integer PRIMARY KEY, n integer, word varchar(9), day date);
             INSERT INTO same VALUES (1, 7, 'x', '2026-01-01'), (2, 7, 'x', '2026-01-01'), (3, 7, 'x', '2026-01-01'), (4, 7, 'x', '2026-01-01');",
        );
        let scenario = Scenario::new();
        let url = database.url();
        let run = scenario.extract(&url, &["--table", "same"]).exits(0);
        let source = ["--depth", "source", "--source", &url];
        scenario.about(&run, "verify", &source).exits(0);
        for (change, named) in [
            ("UPDATE same SET n = 8 WHERE id IN (1, 2);", "column n"),
            (
                "UPDATE same SET n = 7; UPDATE same SET word = 'yy' WHERE id IN (1, 2);",
                "column word",
            ),
            (
                "UPDATE same SET word = 'x'; UPDATE same SET n = NULL WHERE id IN (3, 4);",
                "column n",
            ),
            ("UPDATE same SET n = 7; DELETE FROM same WHERE id IN (1, 2);", "same"),
        ] {
            database.run(change);
            scenario.about(&run, "verify", &source).exits(8).says(&[named]);
        }
    }
}

#[test]
fn wide_gaps_between_keys_are_not_swept() {
    for dialect in [Dialect::Mysql, Dialect::Sqlite] {
        let database = Database::new(dialect);
        let numbers = match dialect {
            Dialect::Mysql => "SELECT seq AS i FROM seq_1_to_20000".to_owned(),
            _ => "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n"
                .to_owned(),
        };
        let analyze = if dialect == Dialect::Mysql {
            "ANALYZE TABLE sparse"
        } else {
            "ANALYZE"
        };
        // Half of the rows in a clump, the others a hundred thousand ids apart: two thousand million values in all.
        database.run(&format!(
            "CREATE TABLE sparse (id bigint NOT NULL PRIMARY KEY, n integer);
             INSERT INTO sparse SELECT CASE WHEN i <= 10000 THEN i ELSE (i - 9999) * 200000 END, i FROM ({numbers}) AS g; {analyze};"
        ));
        let scenario = Scenario::new();
        let run = scenario
            .extract(&database.url(), &["--table", "sparse", "--batch-size", "1000"])
            .exits(0)
            .outcome("completed");
        let job = Job::of(&run);
        let found = job
            .is_sound()
            .query("sparse", "SELECT count(*), count(DISTINCT id), sum(n) FROM chunks");
        assert_eq!(
            found,
            database.rows("SELECT count(*), count(DISTINCT id), sum(n) FROM sparse;")
        );
        let rows: Vec<u64> = job.entries.iter().filter_map(|e| e["rows"].as_u64()).collect();
        assert!(
            (10..=60).contains(&rows.len()),
            "{dialect:?}: {} batches of 1000 rows",
            rows.len()
        );
        let most = rows.iter().max().copied().unwrap_or_default();
        // SQLite estimates no ranges, so that nothing tells it of a clump: one batch may hold it, never more.
        let limit = if dialect == Dialect::Mysql { 2_500 } else { 10_500 };
        assert!(
            most <= limit,
            "{dialect:?}: a batch of {most} rows where 1000 were asked for"
        );
    }
}

#[test]
fn a_failure_that_will_not_pass_is_tried_once_whatever_words_it_holds() {
    let database = Database::new(Dialect::Postgres);
    database.run(
        "CREATE TABLE timeout (id integer PRIMARY KEY, connection_reset numeric(10,2));
         INSERT INTO timeout SELECT i, i FROM generate_series(1, 1000) AS i;
         INSERT INTO timeout VALUES (5000, 'NaN');
         ANALYZE;",
    );
    let scenario = Scenario::new();
    let arguments = ["--table", "timeout", "--batch-size", "100", "--consistency", "batch"];
    for _ in 0..2 {
        let run = scenario.extract(&database.url(), &arguments);
        let run = run
            .exits(7)
            .says(&["[value_refused]", "connection_reset", "[batches_parked]"]);
        let tries = run
            .stderr
            .lines()
            .filter(|line| line.contains("a batch failed"))
            .count();
        assert_eq!(tries, 1, "{}", run.stderr);
        assert_eq!(run.json["error"]["class"], "permanent");
        assert_eq!(run.json["error"]["retryable"], false);
        assert_eq!(run.json["outcome"], "unfinished");
    }
    database.run("DELETE FROM timeout WHERE id = 5000;");
    let run = scenario
        .extract(&database.url(), &arguments)
        .exits(0)
        .outcome("completed");
    assert!(run.json["resumed_batches"].as_u64() > Some(5), "{}", run.stdout);
    let found = Job::of(&run).is_sound().query("timeout", "SELECT count(*) FROM chunks");
    assert_eq!(found[0][0].as_deref(), Some("1000"));
}

#[test]
fn a_dry_run_shows_the_command_of_a_query_as_it_must_be_typed() {
    let database = Database::new(Dialect::Sqlite);
    database.run(
        "CREATE TABLE orders (id integer PRIMARY KEY, note text); INSERT INTO orders VALUES (1, 'it''s'), (2, 'b');",
    );
    let scenario = Scenario::new();
    let url = database.url();
    let query = "odd=SELECT id, note FROM orders WHERE note = 'it''s'";
    let planned = scenario
        .run(&[
            "extract",
            "--source",
            &url,
            "--query",
            query,
            "--key",
            "id",
            "--dry-run",
        ])
        .exits(0);
    let line = planned
        .stdout
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("sqlextract extract"));
    let line = line.unwrap_or_else(|| panic!("no command in {}", planned.stdout));
    assert!(
        line.contains("--query") && line.contains("--key 'id'") && !line.contains("--table"),
        "{line}"
    );
    // A shell takes it as it stands.
    let typed = line.replacen("sqlextract", "exec \"$0\"", 1);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{typed} --json"), &variable("SQLEXTRACT_BINARY")]);
    shell.current_dir(scenario.path(""));
    let run = scenario.start(shell).wait().exits(0).outcome("completed");
    assert_eq!(run.json["tables"][0]["rows"], 1, "{}", run.stdout);
}

#[test]
fn what_would_write_to_the_source_is_refused_by_the_source() {
    let written = "CREATE TABLE touched (n integer); CREATE TABLE orders (id integer PRIMARY KEY);
         INSERT INTO orders VALUES (1), (2);";
    for (dialect, function, query) in [
        (
            Dialect::Postgres,
            "CREATE FUNCTION spy() RETURNS integer LANGUAGE sql AS 'INSERT INTO touched VALUES (1) RETURNING 1';",
            "SELECT id, spy() AS n FROM orders",
        ),
        (
            Dialect::Mysql,
            "DELIMITER //\nCREATE FUNCTION spy() RETURNS integer BEGIN INSERT INTO touched VALUES (1); RETURN 1; END //\n",
            "SELECT id, spy() AS n FROM orders",
        ),
        (Dialect::Sqlite, "", "INSERT INTO touched VALUES (1) RETURNING n"),
    ] {
        let database = Database::new(dialect);
        database.run(&format!("{written}\n{function}"));
        let scenario = Scenario::new();
        let run = scenario.extract(&database.url(), &["--query", &format!("q={query}")]);
        assert_ne!(run.exit, 0, "{dialect:?}: {}", run.stderr);
        assert_eq!(run.json["error"]["class"], "permanent", "{dialect:?}: {}", run.stderr);
        assert!(database.rows("SELECT n FROM touched;").is_empty(), "{dialect:?}");
    }
}
