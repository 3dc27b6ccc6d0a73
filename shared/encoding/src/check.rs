//! What must hold for a batch before it is encoded.

use std::ops::Neg;

use arrow::array::{Array, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal64Type, Decimal128Type, DecimalType};
use sqlextract_model::{ChunkType, Code, ColumnMapping, Failure, Result};

/// Compares batches with the mapping: types, and decimals with their precision.
///
/// Parquet stores a decimal of up to 18 digits in 32 or 64 bits, so that a value beyond its precision would lose its
/// upper half in silence.
pub(crate) struct BatchCheck {
    columns: Vec<(String, ChunkType, DataType)>,
    rows_before: u64,
}

impl BatchCheck {
    pub(crate) fn new(columns: &[ColumnMapping]) -> Self {
        let columns = columns
            .iter()
            .map(|c| (c.name.clone(), c.chunk.clone(), c.chunk.arrow()))
            .collect();
        Self {
            columns,
            rows_before: 0,
        }
    }

    pub(crate) fn check(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.columns.len() {
            let message = format!(
                "a record batch has {} columns where the plan has {}",
                batch.num_columns(),
                self.columns.len()
            );
            return Err(Failure::new(Code::Defect, message));
        }
        for ((name, chunk, arrow), array) in self.columns.iter().zip(batch.columns()) {
            if !same_type(arrow, array.data_type()) {
                let message = format!(
                    "column `{name}` arrives as {} where the plan has {arrow}",
                    array.data_type()
                );
                return Err(Failure::new(Code::Defect, message).column(name));
            }
            if let Some(row) = decimal_misfit(chunk, array.as_ref()) {
                let row = self.rows_before + row as u64 + 1;
                let message = format!("row {row} of column `{name}` has more digits than {arrow} holds");
                return Err(Failure::new(Code::ValueRefused, message)
                    .column(name)
                    .row(format!("row {row} of the batch")));
            }
        }
        self.rows_before += batch.num_rows() as u64;
        Ok(())
    }
}

/// Types are equal but for the name and nullability of a list's element, which no format depends on.
pub(crate) fn same_type(left: &DataType, right: &DataType) -> bool {
    match (left, right) {
        (DataType::List(left), DataType::List(right)) => same_type(left.data_type(), right.data_type()),
        _ => left == right,
    }
}

/// The first row with a decimal of more digits than its type has.
fn decimal_misfit(chunk: &ChunkType, array: &dyn Array) -> Option<usize> {
    match chunk {
        ChunkType::Decimal { precision, .. } => {
            let precision = u32::from(*precision);
            match array.data_type() {
                DataType::Decimal64(..) => {
                    first_beyond(array.as_primitive::<Decimal64Type>(), 10i64.checked_pow(precision)?)
                }
                _ => first_beyond(array.as_primitive::<Decimal128Type>(), 10i128.checked_pow(precision)?),
            }
        }
        ChunkType::List(element) => {
            let list = array.as_list::<i32>();
            let (first, end) = (list.value_offsets().first()?, list.value_offsets().last()?);
            let values = list.values().slice(*first as usize, (end - first) as usize);
            let element = decimal_misfit(element, values.as_ref())? as i32 + first;
            Some(list.value_offsets().partition_point(|offset| *offset <= element) - 1)
        }
        _ => None,
    }
}

/// The first row whose magnitude is not below the limit.
fn first_beyond<T>(array: &PrimitiveArray<T>, limit: T::Native) -> Option<usize>
where
    T: DecimalType<Native: Ord + Neg<Output = T::Native>>,
{
    let fits = |value: T::Native| -limit < value && value < limit;
    // The whole batch at once first: the loop without an exit is the one that vectorises.
    let zero = T::Native::default();
    let (least, most) = array.values().iter().fold((zero, zero), |(least, most), value| {
        (least.min(*value), most.max(*value))
    });
    if fits(least) && fits(most) {
        return None;
    }
    (0..array.len()).find(|row| array.is_valid(*row) && !fits(array.value(*row)))
}
