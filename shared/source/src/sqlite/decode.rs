//! From SQLite's cells to Arrow's builders, one decision per column and one check per cell.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int8Builder, Int16Builder,
    Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use rusqlite::types::ValueRef;
use sqlextract_model::{Cast, ChunkType, Code, ColumnMapping, Failure, Result, TimestampUnit, Wire};

use super::cell::{
    INTEGER, Misfit, append_any, append_bytes, append_text, boolean, decimal, integer, json, parsed, real, utf8, wanted,
};
use super::value;
use crate::decimals::Decimals;

/// The builder of one column.
#[derive(Debug)]
pub(super) enum Cells {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal {
        builder: Decimals,
        precision: u8,
        scale: i8,
    },
    Text(StringBuilder),
    Json(StringBuilder),
    AnyAsText(StringBuilder),
    Binary {
        builder: BinaryBuilder,
        takes_text: bool,
    },
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp {
        builder: TimestampMicrosecondBuilder,
        utc: bool,
    },
}

impl Cells {
    pub(super) fn new(mapping: &ColumnMapping) -> Result<Self> {
        let unknown = || {
            let message = format!(
                "the mapping of column {:?} is none for SQLite: {mapping:?}",
                mapping.name
            );
            Failure::new(Code::Defect, message).column(&mapping.name)
        };
        if mapping.cast != Cast::None
            || mapping
                .lossy
                .is_some_and(|lossy| lossy != sqlextract_model::Lossy::AsText)
        {
            return Err(unknown());
        }
        Ok(match (&mapping.wire, &mapping.chunk) {
            (Wire::CellAsText, ChunkType::Text) => Self::AnyAsText(StringBuilder::new()),
            (Wire::Cell, ChunkType::Boolean) => Self::Boolean(BooleanBuilder::new()),
            (Wire::Cell, ChunkType::Int8) => Self::Int8(Int8Builder::new()),
            (Wire::Cell, ChunkType::Int16) => Self::Int16(Int16Builder::new()),
            (Wire::Cell, ChunkType::Int32) => Self::Int32(Int32Builder::new()),
            (Wire::Cell, ChunkType::Int64) => Self::Int64(Int64Builder::new()),
            (Wire::Cell, ChunkType::Float64) => Self::Float64(Float64Builder::new()),
            (Wire::Cell, &ChunkType::Decimal { precision, scale }) => Self::Decimal {
                builder: Decimals::new(precision, scale),
                precision,
                scale,
            },
            (Wire::Cell, ChunkType::Text | ChunkType::Uuid) => Self::Text(StringBuilder::new()),
            (Wire::Cell, ChunkType::Json) => Self::Json(StringBuilder::new()),
            (Wire::Cell, ChunkType::Binary) => Self::Binary {
                builder: BinaryBuilder::new(),
                takes_text: takes_text(&mapping.declared),
            },
            (Wire::Cell, ChunkType::Date) => Self::Date(Date32Builder::new()),
            (Wire::Cell, ChunkType::Time) => Self::Time(Time64MicrosecondBuilder::new()),
            (
                Wire::Cell,
                &ChunkType::Timestamp {
                    unit: TimestampUnit::Microsecond,
                    utc,
                },
            ) => {
                let builder = TimestampMicrosecondBuilder::new().with_data_type(mapping.chunk.arrow());
                Self::Timestamp { builder, utc }
            }
            _ => return Err(unknown()),
        })
    }

    /// Bytes that a cell adds to a record batch.
    #[inline]
    pub(super) fn weight(&self, cell: ValueRef<'_>) -> usize {
        match (self, cell) {
            (Self::AnyAsText(_), ValueRef::Blob(bytes)) => 2 * bytes.len() + 4,
            (Self::AnyAsText(_), ValueRef::Integer(_) | ValueRef::Real(_)) => 24,
            (_, ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.len() + 4,
            (Self::Decimal { builder, .. }, _) => builder.bytes(),
            _ => 8,
        }
    }

    /// Takes one cell, or says what it would have taken; then the builder is as before.
    #[inline]
    pub(super) fn append(&mut self, cell: ValueRef<'_>) -> std::result::Result<(), Misfit> {
        if matches!(cell, ValueRef::Null) {
            self.append_null();
            return Ok(());
        }
        match self {
            Self::Boolean(builder) => builder.append_value(boolean(cell)?),
            Self::Int8(builder) => builder.append_value(integer(cell, "an integer of 8 bits")?),
            Self::Int16(builder) => builder.append_value(integer(cell, "an integer of 16 bits")?),
            Self::Int32(builder) => builder.append_value(integer(cell, "an integer of 32 bits")?),
            Self::Int64(builder) => match cell {
                ValueRef::Integer(value) => builder.append_value(value),
                _ => return Err(INTEGER),
            },
            Self::Float64(builder) => builder.append_value(real(cell)?),
            Self::Decimal {
                builder,
                precision,
                scale,
            } => builder.append_value(decimal(cell, *precision, *scale)?),
            Self::Text(builder) => match cell {
                ValueRef::Text(bytes) => append_text(builder, utf8(bytes)?)?,
                _ => return Err(wanted("text")),
            },
            Self::Json(builder) => append_text(builder, json(cell)?)?,
            Self::AnyAsText(builder) => append_any(builder, cell)?,
            Self::Binary { builder, takes_text } => match cell {
                ValueRef::Blob(bytes) => append_bytes(builder, bytes)?,
                ValueRef::Text(bytes) if *takes_text => append_bytes(builder, bytes)?,
                _ => return Err(wanted("bytes")),
            },
            Self::Date(builder) => {
                builder.append_value(parsed(cell, value::date, "a date as text, YYYY-MM-DD")?);
            }
            Self::Time(builder) => {
                builder.append_value(parsed(
                    cell,
                    value::time,
                    "a time as text, HH:MM:SS with at most six decimals",
                )?);
            }
            Self::Timestamp { builder, utc } => {
                let form = if *utc { UTC_FORM } else { TIMESTAMP_FORM };
                builder.append_value(parsed(cell, |text| value::timestamp(text, *utc), form)?);
            }
        }
        Ok(())
    }

    fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal { builder, .. } => builder.append_null(),
            Self::Text(builder) | Self::Json(builder) | Self::AnyAsText(builder) => builder.append_null(),
            Self::Binary { builder, .. } => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Timestamp { builder, .. } => builder.append_null(),
        }
    }

    /// The column so far; the builder is empty afterwards.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal { builder, .. } => builder.finish(),
            Self::Text(builder) | Self::Json(builder) | Self::AnyAsText(builder) => Arc::new(builder.finish()),
            Self::Binary { builder, .. } => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Timestamp { builder, .. } => ArrayBuilder::finish(builder),
        }
    }
}

const TIMESTAMP_FORM: &str = "a timestamp as text, YYYY-MM-DD HH:MM:SS without a zone";
const UTC_FORM: &str = "an instant as text, YYYY-MM-DD HH:MM:SS, in UTC or with its zone";

/// A column that does not declare bytes is read as bytes only because somebody said so: then the bytes of a text are
/// what was asked for. In a BLOB column a text is a misfit.
pub(super) fn takes_text(declared: &str) -> bool {
    !declared.to_ascii_uppercase().contains("BLOB")
}
