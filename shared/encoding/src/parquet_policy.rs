//! How a column of a row group is written: as which encoding, with statistics or not.
//!
//! Decided from the values themselves, which are all at hand when a row group is written.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use sqlextract_model::{ChunkType, ParquetVersion};

use crate::{differences, weight};

/// How values are laid down in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    /// One after another.
    Plain,
    /// Every distinct value once, and its number for each row.
    Dictionary,
    /// What each integer is above the one before it.
    Differences,
}

/// The choice for one column of one row group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnPolicy {
    pub(crate) values: Values,
    pub(crate) statistics: bool,
}

/// Values looked at; their number bounds the time that a decision takes.
const SAMPLE: usize = 1024;
/// What another encoding must save of the plain size; a compressor behind it saves a part of that without it. And what
/// differences must save of a dictionary, by which readers can leave out pages.
const SAVES: f64 = 0.5;
/// Longer texts have no statistics: nobody filters by them, and a long value would be copied twice for its bounds.
const STATISTICS_LENGTH: usize = 256;

pub(crate) fn decide(
    chunk: &ChunkType,
    arrays: &[ArrayRef],
    dictionary_bytes: usize,
    version: ParquetVersion,
) -> ColumnPolicy {
    let rows: usize = arrays.iter().map(|a| a.len()).sum();
    let bytes: usize = arrays.iter().map(|a| weight::of_rows(a.as_ref(), 0, a.len())).sum();
    let statistics = match chunk {
        ChunkType::Binary | ChunkType::Json | ChunkType::List(_) => false,
        _ => bytes <= STATISTICS_LENGTH * rows,
    };
    ColumnPolicy {
        values: smallest(arrays, dictionary_bytes, version),
        statistics,
    }
}

/// The encoding that makes the column much smaller, if one does.
fn smallest(arrays: &[ArrayRef], dictionary_bytes: usize, version: ParquetVersion) -> Values {
    let leaves: Vec<ArrayRef> = arrays.iter().map(leaf).collect();
    if leaves.first().is_none_or(|leaf| leaf.data_type() == &DataType::Boolean) {
        return Values::Plain;
    }
    let values: usize = leaves.iter().map(|a| a.len()).sum();
    let Some(mut sample) = Sample::of(&leaves, values) else {
        return Values::Plain;
    };
    let distinct = sample.estimated_distinct(values);
    let plain = sample.bytes as f64 / sample.values as f64;
    let dictionary = distinct * plain;
    let index = distinct.log2().max(1.0) / 8.0;
    let differences = match version {
        ParquetVersion::V1 => None,
        ParquetVersion::V2 => differences::width(&leaves),
    };
    let differences = differences.unwrap_or(plain);
    let with_dictionary = dictionary / values as f64 + index;
    let has_dictionary = dictionary < dictionary_bytes as f64 / 2.0 && with_dictionary < plain * (1.0 - SAVES);
    let rival = if has_dictionary { with_dictionary } else { plain };
    match (has_dictionary, differences < rival * (1.0 - SAVES)) {
        (_, true) => Values::Differences,
        (true, false) => Values::Dictionary,
        (false, false) => Values::Plain,
    }
}

/// The values of a list's elements, else the array itself.
fn leaf(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            let (first, end) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
            leaf(&list.values().slice(first, end - first))
        }
        _ => array.clone(),
    }
}

/// Values at even distances.
#[derive(Default)]
struct Sample {
    values: usize,
    bytes: usize,
    hashes: Vec<u64>,
}

impl Sample {
    fn of(arrays: &[ArrayRef], values: usize) -> Option<Self> {
        let step = (values / SAMPLE).max(1);
        let mut sample = Self::default();
        let mut skip = 0;
        for array in arrays {
            let rows = (skip..array.len()).step_by(step).filter(|row| array.is_valid(*row));
            match array.data_type() {
                DataType::Utf8 => {
                    let texts = array.as_string::<i32>();
                    rows.for_each(|row| sample.add(texts.value(row).as_bytes(), 4));
                }
                DataType::Binary => {
                    let bytes = array.as_binary::<i32>();
                    rows.for_each(|row| sample.add(bytes.value(row), 4));
                }
                other => {
                    let width = other.primitive_width().unwrap_or(1);
                    let data = array.to_data();
                    let fixed = &data.buffers()[0].as_slice()[data.offset() * width..];
                    rows.for_each(|row| sample.add(&fixed[row * width..][..width], 0));
                    sample.bytes = sample.values * stored_width(other);
                }
            }
            // Where the next sample falls in the next array.
            skip = (skip + array.len().saturating_sub(skip).div_ceil(step) * step) - array.len();
        }
        (sample.values > 0).then_some(sample)
    }

    fn add(&mut self, value: &[u8], overhead: usize) {
        self.values += 1;
        self.bytes += value.len() + overhead;
        self.hashes.push(hash(value));
    }

    /// How many distinct values the whole has, if every value is equally frequent: the count at which a draw of this
    /// size has this many distinct values.
    fn estimated_distinct(&mut self, values: usize) -> f64 {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        let (drawn, seen) = (self.values as f64, self.hashes.len() as f64);
        if self.hashes.len() == self.values && values > self.values {
            return values as f64;
        }
        let expected = |distinct: f64| distinct * (1.0 - (-drawn / distinct).exp());
        let (mut low, mut high) = (seen, values as f64);
        for _ in 0..40 {
            let middle = (low + high) / 2.0;
            if expected(middle) < seen {
                low = middle;
            } else {
                high = middle;
            }
        }
        if values <= self.values { seen } else { high }
    }
}

/// Bytes of a plain value in Parquet, which has no integers below 32 bits and keeps short decimals as integers.
fn stored_width(data_type: &DataType) -> usize {
    match data_type {
        DataType::Decimal64(..=9, _) | DataType::Int8 | DataType::Int16 => 4,
        other => other.primitive_width().unwrap_or(1),
    }
}

/// A hash that tells values apart and is the same in every run, so that equal rows give equal files. A value made to
/// collide costs a needless dictionary and nothing else.
fn hash(value: &[u8]) -> u64 {
    let with = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = value.as_chunks();
    let hash = words
        .iter()
        .fold(value.len() as u64, |hash, word| with(hash, u64::from_le_bytes(*word)));
    match rest {
        [] => hash,
        rest => with(
            hash,
            rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        ),
    }
}
