//! Columns, rows and encoders for the tests.
#![allow(dead_code, unreachable_pub, reason = "each test file takes what it needs")]

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sqlextract_encoding::{ChunkEncoder, ChunkEnd, EncoderSettings, Output, read_chunk};
use sqlextract_model::{
    Cast, ChunkType, ColumnMapping, Compression, FileFormat, Format, ParquetVersion, Result, TimestampUnit, Wire,
};

pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        // A failing case belongs into a test of its own, not into a file of seeds.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(crate) fn mapping(name: &str, chunk: ChunkType) -> ColumnMapping {
    ColumnMapping {
        name: name.into(),
        declared: "any".into(),
        nullable: true,
        cast: Cast::None,
        wire: Wire::Text,
        chunk,
        lossy: None,
        length: None,
    }
}

pub(crate) fn format(format: Format, compression: Compression) -> FileFormat {
    FileFormat {
        format,
        compression,
        level: None,
        parquet_version: ParquetVersion::default(),
    }
}

/// Every format with every compression that it takes.
pub(crate) fn formats() -> Vec<FileFormat> {
    let all = Format::ALL
        .iter()
        .flat_map(|f| Compression::ALL.iter().map(|c| format(*f, *c)));
    all.filter(|f| f.format == Format::Parquet || !matches!(f.compression, Compression::Snappy | Compression::Lz4))
        .collect()
}

pub(crate) fn settings(format: FileFormat, columns: &[ColumnMapping]) -> EncoderSettings {
    EncoderSettings {
        format,
        columns: columns.to_vec(),
        chunk_bytes: 128_000_000,
        memory_bytes: 32 << 20,
        created_by: "sqlextract test".into(),
    }
}

/// A batch of the mapping's schema.
pub(crate) fn batch(columns: &[ColumnMapping], arrays: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<_> = columns.iter().map(ColumnMapping::field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub bytes: Bytes,
    pub end: ChunkEnd,
}

/// Encodes the batches and returns the chunks with the encoder's peak of memory.
pub(crate) fn encode_measured(settings: EncoderSettings, batches: &[RecordBatch]) -> Result<(Vec<Chunk>, usize)> {
    let limit = settings.memory_bytes;
    let mut encoder = ChunkEncoder::new(settings)?;
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
    for batch in batches {
        encoder.write(batch, &mut out)?;
        assert!(encoder.memory_bytes() <= limit);
    }
    let peak = encoder.peak_memory_bytes();
    encoder.finish(&mut out)?;
    assert!(bytes.is_empty(), "bytes without an end");
    Ok((chunks, peak))
}

pub(crate) fn encode(settings: EncoderSettings, batches: &[RecordBatch]) -> Result<Vec<Chunk>> {
    encode_measured(settings, batches).map(|(chunks, _)| chunks)
}

/// All rows of the chunks as one batch.
pub(crate) fn decode(format: FileFormat, columns: &[ColumnMapping], chunks: &[Chunk]) -> Result<RecordBatch> {
    let mut batches = Vec::new();
    for chunk in chunks {
        for batch in read_chunk(format, columns, chunk.bytes.clone())? {
            batches.push(batch?);
        }
    }
    let schema = batch(columns, empty(columns)).schema();
    Ok(arrow::compute::concat_batches(&schema, &batches).unwrap())
}

fn empty(columns: &[ColumnMapping]) -> Vec<ArrayRef> {
    columns.iter().map(|c| new_empty_array(&c.chunk.arrow())).collect()
}

/// Every kind of type, lists of them included.
pub(crate) fn chunk_types() -> impl Strategy<Value = ChunkType> {
    let scalar = prop_oneof![
        Just(ChunkType::Boolean),
        Just(ChunkType::Int8),
        Just(ChunkType::Int16),
        Just(ChunkType::Int32),
        Just(ChunkType::Int64),
        Just(ChunkType::Float32),
        Just(ChunkType::Float64),
        (1u8..=38)
            .prop_flat_map(|precision| (Just(precision), 0..=precision))
            .prop_map(|(precision, scale)| {
                ChunkType::Decimal {
                    precision,
                    scale: scale as i8,
                }
            }),
        Just(ChunkType::Text),
        Just(ChunkType::Json),
        Just(ChunkType::Uuid),
        Just(ChunkType::Binary),
        Just(ChunkType::Date),
        Just(ChunkType::Time),
        (any::<bool>(), any::<bool>()).prop_map(|(micros, utc)| ChunkType::Timestamp {
            unit: if micros {
                TimestampUnit::Microsecond
            } else {
                TimestampUnit::Nanosecond
            },
            utc,
        }),
    ];
    scalar.prop_recursive(2, 3, 1, |inner| {
        inner.prop_map(|element| ChunkType::List(Box::new(element)))
    })
}

/// Texts that break careless writers, and any other.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    let awkward = prop::sample::select(vec![
        "",
        " ",
        " lead",
        "trail ",
        "\t",
        "a,b",
        "\"",
        "\"\"",
        "a\"b",
        "\n",
        "\r",
        "\r\n",
        "x\n\\.\ny",
        "\\.",
        "\\.\r\n",
        "\\N",
        "\\",
        "NULL",
        "null",
        "é",
        "𝄞",
        "\u{feff}",
        "\u{2028}",
        "\u{7f}",
        "\u{1}",
        "'",
        ";",
        "[]",
        "{}",
        "=1+1",
        "\u{0b}",
        "\\u0000",
        "\\\\u0000",
    ])
    .prop_map(String::from);
    let any_but_nul = any::<String>().prop_map(|text| text.replace('\0', ""));
    prop_oneof![awkward, any_but_nul, "[a-z]{0,12}"]
}

