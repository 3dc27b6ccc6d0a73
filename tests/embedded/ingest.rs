//! The script for PostgreSQL, run by psql as its users run it.

use sqlextract_system_tests::{Database, Dialect, Job};

use crate::loading::Load;
use crate::types::{awkward, literal};

fn source() -> Database {
    let texts: Vec<String> = awkward().iter().map(|text| literal(Dialect::Postgres, text)).collect();
    let texts = texts.join(", ");
    let database = Database::new(Dialect::Postgres);
    database.run(&format!(
        "CREATE TABLE thing (id bigint PRIMARY KEY, name text, price numeric(12,3), born date, seen timestamptz,
           ratio double precision, flag boolean, doc jsonb, code uuid, raw bytea, at timestamp, small smallint);
         INSERT INTO thing SELECT i, 'n' || i, i / 8.0, date '2000-01-01' + i, timestamptz '2026-01-01 00:00:00.123456+02' + i * interval '1 hour',
           i / 3.0::float8, i % 2 = 0, jsonb_build_object('i', i), md5(i::text)::uuid, decode(md5(i::text), 'hex'),
           timestamp '2026-01-01 01:02:03.5', i % 100 FROM generate_series(100, 3000) AS i;
         INSERT INTO thing (id, name) SELECT n, t FROM unnest(ARRAY[{texts}]) WITH ORDINALITY AS a(t, n);
         INSERT INTO thing (id, price, ratio, born, at) VALUES (50, -0.001, 'NaN', '0001-01-01', '9999-12-31 23:59:59.999999'),
           (51, 999999999.999, '-Infinity', '9999-12-31', '0001-01-01'), (52, 0, -0.0, NULL, NULL);
         ANALYZE;"
    ));
    database
}

const ALL: &str = "SELECT t::text FROM thing t ORDER BY id;";

#[test]
fn the_script_loads_every_value_once_from_both_formats() {
    let source = source();
    for format in ["parquet", "csv"] {
        let load = Load::new();
        let run = load
            .scenario
            .extract(
                &source.url(),
                &["--table", "thing", "--batch-size", "500", "--format", format],
            )
            .exits(0);
        assert!(Job::of(&run).is_sound().entries.len() > 2);
        let script = load.script(&run);
        load.succeeds(&script);
        let expected = source.rows(ALL);
        let loaded = load.target.rows(ALL);
        for (loaded, expected) in loaded.iter().zip(&expected) {
            assert_eq!(loaded, expected, "{format}");
        }
        assert_eq!(loaded.len(), expected.len());
        let said = load.succeeds(&script);
        assert!(said.contains("nothing changed"), "{said}");
        assert!(load.target.rows(ALL) == expected, "the second run changed something");
    }
}

#[test]
fn a_script_that_counts_other_rows_loads_nothing() {
    let source = source();
    let load = Load::new();
    let run = load.scenario.extract(&source.url(), &["--table", "thing"]).exits(0);
    let script = load.script(&run);
    let text = std::fs::read_to_string(&script).unwrap();
    let rows = run.json["tables"][0]["rows"].as_u64().unwrap();
    let wrong = text.replace(&format!("WHEN {rows} THEN"), &format!("WHEN {} THEN", rows + 1));
    assert_ne!(text, wrong);
    std::fs::write(&script, wrong).unwrap();
    let output = load.psql(&script);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("rows were loaded"));
    assert_eq!(
        load.target.value("SELECT to_regclass('thing') IS NULL;"),
        "t",
        "a half-made load stays"
    );
}

#[test]
fn a_doctored_manifest_fails_the_load() {
    let source = source();
    let load = Load::new();
    let run = load.scenario.extract(&source.url(), &["--table", "thing"]).exits(0);
    let script = load.script(&run);
    let job = Job::of(&run);
    let chunk = job.chunks("thing").remove(0);
    let bytes = std::fs::read(&chunk).unwrap();
    std::fs::write(&chunk, &bytes[..bytes.len() - 9]).unwrap();
    assert!(!load.psql(&script).status.success(), "a damaged chunk was loaded");
    std::fs::write(&chunk, &bytes).unwrap();
    let manifest = job.folder.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let rows = run.json["tables"][0]["rows"].as_u64().unwrap();
    std::fs::write(
        &manifest,
        text.replace(&format!("\"rows\":{rows}"), &format!("\"rows\":{}", rows - 1)),
    )
    .unwrap();
    let file = load.scenario.path("doctored.sql");
    let made = load.scenario.about(
        &run,
        "generate-ingest",
        &["--target", "postgres", "-o", file.to_str().unwrap()],
    );
    if made.exit == 0 {
        assert!(!load.psql(&file).status.success(), "a wrong row count was loaded");
    } else {
        assert_eq!(made.exit, 8, "{}", made.stderr);
    }
    assert_eq!(
        load.target.value("SELECT to_regclass('thing') IS NULL;"),
        "t",
        "a half-made load stays"
    );
    load.scenario.about(&run, "verify", &["--depth", "listing"]).exits(8);
}
