//! Plain text back to values, strictly: only what [`crate::plain`] and [`crate::json`] write.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryBuilder, BooleanBuilder, ListArray, NullBufferBuilder, PrimitiveBuilder,
    StringBuilder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal64Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow::error::ArrowError;
use sqlextract_model::{ChunkType, TimestampUnit};

use crate::parse_list;
use crate::parse_plain::{self as plain, WRONG};

pub(crate) type Parsed<T> = Result<T, &'static str>;

/// Collects the values of a column.
pub(crate) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int8(PrimitiveBuilder<Int8Type>),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    ShortDecimal(PrimitiveBuilder<Decimal64Type>, u8, i8),
    Decimal(PrimitiveBuilder<Decimal128Type>, u8, i8),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    Micros(PrimitiveBuilder<TimestampMicrosecondType>, bool),
    Nanos(PrimitiveBuilder<TimestampNanosecondType>, bool),
    List(Box<ListBuilder>),
}

pub(crate) struct ListBuilder {
    element: DataType,
    pub(crate) values: ColumnBuilder,
    /// Elements so far.
    pub(crate) length: i32,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl ColumnBuilder {
    pub(crate) fn new(chunk: &ChunkType) -> Self {
        fn primitive<T: ArrowPrimitiveType>(chunk: &ChunkType) -> PrimitiveBuilder<T> {
            PrimitiveBuilder::new().with_data_type(chunk.arrow())
        }
        match chunk {
            ChunkType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ChunkType::Int8 => Self::Int8(primitive(chunk)),
            ChunkType::Int16 => Self::Int16(primitive(chunk)),
            ChunkType::Int32 => Self::Int32(primitive(chunk)),
            ChunkType::Int64 => Self::Int64(primitive(chunk)),
            ChunkType::Float32 => Self::Float32(primitive(chunk)),
            ChunkType::Float64 => Self::Float64(primitive(chunk)),
            ChunkType::Decimal { precision, scale } => match chunk.arrow() {
                DataType::Decimal64(..) => Self::ShortDecimal(primitive(chunk), *precision, *scale),
                _ => Self::Decimal(primitive(chunk), *precision, *scale),
            },
            ChunkType::Text | ChunkType::Json | ChunkType::Uuid => Self::Text(StringBuilder::new()),
            ChunkType::Binary => Self::Binary(BinaryBuilder::new()),
            ChunkType::Date => Self::Date(primitive(chunk)),
            ChunkType::Time => Self::Time(primitive(chunk)),
            ChunkType::Timestamp { unit, utc } => match unit {
                TimestampUnit::Microsecond => Self::Micros(primitive(chunk), *utc),
                TimestampUnit::Nanosecond => Self::Nanos(primitive(chunk), *utc),
            },
            ChunkType::List(element) => Self::List(Box::new(ListBuilder {
                element: element.arrow(),
                values: Self::new(element),
                length: 0,
                offsets: vec![0],
                nulls: NullBufferBuilder::new(0),
            })),
        }
    }

    /// Appends the value that a field says, or NULL.
    pub(crate) fn push(&mut self, field: Option<&[u8]>) -> Parsed<()> {
        match field {
            None => self.push_null(),
            Some(field) => self.push_value(std::str::from_utf8(field).map_err(|_| "is not UTF-8")?)?,
        }
        Ok(())
    }

    pub(crate) fn push_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::ShortDecimal(builder, ..) => builder.append_null(),
            Self::Decimal(builder, ..) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Micros(builder, _) => builder.append_null(),
            Self::Nanos(builder, _) => builder.append_null(),
            Self::List(builder) => builder.end_list(false),
        }
    }

    /// Appends the value of a plain text.
    pub(crate) fn push_value(&mut self, text: &str) -> Parsed<()> {
        match self {
            Self::Boolean(builder) => builder.append_value(match text {
                "true" => true,
                "false" => false,
                _ => return Err(WRONG),
            }),
            Self::Int8(builder) => builder.append_value(plain::integer(text)?),
            Self::Int16(builder) => builder.append_value(plain::integer(text)?),
            Self::Int32(builder) => builder.append_value(plain::integer(text)?),
            Self::Int64(builder) => builder.append_value(plain::integer(text)?),
            Self::Float32(builder) => builder.append_value(plain::float(text)?),
            Self::Float64(builder) => builder.append_value(plain::float(text)?),
            Self::ShortDecimal(builder, precision, scale) => {
                let value = plain::decimal(text, *precision, *scale)?;
                builder.append_value(value.try_into().map_err(|_| WRONG)?);
            }
            Self::Decimal(builder, precision, scale) => {
                builder.append_value(plain::decimal(text, *precision, *scale)?);
            }
            Self::Text(builder) => builder.append_value(text),
            Self::Binary(builder) => builder.append_value(plain::hexadecimal(text)?),
            Self::Date(builder) => builder.append_value(plain::date(text)?),
            Self::Time(builder) => builder.append_value(plain::time(text)?),
            Self::Micros(builder, utc) => {
                builder.append_value(plain::timestamp(text, TimestampUnit::Microsecond, *utc)?);
            }
            Self::Nanos(builder, utc) => builder.append_value(plain::timestamp(text, TimestampUnit::Nanosecond, *utc)?),
            Self::List(builder) => parse_list::read(text, builder)?,
        }
        Ok(())
    }

    /// The values so far, as an array of the chunk's type; the builder begins anew.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::ShortDecimal(builder, ..) => Arc::new(builder.finish()),
            Self::Decimal(builder, ..) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Micros(builder, _) => Arc::new(builder.finish()),
            Self::Nanos(builder, _) => Arc::new(builder.finish()),
            Self::List(builder) => Arc::new(builder.finish()?),
        })
    }
}

impl ListBuilder {
    /// Ends the list of the elements pushed since the last one ended.
    pub(crate) fn end_list(&mut self, valid: bool) {
        self.offsets.push(self.length);
        self.nulls.append(valid);
    }

    fn finish(&mut self) -> Result<ListArray, ArrowError> {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        self.length = 0;
        let values = self.values.finish()?;
        let field = Arc::new(Field::new("element", self.element.clone(), true));
        ListArray::try_new(
            field,
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            values,
            self.nulls.finish(),
        )
    }
}
