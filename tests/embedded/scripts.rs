//! Scripts for all targets from the command line.

use std::path::PathBuf;

use sqlextract_system_tests::{Database, Dialect, Job, Run, Scenario, all_files};

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

#[test]
fn a_value_that_one_target_cannot_hold_is_said_with_its_remedy_and_holds_up_no_other_target() {
    let source = Database::new(Dialect::Sqlite);
    source.run("CREATE TABLE far (id INTEGER PRIMARY KEY, r REAL); INSERT INTO far VALUES (1, 9e999), (2, 1.5);");
    let scenario = Scenario::new();
    let arguments = ["--table", "far", "--target", "mssql,snowflake,bigquery"];
    // The second time the job is complete, and says the same.
    for _ in 0..2 {
        let run = scenario.extract(&source.url(), &arguments).exits(7).says(&[
            "SQL Server cannot have",
            "column \"r\" holds NaN or an infinity",
            "--column-type T.C=text",
        ]);
        let scripts = run.json["scripts"].as_object().expect("the summary has scripts");
        let written: Vec<&str> = scripts.keys().map(String::as_str).collect();
        assert_eq!(written, ["bigquery", "snowflake"]);
        let folder = PathBuf::from(run.json["manifest"].as_str().expect("it was extracted"));
        for file in ["ingest/bigquery.sql", "ingest/snowflake.sql"] {
            assert!(folder.with_file_name(file).exists(), "{file}");
        }
    }
    // A target that is asked for later is refused alike.
    let more = ["--table", "far", "--target", "mssql"];
    let later = scenario.extract(&source.url(), &more).exits(7);
    assert!(later.stderr.contains("NaN or an infinity"), "{}", later.stderr);
}

#[test]
fn a_script_is_made_from_the_last_job_from_a_named_one_or_from_a_manifest() {
    let (scenario, source) = (Scenario::new(), users());
    let first = scenario.extract(&source.url(), &["--table", "users"]).exits(0);
    let second = scenario
        .extract(&source.url(), &["--table", "users", "--format", "csv"])
        .exits(0);
    let name = |run: &Run| run.json["job"].as_str().unwrap().to_owned();
    let generate = |flags: &[&str]| {
        let mut words = vec!["generate-ingest", "--target", "databricks"];
        words.extend(flags);
        scenario.run(&words)
    };
    let output = scenario.output();
    let output = output.to_str().unwrap();
    let last = generate(&["--output", output]).exits(0).stdout;
    assert!(
        last.contains(&name(&second)) && last.contains("FILEFORMAT = CSV"),
        "{last}"
    );
    let named = generate(&["--output", output, "--job", &name(&first)]).exits(0).stdout;
    assert!(
        named.contains(&name(&first)) && named.contains("FILEFORMAT = PARQUET"),
        "{named}"
    );
    for run in [&first, &second] {
        let manifest = run.json["manifest"].as_str().unwrap();
        let from_manifest = generate(&["--manifest", manifest]).exits(0).stdout;
        let from_job = generate(&["--output", output, "--job", &name(run)]).exits(0).stdout;
        assert_eq!(from_manifest, from_job);
    }
    // The seed of it all: the format is what the chunks are, and another one is refused with the way out.
    generate(&["--output", output, "--format", "csv"]).exits(0);
    generate(&["--output", output, "--format", "parquet"])
        .exits(2)
        .says(&["are csv, not parquet", "--format parquet"]);
}

/// Stands in for the client of a server that cannot run here: it fails the first time that it is given a step that
/// loads, in the words of its argument, and notes every step.
const SQLCMD: &str = r#"#!/usr/bin/env bash
while [ $# -gt 0 ]; do
  [ "$1" = -i ] && file=$2
  shift
done
step=$(basename "$file" .sql)
echo "$step" >>"$SQLCMD_CALLS"
case $step in
  prologue | epilogue) exit 0 ;;
esac
grep -q 'BULK INSERT' "$file" || { echo "Msg 50000, Level 16: nothing is loaded"; exit 1; }
mkdir "$SQLCMD_CALLS.$step" 2>/dev/null || exit 0
echo "$SQLCMD_FAILS" >&2
exit 1
"#;

