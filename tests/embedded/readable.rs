//! Parquet chunks have the types that scripts declare, for readers that are not ours: DuckDB, pyarrow, and in the long form
//! Spark, whose types are those of the script.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlextract_system_tests::{Database, Dialect, Job, Scenario, full_size, python, python_of};

use crate::declared::{Column, MARIADB, POSTGRES, SQLITE};
use crate::fingerprint::Orders;
use crate::types::{MARIADB_SESSION, POSTGRES_TYPES, awkward, every_type_of, literal};

/// The columns of the script's target, with the types that it declares.
fn declared(script: &str) -> BTreeMap<String, String> {
    let table = script
        .split("CREATE TABLE IF NOT EXISTS ")
        .nth(1)
        .and_then(|rest| rest.split(") USING DELTA").next())
        .expect("the script defines its table");
    let lines = table.lines().filter_map(|line| line.strip_prefix("  `"));
    let column = |line: &str| {
        let (name, kind) = line.split_once("` ").expect("a column has a type");
        let kind = kind.trim_end_matches(',').trim_end_matches(" NOT NULL");
        (name.to_owned(), kind.to_owned())
    };
    lines.map(column).collect()
}

/// Spark reads the CSV as the Parquet, value by value, when both are read as their scripts' COPY INTO says.
fn spark_reads_both_formats_alike(source: &Database, table: &str, rows: usize) {
    let copies = ["parquet", "csv"].map(|format| {
        let scenario = Scenario::new();
        let arguments = ["--table", table, "--format", format, "--target", "databricks"];
        let run = scenario.extract(&source.url(), &arguments).exits(0);
        let script = run.json["scripts"]["databricks"]
            .as_str()
            .expect("the script was written");
        let script = std::fs::read_to_string(script).expect("the script is there");
        let files = Job::of(&run).chunks(table);
        (scenario, format, json!({"files": files, "script": script}))
    });
    let [(_parquet, first, one), (_csv, second, other)] = copies;
    let read = python_of(
        "SQLEXTRACT_TEST_SPARK_PYTHON",
        "spark.py",
        &json!({"copies": {first: one, second: other}}),
    );
    assert_eq!(read["different"], json!([]));
    assert_eq!(read["rows"], rows);
}

fn is_read_as_declared(dialect: Dialect, before: &str, columns: &[Column]) {
    let (scenario, source) = (Scenario::new(), every_type_of(dialect, before, columns));
    let arguments = ["--table", "every_type", "--batch-size", "3", "--target", "databricks"];
    let run = scenario.extract(&source.url(), &arguments).exits(0);
    let script = run.json["scripts"]["databricks"]
        .as_str()
        .expect("the script was written");
    let script = std::fs::read_to_string(script).expect("the script is there");
    let declared = declared(&script);
    assert!(
        declared.len() > columns.len() && declared.contains_key("id"),
        "{declared:?}"
    );
    let job = Job::of(&run);
    let table = job.table("every_type");
    let facts = table["aggregates"].as_array().expect("a table has aggregates");
    let counts: BTreeMap<&str, &Value> = facts
        .iter()
        .filter_map(|facts| Some((facts["name"].as_str()?, &facts["count"])))
        .collect();
    let asked = |spark: bool| json!({"files": job.chunks("every_type"), "columns": declared, "spark": spark});
    let mut seen = python("ddl.py", &asked(false));
    if full_size() {
        let spark = python_of("SQLEXTRACT_TEST_SPARK_PYTHON", "ddl.py", &asked(true));
        seen["spark"] = spark["spark"].clone();
        let rows = table["totals"]["rows"].as_u64().and_then(|n| usize::try_from(n).ok());
        spark_reads_both_formats_alike(&source, "every_type", rows.expect("a table has rows"));
    }
    let mut different = Vec::new();
    for (reader, columns) in seen.as_object().expect("there is a reader") {
        for (name, kind) in &declared {
            let expected = json!([kind, counts[name.as_str()]]);
            let found: &Value = &columns[name];
            if *found != expected {
                different.push(format!("{reader} {name}: {found}, the script says {expected}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn chunks_of_every_type_of_postgresql_are_read_with_the_types_of_the_script() {
    is_read_as_declared(Dialect::Postgres, POSTGRES_TYPES, POSTGRES);
}

#[test]
fn chunks_of_every_type_of_mariadb_are_read_with_the_types_of_the_script() {
    is_read_as_declared(Dialect::Mysql, MARIADB_SESSION, MARIADB);
}

#[test]
fn chunks_of_every_type_of_sqlite_are_read_with_the_types_of_the_script() {
    is_read_as_declared(Dialect::Sqlite, "", SQLITE);
    if full_size() {
        // The texts that readers of CSV stumble over, beside NULL.
        let texts = awkward();
        let values: Vec<String> = texts.iter().map(|text| literal(Dialect::Sqlite, text)).collect();
        let source = Database::new(Dialect::Sqlite);
        source.run(&format!(
            "CREATE TABLE thing (id INTEGER PRIMARY KEY, body TEXT, other TEXT);
             INSERT INTO thing (body, other) VALUES (NULL, 'last'), ({}, NULL);",
            values.join(", NULL), (")
        ));
        spark_reads_both_formats_alike(&source, "thing", texts.len() + 1);
    }
}

#[test]
fn integers_are_stored_by_their_differences_where_that_is_asked_for() {
    let orders = Orders::new(Dialect::Sqlite, 5000);
    let extract = |scenario: &Scenario, more: &[&str]| {
        let arguments = [&["--table", "orders"], more].concat();
        scenario.extract(&orders.database.url(), &arguments)
    };
    let bytes = |more: &[&str]| -> u64 {
        let scenario = Scenario::new();
        let job = Job::of(&extract(&scenario, more).exits(0));
        assert_eq!(job.readers_agree("orders"), 5000);
        let files = job.chunks("orders");
        files
            .iter()
            .map(|file| file.metadata().expect("the chunk is there").len())
            .sum()
    };
    let (with, without) = (bytes(&["--parquet-version", "v2"]), bytes(&[]));
    assert!(with < without, "{with} bytes with differences, {without} without");
    let csv = extract(&Scenario::new(), &["--format", "csv", "--parquet-version", "v1"]);
    csv.exits(2).says(&["usage_invalid", "--parquet-version"]);
}
