//! What cannot be held exactly is refused by name, and damaged chunks are errors, never panics.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::sync::Arc;

use crate::support::*;
use arrow::array::*;
use bytes::Bytes;
use proptest::prelude::*;
use sqlextract_encoding::{ChunkEncoder, TextKind, TextWriter, read_chunk};
use sqlextract_model::{ChunkType, Code, Compression, Failure, FileFormat, Format, Result};

fn csv() -> FileFormat {
    format(Format::Csv, Compression::None)
}

fn refusal(format: FileFormat, chunk: ChunkType, arrays: Vec<ArrayRef>) -> Failure {
    let columns = [mapping("wanted", chunk)];
    let rows: Vec<_> = arrays.into_iter().map(|array| batch(&columns, vec![array])).collect();
    encode(settings(format, &columns), &rows).unwrap_err()
}

#[test]
fn a_nul_byte_is_refused_with_its_column_and_row() {
    let texts = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
    let failure = refusal(
        csv(),
        ChunkType::Text,
        vec![texts(vec!["a", "b"]), texts(vec!["c", "d\0"])],
    );
    assert_eq!(failure.code, Code::ValueRefused);
    assert_eq!(failure.column.as_deref(), Some("wanted"));
    assert_eq!(failure.row.as_deref(), Some("row 4 of the batch"));
    assert_eq!(
        failure.message,
        "row 4 of column `wanted` holds a NUL byte, which CSV cannot carry"
    );

    let columns = [mapping("wanted", ChunkType::Text)];
    let rows = batch(&columns, vec![texts(vec!["\0"])]);
    let mut writer = TextWriter::new(TextKind::PgText, &columns);
    assert_eq!(
        writer.write(&rows, &mut Vec::new()).unwrap_err().code,
        Code::ValueRefused
    );
    let chunks = encode(
        settings(format(Format::Parquet, Compression::None), &columns),
        std::slice::from_ref(&rows),
    )
    .unwrap();
    assert_same(
        &decode(format(Format::Parquet, Compression::None), &columns, &chunks).unwrap(),
        &rows,
    );
}

#[test]
fn a_decimal_beyond_its_precision_is_refused_by_both_formats() {
    for precision in [9, 18, 19, 38] {
        let chunk = ChunkType::Decimal { precision, scale: 2 };
        let beyond = 10i128.pow(u32::from(precision));
        for format in [csv(), format(Format::Parquet, Compression::Zstd)] {
            let values = decimals(&chunk.arrow(), [Some(beyond - 1), None, Some(-beyond)]);
            let failure = refusal(format, chunk.clone(), vec![values]);
            assert_eq!(
                (failure.code, failure.row.as_deref()),
                (Code::ValueRefused, Some("row 3 of the batch"))
            );
        }
    }
}

#[test]
fn a_time_outside_of_the_day_is_refused() {
    let failure = refusal(
        csv(),
        ChunkType::Time,
        vec![Arc::new(Time64MicrosecondArray::from(vec![-1]))],
    );
    assert_eq!(failure.code, Code::ValueRefused);
}

