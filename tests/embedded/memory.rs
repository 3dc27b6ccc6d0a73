//! The budget holds: for many columns of uneven rows, and for values that are large.

use serde_json::{Value, json};
use sqlextract_system_tests::{Database, Dialect, Job, Run, Scenario, full_size, python, variable};

const MIB: u64 = 1 << 20;
/// What the program needs beside the data in flight.
const BESIDE: u64 = 96 * MIB;

/// Runs an extraction and measures its peak of resident memory.
fn measured(scenario: &Scenario, database: &Database, arguments: &[&str]) -> (Run, u64) {
    let output = scenario.output();
    let mut command = vec![variable("SQLEXTRACT_BINARY"), "extract".to_owned(), "--json".to_owned()];
    let fixed = [
        "--source",
        &database.url(),
        "--output",
        &output.to_string_lossy(),
        "--progress",
        "none",
    ];
    command.extend(fixed.into_iter().chain(arguments.iter().copied()).map(str::to_owned));
    let done = python("memory.py", &json!({"command": command, "folder": scenario.path("")}));
    let text = |key: &str| done[key].as_str().unwrap_or_default().to_owned();
    let run = Run {
        exit: done["exit"]
            .as_i64()
            .map_or(-1, |code| i32::try_from(code).unwrap_or(-1)),
        json: serde_json::from_str(&text("stdout")).unwrap_or(Value::Null),
        stdout: text("stdout"),
        stderr: text("stderr"),
    };
    (run, done["peak"].as_u64().expect("the peak is a number"))
}

#[track_caller]
fn within(peak: u64, budget: u64) {
    let (peak, most) = (peak / MIB, (budget + BESIDE) / MIB);
    assert!(peak <= most, "the peak was {peak} MiB, {most} MiB are allowed");
}

/// 400 columns: most rows are narrow, every hundredth carries a long text in a column of its own.
fn skewed() -> Database {
    let rows = if full_size() { 8000 } else { 4000 };
    let database = Database::new(Dialect::Postgres);
    let columns: Vec<String> = (0..400).map(|c| format!("c{c} text")).collect();
    let values: Vec<String> = (0..400)
        .map(|c| format!("CASE WHEN i % 100 = {} AND i % 4 = {} THEN repeat(md5(i::text), 3000) WHEN i % 7 = {} THEN 'v' || i END", c % 100, c / 100, c % 7))
        .collect();
    database.run(&format!(
        "CREATE TABLE wide (id bigint PRIMARY KEY, {}); INSERT INTO wide SELECT i, {} FROM generate_series(1, {rows}) AS i; ANALYZE wide;",
        columns.join(", "),
        values.join(", ")
    ));
    database
}

#[test]
fn four_hundred_uneven_columns_stay_within_the_budget() {
    let database = skewed();
    for format in ["parquet", "csv"] {
        let scenario = Scenario::new();
        let (run, peak) = measured(
            &scenario,
            &database,
            &[
                "--table",
                "wide",
                "--buffer-size",
                "128MB",
                "--workers",
                "4",
                "--format",
                format,
            ],
        );
        let job = Job::of(&run.exits(0));
        let found = job.is_sound().query(
            "wide",
            "SELECT count(*), sum(length(c3)), sum(length(c399)), count(c200) FROM chunks",
        );
        assert_eq!(
            found,
            database.rows("SELECT count(*), sum(length(c3)), sum(length(c399)), count(c200) FROM wide;")
        );
        within(peak, 128_000_000);
    }
}

