//! How many bytes rows take in memory.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// Bytes of the values of `rows` rows from row `from`, without slack and without what other rows hold.
pub(crate) fn of_rows(array: &dyn Array, from: usize, rows: usize) -> usize {
    let validity = if array.nulls().is_some() { rows.div_ceil(8) } else { 0 };
    let values = match array.data_type() {
        DataType::Boolean => rows.div_ceil(8),
        DataType::Utf8 => offsets(array.as_string::<i32>().value_offsets(), from, rows).1 + 4 * rows,
        DataType::Binary => offsets(array.as_binary::<i32>().value_offsets(), from, rows).1 + 4 * rows,
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (first, length) = offsets(list.value_offsets(), from, rows);
            4 * rows + of_rows(list.values().as_ref(), first, length)
        }
        other => other.primitive_width().unwrap_or(16) * rows,
    };
    validity + values
}

/// Where the elements of the rows begin, and how many they are.
fn offsets(offsets: &[i32], from: usize, rows: usize) -> (usize, usize) {
    let (first, end) = (offsets[from], offsets[from + rows]);
    (first as usize, (end - first) as usize)
}

pub(crate) fn of_batch(batch: &RecordBatch, from: usize, rows: usize) -> usize {
    batch
        .columns()
        .iter()
        .map(|array| of_rows(array.as_ref(), from, rows))
        .sum()
}

/// Bytes of the longest single value that has no fixed width.
pub(crate) fn longest(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|array| longest_of(array.as_ref()))
        .max()
        .unwrap_or(0)
}

fn longest_of(array: &dyn Array) -> usize {
    fn steps(offsets: &[i32]) -> usize {
        offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0) as usize
    }
    match array.data_type() {
        DataType::Utf8 => steps(array.as_string::<i32>().value_offsets()),
        DataType::Binary => steps(array.as_binary::<i32>().value_offsets()),
        // A list is encoded as one: its elements stay in one page.
        DataType::List(_) => (0..array.len()).map(|row| of_rows(array, row, 1)).max().unwrap_or(0),
        _ => 0,
    }
}

/// What the first `rows` rows of an array keep alive. A builder's slack counts; an array with far more behind it is a
/// slice of something that others hold too, and counts as its own share.
pub(crate) fn retained(array: &ArrayRef, rows: usize) -> usize {
    let own = of_rows(array.as_ref(), 0, rows);
    let all = array.get_array_memory_size();
    if all <= 2 * own + 4096 { all } else { own }
}

/// Bytes of the first `rows` values as plain Parquet pages, where integers below 32 bits are wider than in Arrow and an
/// element has levels.
pub(crate) fn as_pages(array: &dyn Array, rows: usize) -> usize {
    let widened = match array.data_type() {
        DataType::Int8 => 4,
        DataType::Int16 | DataType::List(_) => 2,
        _ => 1,
    };
    of_rows(array, 0, rows) * widened
}

/// The most of `rows` leading rows for which `fits` holds, if it holds for all fewer; rows differ widely, so they are
/// looked at.
pub(crate) fn most_rows(rows: usize, fits: impl Fn(usize) -> bool) -> usize {
    if fits(rows) {
        return rows;
    }
    let (mut most, mut too_many) = (0, rows);
    while most + 1 < too_many {
        let middle = most + (too_many - most) / 2;
        if fits(middle) {
            most = middle;
        } else {
            too_many = middle;
        }
    }
    most
}
