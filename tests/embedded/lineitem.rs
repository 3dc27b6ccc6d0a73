//! A table of TPC-H, column by column, from every database and in both formats: a tenth of scale 1, and scale 1 where
//! the long form is asked for.

use std::path::PathBuf;
use std::process::Command;

use sqlextract_system_tests::{Database, Dialect, Job, Scenario, full_size, variable};

use crate::fingerprint::text_sum;

/// The scale factor and its rows.
fn size() -> (&'static str, u64) {
    if full_size() {
        ("1", 6_001_215)
    } else {
        ("0.1", 600_572)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Integer,
    Decimal,
    Text,
    Date,
}

const COLUMNS: [(&str, Kind); 16] = [
    ("l_orderkey", Kind::Integer),
    ("l_partkey", Kind::Integer),
    ("l_suppkey", Kind::Integer),
    ("l_linenumber", Kind::Integer),
    ("l_quantity", Kind::Decimal),
    ("l_extendedprice", Kind::Decimal),
    ("l_discount", Kind::Decimal),
    ("l_tax", Kind::Decimal),
    ("l_returnflag", Kind::Text),
    ("l_linestatus", Kind::Text),
    ("l_shipdate", Kind::Date),
    ("l_commitdate", Kind::Date),
    ("l_receiptdate", Kind::Date),
    ("l_shipinstruct", Kind::Text),
    ("l_shipmode", Kind::Text),
    ("l_comment", Kind::Text),
];

fn generated(scenario: &Scenario) -> PathBuf {
    let python = PathBuf::from(variable("SQLEXTRACT_TEST_PYTHON"));
    let program = python.with_file_name("tpchgen-cli");
    let folder = scenario.path("tpch");
    let made = Command::new(&program)
        .args(["csv", "-s", size().0, "--tables", "lineitem", "--output-dir"])
        .arg(&folder)
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder.join("lineitem.csv")
}

fn loaded(dialect: Dialect, scenario: &Scenario) -> Database {
    let database = Database::new(dialect);
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, kind)| {
            let declared = match kind {
                Kind::Integer => "bigint",
                Kind::Decimal => "decimal(15,2)",
                Kind::Text => "varchar(60)",
                Kind::Date => "date",
            };
            format!("{name} {declared} NOT NULL")
        })
        .collect();
    let columns = columns.join(", ");
    database.run(&format!(
        "CREATE TABLE lineitem ({columns}, PRIMARY KEY (l_orderkey, l_linenumber));"
    ));
    database.load_csv("lineitem", &generated(scenario));
    database
}

/// What is compared of each column; `None` is DuckDB, whose cells of CSV are text.
fn facts(dialect: Option<Dialect>) -> String {
    let mut facts = vec!["count(*)".to_owned()];
    for (name, kind) in COLUMNS {
        facts.push(format!("count({name})"));
        match (kind, dialect) {
            (Kind::Integer, None) => facts.push(format!("sum({name}::BIGINT)")),
            (Kind::Integer, Some(_)) => facts.push(format!("sum({name})")),
            (Kind::Decimal, None) => facts.push(format!("sum({name}::DECIMAL(15,2))")),
            // SQLite keeps decimals as floats: whole cents add up exactly.
            (Kind::Decimal, Some(Dialect::Sqlite)) => facts.push(format!(
                "printf('%.2f', sum(CAST(round({name} * 100) AS integer)) / 100.0)"
            )),
            (Kind::Decimal, Some(_)) => facts.push(format!("sum({name})")),
            (Kind::Text, _) => facts.push(text_sum(dialect, name)),
            (Kind::Date, Some(Dialect::Postgres) | None) => facts.push(text_sum(dialect, &format!("{name}::text"))),
            (Kind::Date, Some(_)) => facts.push(text_sum(dialect, name)),
        }
        let distinct = match (kind, dialect) {
            (Kind::Decimal, None) => format!("count(DISTINCT {name}::DECIMAL(15,2))"),
            // Its collation takes texts for one that differ in spaces at the end.
            (Kind::Text, Some(Dialect::Mysql)) => format!("count(DISTINCT binary {name})"),
            _ => format!("count(DISTINCT {name})"),
        };
        facts.push(distinct);
    }
    facts.join(", ")
}

fn arrives(dialect: Dialect) {
    let scenario = Scenario::new();
    let (_, rows) = size();
    let database = loaded(dialect, &scenario);
    let batch = (rows / 12).to_string();
    let expected = database.rows(&format!("SELECT {} FROM lineitem;", facts(Some(dialect))));
    assert_eq!(expected[0][0], Some(rows.to_string()), "rows of the generated table");
    for format in ["parquet", "csv"] {
        let run = scenario
            .extract(
                &database.url(),
                &[
                    "--table",
                    "lineitem",
                    "--format",
                    format,
                    "--batch-size",
                    &batch,
                    "--workers",
                    "4",
                ],
            )
            .exits(0)
            .outcome("completed");
        let job = Job::of(&run);
        job.is_sound();
        let batches = job.entries.len();
        assert!(
            (10..=60).contains(&batches),
            "{batches} batches where twelve were aimed at"
        );
        let found = job.query("lineitem", &format!("SELECT {} FROM chunks", facts(None)));
        let names = COLUMNS.iter().flat_map(|(name, _)| [*name; 3]);
        let names: Vec<&str> = std::iter::once("rows").chain(names).collect();
        for ((found, expected), name) in found[0].iter().zip(&expected[0]).zip(names) {
            assert_eq!(found, expected, "{name} as {format}");
        }
        assert_eq!(found[0].len(), expected[0].len());
        assert_eq!(job.readers_agree("lineitem"), rows);
        scenario
            .about(&run, "verify", &["--depth", "source", "--source", &database.url()])
            .exits(0);
    }
}

#[test]
fn lineitem_arrives_from_postgresql_in_both_formats() {
    arrives(Dialect::Postgres);
}

#[test]
fn lineitem_arrives_from_mariadb_in_both_formats() {
    arrives(Dialect::Mysql);
}

#[test]
fn lineitem_arrives_from_sqlite_in_both_formats() {
    arrives(Dialect::Sqlite);
}
