//! Numbers whose chunk type is not their own: checked, value by value.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::builder::{BooleanBuilder, PrimitiveBuilder};
use arrow::datatypes::{Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use sqlextract_model::{ChunkType, Wire};

use super::misfit::{Misfit, exactly};
use super::numeric::{self, Excess, Scale};
use crate::decimals::Decimals;

const OUT_OF_RANGE: Misfit = Misfit::Value("the number is beyond the range of the chunk's type");

/// An integer as it arrives.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Integer {
    Int2,
    Int4,
    Int8,
    Oid,
}

impl Integer {
    pub(crate) fn of(wire: &Wire) -> Option<Self> {
        match wire {
            Wire::Int { bytes: 2 } => Some(Self::Int2),
            Wire::Int { bytes: 4 } => Some(Self::Int4),
            Wire::Int { bytes: 8 } => Some(Self::Int8),
            Wire::Unsigned { bytes: 4 } => Some(Self::Oid),
            _ => None,
        }
    }

    pub(crate) fn read(self, bytes: &[u8]) -> Result<i64, Misfit> {
        Ok(match self {
            Self::Int2 => i16::from_be_bytes(exactly(bytes)?).into(),
            Self::Int4 => i32::from_be_bytes(exactly(bytes)?).into(),
            Self::Int8 => i64::from_be_bytes(exactly(bytes)?),
            Self::Oid => u32::from_be_bytes(exactly(bytes)?).into(),
        })
    }
}

/// What a number can become.
#[derive(Debug)]
pub(crate) enum NumberCells {
    Boolean(BooleanBuilder),
    Int8(PrimitiveBuilder<Int8Type>),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Decimal { precision: u8, scale: i8, cells: Decimals },
}

impl NumberCells {
    pub(crate) fn of(chunk: &ChunkType) -> Option<Self> {
        Some(match chunk {
            ChunkType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ChunkType::Int8 => Self::Int8(PrimitiveBuilder::new()),
            ChunkType::Int16 => Self::Int16(PrimitiveBuilder::new()),
            ChunkType::Int32 => Self::Int32(PrimitiveBuilder::new()),
            ChunkType::Int64 => Self::Int64(PrimitiveBuilder::new()),
            ChunkType::Float64 => Self::Float64(PrimitiveBuilder::new()),
            &ChunkType::Decimal { precision, scale } => Self::Decimal {
                precision,
                scale,
                cells: Decimals::new(precision, scale),
            },
            _ => return None,
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Boolean(_) | Self::Int8(_) => 1,
            Self::Int16(_) => 2,
            Self::Int32(_) => 4,
            Self::Int64(_) | Self::Float64(_) => 8,
            Self::Decimal { cells, .. } => cells.bytes(),
        }
    }

    pub(crate) fn append_integer(&mut self, value: i64) -> Result<(), Misfit> {
        match self {
            Self::Boolean(cells) => cells.append_value(boolean(value.into())?),
            Self::Int8(cells) => cells.append_value(value.try_into().map_err(|_| OUT_OF_RANGE)?),
            Self::Int16(cells) => cells.append_value(value.try_into().map_err(|_| OUT_OF_RANGE)?),
            Self::Int32(cells) => cells.append_value(value.try_into().map_err(|_| OUT_OF_RANGE)?),
            Self::Int64(cells) => cells.append_value(value),
            // Rounding of long integers was chosen with the column's type.
            Self::Float64(cells) => cells.append_value(value as f64),
            Self::Decimal {
                precision,
                scale,
                cells,
            } => {
                let unit = 10i128.checked_pow((*scale).try_into().map_err(|_| OUT_OF_RANGE)?);
                let scaled = unit.and_then(|u| u.checked_mul(value.into())).ok_or(OUT_OF_RANGE)?;
                if scaled.unsigned_abs() >= 10u128.checked_pow((*precision).into()).unwrap_or(u128::MAX) {
                    return Err(OUT_OF_RANGE);
                }
                cells.append_value(scaled);
            }
        }
        Ok(())
    }

    /// A numeric in a chunk type that is no decimal.
    pub(crate) fn append_numeric(&mut self, text: &[u8], excess: Excess) -> Result<(), Misfit> {
        if let Self::Float64(cells) = self {
            cells.append_value(numeric::float(text)?);
            return Ok(());
        }
        let whole = Scale::new(38, 0, excess).ok_or(OUT_OF_RANGE)?.read(text)?;
        self.append_integer(whole.try_into().map_err(|_| OUT_OF_RANGE)?)
    }

    pub(crate) fn append_null(&mut self) {
        match self {
            Self::Boolean(cells) => cells.append_null(),
            Self::Int8(cells) => cells.append_null(),
            Self::Int16(cells) => cells.append_null(),
            Self::Int32(cells) => cells.append_null(),
            Self::Int64(cells) => cells.append_null(),
            Self::Float64(cells) => cells.append_null(),
            Self::Decimal { cells, .. } => cells.append_null(),
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(cells) => Arc::new(cells.finish()),
            Self::Int8(cells) => Arc::new(cells.finish()),
            Self::Int16(cells) => Arc::new(cells.finish()),
            Self::Int32(cells) => Arc::new(cells.finish()),
            Self::Int64(cells) => Arc::new(cells.finish()),
            Self::Float64(cells) => Arc::new(cells.finish()),
            Self::Decimal { cells, .. } => cells.finish(),
        }
    }
}

fn boolean(value: i128) -> Result<bool, Misfit> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Misfit::Value("the number is neither 0 nor 1")),
    }
}