#[test]
fn an_error_of_the_receiver_ends_the_encoding() {
    let columns = [mapping("a", ChunkType::Int32)];
    let rows = batch(&columns, vec![Arc::new(Int32Array::from(vec![1]))]);
    for format in formats() {
        let mut encoder = ChunkEncoder::new(settings(format, &columns)).unwrap();
        encoder.write(&rows, &mut |_| Ok(())).unwrap();
        let full = encoder.finish(&mut |_| Err(Failure::new(Code::StorageFull, "no space")));
        assert_eq!(full.unwrap_err().code, Code::StorageFull);
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let columns = [mapping("a", ChunkType::Int32)];
    let refused = |change: &dyn Fn(&mut sqlextract_encoding::EncoderSettings), format: FileFormat| {
        let mut settings = settings(format, &columns);
        change(&mut settings);
        ChunkEncoder::new(settings).unwrap_err().code
    };
    let level = |level| move |s: &mut sqlextract_encoding::EncoderSettings| s.format.level = Some(level);
    assert_eq!(refused(&|s| s.chunk_bytes = 0, csv()), Code::UsageInvalid);
    assert_eq!(refused(&|s| s.memory_bytes = 1000, csv()), Code::UsageInvalid);
    assert_eq!(
        refused(&|_| (), format(Format::Csv, Compression::Snappy)),
        Code::UsageInvalid
    );
    assert_eq!(
        refused(&level(23), format(Format::Parquet, Compression::Zstd)),
        Code::UsageInvalid
    );
    assert_eq!(
        refused(&level(-1), format(Format::Csv, Compression::Gzip)),
        Code::UsageInvalid
    );
    assert_eq!(
        refused(&level(1), format(Format::Parquet, Compression::Snappy)),
        Code::UsageInvalid
    );
    let negative = [mapping(
        "a",
        ChunkType::Decimal {
            precision: 5,
            scale: -2,
        },
    )];
    let failure = ChunkEncoder::new(settings(format(Format::Parquet, Compression::Zstd), &negative)).unwrap_err();
    assert_eq!(failure.code, Code::TypeUnsupported);
}

#[test]
fn csv_that_is_not_as_written_names_its_line() {
    let columns = [mapping("a", ChunkType::Int32), mapping("b", ChunkType::Text)];
    let cases = [
        ("", "line 1: the header is missing"),
        ("a,c\n", "line 1: the header does not name"),
        ("a,b\n1,x\n2\n", "line 3: 1 fields where there are 2"),
        ("a,b\n1,\"x\ny\"\nz,\"\"\n", "line 4: column `a`"),
        ("a,b\n1,\"x\n", "line 3: the file ends inside of a record"),
        ("a,b\n1,x", "line 2: the file ends inside of a record"),
        ("a,b\n1,x\"y\n", "line 2: a quote in an unquoted field"),
        ("a,b\n1,\"x\"y\n", "line 2: text behind a closing quote"),
        ("a,b\n1,x\r\n", "line 2: an unquoted carriage return"),
        ("a,b\n1,\0\n", "line 2: a NUL byte"),
        ("a,b\n2147483648,x\n", "line 2: column `a`"),
    ];
    for (text, expected) in cases {
        let read = read_chunk(csv(), &columns, Bytes::from_static(text.as_bytes()));
        let failure = read
            .and_then(|batches| batches.collect::<Result<Vec<_>>>())
            .unwrap_err();
        assert_eq!(failure.code, Code::StorageCorrupt);
        assert!(failure.message.contains(expected), "{text:?}: {failure}");
    }
}

#[test]
fn a_parquet_chunk_of_other_columns_is_corrupt() {
    let columns = [mapping("a", ChunkType::Int32)];
    let parquet = format(Format::Parquet, Compression::None);
    let rows = batch(&columns, vec![Arc::new(Int32Array::from(vec![1]))]);
    let chunks = encode(settings(parquet, &columns), &[rows]).unwrap();
    for other in [
        mapping("b", ChunkType::Int32),
        mapping("a", ChunkType::Int64),
        mapping("a", ChunkType::Date),
    ] {
        let failure = read_chunk(parquet, &[other], chunks[0].bytes.clone()).unwrap_err();
        assert_eq!(failure.code, Code::StorageCorrupt);
    }
}

#[test]
fn bytes_behind_a_compressed_chunk_are_corrupt() {
    let columns = [mapping("a", ChunkType::Int32)];
    let rows = batch(&columns, vec![Arc::new(Int32Array::from(vec![1]))]);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let format = format(Format::Csv, compression);
        let mut chunks = encode(settings(format, &columns), std::slice::from_ref(&rows)).unwrap();
        let whole = chunks[0].bytes.clone();
        for damaged in [[whole.as_ref(), &whole].concat(), whole[..whole.len() - 1].to_vec()] {
            chunks[0].bytes = damaged.into();
            assert_eq!(
                decode(format, &columns, &chunks).unwrap_err().code,
                Code::StorageCorrupt,
                "{compression}"
            );
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn damaged_chunks_never_panic(
        (columns, rows) in tables(),
        damages in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        for format in formats() {
            for mut chunk in encode(settings(format, &columns), std::slice::from_ref(&rows)).unwrap() {
                let mut bytes = chunk.bytes.to_vec();
                for (index, byte) in &damages {
                    let at = index.index(bytes.len());
                    bytes[at] = *byte;
                }
                if let Some(cut) = cut {
                    bytes.truncate(cut.index(bytes.len()));
                }
                chunk.bytes = bytes.into();
                // Damage may leave the rows as they are; it must not end the process.
                let _ = decode(format, &columns, &[chunk]);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic((columns, _) in tables(), bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for format in formats() {
            let read = read_chunk(format, &columns, bytes.clone().into());
            let _ = read.and_then(|batches| batches.collect::<Result<Vec<_>>>());
        }
    }
}