/// The driver of SQL Server's sessions, its exit, the steps that the client was given, and the log.
fn driven(fails: &str) -> (bool, Vec<String>, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let (scenario, source) = (Scenario::new(), users());
    let arguments = ["--table", "users", "--format", "csv", "--batch-size", "1000"];
    let run = scenario.extract(&source.url(), &arguments).exits(0);
    let script = scenario.path("load.sh");
    let flags = [
        "--target",
        "mssql",
        "--parallel",
        "3",
        "-o",
        script.to_str().expect("temporary paths are text"),
    ];
    scenario.about(&run, "generate-ingest", &flags).exits(0);
    let client = scenario.path("sqlcmd");
    std::fs::write(&client, SQLCMD).expect("the folder takes files");
    std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).expect("the file is ours");
    let (calls, log) = (scenario.path("calls"), scenario.path("load.log"));
    let path = std::env::var("PATH").unwrap_or_default();
    let output = std::process::Command::new("bash")
        .arg(&script)
        .env("PATH", format!("{}:{path}", scenario.path("").display()))
        .env("SQLCMD_CALLS", &calls)
        .env("SQLCMD_FAILS", fails)
        .env("SQLEXTRACT_LOG", &log)
        .output()
        .expect("bash is in the PATH");
    let steps = std::fs::read_to_string(&calls).expect("the client was called");
    let log = std::fs::read_to_string(&log).unwrap_or_default();
    let steps = steps.lines().map(str::to_owned).collect();
    (output.status.success(), steps, log)
}

#[test]
fn sql_servers_driver_tries_a_deadlock_again_and_publishes_last() {
    let (succeeded, steps, log) = driven("Msg 1205, Level 13, State 51: was deadlocked on lock resources");
    assert!(succeeded, "{log}");
    assert_eq!(steps.first().map(String::as_str), Some("prologue"));
    assert_eq!(steps.last().map(String::as_str), Some("epilogue"));
    for step in 1..=5 {
        let times = steps.iter().filter(|s| **s == step.to_string()).count();
        assert_eq!(times, 2, "step {step} of {steps:?}");
    }
    assert_eq!(log.matches("was deadlocked").count(), 5, "{log}");
    assert_eq!(log.matches("data/main.users/g0001/batch-").count(), 5, "{log}");
}

#[test]
fn sql_servers_driver_stops_at_what_no_try_can_help_and_publishes_nothing() {
    let (succeeded, steps, log) = driven("Msg 4864, Level 16, State 1: Bulk load data conversion error");
    assert!(!succeeded, "{log}");
    assert!(!steps.contains(&"epilogue".to_owned()), "{steps:?}");
    for step in 1..=5 {
        let times = steps.iter().filter(|s| **s == step.to_string()).count();
        assert!(times <= 1, "step {step} of {steps:?}");
    }
    assert!(
        log.contains("conversion error") && log.contains("nothing was published"),
        "{log}"
    );
    assert!(!log.contains("try 2"), "{log}");
}

#[test]
fn a_check_shows_every_column_as_each_target_will_have_it() {
    let database = Database::new(Dialect::Postgres);
    database.run("CREATE TABLE goods (id bigint PRIMARY KEY, price numeric(38,38), made timestamptz, sizes text[]);");
    let scenario = Scenario::new();
    let arguments = ["--table", "goods", "--check", "--target", "snowflake,bigquery,postgres"];
    let run = scenario.extract(&database.url(), &arguments).exits(0);
    let told = &run.json["tables"][0]["targets"];
    for (target, column, kind) in [
        ("snowflake", "id", "NUMBER(19,0)"),
        ("bigquery", "id", "INT64"),
        ("postgres", "id", "bigint"),
        ("snowflake", "price", "refused: column \"price\" is decimal(38,38)"),
        ("snowflake", "made", "TIMESTAMP_TZ(6)"),
        ("bigquery", "made", "TIMESTAMP"),
        ("snowflake", "sizes", "VARIANT"),
    ] {
        let seen = told[target][column].as_str().unwrap_or_default();
        assert!(seen.starts_with(kind), "{target}, {column}: {seen} instead of {kind}");
    }
    assert!(all_files(&scenario.output()).is_empty());
}
