//! What is encoded reads back as it was, for every type, format and compression.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::sync::Arc;

use crate::support::*;
use arrow::array::{BooleanBuilder, ListArray, ListBuilder};
use arrow::datatypes::{DataType, Field};
use proptest::prelude::*;
use sqlextract_model::{ChunkType, Compression, Format};

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn every_type_reads_back_from_every_format((columns, rows) in tables(), cut in 0usize..60) {
        let cut = cut.min(rows.num_rows());
        let batches = [rows.slice(0, cut), rows.slice(cut, rows.num_rows() - cut)];
        for format in formats() {
            let chunks = encode(settings(format, &columns), &batches).unwrap();
            prop_assert_eq!(chunks.len(), usize::from(rows.num_rows() > 0));
            assert_same(&decode(format, &columns, &chunks).unwrap(), &rows);
            prop_assert_eq!(chunks.iter().map(|c| c.end.rows).sum::<u64>(), rows.num_rows() as u64);
        }
    }

    #[test]
    fn small_chunks_hold_every_row_once((columns, rows) in tables(), chunk_bytes in 1u64..2000) {
        for format in [format(Format::Csv, Compression::None), format(Format::Csv, Compression::Zstd),
            format(Format::Csv, Compression::Gzip), format(Format::Parquet, Compression::Snappy)] {
            let mut settings = settings(format, &columns);
            settings.chunk_bytes = chunk_bytes;
            let chunks = encode(settings.clone(), std::slice::from_ref(&rows)).unwrap();
            prop_assert!(chunks.iter().all(|chunk| chunk.end.rows > 0 && !chunk.bytes.is_empty()));
            assert_same(&decode(format, &columns, &chunks).unwrap(), &rows);
            prop_assert_eq!(encode(settings, std::slice::from_ref(&rows)).unwrap(), chunks, "the same rows, other bytes");
        }
    }
}

#[test]
fn no_rows_make_no_chunk() {
    let columns = [mapping("a", ChunkType::Int32)];
    let none = batch(&columns, vec![arrow::array::new_empty_array(&columns[0].chunk.arrow())]);
    for format in formats() {
        assert!(encode(settings(format, &columns), &[]).unwrap().is_empty());
        assert!(
            encode(settings(format, &columns), std::slice::from_ref(&none))
                .unwrap()
                .is_empty()
        );
    }
}

#[test]
fn lists_of_booleans_have_no_bytes_to_sample_and_read_back() {
    let columns = [mapping("a", ChunkType::List(Box::new(ChunkType::Boolean)))];
    let mut lists = ListBuilder::new(BooleanBuilder::new());
    lists.append_value([Some(true), None, Some(false)]);
    lists.append_null();
    let lists = lists.finish();
    let (_, offsets, values, nulls) = lists.into_parts();
    let element = Arc::new(Field::new("element", DataType::Boolean, true));
    let rows = batch(
        &columns,
        vec![Arc::new(ListArray::new(element, offsets, values, nulls))],
    );
    for format in formats() {
        let chunks = encode(settings(format, &columns), std::slice::from_ref(&rows)).unwrap();
        assert_same(&decode(format, &columns, &chunks).unwrap(), &rows);
    }
}
