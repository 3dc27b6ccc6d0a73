//! PostgreSQL scripts in every mode, with sessions, and against tables that are there already.

use sqlextract_system_tests::{Database, Dialect, Job, Run, eventually};

use crate::declared::{Column, Form, MARIADB, POSTGRES, SQLITE};
use crate::loading::{Load, failed, said};
use crate::types::{MARIADB_SESSION, POSTGRES_TYPES, cells_of, every_type_of, same};

/// The column in the target, in the words that the source's own expression says it with.
fn in_target(dialect: Dialect, column: &Column) -> String {
    let name = column.name;
    match column.form {
        Form::Json | Form::Float | Form::Single => format!("{name}::text"),
        Form::Text if dialect == Dialect::Postgres => column.source.replace("{}", name),
        Form::Text => format!("{name}::text"),
        Form::Bytes => format!("upper(encode({name}, 'hex'))"),
        Form::Timestamp | Form::Instant => format!("(extract(epoch FROM {name}) * 1000000)::numeric(30,0)::text"),
    }
}

fn every_type_is_loaded(dialect: Dialect, before: &str, columns: &[Column]) {
    let source = every_type_of(dialect, before, columns);
    let expected = cells_of(&source, columns);
    let cells: Vec<String> = columns.iter().map(|c| in_target(dialect, c)).collect();
    let mut different = Vec::new();
    // Two major versions of the server.
    let cases = [
        ("parquet", None, false),
        ("csv", None, false),
        ("parquet", Some("3"), false),
        ("parquet", None, true),
        ("csv", Some("2"), true),
    ];
    for (format, sessions, newer) in cases {
        let load = if newer {
            Load::into(Database::newer())
        } else {
            Load::new()
        };
        let arguments = ["--table", "every_type", "--format", format, "--batch-size", "3"];
        let run = load.scenario.extract(&source.url(), &arguments).exits(0);
        let flags = ["--set", "tables={every_type = \"public.landed\"}"];
        let twice = match sessions {
            None => {
                let script = load.script_with(&run, &flags);
                load.succeeds(&script);
                load.succeeds(&script)
            }
            Some(sessions) => {
                let script = load.script_with(&run, &[&flags[..], &["--parallel", sessions]].concat());
                said(&load.bash(&script));
                said(&load.bash(&script))
            }
        };
        assert!(
            twice.contains("nothing changed") || twice.contains("loaded before"),
            "{twice}"
        );
        let select = format!(
            "SET intervalstyle = 'iso_8601'; SELECT {} FROM landed ORDER BY id;",
            cells.join(", ")
        );
        let loaded = load.target.rows(&select);
        assert_eq!(loaded.len(), expected.len(), "rows as {format}");
        for (row, (expected, loaded)) in expected.iter().zip(&loaded).enumerate() {
            for ((column, expected), loaded) in columns.iter().zip(expected).zip(loaded) {
                if !same(column.form, expected.as_ref(), loaded.as_ref()) {
                    let (name, declared) = (column.name, column.declared);
                    different.push(format!(
                        "{format} row {row} {name} {declared}: {expected:?} became {loaded:?}"
                    ));
                }
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_type_of_postgresql_is_loaded_with_its_extremes() {
    every_type_is_loaded(Dialect::Postgres, POSTGRES_TYPES, POSTGRES);
}

#[test]
fn every_type_of_mariadb_is_loaded_with_its_extremes() {
    every_type_is_loaded(Dialect::Mysql, MARIADB_SESSION, MARIADB);
}

#[test]
fn every_type_of_sqlite_is_loaded_with_its_extremes() {
    every_type_is_loaded(Dialect::Sqlite, "", SQLITE);
}

const ALL: &str = "SELECT id, name, price FROM thing ORDER BY id, name;";

fn source() -> Database {
    let database = Database::new(Dialect::Postgres);
    database.run(
        "CREATE TABLE thing (id bigint PRIMARY KEY, name varchar(20), price numeric(10,2));
         INSERT INTO thing SELECT i, 'new ' || i, i / 4.0 FROM generate_series(1, 900) AS i; ANALYZE;",
    );
    database
}

/// A source of 900 rows in several chunks, and a target that has two rows, one of them with a key of the source.
fn with_old_rows() -> (Database, Load, Run) {
    let (source, load) = (source(), Load::new());
    load.target.run(
        "CREATE TABLE thing (id bigint, name varchar(40), price numeric);
         INSERT INTO thing VALUES (7, 'old', 0), (5000, 'old', NULL);",
    );
    let run = load
        .scenario
        .extract(&source.url(), &["--table", "thing", "--batch-size", "200"])
        .exits(0);
    (source, load, run)
}

#[test]
fn rows_are_appended_replaced_or_merged_once_by_one_session_and_by_several() {
    let cases: [(&[&str], usize, &str); 3] = [
        (&[], 902, "new 7,old"),
        (&["--set", "mode=replace"], 900, "new 7"),
        (&["--set", "mode=merge", "--set", "key=id"], 901, "new 7"),
    ];
    for (flags, rows, seventh) in cases {
        for sessions in [&[][..], &["--parallel", "3"]] {
            let (_source, load, run) = with_old_rows();
            let script = load.script_with(&run, &[flags, sessions].concat());
            let execute = || {
                said(&match sessions {
                    [] => load.psql(&script),
                    _ => load.bash(&script),
                })
            };
            execute();
            let found = load.target.rows(ALL);
            assert_eq!(found.len(), rows, "{flags:?} {sessions:?}");
            let names = load
                .target
                .value("SELECT string_agg(name, ',' ORDER BY name) FROM thing WHERE id = 7;");
            assert_eq!(names, seventh, "{flags:?} {sessions:?}");
            execute();
            assert!(
                load.target.rows(ALL) == found,
                "the second run changed something: {flags:?} {sessions:?}"
            );
            let left = load
                .target
                .value("SELECT count(*) FROM pg_class WHERE relname LIKE 'thing__sqlextract%';");
            assert_eq!(left, "0", "a staging table stays");
        }
    }
}

#[test]
fn a_table_that_does_not_fit_stops_the_script_with_every_difference() {
    let source = source();
    source.run("INSERT INTO thing (id) VALUES (1000);");
    for sessions in [&[][..], &["--parallel", "2"]] {
        let load = Load::new();
        load.target
            .run("CREATE TABLE thing (id integer, name varchar(10) NOT NULL, extra text);");
        let run = load.scenario.extract(&source.url(), &["--table", "thing"]).exits(0);
        let script = load.script_with(&run, sessions);
        let told = failed(&match sessions {
            [] => load.psql(&script),
            _ => load.bash(&script),
        });
        for difference in [
            "extra is not in the extraction",
            "id is integer, which cannot hold bigint",
            "name is character varying, which cannot hold varchar(20)",
            "price is missing",
        ] {
            assert!(told.contains(difference), "{difference} is not in {told}");
        }
        load.target
            .run("ALTER TABLE thing ALTER name TYPE text, ALTER id TYPE bigint, DROP extra, ADD price numeric;");
        let told = failed(&match sessions {
            [] => load.psql(&script),
            _ => load.bash(&script),
        });
        assert!(
            told.contains("name is NOT NULL, and the extraction holds NULL"),
            "{told}"
        );
        assert_eq!(load.target.value("SELECT count(*) FROM thing;"), "0");
    }
}

#[test]
fn missing_columns_are_added_where_asked() {
    let (source, load) = (source(), Load::new());
    load.target
        .run("CREATE TABLE thing (id bigint); INSERT INTO thing VALUES (5000);");
    let run = load.scenario.extract(&source.url(), &["--table", "thing"]).exits(0);
    load.succeeds(&load.script_with(&run, &["--set", "add_columns=true"]));
    assert_eq!(load.target.value("SELECT count(price) FROM thing;"), "900");
    assert_eq!(load.target.value("SELECT count(*) FROM thing;"), "901");
}

#[test]
fn sessions_publish_nothing_until_all_is_loaded_and_then_load_only_what_is_missing() {
    let (_source, load, run) = with_old_rows();
    let script = load.script_with(&run, &["--parallel", "3"]);
    let chunks = Job::of(&run).chunks("thing");
    assert!(chunks.len() > 2, "{chunks:?}");
    let bytes = std::fs::read(&chunks[1]).unwrap();
    std::fs::write(&chunks[1], &bytes[..bytes.len() - 7]).unwrap();
    let told = failed(&load.bash(&script));
    assert!(told.contains("nothing was published"), "{told}");
    assert_eq!(load.target.rows(ALL).len(), 2, "something was published");
    let log = load.log();
    let chunk = chunks[1].file_name().unwrap().to_str().unwrap();
    assert!(log.contains(chunk) && log.contains("try 2 failed"), "{log}");
    let loaded = "SELECT string_agg(chunk || loaded_at, ',' ORDER BY chunk) FROM sqlextract_chunks;";
    let before = load.target.value(loaded);
    assert!(!before.is_empty() && !before.contains(chunk), "{before}");
    // What was loaded stays loaded, and is not loaded again: a damaged chunk that is there already does no harm.
    let other = std::fs::read(&chunks[0]).unwrap();
    std::fs::write(&chunks[0], b"gone").unwrap();
    std::fs::write(&chunks[1], &bytes).unwrap();
    said(&load.bash(&script));
    assert_eq!(load.target.rows(ALL).len(), 902);
    std::fs::write(&chunks[0], other).unwrap();
    assert_eq!(load.target.value("SELECT count(*) FROM sqlextract_chunks;"), "0");
}

#[test]
fn a_merge_key_that_repeats_or_is_no_column_is_refused() {
    let (source, load) = (source(), Load::new());
    source.run("UPDATE thing SET name = 'same' WHERE id < 3;");
    let run = load.scenario.extract(&source.url(), &["--table", "thing"]).exits(0);
    let script = load.script_with(&run, &["--set", "mode=merge", "--set", "key=name"]);
    let told = failed(&load.psql(&script));
    assert!(told.contains("the merge key is not unique"), "{told}");
    let flags = ["--target", "postgres", "--set", "mode=merge", "--set", "key=nothing"];
    load.scenario
        .about(&run, "generate-ingest", &flags)
        .exits(7)
        .says(&["has no column \"nothing\""]);
    let flags = ["--target", "postgres", "--set", "mode=merge"];
    load.scenario.about(&run, "generate-ingest", &flags).exits(3);
}

#[test]
fn a_text_that_postgresql_cannot_hold_loads_nothing() {
    let (source, load) = (Database::new(Dialect::Mysql), Load::new());
    source.run("CREATE TABLE thing (id integer PRIMARY KEY, name text); INSERT INTO thing VALUES (1, 'a'), (2, CONCAT('b', CHAR(0)));");
    let run = load.scenario.extract(&source.url(), &["--table", "thing"]).exits(0);
    let flags = ["--set", "schema=public"];
    let told = failed(&load.psql(&load.script_with(&run, &flags)));
    assert!(told.contains("NUL byte"), "{told}");
    assert_eq!(load.target.value("SELECT to_regclass('thing') IS NULL;"), "t");
}

#[test]
fn a_chunk_that_is_not_there_yet_is_tried_again_until_it_is() {
    let (_source, load, run) = with_old_rows();
    let script = load.script_with(&run, &["--parallel", "2"]);
    let chunk = Job::of(&run).chunks("thing").remove(1);
    let away = load.scenario.path("away");
    std::fs::rename(&chunk, &away).unwrap();
    let mut driver = load.driver(&script, "9");
    driver
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let driver = driver.spawn().unwrap();
    eventually("a failed try in the log", || load.log().contains("try 2 failed"));
    assert_eq!(load.target.rows(ALL).len(), 2, "something was published");
    std::fs::rename(&away, &chunk).unwrap();
    said(&driver.wait_with_output().unwrap());
    assert_eq!(load.target.rows(ALL).len(), 902);
    let log = load.log();
    let name = chunk.file_name().unwrap().to_str().unwrap();
    let failed: Vec<&str> = log.lines().filter(|line| line.contains("failed")).collect();
    assert!(failed.len() >= 2, "{log}");
    assert!(failed.iter().all(|line| line.contains(name)), "{log}");
}

#[test]
fn a_statement_that_can_never_succeed_is_not_tried_again() {
    let (_source, load, run) = with_old_rows();
    let script = load.script_with(&run, &["--parallel", "2"]);
    // The target goes away between two runs of the prologue's comparison and the publication: no try can help.
    let text = std::fs::read_to_string(&script).unwrap();
    let broken = text.replace("SELECT count(*) INTO staged", "SELECT counts(*) INTO staged");
    assert_ne!(text, broken);
    std::fs::write(&script, broken).unwrap();
    failed(&load.driver(&script, "9").output().unwrap());
    let log = load.log();
    assert!(log.contains("step epilogue, all tables, try 1 failed"), "{log}");
    assert!(log.contains("42883") && !log.contains("try 2"), "{log}");
    // Chunk, message, and the statements themselves.
    assert!(log.contains("step epilogue:   SELECT counts(*) INTO staged"), "{log}");
    assert_eq!(load.target.rows(ALL).len(), 2, "something was published");
}

#[test]
fn rows_that_cannot_be_converted_are_left_out_only_where_asked_and_then_counted() {
    let source = source();
    let flags = ["--table", "thing", "--format", "csv"];
    let spoiled = |target: Database| {
        let load = Load::into(target);
        let run = load.scenario.extract(&source.url(), &flags).exits(0);
        let chunk = Job::of(&run).chunks("thing").remove(0);
        let text = std::fs::read_to_string(&chunk).unwrap();
        let wrong = text.replace("\n17,", "\nseventeen,");
        assert_ne!(text, wrong);
        std::fs::write(&chunk, wrong).unwrap();
        (load, run)
    };
    let is_missing = "SELECT to_regclass('thing') IS NULL;";

    let (load, run) = spoiled(Database::newer());
    let told = failed(&load.psql(&load.script(&run)));
    assert!(told.contains("seventeen"), "{told}");
    assert_eq!(load.target.value(is_missing), "t", "a half-made load stays");
    let script = load.script_with(&run, &["--set", "on_error=skip"]);
    let output = load.psql(&script);
    let (told, told_aside) = (said(&output), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(told.contains("899 rows of 900 loaded"), "{told}");
    assert!(told_aside.contains("seventeen"), "{told_aside}");
    assert_eq!(load.target.rows(ALL).len(), 899);

    // Before 17 there is no such option: the script fails and loads nothing.
    let (load, run) = spoiled(Database::new(Dialect::Postgres));
    let script = load.script_with(&run, &["--set", "on_error=skip"]);
    assert!(
        std::fs::read_to_string(&script)
            .unwrap()
            .contains("needs PostgreSQL 17 or newer")
    );
    failed(&load.psql(&script));
    assert_eq!(load.target.value(is_missing), "t", "a half-made load stays");
}

/// Names that end quotes, dollar quotes, statements, psql's commands and variables, and shell words.
const HOSTILE: [&str; 8] = [
    "a\"; DROP TABLE x; --",
    "it's $(touch broken)",
    "$check$",
    "back\\slash \\! touch broken",
    ":id :'id' :\"id\"",
    "), (",
    "select",
    "na\u{ef}ve \u{1f600} `touch broken`",
];

#[test]
fn names_that_try_to_break_out_are_names_on_both_versions_by_one_session_and_by_several() {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<String> = HOSTILE.iter().map(|name| format!("{} text", quoted(name))).collect();
    let table = quoted("t\"$check$ \\! touch broken; '$(touch broken)");
    let source = Database::new(Dialect::Postgres);
    source.run(&format!(
        "CREATE TABLE {table} (id bigint PRIMARY KEY, {});
         INSERT INTO {table} SELECT i{} FROM generate_series(1, 40) AS i; ANALYZE;",
        columns.join(", "),
        ", 'v' || i".repeat(HOSTILE.len()),
    ));
    let all = format!("SELECT t::text FROM {table} AS t ORDER BY id;");
    let names = "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
        WHERE attnum > 0 AND relname LIKE 't\"%broken)';";
    for newer in [false, true] {
        for (format, sessions) in [("parquet", &[][..]), ("csv", &["--parallel", "2"])] {
            let load = Load::into(if newer {
                Database::newer()
            } else {
                Database::new(Dialect::Postgres)
            });
            let arguments = ["--table", "public.*", "--format", format, "--batch-size", "10"];
            let run = load.scenario.extract(&source.url(), &arguments).exits(0);
            let script = load.script_with(&run, sessions);
            said(&match sessions {
                [] => load.psql(&script),
                _ => load.bash(&script),
            });
            assert_eq!(load.target.rows(&all), source.rows(&all), "{format} {sessions:?}");
            assert_eq!(load.target.value(names), source.value(names));
            assert!(!load.scenario.path("broken").exists(), "a name was run as a command");
        }
    }
}

#[test]
fn statements_with_options_that_postgresql_does_not_have_are_refused_by_both_versions() {
    // The sample scripts that this project began with, and options of other platforms.
    let broken = [
        "COPY target_table FROM PROGRAM 'cat /path/to/file_*.csv' WITH (FORMAT csv, HEADER true, PARALLEL 8);",
        "COPY target_table FROM PROGRAM 'parquet-tools cat /path/to/file_*.parquet' WITH (FORMAT csv, PARALLEL 8);",
        "COPY target_table FROM '/path/to/file.parquet' WITH (FORMAT parquet);",
    ];
    for target in [Database::new(Dialect::Postgres), Database::newer()] {
        let load = Load::into(target);
        load.target.run("CREATE TABLE target_table (id integer);");
        for statement in broken {
            let script = load.scenario.path("broken.sql");
            std::fs::write(&script, statement).unwrap();
            let told = failed(&load.psql(&script));
            let refused = told.contains("option \"parallel\" not recognized")
                || told.contains("COPY format \"parquet\" not recognized");
            assert!(refused, "{statement}: {told}");
        }
    }
}
