//! PostgreSQL's types. Bases are names of `pg_type`, domains resolved.
//!
//! Choices that need a reason:
//!
//! - Every array is JSON by `to_json`, never a list: any PostgreSQL array column may hold NULL elements and several
//!   dimensions, a list of scalars holds neither dimensions nor, on some targets, NULL elements. Text by name keeps
//!   what JSON does not: lower bounds other than 1.
//! - `numeric` without precision, over 38 digits, or with a scale outside the precision is its exact text.
//! - `time` is text: Spark cannot read a file that has Parquet's TIME.
//! - `money` is cast to a decimal by the database; its text depends on the server's locale.
//! - `char(n)` keeps its padding.

use sqlextract_model::{Cast, ChunkType, OverrideType, SourceColumn, TypeClass, Wire};

use crate::form::{Form, portable_decimal, timestamp};

/// Digits of `money`: eight bytes of hundredths.
const MONEY: (u8, i8) = (19, 2);

pub(crate) fn form(column: &SourceColumn) -> Option<Form> {
    match column.class {
        TypeClass::Scalar => scalar(column),
        // PostGIS rounds coordinates on the way to JSON.
        TypeClass::Array if is_geometry(column) => None,
        TypeClass::Array | TypeClass::Composite => Some(Form::server_json()),
        TypeClass::Enum | TypeClass::Range => Some(Form::server_text()),
        // An extension's text type, known well enough to need no choice by name.
        TypeClass::Other if column.base == "citext" => Some(Form::native(Wire::Text, ChunkType::Text)),
        TypeClass::Other => None,
    }
}

fn scalar(column: &SourceColumn) -> Option<Form> {
    let form = match column.base.as_str() {
        "bool" => Form::native(Wire::Bool, ChunkType::Boolean),
        "int2" => Form::native(Wire::Int { bytes: 2 }, ChunkType::Int16),
        "int4" => Form::native(Wire::Int { bytes: 4 }, ChunkType::Int32),
        "int8" => Form::native(Wire::Int { bytes: 8 }, ChunkType::Int64),
        "oid" | "xid" | "cid" => Form::native(Wire::Unsigned { bytes: 4 }, ChunkType::Int64),
        "float4" => Form::native(Wire::Float { bytes: 4 }, ChunkType::Float32),
        "float8" => Form::native(Wire::Float { bytes: 8 }, ChunkType::Float64),
        "numeric" => match column
            .precision
            .and_then(|_| portable_decimal(column.precision, column.scale))
        {
            Some(decimal) => Form::native(Wire::Decimal, decimal),
            None => Form::server_text(),
        },
        "money" => money(),
        "text" | "varchar" | "bpchar" | "name" | "citext" => Form::native(Wire::Text, ChunkType::Text),
        "bytea" => Form::native(Wire::Bytes, ChunkType::Binary),
        "date" => Form::native(Wire::Date, ChunkType::Date),
        "timestamp" => Form::native(Wire::Timestamp, timestamp(false)),
        "timestamptz" => Form::native(Wire::TimestampWithZone, timestamp(true)),
        "uuid" => Form::native(Wire::Uuid, ChunkType::Uuid),
        "json" => Form::native(Wire::Json, ChunkType::Json),
        "jsonb" => Form::native(Wire::Jsonb, ChunkType::Json),
        "time" | "timetz" | "interval" => Form::server_text(),
        // The one-byte type: its binary form may be no UTF-8.
        "char" => Form::server_text(),
        "bit" | "varbit" | "xml" | "tsvector" | "tsquery" | "jsonpath" => Form::server_text(),
        "inet" | "cidr" | "macaddr" | "macaddr8" => Form::server_text(),
        "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle" => Form::server_text(),
        "pg_lsn" | "pg_snapshot" | "txid_snapshot" | "xid8" | "tid" | "aclitem" | "refcursor" => Form::server_text(),
        "regclass" | "regcollation" | "regconfig" | "regdictionary" | "regnamespace" | "regoper" | "regoperator"
        | "regproc" | "regprocedure" | "regrole" | "regtype" => Form::server_text(),
        _ => return None,
    };
    Some(form)
}

fn is_geometry(column: &SourceColumn) -> bool {
    matches!(column.base.as_str(), "geometry" | "geography")
}

fn money() -> Form {
    let (precision, scale) = MONEY;
    Form {
        cast: Cast::Decimal { precision, scale },
        wire: Wire::Decimal,
        chunk: ChunkType::Decimal { precision, scale },
    }
}

/// How the column arrives when the type `target` is wanted by name. `None` where nothing sound is known.
pub(crate) fn reading(column: &SourceColumn, target: OverrideType) -> Option<(Cast, Wire)> {
    match (column.class, column.base.as_str(), target) {
        (TypeClass::Scalar, "numeric", _) => Some((Cast::None, Wire::Decimal)),
        (TypeClass::Scalar, "time", OverrideType::Time) => Some((Cast::None, Wire::Time)),
        (TypeClass::Other, _, OverrideType::Binary) if is_geometry(column) => {
            Some((Cast::WellKnownBinary, Wire::Bytes))
        }
        (TypeClass::Other, "hstore", OverrideType::Json) => Some((Cast::Json, Wire::Json)),
        _ => form(column).map(|f| (f.cast, f.wire)),
    }
}

/// The text of any value. Bytes are taken as UTF-8, checked row by row.
pub(crate) fn text(column: &SourceColumn) -> Option<Form> {
    match (column.class, column.base.as_str()) {
        (TypeClass::Scalar, "money") => None,
        (TypeClass::Scalar, "bytea") => Some(Form::native(Wire::Bytes, ChunkType::Text)),
        _ => Some(
            form(column)
                .filter(|f| f.chunk == ChunkType::Text)
                .unwrap_or_else(Form::server_text),
        ),
    }
}
