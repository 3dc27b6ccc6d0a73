//! The decoder of PostgreSQL's rows, and the framing that they come in.

use arrow::record_batch::RecordBatch;
use sqlextract_model::{Cast, ChunkType, ColumnMapping, Lossy, Result, TimestampUnit, Wire};
use sqlextract_source::ReadLimits;
use sqlextract_source::fuzzing::{decode_row_bytes, split_messages};

const MOST_COLUMNS: usize = 8;

/// Decodes what follows four bytes of choices and a byte for each column:
///
/// - number of columns;
/// - size of the slices that the stream is fed in;
/// - rows of a record batch;
/// - largest row, in units of 16 bytes;
/// - per column its form, and what becomes of values that do not fit (two highest bits).
///
/// The rows are decoded a second time in one piece: slices make no difference. Nor do they to the messages that the
/// bytes are taken for.
///
/// # Panics
///
/// Where the decoder breaks a promise.
pub fn rows(input: &[u8]) {
    let Some(([count, slice, rows, row], rest)) = input.split_first_chunk::<4>() else {
        return;
    };
    let count = usize::from(*count) % MOST_COLUMNS + 1;
    let Some((choices, bytes)) = rest.split_at_checked(count) else {
        return;
    };
    let columns: Vec<ColumnMapping> = choices
        .iter()
        .enumerate()
        .map(|(i, choice)| column(i, *choice))
        .collect();
    let row_bytes = (usize::from(*row) + 1) * 16;
    let limits = ReadLimits {
        record_batch_bytes: 64 << 10,
        record_batch_rows: usize::from(*rows) + 1,
        alone_bytes: row_bytes,
        row_bytes,
    };
    let sliced = decode_row_bytes(&columns, bytes, usize::from(*slice) + 1, limits);
    let whole = decode_row_bytes(&columns, bytes, usize::MAX, limits);
    holds(&columns, bytes, limits, &sliced, &whole);
    let messages = split_messages(bytes, usize::from(*slice) + 1);
    assert!(
        messages == split_messages(bytes, usize::MAX),
        "slices made a difference to messages"
    );
}

fn holds(
    columns: &[ColumnMapping],
    bytes: &[u8],
    limits: ReadLimits,
    sliced: &Result<Vec<RecordBatch>>,
    whole: &Result<Vec<RecordBatch>>,
) {
    match (sliced, whole) {
        (Ok(sliced), Ok(whole)) => {
            assert!(sliced == whole, "slices made a difference");
            for batch in whole {
                assert!(
                    batch.num_rows() <= limits.record_batch_rows,
                    "a record batch has too many rows"
                );
                assert_eq!(batch.num_columns(), columns.len());
            }
            // A row has two bytes of its own and four for each field.
            let rows: usize = whole.iter().map(RecordBatch::num_rows).sum();
            assert!(
                rows * (2 + 4 * columns.len()) <= bytes.len(),
                "more rows than the bytes can hold"
            );
        }
        (Err(sliced), Err(whole)) => assert_eq!(sliced.code, whole.code, "{sliced} and {whole}"),
        (sliced, whole) => panic!("slices made a difference: {sliced:?} and {whole:?}"),
    }
}

fn column(number: usize, choice: u8) -> ColumnMapping {
    let forms = forms();
    let (wire, chunk) = forms[usize::from(choice & 0x3f) % forms.len()].clone();
    ColumnMapping {
        name: format!("c{number}"),
        declared: String::new(),
        nullable: true,
        cast: Cast::None,
        wire,
        chunk,
        lossy: match choice >> 6 {
            1 => Some(Lossy::Rounded),
            2 => Some(Lossy::NullForUnrepresentable),
            _ => None,
        },
        length: None,
    }
}

/// Every way that a field is decoded.
fn forms() -> [(Wire, ChunkType); 32] {
    let decimal = |precision, scale| ChunkType::Decimal { precision, scale };
    let timestamp = |unit, utc| ChunkType::Timestamp { unit, utc };
    [
        (Wire::Bool, ChunkType::Boolean),
        (Wire::Int { bytes: 2 }, ChunkType::Int16),
        (Wire::Int { bytes: 4 }, ChunkType::Int32),
        (Wire::Int { bytes: 8 }, ChunkType::Int64),
        (Wire::Int { bytes: 8 }, ChunkType::Int16),
        (Wire::Int { bytes: 4 }, ChunkType::Int64),
        (Wire::Int { bytes: 4 }, decimal(12, 2)),
        (Wire::Unsigned { bytes: 4 }, ChunkType::Int64),
        (Wire::Float { bytes: 4 }, ChunkType::Float32),
        (Wire::Float { bytes: 4 }, ChunkType::Float64),
        (Wire::Float { bytes: 8 }, ChunkType::Float64),
        (Wire::Decimal, decimal(15, 2)),
        (Wire::Decimal, decimal(38, 0)),
        (Wire::Decimal, decimal(38, 38)),
        (Wire::Decimal, ChunkType::Int32),
        (Wire::Decimal, ChunkType::Int64),
        (Wire::Decimal, ChunkType::Float64),
        (Wire::Text, ChunkType::Text),
        (Wire::Text, ChunkType::Json),
        (Wire::Text, ChunkType::Binary),
        (Wire::Bytes, ChunkType::Text),
        (Wire::Bytes, ChunkType::Binary),
        (Wire::Json, ChunkType::Json),
        (Wire::Jsonb, ChunkType::Json),
        (Wire::Uuid, ChunkType::Uuid),
        (Wire::Date, ChunkType::Date),
        (Wire::Time, ChunkType::Time),
        (Wire::Time, ChunkType::Text),
        (Wire::Timestamp, timestamp(TimestampUnit::Microsecond, false)),
        (Wire::TimestampWithZone, timestamp(TimestampUnit::Microsecond, true)),
        (Wire::Timestamp, timestamp(TimestampUnit::Nanosecond, false)),
        (Wire::Interval, ChunkType::Text),
    ]
}
