//! Columns of a PostgreSQL table, from those of the manifest.

use std::collections::HashSet;

use sqlextract_model::{Cast, ChunkType, Code, ColumnMapping, Dialect, Failure, ManifestTable, Result, TimestampUnit};

use crate::quote::{postgres_identifier, postgres_name_problem};

/// Most columns of a table.
const MOST_COLUMNS: usize = 1600;
/// Longest declared length of a text.
const LONGEST_TEXT: u32 = 10_485_760;
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// What PostgreSQL cannot have.
pub(super) fn findings(table: &ManifestTable) -> Vec<String> {
    let mut findings = Vec::new();
    let mut seen = HashSet::new();
    if table.columns.len() > MOST_COLUMNS {
        findings.push(format!("it has {} columns, over {MOST_COLUMNS}", table.columns.len()));
    }
    for ColumnMapping { name, .. } in &table.columns {
        findings.extend(postgres_name_problem(name).map(|problem| format!("column {name:?} {problem}")));
        if SYSTEM_COLUMNS.contains(&name.as_str()) {
            findings.push(format!("column {name:?} has the name of a system column"));
        }
        if !seen.insert(name) {
            findings.push(format!("column {name:?} occurs twice"));
        }
    }
    findings
}

/// The columns of a CREATE TABLE, one a line.
pub(super) fn definitions(source: Dialect, table: &ManifestTable) -> Result<String> {
    let mut lines = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        let not_null = if column.nullable { "" } else { " NOT NULL" };
        let kind = column_type(source, column).map_err(|f| f.table(&table.table).column(&column.name))?;
        lines.push(format!("  {} {kind}{not_null}", postgres_identifier(&column.name)));
    }
    Ok(lines.join(",\n"))
}

pub(super) fn column_type(source: Dialect, column: &ColumnMapping) -> Result<String> {
    let kind = match &column.chunk {
        ChunkType::Boolean => "boolean",
        ChunkType::Int8 | ChunkType::Int16 => "smallint",
        ChunkType::Int32 => "integer",
        ChunkType::Int64 => "bigint",
        ChunkType::Float32 => "real",
        ChunkType::Float64 => "double precision",
        ChunkType::Decimal { precision, scale } => return Ok(format!("numeric({precision},{scale})")),
        ChunkType::Text if source == Dialect::Postgres && column.lossy.is_none() => return Ok(text_type(column)),
        ChunkType::Text => "text",
        // Arrays and composites, made into JSON by the source, and jsonb itself; other JSON keeps its very text.
        ChunkType::Json if column.cast == Cast::Json || is_jsonb(source, column) => "jsonb",
        ChunkType::Json => "json",
        ChunkType::Uuid => "uuid",
        ChunkType::Binary => "bytea",
        ChunkType::Date => "date",
        ChunkType::Time => "time(6)",
        ChunkType::Timestamp {
            unit: TimestampUnit::Microsecond,
            utc: false,
        } => "timestamp(6)",
        ChunkType::Timestamp {
            unit: TimestampUnit::Microsecond,
            utc: true,
        } => "timestamptz(6)",
        ChunkType::Timestamp {
            unit: TimestampUnit::Nanosecond,
            ..
        } => {
            return Err(Failure::new(
                Code::TypeUnsupported,
                format!("PostgreSQL would round the nanoseconds of column {}", column.name),
            ));
        }
        ChunkType::List(_) => "jsonb",
    };
    Ok(kind.to_owned())
}

fn is_jsonb(source: Dialect, column: &ColumnMapping) -> bool {
    source == Dialect::Postgres && column.declared == "jsonb"
}

/// The type that a text of a PostgreSQL source had there, where it reads back from that text without any extension:
/// spelled anew, for a declared type is the name of anything. Everything else stays text.
fn text_type(column: &ColumnMapping) -> String {
    let (name, arguments) = base(&column.declared);
    let same = match name {
        "character varying" | "varchar" => return sized("varchar", column.length.or(arguments)),
        "character" | "bpchar" => return sized("char", column.length.or(arguments)),
        // One digit where no width is given.
        "bit" => return format!("bit({})", arguments.unwrap_or(1)),
        "bit varying" | "varbit" => "varbit",
        "numeric" => "numeric",
        "time" | "time without time zone" => "time",
        "timetz" | "time with time zone" => "timetz",
        "inet" | "cidr" | "macaddr" | "macaddr8" | "xml" | "tsvector" | "tsquery" | "pg_lsn" => name,
        "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle" => name,
        "int4range" | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" => name,
        _ if name == "interval" || name.starts_with("interval ") => "interval",
        _ => "text",
    };
    same.to_owned()
}

fn sized(name: &str, length: Option<u32>) -> String {
    match length {
        Some(length @ 1..=LONGEST_TEXT) => format!("{name}({length})"),
        _ => "text".to_owned(),
    }
}

/// `bit varying(8)` is `bit varying` and 8; `time(3) without time zone` is `time without time zone` and 3.
fn base(declared: &str) -> (&str, Option<u32>) {
    let Some((before, rest)) = declared.split_once('(') else {
        return (declared, None);
    };
    let Some((arguments, after)) = rest.split_once(')') else {
        return (declared, None);
    };
    let name = match (before, after) {
        (name, "") => name,
        ("time", " without time zone") => "time",
        ("time", " with time zone") => "timetz",
        _ => declared,
    };
    (name, arguments.parse().ok())
}
