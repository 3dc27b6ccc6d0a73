//! Columns of a Delta table, and how a file's values become theirs.

use sqlextract_model::{ChunkType, Format, TimestampUnit};

use crate::finding::Finding;
use crate::plan::{Asked, TargetColumn};
use crate::quote::databricks::{identifier, literal};

pub(super) fn column_type(asked: &Asked<'_>) -> Result<String, Finding> {
    match &asked.column.chunk {
        ChunkType::Time if asked.format.format == Format::Parquet => Err(Finding::value(
            "is a time of day, and Spark cannot read a Parquet file that holds one",
            "Extract the column as text with `--column-type T.C=text`.",
        )),
        ChunkType::List(element) => Ok(format!("ARRAY<{}>", scalar(element)?)),
        chunk => scalar(chunk),
    }
}

fn scalar(chunk: &ChunkType) -> Result<String, Finding> {
    let kind = match chunk {
        ChunkType::Boolean => "BOOLEAN",
        ChunkType::Int8 => "TINYINT",
        ChunkType::Int16 => "SMALLINT",
        ChunkType::Int32 => "INT",
        ChunkType::Int64 => "BIGINT",
        ChunkType::Float32 => "FLOAT",
        ChunkType::Float64 => "DOUBLE",
        ChunkType::Decimal { precision, scale } if *scale >= 0 => return Ok(format!("DECIMAL({precision},{scale})")),
        ChunkType::Decimal { precision, scale } => {
            return Err(Finding::value(
                format!("is decimal({precision},{scale}), and a DECIMAL of Databricks has no negative scale"),
                "Extract the column as text with `--column-type T.C=text`.",
            ));
        }
        // A time of day has no type there.
        ChunkType::Text | ChunkType::Uuid | ChunkType::Json | ChunkType::Time => "STRING",
        ChunkType::Binary => "BINARY",
        ChunkType::Date => "DATE",
        ChunkType::Timestamp {
            unit: TimestampUnit::Nanosecond,
            ..
        } => {
            return Err(Finding::value(
                "holds nanoseconds, and Spark cannot read a Parquet file that holds them",
                "Extract the column as text with `--column-type T.C=text`.",
            ));
        }
        ChunkType::Timestamp { utc: true, .. } => "TIMESTAMP",
        ChunkType::Timestamp { utc: false, .. } => "TIMESTAMP_NTZ",
        ChunkType::List(_) => return Err(Finding::value("is a list of lists", "Extract it as JSON.")),
    };
    Ok(kind.to_owned())
}

/// The expression of the COPY's SELECT, by the name in the file.
pub(super) fn expression(column: &TargetColumn<'_>, format: Format) -> String {
    let (field, name) = (identifier(&column.mapping.name), identifier(&column.name));
    let value = match (format, column.chunk()) {
        (Format::Csv, ChunkType::Binary) => format!("unhex({field})"),
        (Format::Csv, ChunkType::List(_)) => format!("from_json({field}, {})", literal(&column.kind)),
        _ => format!("CAST({field} AS {})", column.kind),
    };
    format!("{value} AS {name}")
}

/// Whether an existing column takes the values, over `information_schema.columns`.
pub(super) fn fits(column: &TargetColumn<'_>) -> String {
    let one_of = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| literal(name)).collect();
        format!("upper(full_data_type) IN ({})", names.join(", "))
    };
    match column.chunk() {
        ChunkType::Int8 => one_of(&["TINYINT", "SMALLINT", "INT", "BIGINT"]),
        ChunkType::Int16 => one_of(&["SMALLINT", "INT", "BIGINT"]),
        ChunkType::Int32 => one_of(&["INT", "BIGINT"]),
        ChunkType::Float32 => one_of(&["FLOAT", "DOUBLE"]),
        ChunkType::Decimal { precision, scale } => {
            let whole = i16::from(*precision) - i16::from(*scale);
            format!(
                "upper(full_data_type) LIKE 'DECIMAL(%' AND numeric_scale >= {scale} AND numeric_precision - numeric_scale >= {whole}"
            )
        }
        _ => one_of(&[&column.kind.to_uppercase()]),
    }
}