/// An array of a type, with NULLs and extremes.
pub(crate) fn array(chunk: &ChunkType, rows: usize) -> BoxedStrategy<ArrayRef> {
    fn of<T: std::fmt::Debug + Clone + 'static, A: Array + FromIterator<Option<T>> + 'static>(
        rows: usize,
        values: impl Strategy<Value = T> + 'static,
    ) -> BoxedStrategy<ArrayRef> {
        let values = vec(option::weighted(0.8, values), rows);
        values
            .prop_map(|values| Arc::new(values.into_iter().collect::<A>()) as ArrayRef)
            .boxed()
    }
    fn extremes<T: Copy + std::fmt::Debug + Arbitrary + 'static>(least: T, most: T) -> impl Strategy<Value = T> {
        prop_oneof![4 => any::<T>(), 1 => Just(least), 1 => Just(most)]
    }
    let data_type = chunk.arrow();
    match chunk {
        ChunkType::Boolean => of::<bool, BooleanArray>(rows, any::<bool>()),
        ChunkType::Int8 => of::<i8, Int8Array>(rows, extremes(i8::MIN, i8::MAX)),
        ChunkType::Int16 => of::<i16, Int16Array>(rows, extremes(i16::MIN, i16::MAX)),
        ChunkType::Int32 => of::<i32, Int32Array>(rows, extremes(i32::MIN, i32::MAX)),
        ChunkType::Int64 => of::<i64, Int64Array>(rows, extremes(i64::MIN, i64::MAX)),
        ChunkType::Float32 => of::<f32, Float32Array>(rows, prop::num::f32::ANY.prop_map(one_nan32)),
        ChunkType::Float64 => of::<f64, Float64Array>(rows, prop::num::f64::ANY.prop_map(one_nan64)),
        ChunkType::Decimal { precision, .. } => {
            let most = 10i128.pow(u32::from(*precision)) - 1;
            let values = vec(
                option::weighted(0.8, prop_oneof![3 => -most..=most, 1 => -9i128..10]),
                rows,
            );
            let values = values
                .prop_map(move |values| decimals(&data_type, values.iter().map(|v| v.map(|v| v.clamp(-most, most)))));
            values.boxed()
        }
        ChunkType::Text | ChunkType::Json => of::<String, StringArray>(rows, texts()),
        ChunkType::Uuid => {
            of::<String, StringArray>(rows, "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
        }
        ChunkType::Binary => {
            let values = vec(option::weighted(0.8, vec(any::<u8>(), 0..20)), rows);
            values
                .prop_map(|values| Arc::new(values.into_iter().collect::<BinaryArray>()) as ArrayRef)
                .boxed()
        }
        ChunkType::Date => of::<i32, Date32Array>(rows, extremes(i32::MIN, i32::MAX)),
        ChunkType::Time => of::<i64, Time64MicrosecondArray>(rows, 0..=86_400_000_000i64),
        ChunkType::Timestamp { unit, .. } => {
            let values = vec(option::weighted(0.8, extremes(i64::MIN, i64::MAX)), rows);
            let micros = *unit == TimestampUnit::Microsecond;
            let values = values.prop_map(move |values| -> ArrayRef {
                if micros {
                    Arc::new(TimestampMicrosecondArray::from(values).with_data_type(data_type.clone()))
                } else {
                    Arc::new(TimestampNanosecondArray::from(values).with_data_type(data_type.clone()))
                }
            });
            values.boxed()
        }
        ChunkType::List(element) => lists(element, rows),
    }
}

