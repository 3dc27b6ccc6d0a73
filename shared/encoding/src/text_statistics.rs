//! What Parquet's statistics tell of a text column: its least and its greatest value, and how many are NULL.
//!
//! Parquet's own writer compares every text with both bounds, byte by byte. Nearly all are told apart by their first
//! eight bytes, taken as one number.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use parquet::data_type::ByteArray;
use parquet::file::statistics::Statistics;

/// A longer bound is cut, which is left to Parquet's own writer.
const LONGEST_BOUND: usize = 64;
/// Bytes that are compared as one number.
const HEAD: usize = size_of::<u64>();

/// Statistics of texts; `None` where it has other values, or a bound that is long.
pub(crate) fn of(arrays: &[ArrayRef]) -> Option<Statistics> {
    let mut bounds = None;
    let mut nulls = 0;
    for array in arrays {
        let texts = array.as_string_opt::<i32>()?;
        nulls += texts.null_count() as u64;
        bounds = widened(bounds, texts);
    }
    let bound = |text: Text<'_>| (text.bytes.len() <= LONGEST_BOUND).then(|| ByteArray::from(text.bytes.to_vec()));
    let (least, greatest) = match bounds {
        Some((least, greatest)) => (Some(bound(least)?), Some(bound(greatest)?)),
        None => (None, None),
    };
    // The deprecated fields are for types whose order is that of signed numbers.
    Some(Statistics::byte_array(least, greatest, None, Some(nulls), false))
}

/// A text with what it is compared by first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Text<'a> {
    /// The first [`HEAD`] bytes, with zeroes where there are fewer: their order is that of the texts unless they are equal.
    head: u64,
    bytes: &'a [u8],
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let beyond = || match self.bytes.len().max(other.bytes.len()) {
            // One is the other and zeroes behind it.
            ..=HEAD => self.bytes.len().cmp(&other.bytes.len()),
            _ => self.bytes.cmp(other.bytes),
        };
        self.head.cmp(&other.head).then_with(beyond)
    }
}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

type Bounds<'a> = (Text<'a>, Text<'a>);

fn widened<'a>(mut bounds: Option<Bounds<'a>>, texts: &'a StringArray) -> Option<Bounds<'a>> {
    let all = texts.value_data();
    let is_valid = |row: usize| texts.nulls().is_none_or(|nulls| nulls.is_valid(row));
    for (row, ends) in texts.value_offsets().windows(2).enumerate() {
        if !is_valid(row) {
            continue;
        }
        let (start, end) = (ends[0] as usize, ends[1] as usize);
        let text = Text {
            head: head(all, start, end - start),
            bytes: &all[start..end],
        };
        bounds = match bounds {
            Some((least, greatest)) => Some((least.min(text), greatest.max(text))),
            None => Some((text, text)),
        };
    }
    bounds
}

#[inline]
fn head(all: &[u8], start: usize, length: usize) -> u64 {
    let beyond = 8 * (HEAD - length.min(HEAD)) as u32;
    let word = match all[start..].first_chunk() {
        Some(eight) => u64::from_be_bytes(*eight),
        // The last texts of all.
        None => {
            let mut eight = [0; HEAD];
            eight[..length].copy_from_slice(&all[start..start + length]);
            u64::from_be_bytes(eight)
        }
    };
    word & u64::MAX.checked_shl(beyond).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use proptest::prelude::*;

    use super::*;

    /// As Parquet's own writer finds them.
    fn by_parquet(arrays: &[ArrayRef]) -> Option<Statistics> {
        let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8, true)]));
        let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
        for array in arrays {
            let batch = RecordBatch::try_new(schema.clone(), vec![array.clone()]).unwrap();
            writer.write(&batch).unwrap();
        }
        let written = writer.finish().unwrap();
        written.row_group(0).column(0).statistics().cloned()
    }

    fn array(texts: &[Option<String>]) -> ArrayRef {
        Arc::new(StringArray::from(texts.to_vec()))
    }

    proptest! {
        #[test]
        fn they_are_what_parquets_own_writer_finds(
            texts in prop::collection::vec(prop::option::weighted(0.9, "[\\x00ab\u{e9}]{0,10}"), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let (first, second) = texts.split_at(cut.index(texts.len()));
            // The second begins within its buffer.
            let arrays = [array(first), array(&texts).slice(first.len(), second.len())];
            prop_assert_eq!(of(&arrays), by_parquet(&arrays));
        }
    }

    #[test]
    fn a_long_bound_is_left_to_parquet() {
        let texts = |length: usize| [array(&[Some("b".repeat(length)), None, Some("a".to_owned())])];
        assert_eq!(of(&texts(64)), by_parquet(&texts(64)));
        assert_eq!(of(&texts(65)), None);
    }
}
