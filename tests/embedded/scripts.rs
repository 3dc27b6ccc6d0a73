//! Scripts for all targets from the command line.

use std::path::PathBuf;

use sqlextract_system_tests::{Database, Dialect, Job, Run, Scenario};

const TARGETS: [&str; 5] = ["snowflake", "bigquery", "databricks", "postgres", "mssql"];

fn users() -> Database {
    let database = Database::new(Dialect::Sqlite);
    database.run(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, score REAL, photo BLOB);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO users SELECT i, 'user ' || i, i / 3.0, x'00ff' FROM n;",
    );
    database
}

/// A command as the documents show it, the source given by a variable.
fn runs(scenario: &Scenario, source: &Database, line: &str) -> Run {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let mut command = scenario.command(&words);
    command.env("SQLEXTRACT_SOURCE", source.url());
    scenario.start(command).wait().exits(0)
}

#[test]
fn the_example_commands_run_as_they_are_written() {
    let (scenario, source) = (Scenario::new(), users());
    runs(
        &scenario,
        &source,
        "sqlextract extract --table users --workers 8 --batch-size 10000 --buffer-size 1GB --parallel-write",
    );
    for _ in 0..2 {
        runs(
            &scenario,
            &source,
            "sqlextract extract --table users --batch-size 1000 --workers 8 --parallel-write",
        );
    }
    let snowflake = runs(
        &scenario,
        &source,
        "sqlextract generate-ingest --target snowflake --format parquet --parallel-load --chunk-size 100MB",
    );
    assert!(snowflake.stdout.contains("COPY INTO"), "{}", snowflake.stdout);
    let bigquery = runs(
        &scenario,
        &source,
        "sqlextract generate-ingest --target bigquery --format parquet --parallel 16 --chunk-size 200MB",
    );
    assert!(bigquery.stdout.contains("LOAD DATA OVERWRITE"), "{}", bigquery.stdout);
    // The files are on this machine: what is missing is said at the script's top and by the command.
    for place in [&bigquery.stdout, &bigquery.stderr] {
        assert!(place.contains("gs://<BUCKET>/<PREFIX>"), "{place}");
    }
}

#[test]
fn extract_and_generate_ingest_write_the_same_bytes_for_every_target() {
    let source = users();
    for format in ["parquet", "csv"] {
        let scenario = Scenario::new();
        let settings = scenario.path("settings.toml");
        std::fs::write(
            &settings,
            "[scripter.targets.snowflake]\nstage = \"RAW.LANDING\"\nmode = \"replace\"\n[scripter.targets.postgres]\nparallel = 2\n",
        )
        .unwrap();
        let config = settings.to_str().unwrap().to_owned();
        let targets = TARGETS.join(",");
        let arguments = [
            "--table", "users", "--format", format, "--target", &targets, "--config", &config,
        ];
        let run = scenario.extract(&source.url(), &arguments).exits(0);
        assert!(
            run.stderr.contains("the script waits to be filled in"),
            "{}",
            run.stderr
        );
        let job = Job::of(&run);
        for target in TARGETS {
            let stored = PathBuf::from(
                run.json["scripts"][target]
                    .as_str()
                    .expect("every target has its script"),
            );
            let shell = target == "postgres";
            assert_eq!(
                stored.extension().unwrap(),
                if shell { "sh" } else { "sql" },
                "{target}"
            );
            let stored = std::fs::read_to_string(stored).unwrap();
            let flags = ["--target", target, "--config", &config];
            let told = scenario.about(&run, "generate-ingest", &flags).exits(0).stdout;
            assert!(told.trim_end() == stored.trim_end(), "{target} differs");
            for entry in &job.entries {
                for chunk in entry["chunks"].as_array().unwrap() {
                    let key = chunk["key"].as_str().unwrap();
                    let name = key.rsplit('/').next().unwrap();
                    assert!(stored.contains(name), "{target} does not name {name}");
                }
            }
        }
    }
}

#[test]
fn what_a_target_cannot_read_is_refused_before_anything_is_extracted() {
    let (scenario, source) = (Scenario::new(), users());
    let arguments = [
        "--table",
        "users",
        "--format",
        "csv",
        "--compression",
        "zstd",
        "--target",
        "bigquery",
    ];
    scenario
        .extract(&source.url(), &arguments)
        .exits(2)
        .says(&["BigQuery does not read CSV with zstd", "--compression gzip"]);
    assert!(!scenario.output().exists(), "something was extracted");
    let settings = scenario.path("settings.toml");
    std::fs::write(
        &settings,
        "[scripter.targets.snowflake]\nurl = \"s3://key:secret@lake/x\"\n",
    )
    .unwrap();
    let arguments = [
        "--table",
        "users",
        "--target",
        "snowflake",
        "--config",
        settings.to_str().unwrap(),
    ];
    let run = scenario.extract(&source.url(), &arguments).exits(3);
    assert!(!run.stderr.contains("secret"), "{}", run.stderr);
}
