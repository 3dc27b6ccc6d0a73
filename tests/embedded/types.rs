//! Every type with its extremes, cell by cell.

use sqlextract_system_tests::{Database, Dialect, Job, Rows, Scenario};

use crate::declared::{Column, Form, MARIADB, POSTGRES, SQLITE};

/// What the columns' types need.
pub(crate) const POSTGRES_TYPES: &str =
    "CREATE TYPE mood AS ENUM ('sad', 'it''s'); CREATE TYPE pair AS (a integer, b text);
        CREATE DOMAIN positive AS integer CHECK (VALUE > 0);";
pub(crate) const MARIADB_SESSION: &str = "SET time_zone = '+00:00';";

/// Texts that formats and shells stumble over.
pub(crate) fn awkward() -> Vec<String> {
    let short = [
        "",
        " ",
        "  both  ",
        "NULL",
        "null",
        "\\N",
        "\\.",
        "a\n\\.\nb",
        "\\.\n",
        "\n",
        "\r\n",
        "\r",
        "\t",
        "\"",
        "\"\"",
        "\"quoted\"",
        "it's",
        "a,b",
        ",",
        "\\",
        "back\\slash",
        "ends with \\",
        "größe",
        "😀",
        "𝄞 and 𠜎",
        "\u{200b}",
        "\u{2028}",
        "\u{feff}bom",
        "\u{1}\u{1b}",
        "\u{7f}",
        "#",
        ";",
        "|",
        "-",
        "=1+1",
        "true",
        "0001",
        "1e5",
        "{}",
        "{\"a\": \"\\\"\"}",
        "%s",
        "$1",
        ":name",
    ];
    let mut texts: Vec<String> = short.iter().map(|t| (*t).to_owned()).collect();
    texts.extend(["x".repeat(100_000), "😀".repeat(3000), "a\"\n".repeat(2000)]);
    texts
}

/// A literal that no client can misread.
pub(crate) fn literal(dialect: Dialect, text: &str) -> String {
    let hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
    match dialect {
        Dialect::Postgres => format!("convert_from(decode('{hex}', 'hex'), 'UTF8')"),
        Dialect::Mysql => format!("CONVERT(x'{hex}' USING utf8mb4)"),
        Dialect::Sqlite => format!("CAST(x'{hex}' AS text)"),
    }
}

