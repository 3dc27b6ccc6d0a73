//! Arrays out of builders, which stay ready for about as many values again: growing step by step would copy them and leave
//! up to half of the memory unused.

use std::sync::Arc;

use arrow::array::builder::{BooleanBuilder, GenericByteBuilder, PrimitiveBuilder};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow::datatypes::ByteArrayType;

/// A row that is larger than a whole batch should be is no measure for the next.
const MOST_ROOM_BYTES: usize = 8 << 20;

/// A little more than there was.
pub(crate) fn room(last: usize) -> usize {
    last + last / 16
}

pub(crate) fn room_bytes(last: usize) -> usize {
    room(last).min(MOST_ROOM_BYTES)
}

pub(crate) fn boolean(cells: &mut BooleanBuilder) -> ArrayRef {
    let values = cells.finish();
    *cells = BooleanBuilder::with_capacity(room(values.len()));
    Arc::new(values)
}

pub(crate) fn primitive<T: ArrowPrimitiveType>(cells: &mut PrimitiveBuilder<T>) -> ArrayRef {
    let values = cells.finish();
    *cells = PrimitiveBuilder::with_capacity(room(values.len())).with_data_type(values.data_type().clone());
    Arc::new(values)
}

pub(crate) fn variable<T: ByteArrayType>(cells: &mut GenericByteBuilder<T>) -> ArrayRef {
    let values = cells.finish();
    *cells = GenericByteBuilder::with_capacity(room(values.len()), room_bytes(values.value_data().len()));
    Arc::new(values)
}
