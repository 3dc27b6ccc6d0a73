//! How many bytes a value takes when Parquet keeps the differences of neighbours (`DELTA_BINARY_PACKED`).
//!
//! The encoding holds a block of 128 differences as their least one and what each of them is above it, in as few bits as
//! the largest of 32 needs: next to nothing for keys in their order, and the range's bits for numbers of a narrow range.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

/// Differences that share their least one.
const BLOCK: usize = 128;
/// Differences that have the same number of bits.
const MINIBLOCK: usize = 32;
/// Bytes of a block beside its differences: the least one, and the bits of each miniblock.
const BLOCK_HEADER: usize = 2 + BLOCK / MINIBLOCK;
/// Blocks looked at; with fewer values than these have, what the encoding needs beside them is not worth it.
const BLOCKS: usize = 8;

/// Bytes of a value by differences, estimated from blocks at even distances. `None` for types without differences and
/// for few values.
pub(crate) fn width(leaves: &[ArrayRef]) -> Option<f64> {
    let read = reader(leaves.first()?.data_type())?;
    let rows: usize = leaves.iter().map(|leaf| leaf.len()).sum();
    let apart = rows / BLOCKS;
    if apart <= BLOCK {
        return None;
    }
    let mut packed = Packed::default();
    let mut skip = 0;
    for leaf in leaves {
        let mut from = skip;
        while from < leaf.len() {
            packed.add(&neighbours(leaf, from, read));
            from += apart;
        }
        skip = from - leaf.len();
    }
    (packed.values > 0).then(|| packed.bytes as f64 / packed.values as f64)
}

/// How a value of a type that Parquet keeps as an integer is read from its bytes.
type Read = fn(&[u8]) -> i64;

fn reader(data_type: &DataType) -> Option<Read> {
    match data_type {
        DataType::Int8 => Some(|value| i64::from(i8::from_le_bytes(sized(value)))),
        DataType::Int16 => Some(|value| i64::from(i16::from_le_bytes(sized(value)))),
        DataType::Int32 | DataType::Date32 | DataType::Time32(_) => {
            Some(|value| i64::from(i32::from_le_bytes(sized(value))))
        }
        DataType::Int64 | DataType::Time64(_) | DataType::Timestamp(..) | DataType::Decimal64(..) => {
            Some(|value| i64::from_le_bytes(sized(value)))
        }
        _ => None,
    }
}

fn sized<const N: usize>(value: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(value);
    bytes
}

/// The values of a block from a row on, without NULLs, which are not encoded.
fn neighbours(leaf: &ArrayRef, from: usize, read: Read) -> Vec<i64> {
    let data = leaf.to_data();
    let width = leaf.data_type().primitive_width().unwrap_or(1);
    let bytes = &data.buffers()[0].as_slice()[data.offset() * width..];
    let rows = from..leaf.len().min(from + BLOCK + 1);
    rows.filter(|row| leaf.is_valid(*row))
        .map(|row| read(&bytes[row * width..][..width]))
        .collect()
}

#[derive(Default)]
struct Packed {
    bytes: usize,
    values: usize,
}

impl Packed {
    fn add(&mut self, values: &[i64]) {
        let differences: Vec<i64> = values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        let Some(least) = differences.iter().min() else {
            return;
        };
        self.values += differences.len();
        self.bytes += BLOCK_HEADER;
        for miniblock in differences.chunks(MINIBLOCK) {
            let all = miniblock
                .iter()
                .fold(0, |all, difference| all | difference.wrapping_sub(*least) as u64);
            self.bytes += (u64::BITS - all.leading_zeros()) as usize * miniblock.len() / 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int16Array, Int64Array};

    use super::*;

    fn of(values: impl Iterator<Item = i64>) -> Option<f64> {
        width(&[Arc::new(Int64Array::from_iter_values(values))])
    }

    #[test]
    fn the_width_follows_the_differences() {
        let keys = of(0..10_000).unwrap();
        assert!(keys < 0.1, "{keys}");
        let bytes = of((0..10_000).map(|row| row * 7919 % 256)).unwrap();
        assert!((1.0..1.3).contains(&bytes), "{bytes}");
        let extremes = of((0..10_000).map(|row| if row % 2 == 0 { i64::MIN } else { i64::MAX })).unwrap();
        assert!(extremes < 8.1, "{extremes}");
    }

    #[test]
    fn few_values_and_other_types_have_none() {
        assert_eq!(of(0..1000), None);
        assert_eq!(width(&[]), None);
        assert_eq!(
            width(&[Arc::new(Float64Array::from_iter_values((0..5000).map(f64::from)))]),
            None
        );
        assert_eq!(width(&[Arc::new(Int64Array::new_null(5000))]), None);
    }

    #[test]
    fn arrays_and_their_slices_are_read_as_one() {
        let whole = Arc::new(Int16Array::from_iter_values((0..10_000).map(|row| row % 100))) as ArrayRef;
        let parts: Vec<ArrayRef> = (0..10).map(|part| whole.slice(part * 1000, 1000)).collect();
        assert!(width(&parts).is_some());
        let (whole, parts) = (width(&[whole]).unwrap(), width(&parts).unwrap());
        assert!((whole - parts).abs() < 0.1, "{whole} {parts}");
    }
}
