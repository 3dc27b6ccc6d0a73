use arrow::array::{Array, AsArray};
use arrow::datatypes::{Date32Type, Decimal64Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use proptest::prelude::*;
use sqlextract_model::{
    Cast, ChunkType, Code, ColumnMapping, KeyColumn, KeyKind, Lossy, TableName, TimestampUnit, Wire,
};

use super::{Progress, RowDecoder};
use crate::ReadLimits;
use crate::fuzzing::{decode_row_bytes, decode_row_messages};
use crate::places::ROWS_AT_ONCE;

const LIMITS: ReadLimits = ReadLimits {
    record_batch_bytes: 1 << 20,
    record_batch_rows: 1000,
    alone_bytes: 10_000,
    row_bytes: 10_000,
};

type Row = Vec<Option<Vec<u8>>>;

fn column(name: &str, wire: Wire, chunk: ChunkType) -> ColumnMapping {
    ColumnMapping {
        name: name.to_owned(),
        declared: String::new(),
        nullable: true,
        cast: Cast::None,
        wire,
        chunk,
        lossy: None,
        length: None,
    }
}

const fn microseconds(utc: bool) -> ChunkType {
    ChunkType::Timestamp {
        unit: TimestampUnit::Microsecond,
        utc,
    }
}

/// Every way that a field is decoded.
fn columns() -> Vec<ColumnMapping> {
    let decimal = |precision, scale| ChunkType::Decimal { precision, scale };
    let forms = [
        (Wire::Bool, ChunkType::Boolean),
        (Wire::Int { bytes: 2 }, ChunkType::Int16),
        (Wire::Int { bytes: 4 }, ChunkType::Int32),
        (Wire::Int { bytes: 8 }, ChunkType::Int64),
        (Wire::Int { bytes: 8 }, ChunkType::Int16),
        (Wire::Int { bytes: 4 }, decimal(12, 2)),
        (Wire::Unsigned { bytes: 4 }, ChunkType::Int64),
        (Wire::Float { bytes: 4 }, ChunkType::Float32),
        (Wire::Float { bytes: 4 }, ChunkType::Float64),
        (Wire::Float { bytes: 8 }, ChunkType::Float64),
        (Wire::Decimal, decimal(15, 2)),
        (Wire::Decimal, decimal(38, 38)),
        (Wire::Decimal, ChunkType::Int32),
        (Wire::Decimal, ChunkType::Float64),
        (Wire::Text, ChunkType::Text),
        (Wire::Text, ChunkType::Json),
        (Wire::Bytes, ChunkType::Text),
        (Wire::Bytes, ChunkType::Binary),
        (Wire::Json, ChunkType::Json),
        (Wire::Jsonb, ChunkType::Json),
        (Wire::Uuid, ChunkType::Uuid),
        (Wire::Date, ChunkType::Date),
        (Wire::Time, ChunkType::Time),
        (Wire::Time, ChunkType::Text),
        (Wire::Timestamp, microseconds(false)),
        (Wire::TimestampWithZone, microseconds(true)),
        (
            Wire::Timestamp,
            ChunkType::Timestamp {
                unit: TimestampUnit::Nanosecond,
                utc: false,
            },
        ),
    ];
    forms
        .into_iter()
        .enumerate()
        .map(|(i, (wire, chunk))| column(&format!("c{i}"), wire, chunk))
        .collect()
}

/// Some bytes that the column takes for a value.
fn field(column: &ColumnMapping, seed: u64) -> Vec<u8> {
    let small = (seed % 30_000) as i64;
    match &column.wire {
        _ if column.chunk == ChunkType::Text => format!("[{seed}]").into_bytes(),
        Wire::Bool => vec![if seed.is_multiple_of(2) { b'f' } else { b't' }],
        Wire::Int { bytes: 2 } => (small as i16).to_be_bytes().to_vec(),
        Wire::Int { bytes: 4 } | Wire::Unsigned { .. } | Wire::Date => (small as i32).to_be_bytes().to_vec(),
        Wire::Float { bytes: 4 } => (seed as f32).to_be_bytes().to_vec(),
        Wire::Float { .. } => (seed as f64).to_be_bytes().to_vec(),
        // One is too large for decimals that have no digit before their point.
        Wire::Decimal => format!("{}.{}", 0, "0".repeat((seed % 9) as usize + 1)).into_bytes(),
        Wire::Text | Wire::Json | Wire::Bytes => format!("[{seed}]").into_bytes(),
        Wire::Jsonb => format!("\u{1}[{seed}]").into_bytes(),
        Wire::Uuid => u128::from(seed).to_be_bytes().to_vec(),
        _ => small.to_be_bytes().to_vec(),
    }
}

fn stream(rows: &[Row]) -> Vec<u8> {
    rows.iter().flat_map(body).collect()
}

fn body(row: &Row) -> Vec<u8> {
    let mut bytes = (row.len() as i16).to_be_bytes().to_vec();
    for value in row {
        bytes.extend(value.as_ref().map_or(-1, |v| v.len() as i32).to_be_bytes());
        bytes.extend(value.iter().flatten());
    }
    bytes
}

/// As the server sends them: a message a row, and others around them. Notices come at first only, so that strips of all
/// lengths follow.
fn messages(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut send = |tag: u8, body: &[u8]| {
        bytes.push(tag);
        bytes.extend((body.len() as u32 + 4).to_be_bytes());
        bytes.extend(body);
    };
    send(b'1', b"");
    send(b'2', b"");
    for (i, row) in rows.iter().enumerate() {
        send(b'D', &body(row));
        if i % 3 == 2 && i < ROWS_AT_ONCE {
            send(b'N', b"SNOTICE\0\0");
        }
    }
    send(b'C', format!("SELECT {}\0", rows.len()).as_bytes());
    send(b'Z', b"T");
    bytes
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = proptest::collection::vec(proptest::option::weighted(0.8, any::<u64>()), columns().len());
    let filled = |seeds: Vec<Option<u64>>| {
        columns()
            .iter()
            .zip(seeds)
            .map(|(c, seed)| seed.map(|seed| field(c, seed)))
            .collect::<Row>()
    };
    proptest::collection::vec(row.prop_map(filled), 0..12)
}

fn decode(columns: &[ColumnMapping], rows: &[Row]) -> sqlextract_model::Result<arrow::record_batch::RecordBatch> {
    decode_row_bytes(columns, &stream(rows), usize::MAX, LIMITS).map(|batches| batches[0].clone())
}

#[test]
fn rows_of_several_strips_are_what_they_are_one_by_one() {
    // Of the strips one has no NULL, and others have some.
    let has_nulls = |i: usize| i > ROWS_AT_ONCE && i.is_multiple_of(7);
    let row = |i: usize| {
        let columns = columns();
        let values = columns.iter().enumerate();
        values
            .map(|(at, column)| (!has_nulls(i) || at % 2 == 0).then(|| field(column, i as u64)))
            .collect::<Row>()
    };
    let rows: Vec<Row> = (0..3 * ROWS_AT_ONCE + 1).map(row).collect();
    let one_by_one = decode_row_bytes(&columns(), &stream(&rows), usize::MAX, LIMITS).unwrap();
    let at_once = decode_row_messages(&columns(), &messages(&rows), usize::MAX, LIMITS).unwrap();
    let whole = |batches| arrow::compute::concat_batches(&one_by_one[0].schema(), batches).unwrap();
    assert_eq!(whole(&one_by_one).num_rows(), rows.len());
    assert_eq!(whole(&one_by_one), whole(&at_once));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), slice in 1usize..500) {
        let _ = decode_row_bytes(&columns(), &bytes, slice, LIMITS);
        let mut of_a_row = (columns().len() as i16).to_be_bytes().to_vec();
        of_a_row.extend(&bytes);
        let _ = decode_row_bytes(&columns(), &of_a_row, slice, LIMITS);
    }

    #[test]
    fn a_damaged_stream_never_panics(
        rows in rows(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        slice in 1usize..3000,
    ) {
        let mut bytes = stream(&rows);
        if !bytes.is_empty() {
            let at = cut.index(bytes.len());
            let ends: Vec<usize> = (0..rows.len()).map(|n| stream(&rows[..n]).len()).collect();
            let cut = decode_row_bytes(&columns(), &bytes[..at], slice, LIMITS);
            prop_assert_eq!(cut.is_ok(), ends.contains(&at), "what is cut within a row must not pass");
        }
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let _ = decode_row_bytes(&columns(), &bytes, slice, LIMITS);
    }

    #[test]
    fn many_rows_at_once_are_what_they_are_one_by_one(
        rows in rows(),
        slice in 1usize..3000,
        (most_rows, most_bytes, alone) in (1usize..9, 1usize..3000, 1usize..600),
    ) {
        let limits = ReadLimits {
            record_batch_rows: most_rows,
            record_batch_bytes: most_bytes,
            alone_bytes: alone,
            ..LIMITS
        };
        let one_by_one = decode_row_bytes(&columns(), &stream(&rows), usize::MAX, limits).unwrap();
        for slice in [slice, usize::MAX] {
            let at_once = decode_row_messages(&columns(), &messages(&rows), slice, limits).unwrap();
            prop_assert!(at_once.iter().all(|batch| batch.num_rows() <= most_rows));
            let schema = one_by_one.first().map(|batch| batch.schema());
            if let Some(schema) = schema {
                let whole = |batches| arrow::compute::concat_batches(&schema, batches).unwrap();
                prop_assert_eq!(whole(&one_by_one), whole(&at_once));
            } else {
                prop_assert!(at_once.is_empty());
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic_and_lose_no_row_in_silence(
        rows in rows(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        slice in 1usize..3000,
    ) {
        let mut bytes = messages(&rows);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let at_once = decode_row_messages(&columns(), &bytes, usize::MAX, LIMITS);
        let sliced = decode_row_messages(&columns(), &bytes, slice, LIMITS);
        prop_assert_eq!(at_once.is_ok(), sliced.is_ok());
    }

    #[test]
    fn slices_make_no_difference(rows in rows(), slice in 1usize..200) {
        let bytes = stream(&rows);
        let whole = decode_row_bytes(&columns(), &bytes, usize::MAX, LIMITS).unwrap();
        let sliced = decode_row_bytes(&columns(), &bytes, slice, LIMITS).unwrap();
        prop_assert_eq!(&whole, &sliced);
        prop_assert_eq!(whole.iter().map(|b| b.num_rows()).sum::<usize>(), rows.len());
        for (batch, row) in whole.iter().flat_map(|b| (0..b.num_rows()).map(move |i| (b, i))).zip(&rows) {
            for (c, value) in row.iter().enumerate() {
                prop_assert_eq!(batch.0.column(c).is_null(batch.1), value.is_none());
            }
        }
    }
}

/// What a case does to a sound stream.
type Damage = Box<dyn Fn(&mut Vec<u8>)>;

#[test]
fn values_arrive_as_the_types_of_their_chunks() {
    let decimal = ChunkType::Decimal {
        precision: 15,
        scale: 2,
    };
    let columns = [
        column("i", Wire::Int { bytes: 4 }, ChunkType::Int32),
        column("d", Wire::Decimal, decimal.clone()),
        column("u", Wire::Uuid, ChunkType::Uuid),
        column("j", Wire::Jsonb, ChunkType::Json),
        column("t", Wire::TimestampWithZone, microseconds(true)),
        column("y", Wire::Date, ChunkType::Date),
        column("f", Wire::Float { bytes: 8 }, ChunkType::Float64),
        column("o", Wire::Unsigned { bytes: 4 }, ChunkType::Int64),
    ];
    let row: Row = [
        (-5i32).to_be_bytes().to_vec(),
        b"-1234.56".to_vec(),
        (0..16).collect(),
        b"\x01{\"a\": 1}".to_vec(),
        0i64.to_be_bytes().to_vec(),
        (-1i32).to_be_bytes().to_vec(),
        f64::NAN.to_be_bytes().to_vec(),
        u32::MAX.to_be_bytes().to_vec(),
    ]
    .into_iter()
    .map(Some)
    .collect();
    let batch = decode(&columns, &[row]).unwrap();
    for (field, column) in batch.schema().fields().iter().zip(&columns) {
        assert_eq!(field.as_ref(), &column.field());
    }
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().value(0), -5);
    assert_eq!(batch.column(1).as_primitive::<Decimal64Type>().value(0), -123_456);
    assert_eq!(
        batch.column(2).as_string::<i32>().value(0),
        "00010203-0405-0607-0809-0a0b0c0d0e0f"
    );
    assert_eq!(batch.column(3).as_string::<i32>().value(0), "{\"a\": 1}");
    assert_eq!(
        batch.column(4).as_primitive::<TimestampMicrosecondType>().value(0),
        946_684_800_000_000
    );
    assert_eq!(batch.column(5).as_primitive::<Date32Type>().value(0), 10_956);
    assert!(batch.column(6).as_primitive::<Float64Type>().value(0).is_nan());
    assert_eq!(
        batch.column(7).as_primitive::<Int64Type>().value(0),
        i64::from(u32::MAX)
    );
}

fn key() -> [KeyColumn; 1] {
    [KeyColumn {
        name: "id".to_owned(),
        kind: KeyKind::Integer,
        nullable: false,
        declared: "bigint".to_owned(),
    }]
}

fn keyed(value: ColumnMapping) -> Vec<ColumnMapping> {
    // The key stands behind the value, so that it is not decoded yet when the value is refused.
    vec![value, column("id", Wire::Int { bytes: 8 }, ChunkType::Int64)]
}

fn first_failure(columns: &[ColumnMapping], value: &[u8], slice: usize) -> sqlextract_model::Failure {
    let row: Row = vec![Some(value.to_vec()), Some(77i64.to_be_bytes().to_vec())];
    let mut decoder = RowDecoder::new(&TableName::new("public", "t"), columns, &key(), LIMITS).unwrap();
    for mut part in stream(&[row]).chunks(slice) {
        match decoder.feed(&mut part) {
            Ok(progress) => assert_eq!(progress, Progress::MoreInput),
            Err(failure) => return failure,
        }
    }
    panic!("the value was taken");
}

#[test]
fn a_refused_value_is_named_with_table_column_and_row() {
    let columns = keyed(column("day", Wire::Date, ChunkType::Date));
    let failure = first_failure(&columns, &i32::MAX.to_be_bytes(), usize::MAX);
    assert_eq!(failure.code, Code::ValueRefused);
    assert_eq!(failure.table.as_deref(), Some("public.t"));
    assert_eq!(failure.column.as_deref(), Some("day"));
    assert_eq!(failure.row.as_deref(), Some("id=77"));
    // In slices too small for its row, a value is named by its position.
    let failure = first_failure(&columns, &i32::MAX.to_be_bytes(), 3);
    assert_eq!(failure.row.as_deref(), Some("number 1 of its range"));
}

#[test]
fn a_row_over_the_limit_is_refused_before_it_is_gathered() {
    let columns = keyed(column("body", Wire::Text, ChunkType::Text));
    let failure = first_failure(&columns, &vec![b'x'; LIMITS.row_bytes + 1], usize::MAX);
    assert_eq!(failure.code, Code::ValueTooLarge);
    assert_eq!(failure.row.as_deref(), Some("id=77"));
    // The length alone is enough: nothing of a value that claims 2 GB needs to arrive.
    let mut decoder = RowDecoder::new(&TableName::new("public", "t"), &columns, &key(), LIMITS).unwrap();
    let head = [0, 2, 0x7F, 0xFF, 0xFF, 0xFF];
    assert_eq!(
        decoder.feed(&mut head.as_slice()).unwrap_err().code,
        Code::ValueTooLarge
    );
}

#[test]
fn a_value_without_counterpart_becomes_null_only_by_choice() {
    let mut day = column("day", Wire::Date, ChunkType::Date);
    assert_eq!(
        first_failure(&keyed(day.clone()), &i32::MIN.to_be_bytes(), usize::MAX).code,
        Code::ValueRefused
    );
    day.lossy = Some(Lossy::NullForUnrepresentable);
    let batch = decode(&[day], &[vec![Some(i32::MIN.to_be_bytes().to_vec())]]).unwrap();
    assert!(batch.column(0).is_null(0));
}

#[test]
fn batches_end_with_their_limits() {
    let columns = [
        column("id", Wire::Int { bytes: 8 }, ChunkType::Int64),
        column("t", Wire::Text, ChunkType::Text),
    ];
    let row = |i: i64| vec![Some(i.to_be_bytes().to_vec()), Some(vec![b'x'; 100])];
    let bytes = stream(&(0..1000).map(row).collect::<Vec<Row>>());
    let sizes = |limits| -> Vec<usize> {
        let batches = decode_row_bytes(&columns, &bytes, 64, limits).unwrap();
        batches.iter().map(|b| b.num_rows()).collect()
    };
    assert_eq!(
        sizes(ReadLimits {
            record_batch_rows: 400,
            ..LIMITS
        }),
        [400, 400, 200]
    );
    // 8 + 4 + 100 bytes a row.
    assert_eq!(
        sizes(ReadLimits {
            record_batch_bytes: 112 * 300,
            ..LIMITS
        }),
        [300, 300, 300, 100]
    );
}

#[test]
fn what_no_plan_has_is_refused_before_the_first_row() {
    let columns = [column("c", Wire::Date, ChunkType::Int32)];
    let failure = decode_row_bytes(&columns, &[], 1, LIMITS).unwrap_err();
    assert_eq!((failure.code, failure.column.as_deref()), (Code::Defect, Some("c")));
}

#[test]
fn rows_that_are_damaged_are_refused() {
    let columns = [column("id", Wire::Int { bytes: 8 }, ChunkType::Int64)];
    let whole = stream(&[vec![Some(1i64.to_be_bytes().to_vec())]]);
    let damaged: [(&str, Damage); 5] = [
        ("more fields", Box::new(|b| b[1] = 2)),
        ("a negative number of fields", Box::new(|b| b[0] = 0xFF)),
        ("length of a field", Box::new(|b| b[5] = 7)),
        ("an end within a value", Box::new(|b| b.truncate(b.len() - 2))),
        ("an end within a row's head", Box::new(|b| b.push(0))),
    ];
    assert!(decode_row_bytes(&columns, &whole, 5, LIMITS).is_ok());
    for (what, damage) in damaged {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        let failure = decode_row_bytes(&columns, &bytes, 5, LIMITS).expect_err(what);
        assert_eq!(failure.code, Code::SourceProtocol, "{what}");
    }
}
