//! One column's values on their way from the stream's fields into an Arrow builder.

use arrow::array::ArrayRef;
use arrow::array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow::datatypes::{
    Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use sqlextract_model::{ChunkType, Code, ColumnMapping, Failure, Lossy, Result, TimestampUnit, Wire};

use super::misfit::{Misfit, exactly};
use super::number::{Integer, NumberCells};
use super::numeric::{Excess, Scale};
use super::temporal;
use crate::decimals::Decimals;
use crate::postgres::sql;
use crate::postgres::wire::Format;
use crate::regrow::{boolean, primitive, variable};
use crate::texts::Texts;

/// The length of a canonical UUID.
const UUID_TEXT: usize = 36;

/// A column under construction.
#[derive(Debug)]
pub(crate) struct Column {
    pub(super) cells: Cells,
    /// Values without a counterpart become NULL, by choice.
    pub(super) misfit_is_null: bool,
    pub(super) excess: Excess,
    format: Format,
}

#[derive(Debug)]
pub(super) enum Cells {
    Boolean(BooleanBuilder),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    WidenedFloat(PrimitiveBuilder<Float64Type>),
    /// An integer of one width in a chunk type of another.
    Integer(Integer, NumberCells),
    Decimal(Scale, Decimals),
    /// A numeric in a chunk type that is no decimal.
    Number(NumberCells),
    Text(Texts),
    /// Text or bytes that must be JSON.
    CheckedJson(StringBuilder),
    Jsonb(StringBuilder),
    Uuid(StringBuilder),
    Binary(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Microseconds(PrimitiveBuilder<TimestampMicrosecondType>),
    Nanoseconds(PrimitiveBuilder<TimestampNanosecondType>),
}

impl Column {
    /// Fails on a mapping that no plan has.
    pub(crate) fn new(mapping: &ColumnMapping) -> Result<Self> {
        let excess = match mapping.lossy {
            Some(Lossy::Rounded) => Excess::Rounded,
            _ => Excess::Refused,
        };
        let cells = cells(mapping, excess).ok_or_else(|| {
            let message = format!(
                "the plan takes {:?} as {:?}, which nothing decodes",
                mapping.wire, mapping.chunk
            );
            Failure::new(Code::Defect, message).column(&mapping.name)
        })?;
        Ok(Self {
            cells,
            misfit_is_null: mapping.lossy == Some(Lossy::NullForUnrepresentable),
            excess,
            format: format(mapping),
        })
    }

    /// How its values must come.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Bytes of a row in this column, its text or bytes left out.
    pub(crate) fn fixed_bytes(&self) -> usize {
        match &self.cells {
            Cells::Boolean(_) => 1,
            Cells::Int16(_) => 2,
            Cells::Int32(_) | Cells::Float32(_) | Cells::Date(_) => 4,
            Cells::Decimal(_, cells) => cells.bytes(),
            Cells::Integer(_, cells) | Cells::Number(cells) => cells.bytes(),
            Cells::Uuid(_) => 4 + UUID_TEXT,
            Cells::Text(_) | Cells::CheckedJson(_) | Cells::Jsonb(_) | Cells::Binary(_) => 4,
            _ => 8,
        }
    }

    /// The field's bytes go into the chunk as they are.
    pub(crate) fn is_variable(&self) -> bool {
        matches!(
            &self.cells,
            Cells::Text(_) | Cells::CheckedJson(_) | Cells::Jsonb(_) | Cells::Binary(_)
        )
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> std::result::Result<(), Misfit> {
        match self.append_exact(bytes) {
            Err(Misfit::Value(_)) if self.misfit_is_null => {
                self.append_null();
                Ok(())
            }
            other => other,
        }
    }

    fn append_exact(&mut self, bytes: &[u8]) -> std::result::Result<(), Misfit> {
        let excess = self.excess;
        match &mut self.cells {
            Cells::Boolean(cells) => cells.append_value(truth(bytes)?),
            Cells::Int16(cells) => cells.append_value(i16::from_be_bytes(exactly(bytes)?)),
            Cells::Int32(cells) => cells.append_value(i32::from_be_bytes(exactly(bytes)?)),
            Cells::Int64(cells) => cells.append_value(i64::from_be_bytes(exactly(bytes)?)),
            Cells::Float32(cells) => cells.append_value(f32::from_be_bytes(exactly(bytes)?)),
            Cells::Float64(cells) => cells.append_value(f64::from_be_bytes(exactly(bytes)?)),
            Cells::WidenedFloat(cells) => cells.append_value(f32::from_be_bytes(exactly(bytes)?).into()),
            Cells::Integer(integer, cells) => cells.append_integer(integer.read(bytes)?)?,
            Cells::Decimal(scale, cells) => cells.append_value(scale.read(bytes)?),
            Cells::Number(cells) => cells.append_numeric(bytes, excess)?,
            Cells::Text(texts) => texts.append(text(bytes)?),
            Cells::CheckedJson(cells) => cells.append_value(json(bytes)?),
            Cells::Jsonb(cells) => match bytes.split_first() {
                Some((1, json)) => cells.append_value(text(json)?),
                _ => return Err(Misfit::Malformed("a jsonb is not of version 1")),
            },
            Cells::Uuid(cells) => append_uuid(cells, exactly(bytes)?)?,
            Cells::Binary(cells) => cells.append_value(bytes),
            Cells::Date(cells) => cells.append_value(temporal::date(exactly(bytes)?)?),
            Cells::Time(cells) => cells.append_value(temporal::time(exactly(bytes)?)?),
            Cells::Microseconds(cells) => cells.append_value(temporal::timestamp(exactly(bytes)?)?),
            Cells::Nanoseconds(cells) => {
                cells.append_value(temporal::nanoseconds(temporal::timestamp(exactly(bytes)?)?)?)
            }
        }
        Ok(())
    }

    pub(crate) fn append_null(&mut self) {
        match &mut self.cells {
            Cells::Boolean(cells) => cells.append_null(),
            Cells::Int16(cells) => cells.append_null(),
            Cells::Int32(cells) => cells.append_null(),
            Cells::Int64(cells) => cells.append_null(),
            Cells::Float32(cells) => cells.append_null(),
            Cells::Float64(cells) | Cells::WidenedFloat(cells) => cells.append_null(),
            Cells::Integer(_, cells) | Cells::Number(cells) => cells.append_null(),
            Cells::Decimal(_, cells) => cells.append_null(),
            Cells::Text(texts) => texts.append_null(),
            Cells::CheckedJson(cells) | Cells::Jsonb(cells) | Cells::Uuid(cells) => cells.append_null(),
            Cells::Binary(cells) => cells.append_null(),
            Cells::Date(cells) => cells.append_null(),
            Cells::Time(cells) => cells.append_null(),
            Cells::Microseconds(cells) => cells.append_null(),
            Cells::Nanoseconds(cells) => cells.append_null(),
        }
    }

    /// The values so far; the column is empty afterwards and keeps its type.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match &mut self.cells {
            Cells::Boolean(cells) => boolean(cells),
            Cells::Int16(cells) => primitive(cells),
            Cells::Int32(cells) => primitive(cells),
            Cells::Int64(cells) => primitive(cells),
            Cells::Float32(cells) => primitive(cells),
            Cells::Float64(cells) | Cells::WidenedFloat(cells) => primitive(cells),
            Cells::Integer(_, cells) | Cells::Number(cells) => cells.finish(),
            Cells::Decimal(_, cells) => cells.finish(),
            Cells::Text(texts) => texts.finish(),
            Cells::CheckedJson(cells) | Cells::Jsonb(cells) | Cells::Uuid(cells) => variable(cells),
            Cells::Binary(cells) => variable(cells),
            Cells::Date(cells) => primitive(cells),
            Cells::Time(cells) => primitive(cells),
            Cells::Microseconds(cells) => primitive(cells),
            Cells::Nanoseconds(cells) => primitive(cells),
        }
    }
}

/// What costs the server least. In binary each value is put together in a buffer of its own, which is dear where writing
/// it down is cheap; and the binary form of text is the text.
fn format(mapping: &ColumnMapping) -> Format {
    match mapping.wire {
        _ if sql::text_is_made_by_the_database(mapping) => Format::Text,
        Wire::Bool | Wire::Decimal | Wire::Text | Wire::Json => Format::Text,
        _ => Format::Binary,
    }
}

fn cells(mapping: &ColumnMapping, excess: Excess) -> Option<Cells> {
    if sql::text_is_made_by_the_database(mapping) {
        return Some(Cells::Text(Texts::default()));
    }
    let arrow = mapping.chunk.arrow();
    let cells = match (&mapping.wire, &mapping.chunk) {
        (Wire::Bool, ChunkType::Boolean) => Cells::Boolean(BooleanBuilder::new()),
        (Wire::Int { bytes: 2 }, ChunkType::Int16) => Cells::Int16(PrimitiveBuilder::new()),
        (Wire::Int { bytes: 4 }, ChunkType::Int32) => Cells::Int32(PrimitiveBuilder::new()),
        (Wire::Int { bytes: 8 }, ChunkType::Int64) => Cells::Int64(PrimitiveBuilder::new()),
        (Wire::Int { .. } | Wire::Unsigned { .. }, chunk) => {
            Cells::Integer(Integer::of(&mapping.wire)?, NumberCells::of(chunk)?)
        }
        (Wire::Float { bytes: 4 }, ChunkType::Float32) => Cells::Float32(PrimitiveBuilder::new()),
        (Wire::Float { bytes: 4 }, ChunkType::Float64) => Cells::WidenedFloat(PrimitiveBuilder::new()),
        (Wire::Float { bytes: 8 }, ChunkType::Float64) => Cells::Float64(PrimitiveBuilder::new()),
        (Wire::Decimal, &ChunkType::Decimal { precision, scale }) => {
            Cells::Decimal(Scale::new(precision, scale, excess)?, Decimals::new(precision, scale))
        }
        (Wire::Decimal, chunk) => Cells::Number(NumberCells::of(chunk)?),
        (Wire::Text | Wire::Bytes, ChunkType::Text) | (Wire::Json, ChunkType::Json | ChunkType::Text) => {
            Cells::Text(Texts::default())
        }
        (Wire::Text | Wire::Bytes, ChunkType::Json) => Cells::CheckedJson(StringBuilder::new()),
        (Wire::Jsonb, ChunkType::Json | ChunkType::Text) => Cells::Jsonb(StringBuilder::new()),
        (Wire::Uuid, ChunkType::Uuid | ChunkType::Text) => Cells::Uuid(StringBuilder::new()),
        (Wire::Bytes | Wire::Text, ChunkType::Binary) => Cells::Binary(BinaryBuilder::new()),
        (Wire::Date, ChunkType::Date) => Cells::Date(PrimitiveBuilder::new()),
        (Wire::Time, ChunkType::Time) => Cells::Time(PrimitiveBuilder::new()),
        (Wire::Timestamp | Wire::TimestampWithZone, ChunkType::Timestamp { unit, .. }) => match unit {
            TimestampUnit::Microsecond => Cells::Microseconds(PrimitiveBuilder::new().with_data_type(arrow)),
            TimestampUnit::Nanosecond => Cells::Nanoseconds(PrimitiveBuilder::new().with_data_type(arrow)),
        },
        _ => return None,
    };
    Some(cells)
}

fn truth(bytes: &[u8]) -> std::result::Result<bool, Misfit> {
    match bytes {
        b"f" => Ok(false),
        b"t" => Ok(true),
        _ => Err(Misfit::Malformed("a boolean is neither t nor f")),
    }
}

fn text(bytes: &[u8]) -> std::result::Result<&str, Misfit> {
    std::str::from_utf8(bytes).map_err(|_| Misfit::Value("the bytes are no UTF-8"))
}

fn json(bytes: &[u8]) -> std::result::Result<&str, Misfit> {
    let text = text(bytes)?;
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text),
        Err(_) => Err(Misfit::Value("the text is no JSON")),
    }
}

fn append_uuid(cells: &mut StringBuilder, bytes: [u8; 16]) -> std::result::Result<(), Misfit> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut written = [b'-'; UUID_TEXT];
    let mut at = 0;
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            at += 1;
        }
        written[at] = DIGITS[usize::from(byte >> 4)];
        written[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    cells.append_value(text(&written)?);
    Ok(())
}
