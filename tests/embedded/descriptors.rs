//! Few file descriptors: the work is done with them, or the limit is named.

use std::process::Command;

use sqlextract_system_tests::{Database, Dialect, Job, Run, Scenario, all_files, variable};

/// The executable under a limit of open files.
fn limited(scenario: &Scenario, limit: u32, arguments: &[&str]) -> Run {
    let mut command = Command::new("sh");
    let program = variable("SQLEXTRACT_BINARY");
    command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\""), &program]);
    command.args(arguments).current_dir(scenario.path(""));
    command.env_remove("SQLEXTRACT_STATE").env_remove("DATABASE_URL");
    scenario.start(command).wait()
}

fn many_tables(dialect: Dialect) -> Database {
    let database = Database::alone(dialect);
    let tables: Vec<String> = (0..12)
        .map(|n| format!("CREATE TABLE t{n} (id bigint PRIMARY KEY, body varchar(40)); INSERT INTO t{n} VALUES (1, 'a'), (2, 'b'), ({n}0, 'c');"))
        .collect();
    database.run(&tables.join("\n"));
    database
}

#[test]
fn an_extraction_with_64_descriptors_works_or_names_the_limit() {
    for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
        let database = many_tables(dialect);
        let url = database.url();
        let tables: Vec<String> = (3..12).map(|n| format!("t{n}")).collect();
        let tables = tables.join(",");
        for (limit, workers) in [(64, "4"), (64, "16"), (16, "4"), (9, "2")] {
            let scenario = Scenario::new();
            let output = scenario.output();
            let run = limited(
                &scenario,
                limit,
                &[
                    "extract",
                    "--json",
                    "--progress",
                    "none",
                    "--source",
                    &url,
                    "--table",
                    &tables,
                    "--workers",
                    workers,
                    "--output",
                    output.to_str().expect("temporary paths are text"),
                ],
            );
            let told = format!(
                "{dialect:?} with {limit} descriptors, {workers} workers: {}\n{}",
                run.stdout, run.stderr
            );
            assert!(!run.stderr.contains("panicked"), "{told}");
            if run.exit == 0 {
                assert_eq!(Job::of(&run.outcome("completed")).is_sound().entries.len(), 9, "{told}");
                continue;
            }
            assert!(limit < 64 || workers == "16", "64 descriptors are enough: {told}");
            assert!(run.stderr.contains("hint: "), "{told}");
            let named = run.stderr.contains("open files") || run.stderr.contains("ulimit -n");
            assert!(named, "the limit is not named: {told}");
            let files = all_files(&output);
            assert!(!files.iter().any(|f| f.ends_with("manifest.json")), "{files:?}");
            scenario
                .extract(&url, &["--table", &tables])
                .exits(0)
                .outcome("completed");
        }
    }
}
