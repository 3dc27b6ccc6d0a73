//! Large rows that are encoded by themselves.

use std::sync::Arc;

use arrow::array::*;
use sqlextract_encoding::{ChunkEncoder, Output};
use sqlextract_model::{ChunkType, Code, ColumnMapping, Compression, Format};

use crate::support::{Chunk, batch, decode, encode, format, formats, mapping, settings};

fn columns() -> [ColumnMapping; 4] {
    [
        mapping("id", ChunkType::Int32),
        mapping("body", ChunkType::Binary),
        mapping("note", ChunkType::Text),
        mapping("none", ChunkType::Text),
    ]
}

fn row(id: i32, body: &[u8], note: &str) -> RecordBatch {
    batch(
        &columns(),
        vec![
            Arc::new(Int32Array::from(vec![id])),
            Arc::new(BinaryArray::from_vec(vec![body])),
            Arc::new(StringArray::from(vec![note])),
            Arc::new(StringArray::from(vec![None::<&str>])),
        ],
    )
}

/// Long values with all that has to be quoted, at the seams of pieces too.
fn rows() -> Vec<RecordBatch> {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i * 7 + i / 300) as u8).collect();
    let quotes = "\"".repeat(100_000);
    let lines = "a line\r\n\\.\n".repeat(20_000);
    let plain = "é".repeat(500_000);
    let blank = format!(" {plain}");
    vec![
        row(1, b"short", "short"),
        row(2, &bytes, &quotes),
        row(3, b"", &lines),
        row(4, &bytes, ""),
        row(5, b"x", &plain),
        row(6, b"x", &blank),
        row(7, b"short", "\"short\""),
    ]
}

/// Encodes the rows at the odd places alone, the others as usual.
fn encode_mixed(mut encoder: ChunkEncoder, rows: &[RecordBatch]) -> Vec<Chunk> {
    let (mut chunks, mut bytes) = (Vec::new(), Vec::new());
    let mut out = |output: Output| {
        match output {
            Output::Bytes(piece) => bytes.extend_from_slice(&piece),
            Output::End(end) => chunks.push(Chunk {
                bytes: std::mem::take(&mut bytes).into(),
                end,
            }),
        }
        Ok(())
    };
    for (at, row) in rows.iter().enumerate() {
        if at % 2 == 0 {
            encoder.write(row, &mut out).unwrap();
            continue;
        }
        encoder.flush(&mut out).unwrap();
        encoder.write_alone(row.clone(), &mut out).unwrap();
        assert!(encoder.memory_bytes() < 5 << 20, "the row is still there");
    }
    encoder.finish(&mut out).unwrap();
    chunks
}

#[test]
fn rows_alone_and_rows_between_them_come_back_as_they_were() {
    let rows = rows();
    let whole = arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap();
    for format in formats() {
        for chunk_bytes in [1_000_000, 128_000_000] {
            let mut settings = settings(format, &columns());
            settings.chunk_bytes = chunk_bytes;
            let chunks = encode_mixed(ChunkEncoder::new(settings).unwrap(), &rows);
            assert_eq!(chunks.iter().map(|chunk| chunk.end.rows).sum::<u64>(), 7);
            assert!(decode(format, &columns(), &chunks).unwrap() == whole, "{format:?}");
        }
    }
}

#[test]
fn a_csv_record_is_the_same_whether_written_alone_or_not() {
    let format = format(Format::Csv, Compression::None);
    let alone = encode_mixed(ChunkEncoder::new(settings(format, &columns())).unwrap(), &rows());
    let usual = encode(settings(format, &columns()), &rows()).unwrap();
    assert!(alone == usual, "the chunks differ");
}

#[test]
fn a_long_text_that_csv_cannot_carry_is_named_by_its_column() {
    let mut encoder = ChunkEncoder::new(settings(format(Format::Csv, Compression::Zstd), &columns())).unwrap();
    let text = format!("{}\0", "x".repeat(100_000));
    let failure = encoder.write_alone(row(1, b"", &text), &mut |_| Ok(())).unwrap_err();
    assert_eq!(
        (failure.code, failure.column.as_deref()),
        (Code::ValueRefused, Some("note"))
    );
}
