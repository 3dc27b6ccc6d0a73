//! Columns of a BigQuery table, and how a staged value becomes one of the target.

use sqlextract_model::{ChunkType, Format, TimestampUnit};

use crate::finding::Finding;
use crate::plan::{Asked, TargetColumn};
use crate::quote::bigquery::{identifier, literal};

/// Longest value of a CSV cell, and of a Parquet row.
const CSV_CELL_BYTES: u64 = 100_000_000;
const PARQUET_ROW_BYTES: u64 = 50_000_000;

pub(super) fn column_type(asked: &Asked<'_>) -> Result<String, Finding> {
    let chunk = &asked.column.chunk;
    if asked.facts.in_plain_years(chunk) == Some(false) {
        return Err(Finding::value(
            "holds dates outside the years 1 to 9999, which BigQuery does not have",
            "Extract the column as text with `--column-type T.C=text`.",
        ));
    }
    let longest = match asked.format.format {
        Format::Csv => CSV_CELL_BYTES,
        Format::Parquet => PARQUET_ROW_BYTES,
    };
    if matches!(chunk, ChunkType::Text | ChunkType::Json | ChunkType::Binary)
        && asked.facts.is_surely_longer_than(longest)
    {
        return Err(Finding::value(
            format!(
                "holds values over {} MB, which BigQuery does not load",
                longest / 1_000_000
            ),
            "Leave the column out with `--exclude-columns`, or take a part of it in a query.",
        ));
    }
    scalar(chunk).or_else(|finding| match chunk {
        ChunkType::List(element) => list(element, asked),
        _ => Err(finding),
    })
}

fn scalar(chunk: &ChunkType) -> Result<String, Finding> {
    let kind = match chunk {
        ChunkType::Boolean => "BOOL",
        ChunkType::Int8 | ChunkType::Int16 | ChunkType::Int32 | ChunkType::Int64 => "INT64",
        ChunkType::Float32 | ChunkType::Float64 => "FLOAT64",
        ChunkType::Decimal { precision, scale } => return decimal(*precision, *scale),
        ChunkType::Text | ChunkType::Uuid => "STRING",
        ChunkType::Json => "JSON",
        ChunkType::Binary => "BYTES",
        ChunkType::Date => "DATE",
        ChunkType::Time => "TIME",
        ChunkType::Timestamp {
            unit: TimestampUnit::Nanosecond,
            ..
        } => {
            return Err(Finding::value(
                "holds nanoseconds, which BigQuery would round",
                "Extract the column as text with `--column-type T.C=text`.",
            ));
        }
        ChunkType::Timestamp { utc: true, .. } => "TIMESTAMP",
        ChunkType::Timestamp { utc: false, .. } => "DATETIME",
        ChunkType::List(_) => return Err(Finding::value("is a list of lists", "Extract it as JSON.")),
    };
    Ok(kind.to_owned())
}

fn decimal(precision: u8, scale: i8) -> Result<String, Finding> {
    let whole = i16::from(precision) - i16::from(scale);
    match scale {
        0..=9 if whole <= 29 => Ok(format!("NUMERIC({precision}, {scale})")),
        0..=38 if whole <= 38 => Ok(format!("BIGNUMERIC({precision}, {scale})")),
        _ => Err(Finding::value(
            format!("is decimal({precision},{scale}), which BIGNUMERIC does not hold"),
            "Extract the column as text with `--column-type T.C=text`.",
        )),
    }
}

fn list(element: &ChunkType, asked: &Asked<'_>) -> Result<String, Finding> {
    if asked.format.format == Format::Csv {
        return Err(Finding::value(
            "is a list, which BigQuery does not load from CSV",
            "Extract as Parquet, or the column as JSON with `--column-type T.C=json`.",
        ));
    }
    if asked.facts.has_null() {
        return Err(Finding::value(
            "holds NULL instead of a list, which an ARRAY of BigQuery cannot",
            "Extract the column as JSON with `--column-type T.C=json`.",
        ));
    }
    Ok(format!("ARRAY<{}>", scalar(element)?))
}

/// The type in the staging table: what `LOAD DATA` cannot decode is text there.
pub(super) fn staged_type<'c>(column: &'c TargetColumn<'_>, format: Format) -> &'c str {
    match (format, column.chunk()) {
        (Format::Csv, ChunkType::Binary) => "STRING",
        _ => &column.kind,
    }
}

/// The value for the target, from the staging table.
pub(super) fn published(column: &TargetColumn<'_>, format: Format) -> String {
    let name = identifier(&column.name);
    match (format, column.chunk()) {
        (Format::Csv, ChunkType::Binary) => format!("FROM_HEX({name}) AS {name}"),
        _ => name,
    }
}

/// Whether an existing column takes the values, over `INFORMATION_SCHEMA.COLUMNS`.
pub(super) fn fits(column: &TargetColumn<'_>) -> String {
    let one_of = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| literal(name)).collect();
        format!("data_type IN ({})", names.join(", "))
    };
    match column.chunk() {
        ChunkType::Decimal { precision, scale } => {
            let whole = i16::from(*precision) - i16::from(*scale);
            let plain = if column.kind.starts_with("NUMERIC") {
                one_of(&["NUMERIC", "BIGNUMERIC"])
            } else {
                one_of(&["BIGNUMERIC"])
            };
            let digits = r"CAST(REGEXP_EXTRACT(data_type, r'NUMERIC\((\d+)') AS INT64)";
            let after = r"COALESCE(CAST(REGEXP_EXTRACT(data_type, r', (\d+)\)') AS INT64), 0)";
            format!("{plain} OR COALESCE({after} >= {scale} AND {digits} - {after} >= {whole}, FALSE)")
        }
        ChunkType::Text => match column.mapping.length {
            Some(length) => format!(
                "data_type = 'STRING' OR COALESCE(CAST(REGEXP_EXTRACT(data_type, r'^STRING\\((\\d+)\\)$') AS INT64) >= {length}, FALSE)"
            ),
            None => one_of(&["STRING"]),
        },
        ChunkType::Uuid => {
            "data_type = 'STRING' OR COALESCE(CAST(REGEXP_EXTRACT(data_type, r'^STRING\\((\\d+)\\)$') AS INT64) >= 36, FALSE)".to_owned()
        }
        _ => one_of(&[&column.kind]),
    }
}
