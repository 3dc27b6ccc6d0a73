//! Decimals under construction, in the width that their chunk type has.

use arrow::array::ArrayRef;
use arrow::array::builder::PrimitiveBuilder;
use arrow::datatypes::{DataType, Decimal64Type, Decimal128Type};
use sqlextract_model::ChunkType;

use crate::regrow::primitive;

/// Values of a decimal column.
#[derive(Debug)]
pub(crate) enum Decimals {
    Short(PrimitiveBuilder<Decimal64Type>),
    Long(PrimitiveBuilder<Decimal128Type>),
}

impl Decimals {
    pub(crate) fn new(precision: u8, scale: i8) -> Self {
        let arrow = ChunkType::Decimal { precision, scale }.arrow();
        match arrow {
            DataType::Decimal64(..) => Self::Short(PrimitiveBuilder::new().with_data_type(arrow)),
            _ => Self::Long(PrimitiveBuilder::new().with_data_type(arrow)),
        }
    }

    /// Bytes of a value.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Short(_) => size_of::<i64>(),
            Self::Long(_) => size_of::<i128>(),
        }
    }

    /// Appends an unscaled value that is within the column's precision.
    pub(crate) fn append_value(&mut self, unscaled: i128) {
        match self {
            Self::Short(cells) => cells.append_value(short(unscaled)),
            Self::Long(cells) => cells.append_value(unscaled),
        }
    }

    pub(crate) fn append_null(&mut self) {
        match self {
            Self::Short(cells) => cells.append_null(),
            Self::Long(cells) => cells.append_null(),
        }
    }

    /// The values so far; nothing is left but room for about as many again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Short(cells) => primitive(cells),
            Self::Long(cells) => primitive(cells),
        }
    }
}

/// An unscaled value within the precision of a short decimal.
pub(crate) fn short(unscaled: i128) -> i64 {
    unscaled.try_into().expect("18 digits fit 64 bits")
}