fn lists(element: &ChunkType, rows: usize) -> BoxedStrategy<ArrayRef> {
    let element = element.clone();
    let lengths = vec(option::weighted(0.8, 0usize..4), rows);
    let made = lengths.prop_flat_map(move |lengths| {
        let total = lengths.iter().flatten().sum();
        let element = element.clone();
        array(&element, total).prop_map(move |values| -> ArrayRef {
            let field = Arc::new(Field::new("element", values.data_type().clone(), true));
            let offsets = OffsetBuffer::from_lengths(lengths.iter().map(|l| l.unwrap_or(0)));
            let nulls = NullBuffer::from_iter(lengths.iter().map(Option::is_some));
            Arc::new(ListArray::try_new(field, offsets, values, Some(nulls)).unwrap())
        })
    });
    made.boxed()
}

/// The text of NaN does not say which NaN it was.
fn one_nan64(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

fn one_nan32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value }
}

/// A few columns of any types with rows.
pub(crate) fn tables() -> impl Strategy<Value = (Vec<ColumnMapping>, RecordBatch)> {
    (vec(chunk_types(), 1..6), 0usize..60).prop_flat_map(|(types, rows)| {
        let arrays: Vec<_> = types.iter().map(|chunk| array(chunk, rows)).collect();
        (Just(types), arrays).prop_map(|(types, arrays)| {
            let columns: Vec<_> = types
                .into_iter()
                .enumerate()
                .map(|(i, t)| mapping(&format!("c,{i}"), t))
                .collect();
            let rows = batch(&columns, arrays);
            (columns, rows)
        })
    })
}

pub(crate) fn is_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_))
}

/// Rows equal bit for bit, NaN included; what stands behind a NULL is not looked at.
pub(crate) fn assert_same(left: &RecordBatch, right: &RecordBatch) {
    assert_eq!(left.num_rows(), right.num_rows());
    for (left, right) in left.columns().iter().zip(right.columns()) {
        assert_eq!(left.data_type(), right.data_type());
        assert_eq!(left.to_data(), right.to_data());
    }
}

/// Unscaled values as an array of a decimal type.
pub(crate) fn decimals(data_type: &DataType, values: impl IntoIterator<Item = Option<i128>>) -> ArrayRef {
    let values = values.into_iter();
    match data_type {
        DataType::Decimal64(..) => {
            let short = values.map(|value| value.map(|value| i64::try_from(value).unwrap()));
            Arc::new(short.collect::<Decimal64Array>().with_data_type(data_type.clone()))
        }
        _ => Arc::new(values.collect::<Decimal128Array>().with_data_type(data_type.clone())),
    }
}
