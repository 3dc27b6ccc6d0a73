//! The page about types, written from the functions that decide them.

use sqlextract_model::{ChunkType, Dialect, OnLossy, OverrideType, SourceColumn, TimestampUnit};

use crate::parse::override_name;
use crate::samples::{Sample, samples};
use crate::{form_by_table, overrides};

const INTRODUCTION: &str = "\
# Types

Generated from the code by `cargo test -p sqlextract-type-mapping`; do not edit.

How a column of each type is held in a chunk. *By name* lists what `--column-type T.C=TYPE` accepts instead: a value
that does not fit is then an error that names table, column and row, and never becomes NULL, except with the type
`null`, which is the type of the table with NULL for values that have no counterpart (infinite and zero dates, NaN in a
decimal). A type that loses digits needs `--on-lossy round`. `decimal` stands for any `decimal(P,S)` of up to 38 digits.

A type marked *refused* stops the plan until it is given a type by name, left out, or taken as text with
`--on-lossy text`.

In CSV a NULL is an empty field and an empty text is `\"\"`. Every column of a Parquet file is optional; NOT NULL is in the
manifest and in the scripts.
";

/// The documentation page: for each dialect, source type, Parquet form, CSV form, types by name, note.
pub fn type_table_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (dialect, title) in [
        (Dialect::Postgres, "PostgreSQL"),
        (Dialect::Mysql, "MySQL and MariaDB"),
        (Dialect::Sqlite, "SQLite"),
    ] {
        page.push_str(&format!(
            "\n## {title}\n\n| source | Parquet | CSV | by name | note |\n|---|---|---|---|---|\n"
        ));
        for sample in samples(dialect) {
            page.push_str(&row(dialect, &sample));
        }
    }
    page
}

fn row(dialect: Dialect, Sample { column, note }: &Sample) -> String {
    let (parquet, csv) = match form_by_table(dialect, column, OnLossy::Fail) {
        Ok((form, _)) => (parquet(&form.chunk), csv(&form.chunk)),
        Err(_) => ("*refused*".to_owned(), "*refused*"),
    };
    format!(
        "| `{}` | {parquet} | {csv} | {} | {note} |\n",
        column.declared,
        names(dialect, column)
    )
}

/// What the column takes by name beside what it is.
fn names(dialect: Dialect, column: &SourceColumn) -> String {
    let natural = form_by_table(dialect, column, OnLossy::Fail).ok().map(|(form, _)| form);
    let differs = |target: &OverrideType| {
        overrides::form_by_name(dialect, column, *target, OnLossy::Round)
            .is_ok_and(|(form, _)| natural.as_ref() != Some(&form) || *target == OverrideType::NullUnrepresentable)
    };
    let name = |target: OverrideType| match target {
        OverrideType::Decimal { .. } => "decimal".to_owned(),
        other => override_name(other),
    };
    let names: Vec<_> = overrides::possible(dialect, column)
        .into_iter()
        .filter(differs)
        .map(name)
        .collect();
    names.join(", ")
}

fn parquet(chunk: &ChunkType) -> String {
    match chunk {
        ChunkType::Boolean => "BOOLEAN".to_owned(),
        ChunkType::Int8 => "INT32 (INT 8)".to_owned(),
        ChunkType::Int16 => "INT32 (INT 16)".to_owned(),
        ChunkType::Int32 => "INT32".to_owned(),
        ChunkType::Int64 => "INT64".to_owned(),
        ChunkType::Float32 => "FLOAT".to_owned(),
        ChunkType::Float64 => "DOUBLE".to_owned(),
        ChunkType::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        ChunkType::Text => "STRING".to_owned(),
        ChunkType::Json => "STRING (JSON text)".to_owned(),
        ChunkType::Uuid => "STRING (UUID)".to_owned(),
        ChunkType::Binary => "BYTE_ARRAY".to_owned(),
        ChunkType::Date => "DATE".to_owned(),
        ChunkType::Time => "TIME(us)".to_owned(),
        ChunkType::Timestamp { unit, utc } => {
            let unit = match unit {
                TimestampUnit::Microsecond => "us",
                TimestampUnit::Nanosecond => "ns",
            };
            format!("TIMESTAMP({unit}{})", if *utc { ", UTC" } else { "" })
        }
        ChunkType::List(element) => format!("LIST of {}", parquet(element)),
    }
}

fn csv(chunk: &ChunkType) -> &'static str {
    match chunk {
        ChunkType::Boolean => "`true`, `false`",
        ChunkType::Int8 | ChunkType::Int16 | ChunkType::Int32 | ChunkType::Int64 => "digits",
        ChunkType::Float32 | ChunkType::Float64 => "shortest digits that read back, `NaN`, `Infinity`, `-Infinity`",
        ChunkType::Decimal { .. } => "plain digits, never an exponent",
        ChunkType::Text => "text",
        ChunkType::Json => "JSON text",
        ChunkType::Uuid => "lowercase UUID",
        ChunkType::Binary => "lowercase hexadecimal",
        ChunkType::Date => "`YYYY-MM-DD`",
        ChunkType::Time => "`HH:MM:SS[.ffffff]`",
        ChunkType::Timestamp { utc: false, .. } => "`YYYY-MM-DD HH:MM:SS[.ffffff]`",
        ChunkType::Timestamp { utc: true, .. } => "`YYYY-MM-DD HH:MM:SS[.ffffff]+00:00`",
        ChunkType::List(_) => "JSON array",
    }
}