pub(crate) fn same(form: Form, source: Option<&String>, chunk: Option<&String>) -> bool {
    let (Some(source), Some(chunk)) = (source, chunk) else {
        return source.is_none() && chunk.is_none();
    };
    match form {
        Form::Float => match (source.parse::<f64>(), chunk.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            _ => false,
        },
        Form::Single => match (source.parse::<f32>(), chunk.parse::<f32>()) {
            (Ok(a), Ok(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        },
        Form::Json => {
            let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            parse(source).is_some() && parse(source) == parse(chunk)
        }
        _ => source == chunk,
    }
}

/// What DuckDB says of a cell, in the words of the source's expression.
fn in_chunk(column: &Column, csv: bool) -> String {
    let name = column.name;
    match column.form {
        Form::Text | Form::Json | Form::Float | Form::Single => format!("{name}::VARCHAR"),
        Form::Bytes if csv => format!("upper({name})"),
        Form::Bytes => format!("hex({name})"),
        Form::Timestamp => format!("epoch_us({name}::TIMESTAMP)"),
        Form::Instant => format!("epoch_us({name}::TIMESTAMPTZ)"),
    }
}

/// A database with a table of these columns: a row per value, and one of NULLs.
pub(crate) fn every_type_of(dialect: Dialect, before: &str, columns: &[Column]) -> Database {
    let database = Database::new(dialect);
    let declared: Vec<String> = columns
        .iter()
        .map(|c| format!("{} {} NULL", c.name, c.declared))
        .collect();
    let most = columns.iter().map(|c| c.values.len()).max().unwrap_or(0);
    // One row more than values: all NULL.
    let rows: Vec<String> = (0..=most)
        .map(|row| {
            let values: Vec<&str> = columns
                .iter()
                .map(|c| c.values.get(row).copied().unwrap_or("NULL"))
                .collect();
            format!("({row}, {})", values.join(", "))
        })
        .collect();
    database.run(&format!(
        "{before} CREATE TABLE every_type (id integer NOT NULL PRIMARY KEY, {}); INSERT INTO every_type VALUES {};",
        declared.join(", "),
        rows.join(",\n")
    ));
    database
}

/// The table's cells in the words of the columns' own expressions.
pub(crate) fn cells_of(database: &Database, columns: &[Column]) -> Rows {
    let source: Vec<String> = columns.iter().map(|c| c.source.replace("{}", c.name)).collect();
    let settings = match database.dialect {
        // The form of an interval that does not depend on a session.
        Dialect::Postgres => "SET intervalstyle = 'iso_8601'; ",
        _ => "",
    };
    let select = format!("{settings}SELECT {} FROM every_type ORDER BY id;", source.join(", "));
    database.rows(&select)
}

fn every_type(dialect: Dialect, before: &str, columns: &[Column]) {
    let database = every_type_of(dialect, before, columns);
    let source = cells_of(&database, columns);
    let mut different = Vec::new();
    for format in ["parquet", "csv"] {
        let scenario = Scenario::new();
        let run = scenario
            .extract(&database.url(), &["--table", "every_type", "--format", format])
            .exits(0)
            .outcome("completed");
        let job = Job::of(&run);
        job.is_sound();
        let cells: Vec<String> = columns.iter().map(|c| in_chunk(c, format == "csv")).collect();
        let chunk = job.query(
            "every_type",
            &format!("SELECT {} FROM chunks ORDER BY id::INTEGER", cells.join(", ")),
        );
        assert_eq!(chunk.len(), source.len(), "rows as {format}");
        assert_eq!(job.readers_agree("every_type"), source.len() as u64);
        for (row, (source, chunk)) in source.iter().zip(&chunk).enumerate() {
            for ((column, source), chunk) in columns.iter().zip(source).zip(chunk) {
                if !same(column.form, source.as_ref(), chunk.as_ref()) {
                    let (name, declared) = (column.name, column.declared);
                    different.push(format!(
                        "{format} row {row} {name} {declared}: {source:?} became {chunk:?}"
                    ));
                }
            }
        }
        scenario
            .about(&run, "verify", &["--depth", "source", "--source", &database.url()])
            .exits(0);
        scenario.about(&run, "verify", &["--depth", "full"]).exits(0);
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_type_of_postgresql_arrives_with_its_extremes() {
    every_type(Dialect::Postgres, POSTGRES_TYPES, POSTGRES);
}

#[test]
fn every_type_of_mariadb_arrives_with_its_extremes() {
    every_type(Dialect::Mysql, MARIADB_SESSION, MARIADB);
}

#[test]
fn every_type_of_sqlite_arrives_with_its_extremes() {
    every_type(Dialect::Sqlite, "", SQLITE);
}

fn awkward_texts_arrive(dialect: Dialect) {
    let database = Database::new(dialect);
    let kind = if dialect == Dialect::Mysql { "longtext" } else { "text" };
    let texts = awkward();
    let rows: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| format!("({i}, {}, NULL, {})", literal(dialect, text), literal(dialect, text)))
        .collect();
    database.run(&format!(
        "CREATE TABLE said (id integer NOT NULL PRIMARY KEY, one {kind} NOT NULL, gap {kind}, two {kind}); INSERT INTO said VALUES {};",
        rows.join(",")
    ));
    for format in ["parquet", "csv"] {
        let scenario = Scenario::new();
        let run = scenario
            .extract(&database.url(), &["--table", "said", "--format", format])
            .exits(0);
        let job = Job::of(&run);
        let found = job.query("said", "SELECT one, gap, two FROM chunks ORDER BY id::INTEGER");
        assert_eq!(found.len(), texts.len(), "rows as {format}");
        assert_eq!(job.readers_agree("said"), texts.len() as u64);
        for (row, text) in found.iter().zip(&texts) {
            let expected = [Some(text.clone()), None, Some(text.clone())];
            assert!(
                row[..] == expected,
                "{dialect:?} as {format}: {text:.80?} became {row:.200?}"
            );
        }
    }
}

#[test]
fn awkward_texts_arrive_from_postgresql() {
    awkward_texts_arrive(Dialect::Postgres);
}

#[test]
fn awkward_texts_arrive_from_mariadb() {
    awkward_texts_arrive(Dialect::Mysql);
}

#[test]
fn awkward_texts_arrive_from_sqlite() {
    awkward_texts_arrive(Dialect::Sqlite);
}

#[test]
fn a_value_without_a_counterpart_is_refused_with_its_row() {
    let values = [
        "numeric(10,2)|'NaN'",
        "date|'infinity'",
        "timestamp|'-infinity'",
        "timestamptz|'infinity'",
    ];
    for value in values {
        let (declared, value) = value.split_once('|').unwrap();
        let database = Database::new(Dialect::Postgres);
        database.run(&format!(
            "CREATE TABLE odd (id integer PRIMARY KEY, odd_value {declared}); INSERT INTO odd VALUES (1, NULL), (7, {value});"
        ));
        for format in ["parquet", "csv"] {
            let scenario = Scenario::new();
            let run = scenario.extract(&database.url(), &["--table", "odd", "--format", format]);
            assert_eq!(run.exit, 7, "{declared} {value} as {format}: {}", run.stderr);
            let run = run
                .exits(7)
                .says(&["[value_refused]", "odd_value", "odd", "--column-type"]);
            assert!(
                run.stderr.contains("id=7"),
                "{declared} {value}: no key in {}",
                run.stderr
            );
            let texts = [
                "--table",
                "odd",
                "--format",
                format,
                "--column-type",
                "odd.odd_value=text",
                "--job",
                "texts",
            ];
            scenario.extract(&database.url(), &texts).exits(0);
        }
    }
}
