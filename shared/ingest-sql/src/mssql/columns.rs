//! Columns of a SQL Server table, and how a staged value becomes one of the target.

use sqlextract_model::{ChunkType, Dialect as Source, Format, TimestampUnit};

use crate::finding::Finding;
use crate::plan::{Asked, TargetColumn};
use crate::quote::mssql::{identifier, literal};

/// Longest NVARCHAR with a length, in UTF-16 units.
const SIZED_TEXT: u32 = 4000;
const LONGEST_VALUE: u64 = 2_147_483_647;

pub(super) fn column_type(asked: &Asked<'_>) -> Result<String, Finding> {
    let chunk = &asked.column.chunk;
    if asked.facts.in_plain_years(chunk) == Some(false) {
        return Err(Finding::value(
            "holds dates outside the years 1 to 9999, which SQL Server does not have",
            "Extract the column as text with `--column-type T.C=text`.",
        ));
    }
    let kind = match chunk {
        ChunkType::Boolean => "BIT",
        // TINYINT has no sign there.
        ChunkType::Int8 | ChunkType::Int16 => "SMALLINT",
        ChunkType::Int32 => "INT",
        ChunkType::Int64 => "BIGINT",
        ChunkType::Float32 | ChunkType::Float64 => return float(asked),
        ChunkType::Decimal { precision, scale } if *scale >= 0 => return Ok(format!("DECIMAL({precision},{scale})")),
        ChunkType::Decimal { precision, scale } => {
            return Err(Finding::value(
                format!("is decimal({precision},{scale}), and a DECIMAL of SQL Server has no negative scale"),
                "Extract the column as text with `--column-type T.C=text`.",
            ));
        }
        ChunkType::Text => return text(asked),
        ChunkType::Uuid => "UNIQUEIDENTIFIER",
        ChunkType::Json => "NVARCHAR(MAX)",
        ChunkType::Binary if asked.facts.is_surely_longer_than(LONGEST_VALUE) => return Err(too_long()),
        ChunkType::Binary => "VARBINARY(MAX)",
        ChunkType::Date => "DATE",
        ChunkType::Time => "TIME(6)",
        ChunkType::Timestamp {
            unit: TimestampUnit::Nanosecond,
            ..
        } => {
            return Err(Finding::value(
                "holds nanoseconds, which SQL Server would round",
                "Extract the column as text with `--column-type T.C=text`.",
            ));
        }
        ChunkType::Timestamp { utc: true, .. } => "DATETIMEOFFSET(6)",
        ChunkType::Timestamp { utc: false, .. } => "DATETIME2(6)",
        ChunkType::List(_) => {
            return Err(Finding::value(
                "is a list, which SQL Server does not have",
                "Extract the column as JSON with `--column-type T.C=json`.",
            ));
        }
    };
    Ok(kind.to_owned())
}

fn float(asked: &Asked<'_>) -> Result<String, Finding> {
    if asked.facts.is_finite() == Some(false) {
        return Err(Finding::value(
            "holds NaN or an infinity, which SQL Server does not have",
            "Extract the column as text with `--column-type T.C=text`, or leave such rows out with `--where`.",
        ));
    }
    let narrow = asked.column.chunk == ChunkType::Float32;
    Ok(if narrow { "REAL" } else { "FLOAT(53)" }.to_owned())
}

/// A character beyond the first 65,536 takes two units. SQLite's lengths are not kept by SQLite.
fn text(asked: &Asked<'_>) -> Result<String, Finding> {
    if asked.facts.is_surely_longer_than(LONGEST_VALUE) {
        return Err(too_long());
    }
    let length = asked.column.length.filter(|_| asked.source != Source::Sqlite);
    Ok(match length {
        Some(length) if length > 0 && length <= SIZED_TEXT / 2 => format!("NVARCHAR({})", length * 2),
        _ => "NVARCHAR(MAX)".to_owned(),
    })
}

fn too_long() -> Finding {
    Finding::value(
        "holds values over 2 GB, which SQL Server does not hold",
        "Leave the column out with `--exclude-columns`, or take a part of it in a query.",
    )
}

