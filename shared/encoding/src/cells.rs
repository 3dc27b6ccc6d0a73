//! A column of a record batch, downcast once, to be read row by row.

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal64Array, Decimal128Array, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, PrimitiveArray, StringArray,
    Time64MicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};
use sqlextract_model::{ChunkType, Code, Failure, Result, TimestampUnit};

use crate::check::same_type;
use crate::plain;

/// The values of a column.
#[derive(Debug)]
pub(crate) enum Cells<'a> {
    Boolean(&'a BooleanArray),
    Int8(&'a Int8Array),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    ShortDecimal(&'a Decimal64Array, i8),
    Decimal(&'a Decimal128Array, i8),
    /// Text, JSON and UUIDs.
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Micros(&'a PrimitiveArray<TimestampMicrosecondType>, bool),
    Nanos(&'a PrimitiveArray<TimestampNanosecondType>, bool),
    List(&'a ListArray, Box<Cells<'a>>),
}

impl<'a> Cells<'a> {
    /// # Errors
    /// `defect` where the array is not of the type that `chunk` has.
    pub(crate) fn new(chunk: &ChunkType, array: &'a dyn Array) -> Result<Self> {
        if !same_type(&chunk.arrow(), array.data_type()) {
            let message = format!("an array of {} where {} belongs", array.data_type(), chunk.arrow());
            return Err(Failure::new(Code::Defect, message));
        }
        Ok(match chunk {
            ChunkType::Boolean => Self::Boolean(array.as_boolean()),
            ChunkType::Int8 => Self::Int8(array.as_primitive::<Int8Type>()),
            ChunkType::Int16 => Self::Int16(array.as_primitive::<Int16Type>()),
            ChunkType::Int32 => Self::Int32(array.as_primitive::<Int32Type>()),
            ChunkType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            ChunkType::Float32 => Self::Float32(array.as_primitive::<Float32Type>()),
            ChunkType::Float64 => Self::Float64(array.as_primitive::<Float64Type>()),
            ChunkType::Decimal { scale, .. } => match array.data_type() {
                DataType::Decimal64(..) => Self::ShortDecimal(array.as_primitive::<Decimal64Type>(), *scale),
                _ => Self::Decimal(array.as_primitive::<Decimal128Type>(), *scale),
            },
            ChunkType::Text | ChunkType::Json | ChunkType::Uuid => Self::Text(array.as_string::<i32>()),
            ChunkType::Binary => Self::Binary(array.as_binary::<i32>()),
            ChunkType::Date => Self::Date(array.as_primitive::<Date32Type>()),
            ChunkType::Time => Self::Time(array.as_primitive::<Time64MicrosecondType>()),
            ChunkType::Timestamp { utc, .. } => match array.data_type() {
                DataType::Timestamp(TimeUnit::Nanosecond, _) => Self::Nanos(array.as_primitive(), *utc),
                _ => Self::Micros(array.as_primitive(), *utc),
            },
            ChunkType::List(element) => {
                let list = array.as_list::<i32>();
                Self::List(list, Box::new(Self::new(element, list.values().as_ref())?))
            }
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(a) => a.is_null(row),
            Self::Int8(a) => a.is_null(row),
            Self::Int16(a) => a.is_null(row),
            Self::Int32(a) => a.is_null(row),
            Self::Int64(a) => a.is_null(row),
            Self::Float32(a) => a.is_null(row),
            Self::Float64(a) => a.is_null(row),
            Self::ShortDecimal(a, _) => a.is_null(row),
            Self::Decimal(a, _) => a.is_null(row),
            Self::Text(a) => a.is_null(row),
            Self::Binary(a) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::Micros(a, _) => a.is_null(row),
            Self::Nanos(a, _) => a.is_null(row),
            Self::List(a, _) => a.is_null(row),
        }
    }

    /// Writes the plain text of a value that is not NULL: of a text as it is, of bytes as hexadecimal, of a list the
    /// bare texts one after the other, which no caller asks for.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub(crate) fn write_plain(&self, row: usize, out: &mut Vec<u8>) -> std::result::Result<(), &'static str> {
        match self {
            Self::Boolean(a) => plain::boolean(out, a.value(row)),
            Self::Int8(a) => plain::integer(out, a.value(row)),
            Self::Int16(a) => plain::integer(out, a.value(row)),
            Self::Int32(a) => plain::integer(out, a.value(row)),
            Self::Int64(a) => plain::integer(out, a.value(row)),
            Self::Float32(a) => plain::float(out, a.value(row)),
            Self::Float64(a) => plain::float(out, a.value(row)),
            Self::ShortDecimal(a, scale) => plain::decimal(out, a.value(row).into(), *scale),
            Self::Decimal(a, scale) => plain::decimal(out, a.value(row), *scale),
            Self::Text(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Self::Binary(a) => plain::hexadecimal(out, a.value(row)),
            Self::Date(a) => plain::date(out, a.value(row)),
            Self::Time(a) => {
                if !plain::time(out, a.value(row)) {
                    return Err("is outside of 00:00:00 to 24:00:00");
                }
            }
            Self::Micros(a, utc) => plain::timestamp(out, a.value(row), TimestampUnit::Microsecond, *utc),
            Self::Nanos(a, utc) => plain::timestamp(out, a.value(row), TimestampUnit::Nanosecond, *utc),
            Self::List(a, element) => {
                for index in list_range(a, row) {
                    element.write_plain(index, out)?;
                }
            }
        }
        Ok(())
    }

    /// Finite numbers and booleans: values whose plain text is JSON as it is. Decimals are not among them, since
    /// readers of JSON round them.
    pub(crate) fn is_json_literal(&self, row: usize) -> bool {
        match self {
            Self::Boolean(_) | Self::Int8(_) | Self::Int16(_) | Self::Int32(_) | Self::Int64(_) => true,
            Self::Float32(a) => a.value(row).is_finite(),
            Self::Float64(a) => a.value(row).is_finite(),
            _ => false,
        }
    }
}

/// Where the elements of a list are.
pub(crate) fn list_range(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = list.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}
