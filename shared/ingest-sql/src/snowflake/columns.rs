//! Columns of a Snowflake table, and how a file's values become theirs.

use sqlextract_model::{ChunkType, Format, TimestampUnit};

use crate::finding::Finding;
use crate::plan::{Asked, TargetColumn};
use crate::quote::snowflake::literal;

/// Longest text in bytes that a VARCHAR holds for certain, and default and longest BINARY.
const TEXT_BYTES: u64 = 128 << 20;
const PLAIN_BINARY_BYTES: u64 = 8 << 20;
const BINARY_BYTES: u64 = 64 << 20;
/// Longest VARCHAR without a length, in characters.
const PLAIN_TEXT: u64 = 16 << 20;

pub(super) fn column_type(asked: &Asked<'_>) -> Result<String, Finding> {
    let chunk = &asked.column.chunk;
    if asked.facts.in_plain_years(chunk) == Some(false) {
        return Err(Finding::value(
            "holds dates outside the years 1 to 9999, which Snowflake does not have",
            "Extract the column as text with `--column-type T.C=text`.",
        ));
    }
    let kind = match chunk {
        ChunkType::Boolean => "BOOLEAN",
        ChunkType::Int8 => "NUMBER(3,0)",
        ChunkType::Int16 => "NUMBER(5,0)",
        ChunkType::Int32 => "NUMBER(10,0)",
        ChunkType::Int64 => "NUMBER(19,0)",
        ChunkType::Float32 | ChunkType::Float64 => "FLOAT",
        ChunkType::Decimal { precision, scale } => return decimal(*precision, *scale),
        ChunkType::Text => return text(asked),
        ChunkType::Uuid => "VARCHAR(36)",
        ChunkType::Json => "VARIANT",
        ChunkType::Binary => return binary(asked),
        ChunkType::Date => "DATE",
        ChunkType::Time => "TIME(6)",
        ChunkType::Timestamp { unit, utc } => {
            let kind = if *utc { "TIMESTAMP_TZ" } else { "TIMESTAMP_NTZ" };
            let digits = if *unit == TimestampUnit::Nanosecond { 9 } else { 6 };
            return Ok(format!("{kind}({digits})"));
        }
        ChunkType::List(_) => "ARRAY",
    };
    Ok(kind.to_owned())
}

fn decimal(precision: u8, scale: i8) -> Result<String, Finding> {
    if (0..=37).contains(&scale) {
        Ok(format!("NUMBER({precision},{scale})"))
    } else {
        Err(Finding::value(
            format!("is decimal({precision},{scale}), and Snowflake's NUMBER has a scale of 0 to 37"),
            "Extract the column as text with `--column-type T.C=text`.",
        ))
    }
}

fn text(asked: &Asked<'_>) -> Result<String, Finding> {
    if asked.facts.is_surely_longer_than(TEXT_BYTES) {
        return Err(too_long("texts over 128 MB, which VARCHAR does not hold"));
    }
    let long = asked.facts.is_surely_longer_than(PLAIN_TEXT);
    Ok(if long { "VARCHAR(134217728)" } else { "VARCHAR" }.to_owned())
}

fn binary(asked: &Asked<'_>) -> Result<String, Finding> {
    if asked.facts.is_surely_longer_than(BINARY_BYTES) {
        return Err(too_long("bytes over 64 MB, which BINARY does not hold"));
    }
    let kind = if asked.facts.is_surely_within(PLAIN_BINARY_BYTES) {
        "BINARY"
    } else {
        "BINARY(67108864)"
    };
    Ok(kind.to_owned())
}

fn too_long(what: &str) -> Finding {
    Finding::value(
        format!("holds {what}"),
        "Leave the column out with `--exclude-columns`, or take a part of it in a query.",
    )
}

/// The expression of the COPY's SELECT for the column at `position` of the file.
pub(super) fn expression(column: &TargetColumn<'_>, position: usize, format: Format) -> String {
    match format {
        Format::Csv => from_csv(column, position + 1),
        Format::Parquet => from_parquet(column),
    }
}

fn from_csv(column: &TargetColumn<'_>, number: usize) -> String {
    match column.chunk() {
        ChunkType::Json | ChunkType::List(_) => format!("PARSE_JSON(${number})"),
        ChunkType::Binary => format!("TO_BINARY(${number}, 'HEX')"),
        // The neutral CSV dialect says `Infinity`, Snowflake `inf`.
        ChunkType::Float32 | ChunkType::Float64 if column.facts.is_finite() != Some(true) => {
            format!("REPLACE(${number}, 'Infinity', 'inf')::FLOAT")
        }
        _ => format!("${number}"),
    }
}

fn from_parquet(column: &TargetColumn<'_>) -> String {
    // The field's name is compared with its case.
    let field = format!("$1:{}", crate::quote::snowflake::identifier(&column.mapping.name));
    match column.chunk() {
        ChunkType::Json => format!("PARSE_JSON({field}::VARCHAR)"),
        _ => format!("{field}::{}", column.kind),
    }
}

/// Whether an existing column takes the values, over `INFORMATION_SCHEMA.COLUMNS`.
pub(super) fn fits(column: &TargetColumn<'_>) -> String {
    let is = |name: &str| format!("data_type = {}", literal(name));
    let number = |digits: i32, scale: i32| {
        format!("data_type = 'NUMBER' AND numeric_scale >= {scale} AND numeric_precision - numeric_scale >= {digits}")
    };
    let digits = |name: &str, digits: u8| format!("{} AND COALESCE(datetime_precision, 9) >= {digits}", is(name));
    match column.chunk() {
        ChunkType::Boolean => is("BOOLEAN"),
        ChunkType::Int8 => number(3, 0),
        ChunkType::Int16 => number(5, 0),
        ChunkType::Int32 => number(10, 0),
        ChunkType::Int64 => number(19, 0),
        ChunkType::Decimal { precision, scale } => number(i32::from(*precision) - i32::from(*scale), i32::from(*scale)),
        ChunkType::Float32 | ChunkType::Float64 => is("FLOAT"),
        ChunkType::Text => match column.mapping.length {
            Some(length) => format!("data_type = 'TEXT' AND character_maximum_length >= {length}"),
            None => "data_type = 'TEXT' AND character_maximum_length >= 16777216".to_owned(),
        },
        ChunkType::Uuid => "data_type = 'TEXT' AND character_maximum_length >= 36".to_owned(),
        ChunkType::Json => is("VARIANT"),
        ChunkType::Binary => is("BINARY"),
        ChunkType::Date => is("DATE"),
        ChunkType::Time => digits("TIME", 6),
        ChunkType::Timestamp { unit, utc } => {
            let name = if *utc { "TIMESTAMP_TZ" } else { "TIMESTAMP_NTZ" };
            digits(name, if *unit == TimestampUnit::Nanosecond { 9 } else { 6 })
        }
        ChunkType::List(_) => is("ARRAY"),
    }
}