/// The type in the staging table. A CSV's values are staged as the text that they are, and converted when published:
/// there a value that does not fit is an error that names it.
pub(super) fn staged_type<'c>(column: &'c TargetColumn<'_>, format: Format) -> &'c str {
    match format {
        Format::Csv => "NVARCHAR(MAX)",
        Format::Parquet => &column.kind,
    }
}

/// The type that OPENROWSET reads a Parquet column as.
pub(super) fn read_type<'c>(column: &'c TargetColumn<'_>) -> &'c str {
    match column.chunk() {
        ChunkType::Uuid => "VARCHAR(36) COLLATE Latin1_General_100_BIN2_UTF8",
        ChunkType::Text | ChunkType::Json => "VARCHAR(MAX) COLLATE Latin1_General_100_BIN2_UTF8",
        // An instant arrives as UTC without an offset.
        ChunkType::Timestamp { .. } => "DATETIME2(6)",
        _ => &column.kind,
    }
}

/// The value of a Parquet column for the staging table.
pub(super) fn staged(column: &TargetColumn<'_>) -> String {
    let name = format!("r.{}", identifier(&column.mapping.name));
    match column.chunk() {
        ChunkType::Timestamp { utc: true, .. } => format!("TODATETIMEOFFSET({name}, '+00:00')"),
        ChunkType::Uuid => format!("CAST({name} AS UNIQUEIDENTIFIER)"),
        _ => name,
    }
}

/// The value for the target, from the staging table.
pub(super) fn published(column: &TargetColumn<'_>, format: Format) -> String {
    let name = identifier(&column.name);
    if format == Format::Parquet {
        return name;
    }
    match column.chunk() {
        ChunkType::Text | ChunkType::Json => name,
        ChunkType::Binary => format!("CONVERT(VARBINARY(MAX), {name}, 2)"),
        // ISO 8601 with its T is read alike under every language setting.
        ChunkType::Timestamp { .. } => format!("CAST(STUFF({name}, 11, 1, N'T') AS {})", column.kind),
        _ => format!("CAST({name} AS {})", column.kind),
    }
}

/// Whether an existing column takes the values, over `INFORMATION_SCHEMA.COLUMNS`.
pub(super) fn fits(column: &TargetColumn<'_>) -> String {
    let one_of = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| literal(name)).collect();
        format!("data_type IN ({})", names.join(", "))
    };
    let longest = |names: &[&str], length: Option<u32>| {
        let enough = length.map_or(String::new(), |n| format!(" OR character_maximum_length >= {n}"));
        format!("{} AND (character_maximum_length = -1{enough})", one_of(names))
    };
    match column.chunk() {
        ChunkType::Boolean => one_of(&["bit"]),
        ChunkType::Int8 | ChunkType::Int16 => one_of(&["smallint", "int", "bigint"]),
        ChunkType::Int32 => one_of(&["int", "bigint"]),
        ChunkType::Int64 => one_of(&["bigint"]),
        ChunkType::Float32 => one_of(&["real", "float"]),
        ChunkType::Float64 => "data_type = N'float' AND numeric_precision >= 53".to_owned(),
        ChunkType::Decimal { precision, scale } => {
            let whole = i16::from(*precision) - i16::from(*scale);
            format!(
                "{} AND numeric_scale >= {scale} AND numeric_precision - numeric_scale >= {whole}",
                one_of(&["decimal", "numeric"])
            )
        }
        ChunkType::Text => longest(&["nvarchar"], column.mapping.length.map(|n| n.saturating_mul(2))),
        ChunkType::Uuid => one_of(&["uniqueidentifier"]),
        ChunkType::Json | ChunkType::List(_) => longest(&["nvarchar"], None),
        ChunkType::Binary => longest(&["varbinary"], None),
        ChunkType::Date => one_of(&["date"]),
        ChunkType::Time => "data_type = N'time' AND datetime_precision >= 6".to_owned(),
        ChunkType::Timestamp { utc: true, .. } => {
            "data_type = N'datetimeoffset' AND datetime_precision >= 6".to_owned()
        }
        ChunkType::Timestamp { utc: false, .. } => "data_type = N'datetime2' AND datetime_precision >= 6".to_owned(),
    }
}
