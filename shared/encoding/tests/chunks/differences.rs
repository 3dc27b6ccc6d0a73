//! Integers stored by their differences: which columns are, and that every value comes back.

use std::sync::Arc;

use arrow::array::*;
use parquet::basic::Encoding;
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use sqlextract_model::{ChunkType, Compression, Format, ParquetVersion, TimestampUnit};

use crate::support::*;

const ROWS: i64 = 5000;

/// The encodings of a column's values in the first row group.
fn encodings(chunks: &[Chunk], column: usize) -> Vec<Encoding> {
    let file = SerializedFileReader::new(chunks[0].bytes.clone()).unwrap();
    file.metadata().row_group(0).column(column).encodings().collect()
}

/// Numbers without a pattern.
fn spread(row: i64) -> i64 {
    let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9_u64 as i64)
}

fn longs(value: impl Fn(i64) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((0..ROWS).map(value)))
}

/// A column, and whether its neighbours differ by little.
fn columns() -> Vec<(&'static str, ChunkType, ArrayRef, bool)> {
    let timestamp = ChunkType::Timestamp {
        unit: TimestampUnit::Microsecond,
        utc: false,
    };
    let decimal = ChunkType::Decimal {
        precision: 15,
        scale: 2,
    };
    let with_nulls = Int64Array::from_iter((0..ROWS).map(|row| (row % 3 != 0).then_some(row)));
    let prices = decimals(
        &decimal.arrow(),
        (0..ROWS).map(|row| Some(i128::from(spread(row) >> 40))),
    );
    let times = TimestampMicrosecondArray::from_iter_values((0..ROWS).map(|row| row * 1_000_003));
    let texts = StringArray::from_iter_values((0..ROWS).map(|row| row.to_string()));
    let short = Int32Array::from_iter_values(0..5000);
    let small = Int16Array::from_iter_values(-2500..2500);
    vec![
        ("a key", ChunkType::Int64, longs(|row| row), true),
        ("a short key", ChunkType::Int32, Arc::new(short), true),
        ("a small key", ChunkType::Int16, Arc::new(small), true),
        ("a key with NULLs", ChunkType::Int64, Arc::new(with_nulls), true),
        ("prices", decimal, prices, true),
        ("times in their order", timestamp, Arc::new(times), true),
        ("any numbers", ChunkType::Int64, longs(spread), false),
        (
            "few numbers, by a dictionary",
            ChunkType::Int64,
            longs(|row| spread(row * row % 7)),
            false,
        ),
        ("texts", ChunkType::Text, Arc::new(texts), false),
    ]
}

#[test]
fn keys_and_narrow_ranges_are_stored_by_differences_and_others_are_not() {
    for (what, chunk, array, expected) in columns() {
        let columns = [mapping("c", chunk)];
        let rows = batch(&columns, vec![array]);
        for version in [ParquetVersion::V1, ParquetVersion::V2] {
            let mut format = format(Format::Parquet, Compression::Snappy);
            format.parquet_version = version;
            let chunks = encode(settings(format, &columns), std::slice::from_ref(&rows)).unwrap();
            let by_differences = encodings(&chunks, 0).contains(&Encoding::DELTA_BINARY_PACKED);
            assert_eq!(
                by_differences,
                expected && version == ParquetVersion::V2,
                "{what}, {version}"
            );
            assert_same(&decode(format, &columns, &chunks).unwrap(), &rows);
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    /// The column is in order where it is looked at, and is not between.
    #[test]
    fn every_value_comes_back(
        odd in prop::collection::vec((0..ROWS as usize, prop_oneof![Just(i64::MIN), Just(i64::MAX), any::<i64>()]), 0..40),
        nulls in prop::collection::vec(0..ROWS as usize, 0..40),
    ) {
        let mut values: Vec<Option<i64>> = (0..ROWS).map(Some).collect();
        odd.iter().for_each(|(row, value)| values[*row] = Some(*value));
        nulls.iter().for_each(|row| values[*row] = None);
        let columns = [mapping("long", ChunkType::Int64), mapping("short", ChunkType::Int32)];
        let long = Int64Array::from(values.clone());
        let short: Int32Array = values.iter().map(|value| value.map(|value| value as i32)).collect();
        let rows = batch(&columns, vec![Arc::new(long), Arc::new(short)]);
        let mut format = format(Format::Parquet, Compression::Zstd);
        format.parquet_version = ParquetVersion::V2;
        let chunks = encode(settings(format, &columns), std::slice::from_ref(&rows)).unwrap();
        assert_same(&decode(format, &columns, &chunks).unwrap(), &rows);
    }
}
