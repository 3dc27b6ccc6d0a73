//! SQLite's types. Bases are affinities; any cell may hold any storage class whatever its column declares.
//!
//! The declared type decides, without a scan beforehand. [`Wire::Cell`] checks every cell against it: a misfit is an
//! error that names its row. Where no declared type says more than "something", the value's text is exact and is what
//! the chunk holds:
//!
//! - NUMERIC affinity (`DECIMAL(10,2)`, `NUMERIC`): cells are integers, reals or text, row by row. A float would lose
//!   long integers, a decimal would refuse reals such as 0.30000000000000004; decimal by name.
//! - `DATE`, `DATETIME`, `TIMESTAMP`: SQLite has ISO text, Julian days or Unix seconds in them; which, nobody declares.
//!   A temporal type by name takes the ISO text and refuses the rest.
//! - No declared type, or `ANY`: text as it is, integers and reals as digits, bytes as lowercase hexadecimal. The
//!   storage class is not kept: where it matters, cast in a query or name a type.

use sqlextract_model::{ChunkType, OverrideType, SourceColumn, Wire};

use crate::form::{Form, timestamp};

pub(crate) fn form(column: &SourceColumn) -> Form {
    let declared = column.declared.to_ascii_uppercase();
    match column.base.as_str() {
        "integer" => Form::native(Wire::Cell, ChunkType::Int64),
        "real" => Form::native(Wire::Cell, ChunkType::Float64),
        "text" => Form::native(Wire::Cell, ChunkType::Text),
        "blob" if declared.contains("BLOB") => Form::native(Wire::Cell, ChunkType::Binary),
        "numeric" if declared.starts_with("BOOL") => Form::native(Wire::Cell, ChunkType::Boolean),
        _ => any_cell_as_text(),
    }
}

pub(crate) fn any_cell_as_text() -> Form {
    Form::native(Wire::CellAsText, ChunkType::Text)
}

/// By name a column can be anything: each cell is checked, and one that does not fit is an error. Booleans are 0 and
/// 1; decimals come from integers, from decimal text, and from reals by their shortest text; temporal types from ISO
/// text; JSON from text that is JSON. `None` for NULL instead of an error: no cell lacks a counterpart, it only misses
/// the type, and text by name holds it.
pub(crate) fn form_by_name(target: OverrideType) -> Option<Form> {
    let chunk = match target {
        OverrideType::Text => return Some(any_cell_as_text()),
        OverrideType::Boolean => ChunkType::Boolean,
        OverrideType::Int16 => ChunkType::Int16,
        OverrideType::Int32 => ChunkType::Int32,
        OverrideType::Int64 => ChunkType::Int64,
        OverrideType::Float64 => ChunkType::Float64,
        OverrideType::Decimal { precision, scale } => ChunkType::Decimal { precision, scale },
        OverrideType::Date => ChunkType::Date,
        OverrideType::Time => ChunkType::Time,
        OverrideType::Timestamp => timestamp(false),
        OverrideType::TimestampUtc => timestamp(true),
        OverrideType::Binary => ChunkType::Binary,
        OverrideType::Json => ChunkType::Json,
        OverrideType::NullUnrepresentable => return None,
    };
    Some(Form::native(Wire::Cell, chunk))
}
