//! Chunks have the size that was asked for, and the encoder keeps within its memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::sync::Arc;

use crate::support::*;
use arrow::array::*;
use parquet::file::reader::{FileReader, SerializedFileReader};
use sqlextract_model::{ChunkType, ColumnMapping, Compression, FileFormat, Format};

/// Numbers without a pattern, the same in every run.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Orders with keys, amounts, days, few states and comments of words.
fn orders(batches: u64, rows: u64) -> (Vec<ColumnMapping>, Vec<RecordBatch>) {
    const WORDS: [&str; 12] = [
        "final",
        "pending",
        "carefully",
        "deposits",
        "sleep",
        "quickly",
        "above",
        "the",
        "ironic",
        "requests",
        "haggle",
        "bold",
    ];
    let columns = vec![
        mapping("id", ChunkType::Int64),
        mapping(
            "amount",
            ChunkType::Decimal {
                precision: 15,
                scale: 2,
            },
        ),
        mapping("day", ChunkType::Date),
        mapping("state", ChunkType::Text),
        mapping("comment", ChunkType::Text),
    ];
    let mut next = random(7);
    let make = |number: u64| {
        let amounts: Decimal64Array = (0..rows).map(|_| Some((next() % 10_000_000) as i64)).collect();
        let comments: StringArray = (0..rows)
            .map(|_| {
                let words = 2 + next() % 6;
                Some(
                    (0..words)
                        .map(|_| WORDS[(next() % 12) as usize])
                        .collect::<Vec<_>>()
                        .join(" "),
                )
            })
            .collect();
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(
                (0..rows).map(|row| (number * rows + row) as i64),
            )),
            Arc::new(amounts.with_precision_and_scale(15, 2).unwrap()),
            Arc::new(Date32Array::from_iter_values(
                (0..rows).map(|_| 8000 + (next() % 2500) as i32),
            )),
            Arc::new(StringArray::from_iter_values(
                (0..rows).map(|_| ["open", "done", "void"][(next() % 3) as usize]),
            )),
            Arc::new(comments),
        ];
        batch(&columns, arrays)
    };
    let made = (0..batches).map(make).collect();
    (columns, made)
}

fn check_sizes(format: FileFormat, chunk_bytes: u64, columns: &[ColumnMapping], rows: &[RecordBatch]) {
    let mut settings = settings(format, columns);
    settings.chunk_bytes = chunk_bytes;
    let chunks = encode(settings, rows).unwrap();
    let sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.bytes.len()).collect();
    let (last, full) = sizes.split_last().unwrap();
    assert!(full.len() >= 2, "{format:?}: {sizes:?}");
    let within = |size: &usize| (*size as f64 / chunk_bytes as f64 - 1.0).abs() <= 0.15;
    assert!(full.iter().all(within), "{format:?} of {chunk_bytes}: {sizes:?}");
    assert!(*last as f64 <= chunk_bytes as f64 * 1.15, "{format:?}: {sizes:?}");
}

#[test]
fn chunks_are_within_15_percent_of_their_size() {
    let (columns, rows) = orders(20, 4000);
    for format in formats() {
        for chunk_bytes in [100_000, 400_000] {
            check_sizes(format, chunk_bytes, &columns, &rows);
        }
    }
}

/// Compressed bytes of each column of the first row group.
fn stored(level: Option<i32>, columns: &[ColumnMapping], rows: &[RecordBatch]) -> Vec<i64> {
    let format = FileFormat {
        level,
        ..format(Format::Parquet, Compression::Zstd)
    };
    let chunks = encode(settings(format, columns), rows).unwrap();
    let file = SerializedFileReader::new(chunks[0].bytes.clone()).unwrap();
    let group = file.metadata().row_group(0);
    group.columns().iter().map(|column| column.compressed_size()).collect()
}

#[test]
fn without_a_level_texts_are_compressed_more_and_all_else_fast() {
    let (columns, rows) = orders(1, 20_000);
    let [chosen, fast, more] = [None, Some(1), Some(3)].map(|level| stored(level, &columns, &rows));
    let comment = columns.len() - 1;
    assert_eq!(chosen[comment], more[comment]);
    assert!(chosen[comment] < fast[comment] * 97 / 100, "{chosen:?} beside {fast:?}");
    assert_eq!(chosen[..comment], fast[..comment]);
    assert_ne!(chosen[..comment], more[..comment]);
}

#[test]
fn one_batch_larger_than_a_chunk_is_split_by_rows() {
    let (columns, rows) = orders(1, 60_000);
    check_sizes(format(Format::Parquet, Compression::Snappy), 200_000, &columns, &rows);
    check_sizes(format(Format::Csv, Compression::Zstd), 200_000, &columns, &rows);
}

#[test]
fn four_hundred_skewed_columns_stay_within_the_memory() {
    let columns: Vec<_> = (0..400)
        .map(|number| {
            mapping(
                &format!("column_{number}"),
                if number % 3 == 0 {
                    ChunkType::Text
                } else {
                    ChunkType::Int64
                },
            )
        })
        .collect();
    let mut next = random(11);
    let rows: Vec<_> = (0..6)
        .map(|_| {
            let arrays = columns.iter().enumerate().map(|(position, column)| -> ArrayRef {
                match column.chunk {
                    // One column in twenty has nearly all the bytes.
                    ChunkType::Text => {
                        let length = if position % 20 == 0 { 2000 } else { 4 };
                        Arc::new(StringArray::from_iter_values((0..200).map(|_| {
                            (0..length / 16 + 1)
                                .map(|_| format!("{:016x}", next()))
                                .collect::<String>()
                        })))
                    }
                    _ => Arc::new(Int64Array::from_iter_values((0..200).map(|_| next() as i64))),
                }
            });
            batch(&columns, arrays.collect())
        })
        .collect();
    let formats = [
        format(Format::Parquet, Compression::Zstd),
        format(Format::Parquet, Compression::Snappy),
        format(Format::Csv, Compression::Zstd),
    ];
    for format in formats {
        let mut settings = settings(format, &columns);
        settings.memory_bytes = 12 << 20;
        let (chunks, peak) = encode_measured(settings, &rows).unwrap();
        assert!(peak <= 12 << 20, "{format:?} held {peak}");
        assert_eq!(chunks.iter().map(|chunk| chunk.end.rows).sum::<u64>(), 1200);
    }
}

#[test]
fn long_values_stay_within_the_memory() {
    let columns = [mapping("id", ChunkType::Int32), mapping("body", ChunkType::Binary)];
    let mut next = random(3);
    let mut body: Vec<u8> = (0..20_000_000 / 8).flat_map(|_| next().to_le_bytes()).collect();
    let rows: Vec<_> = (0..2)
        .map(|number| {
            body.rotate_left(1);
            let small = vec![number as u8; 100];
            let bodies = BinaryArray::from_vec(vec![&small, &body, &small]);
            batch(
                &columns,
                vec![Arc::new(Int32Array::from(vec![number, 1, 2])), Arc::new(bodies)],
            )
        })
        .collect();
    for format in [
        format(Format::Parquet, Compression::Snappy),
        format(Format::Csv, Compression::None),
    ] {
        let mut settings = settings(format, &columns);
        settings.memory_bytes = 20_000_000 * sqlextract_encoding::VALUE_COPIES;
        let limit = settings.memory_bytes;
        let (chunks, peak) = encode_measured(settings, &rows).unwrap();
        assert!(peak <= limit, "{format:?} held {peak} of {limit}");
        assert_same(
            &decode(format, &columns, &chunks).unwrap(),
            &arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap(),
        );
    }
}
