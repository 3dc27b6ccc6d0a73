//! MySQL's and MariaDB's types. Bases are `DATA_TYPE` in lower case.
//!
//! Choices that need a reason:
//!
//! - `tinyint(1)` is a number: its display width is a hint, and values from -128 to 127 occur. Boolean by name.
//! - `bigint unsigned` is `decimal(20,0)`: several targets overflow on Parquet's unsigned 64 bits.
//! - `time` is a signed duration of up to 838 hours, so it is text, and a time of day only by name.
//! - `float` is never cast to text by the server, which would round it to six digits.
//! - A geometry is well-known binary without its SRID, in the server's axis order.

use sqlextract_model::{Cast, ChunkType, SourceColumn, Wire};

use crate::form::{Form, portable_decimal, timestamp};

pub(crate) fn form(column: &SourceColumn) -> Option<Form> {
    let form = match (column.base.as_str(), column.unsigned) {
        ("tinyint" | "bool" | "boolean", false) => Form::native(Wire::Int { bytes: 1 }, ChunkType::Int8),
        ("smallint", false) => Form::native(Wire::Int { bytes: 2 }, ChunkType::Int16),
        // Three bytes in the table, four in the protocol.
        ("mediumint" | "int" | "integer", false) => Form::native(Wire::Int { bytes: 4 }, ChunkType::Int32),
        ("bigint", false) => Form::native(Wire::Int { bytes: 8 }, ChunkType::Int64),
        ("tinyint", true) => Form::native(Wire::Unsigned { bytes: 1 }, ChunkType::Int16),
        ("smallint", true) => Form::native(Wire::Unsigned { bytes: 2 }, ChunkType::Int32),
        ("mediumint", true) => Form::native(Wire::Unsigned { bytes: 4 }, ChunkType::Int32),
        ("int" | "integer", true) => Form::native(Wire::Unsigned { bytes: 4 }, ChunkType::Int64),
        ("bigint", true) => Form::native(Wire::Unsigned { bytes: 8 }, WIDEST_UNSIGNED),
        ("decimal" | "numeric", _) => match portable_decimal(column.precision, column.scale) {
            Some(decimal) => Form::native(Wire::Decimal, decimal),
            None => Form::server_text(),
        },
        ("float", _) => Form::native(Wire::Float { bytes: 4 }, ChunkType::Float32),
        ("double" | "real", _) => Form::native(Wire::Float { bytes: 8 }, ChunkType::Float64),
        ("bit", _) => Form::native(
            Wire::Bit,
            match bit_width(column) {
                1 => ChunkType::Boolean,
                2..=63 => ChunkType::Int64,
                _ => WIDEST_UNSIGNED,
            },
        ),
        ("date", _) => Form::native(Wire::Date, ChunkType::Date),
        ("datetime", _) => Form::native(Wire::Timestamp, timestamp(false)),
        ("timestamp", _) => Form::native(Wire::TimestampWithZone, timestamp(true)),
        ("time", _) => Form::native(Wire::Time, ChunkType::Text),
        ("year", _) => Form::native(Wire::Year, ChunkType::Int16),
        ("char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set", _) => {
            match column.binary {
                false => Form::native(Wire::Text, ChunkType::Text),
                true => Form::native(Wire::Bytes, ChunkType::Binary),
            }
        }
        ("binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob", _) => {
            Form::native(Wire::Bytes, ChunkType::Binary)
        }
        ("json", _) => Form::native(Wire::Json, ChunkType::Json),
        (
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
            | "geomcollection" | "geometrycollection",
            _,
        ) => Form::well_known_binary(),
        // MariaDB's own types, whose text is canonical.
        ("uuid", _) => Form {
            cast: Cast::Text,
            wire: Wire::Text,
            chunk: ChunkType::Uuid,
        },
        ("inet4" | "inet6", _) => Form::server_text(),
        _ => return None,
    };
    Some(form)
}

/// Holds 2^64 - 1.
const WIDEST_UNSIGNED: ChunkType = ChunkType::Decimal {
    precision: 20,
    scale: 0,
};

/// A width that the catalogue does not tell is taken as the widest.
fn bit_width(column: &SourceColumn) -> u32 {
    column.length.or(column.precision).unwrap_or(64)
}

/// How the column arrives when a type is wanted by name.
pub(crate) fn reading(column: &SourceColumn) -> Option<(Cast, Wire)> {
    match column.base.as_str() {
        "decimal" | "numeric" => Some((Cast::None, Wire::Decimal)),
        // A type without a table row: its bytes as the server sends them.
        _ => Some(form(column).map_or((Cast::None, Wire::Bytes), |f| (f.cast, f.wire))),
    }
}

/// The text of a value, where there is one that loses nothing. The server's cast turns bytes that are no text into
/// NULL and floats into six digits, so those are read as they are and written as text by the adapter.
pub(crate) fn text(column: &SourceColumn) -> Option<Form> {
    let Some(form) = form(column) else {
        return Some(Form::native(Wire::Bytes, ChunkType::Text));
    };
    match (&form.cast, &form.wire) {
        (Cast::WellKnownBinary, _) | (_, Wire::Bit) => None,
        (_, Wire::Bytes | Wire::Float { .. } | Wire::Time) => Some(Form {
            chunk: ChunkType::Text,
            ..form
        }),
        _ if form.chunk == ChunkType::Text => Some(form),
        _ => Some(Form::server_text()),
    }
}