/// Values of 20 MB, incompressible enough not to vanish, and small ones.
fn large(dialect: Dialect) -> Database {
    let rows = if full_size() { 24 } else { 8 };
    let database = Database::new(dialect);
    database.run(&match dialect {
        Dialect::Postgres => format!(
            "CREATE TABLE blobs (id bigint PRIMARY KEY, body bytea, note text);
             ALTER TABLE blobs ALTER COLUMN body SET STORAGE EXTERNAL;
             INSERT INTO blobs SELECT i, decode(repeat(md5(i::text), 1250000), 'hex'), 'n' FROM generate_series(1, {rows}) AS i;
             INSERT INTO blobs SELECT i, 'small', repeat('n', 500) FROM generate_series(1001, 3000) AS i;
             ANALYZE blobs;"
        ),
        Dialect::Mysql => format!(
            "CREATE TABLE blobs (id BIGINT PRIMARY KEY, body LONGBLOB, note TEXT);
             INSERT INTO blobs SELECT seq, UNHEX(REPEAT(MD5(seq), 1250000)), 'n' FROM seq_1_to_{rows};
             INSERT INTO blobs SELECT seq, 'small', REPEAT('n', 500) FROM seq_1001_to_3000;"
        ),
        Dialect::Sqlite => format!(
            "CREATE TABLE blobs (id INTEGER PRIMARY KEY, body BLOB, note TEXT);
             WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 3000)
             INSERT INTO blobs SELECT i, CASE WHEN i <= {rows} THEN randomblob(20000000) ELSE x'01' END, 'n' FROM s
             WHERE i <= {rows} OR i > 1000;"
        ),
    });
    database
}

#[test]
fn values_of_twenty_megabytes_stay_within_the_budget() {
    let database = large(Dialect::Postgres);
    let expected = database.rows("SELECT count(*), sum(length(body)), min(md5(body)), max(md5(body)) FROM blobs;");
    for (format, body) in [("parquet", "body"), ("csv", "unhex(body)")] {
        let scenario = Scenario::new();
        let arguments = [
            "--table",
            "blobs",
            "--buffer-size",
            "128MB",
            "--workers",
            "4",
            "--format",
            format,
        ];
        let (run, peak) = measured(&scenario, &database, &arguments);
        let job = Job::of(&run.exits(0));
        let found = job.is_sound().query(
            "blobs",
            &format!("SELECT count(*), sum(octet_length({body})), min(md5({body})), max(md5({body})) FROM chunks"),
        );
        assert_eq!(found, expected);
        within(peak, 128_000_000);
    }
}

#[test]
fn values_of_twenty_megabytes_stay_within_the_budget_where_the_driver_holds_a_copy() {
    for (dialect, source, chunks) in [
        (
            Dialect::Mysql,
            "SELECT COUNT(*), SUM(OCTET_LENGTH(body)), MIN(MD5(body)), MAX(MD5(body)) FROM blobs",
            "SELECT count(*), sum(octet_length(body)), min(md5(body)), max(md5(body)) FROM chunks",
        ),
        (
            Dialect::Sqlite,
            "SELECT count(*), sum(length(body)), min(hex(substr(body, 1, 16))), max(hex(substr(body, -16))) FROM blobs",
            "SELECT count(*), sum(octet_length(body)), min(left(hex(body), 32)), max(right(hex(body), 32)) FROM chunks",
        ),
    ] {
        let database = large(dialect);
        let scenario = Scenario::new();
        let arguments = ["--table", "blobs", "--buffer-size", "128MB", "--workers", "2"];
        let (run, peak) = measured(&scenario, &database, &arguments);
        let job = Job::of(&run.exits(0));
        assert_eq!(job.is_sound().query("blobs", chunks), database.rows(source));
        within(peak, 128_000_000);
    }
}

#[test]
fn a_value_that_cannot_fit_is_named_with_table_column_and_key() {
    let database = large(Dialect::Postgres);
    let scenario = Scenario::new();
    let (run, peak) = measured(&scenario, &database, &["--table", "blobs", "--buffer-size", "16MiB"]);
    let run = run
        .exits(7)
        .says(&["blobs", "body", "--buffer-size", "[value_too_large]"]);
    assert!(
        (1..=8).any(|id| run.stderr.contains(&format!("id={id}"))),
        "no key is named: {}",
        run.stderr
    );
    within(peak, 16 * MIB);
    let more = ["--table", "blobs", "--buffer-size", "256MB"];
    scenario.extract(&database.url(), &more).exits(0).outcome("completed");
}
