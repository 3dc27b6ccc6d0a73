//! Columns of a PostgreSQL table, from those of the manifest.

use sqlextract_model::{Cast, ChunkType, ColumnMapping, Dialect, TimestampUnit};

use crate::finding::Finding;
use crate::plan::TargetColumn;
use crate::quote::postgres::literal;

/// Longest declared length of a text.
const LONGEST_TEXT: u32 = 10_485_760;
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

pub(super) fn is_system(name: &str) -> bool {
    SYSTEM_COLUMNS.contains(&name)
}

pub(super) fn column_type(source: Dialect, column: &ColumnMapping) -> Result<String, Finding> {
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
            return Err(Finding::value(
                "holds nanoseconds, which PostgreSQL would round",
                "Extract the column as text with `--column-type T.C=text`.",
            ));
        }
        ChunkType::List(element) => return array(element),
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

/// `cat` writes lists as the literals of arrays.
fn array(element: &ChunkType) -> Result<String, Finding> {
    let kind = match element {
        ChunkType::Boolean => "boolean",
        ChunkType::Int8 | ChunkType::Int16 => "smallint",
        ChunkType::Int32 => "integer",
        ChunkType::Int64 => "bigint",
        ChunkType::Float32 => "real",
        ChunkType::Float64 => "double precision",
        ChunkType::Decimal { .. } => "numeric",
        ChunkType::Text | ChunkType::Json => "text",
        ChunkType::Uuid => "uuid",
        ChunkType::Binary => "bytea",
        ChunkType::Date => "date",
        ChunkType::Time => "time(6)",
        ChunkType::Timestamp { utc: false, .. } => "timestamp(6)",
        ChunkType::Timestamp { utc: true, .. } => "timestamptz(6)",
        ChunkType::List(_) => return Err(Finding::value("is a list of lists", "Extract it as JSON.")),
    };
    Ok(format!("{kind}[]"))
}

/// Whether an existing column takes the values, over `information_schema.columns`.
pub(super) fn fits(column: &TargetColumn<'_>) -> String {
    let one_of = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| literal(name)).collect();
        format!("data_type IN ({})", names.join(", "))
    };
    let digits = |name: &str| format!("data_type = {} AND coalesce(datetime_precision, 6) >= 6", literal(name));
    // A type without a length has none here.
    let length = |name: &str, n: u32| {
        format!(
            "data_type = {} AND coalesce(character_maximum_length, {n}) >= {n}",
            literal(name)
        )
    };
    let (name, argument) = base(&column.kind);
    match (name, argument) {
        ("smallint", _) => one_of(&["smallint", "integer", "bigint"]),
        ("integer", _) => one_of(&["integer", "bigint"]),
        ("real", _) => one_of(&["real", "double precision"]),
        ("text", _) => format!("data_type = 'text' OR {}", unlimited("character varying")),
        ("varchar", Some(n)) => format!("data_type = 'text' OR {}", length("character varying", n)),
        ("char", Some(n)) => length("character", n),
        ("bit", Some(n)) => format!("data_type = 'bit' AND character_maximum_length = {n}"),
        ("varbit", _) => unlimited("bit varying"),
        ("timestamp", _) => digits("timestamp without time zone"),
        ("timestamptz", _) => digits("timestamp with time zone"),
        ("time", _) => digits("time without time zone"),
        ("timetz", _) => digits("time with time zone"),
        ("interval", _) => digits("interval"),
        ("json", _) => one_of(&["json", "text"]),
        _ => match column.chunk() {
            ChunkType::Decimal { precision, scale } => {
                let whole = i16::from(*precision) - i16::from(*scale);
                format!(
                    "data_type = 'numeric' AND (numeric_precision IS NULL OR (numeric_scale >= {scale} AND numeric_precision - numeric_scale >= {whole}))"
                )
            }
            ChunkType::List(_) => one_of(&["ARRAY"]),
            _ if name == "numeric" => "data_type = 'numeric' AND numeric_precision IS NULL".to_owned(),
            _ => one_of(&[name]),
        },
    }
}

fn unlimited(name: &str) -> String {
    format!("data_type = {} AND character_maximum_length IS NULL", literal(name))
}
