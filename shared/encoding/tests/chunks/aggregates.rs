//! Aggregates are exact, and merging them is the same as taking all rows at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::sync::Arc;

use crate::support::*;
use arrow::array::*;
use proptest::prelude::*;
use sqlextract_encoding::{Aggregator, merge};
use sqlextract_model::{ChunkType, ColumnAggregate, ColumnMapping, TimestampUnit};

fn aggregate(columns: &[ColumnMapping], batches: &[RecordBatch]) -> Vec<ColumnAggregate> {
    let mut aggregator = Aggregator::new(columns);
    batches.iter().for_each(|rows| aggregator.update(rows).unwrap());
    aggregator.finish()
}

fn one(chunk: ChunkType, array: impl Array + 'static) -> ColumnAggregate {
    let columns = [mapping("c", chunk)];
    aggregate(&columns, &[batch(&columns, vec![Arc::new(array)])]).remove(0)
}

fn facts(aggregate: &ColumnAggregate) -> (u64, Option<u64>, [Option<&str>; 3]) {
    let texts = [
        aggregate.sum.as_deref(),
        aggregate.min.as_deref(),
        aggregate.max.as_deref(),
    ];
    (aggregate.count, aggregate.nan, texts)
}

#[test]
fn each_type_has_its_facts() {
    let int = one(
        ChunkType::Int64,
        Int64Array::from(vec![Some(i64::MAX), None, Some(i64::MAX), Some(-3)]),
    );
    assert_eq!(
        facts(&int),
        (
            3,
            None,
            [Some("18446744073709551611"), Some("-3"), Some("9223372036854775807")]
        )
    );
    let text = one(
        ChunkType::Text,
        StringArray::from(vec![Some("é"), None, Some(""), Some("abc")]),
    );
    assert_eq!(facts(&text), (3, None, [Some("5"), None, None]));
    let bytes = one(ChunkType::Binary, BinaryArray::from_vec(vec![b"ab", b""]));
    assert_eq!(facts(&bytes), (2, None, [Some("2"), None, None]));
    let bools = one(
        ChunkType::Boolean,
        BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]),
    );
    assert_eq!(facts(&bools), (3, None, [Some("2"), None, None]));
    let days = one(ChunkType::Date, Date32Array::from(vec![-1, 19_782]));
    assert_eq!(facts(&days), (2, None, [Some("19781"), Some("-1"), Some("19782")]));
    let utc = ChunkType::Timestamp {
        unit: TimestampUnit::Microsecond,
        utc: true,
    };
    let moments = one(
        utc,
        TimestampMicrosecondArray::from(vec![Some(5), None]).with_timezone("UTC"),
    );
    assert_eq!(facts(&moments), (1, None, [Some("5"), Some("5"), Some("5")]));
    let lists = ChunkType::List(Box::new(ChunkType::Int32));
    let lists = one(
        lists.clone(),
        ListArray::new_null(
            Arc::new(arrow::datatypes::Field::new(
                "element",
                arrow::datatypes::DataType::Int32,
                true,
            )),
            2,
        ),
    );
    assert_eq!(facts(&lists), (0, None, [None, None, None]));
}

#[test]
fn sums_never_wrap() {
    let chunk = ChunkType::Decimal {
        precision: 38,
        scale: 2,
    };
    let most = 10i128.pow(38) - 1;
    let values = Decimal128Array::from(vec![most; 5]).with_data_type(chunk.arrow());
    let five = one(chunk.clone(), values);
    assert_eq!(five.sum.as_deref(), Some("4999999999999999999999999999999999999.95"));
    let ten = merge(&five, &five, &chunk);
    assert_eq!(ten.sum.as_deref(), Some("9999999999999999999999999999999999999.90"));
    assert_eq!((ten.count, ten.max), (10, five.max.clone()));
    let mixed = Decimal128Array::from(vec![most, -most, 7]).with_data_type(chunk.arrow());
    assert_eq!(one(chunk, mixed).sum.as_deref(), Some("0.07"));
}

#[test]
fn floats_have_rusts_own_text() {
    let values = Float64Array::from(vec![Some(f64::NAN), Some(1e300), Some(-0.0), None, Some(0.0)]);
    let wide = one(ChunkType::Float64, values);
    assert_eq!(
        facts(&wide),
        (4, Some(1), [None, Some("0"), Some(1e300.to_string().as_str())])
    );
    let narrow = one(ChunkType::Float32, Float32Array::from(vec![0.1, f32::INFINITY]));
    assert_eq!(facts(&narrow), (2, Some(0), [None, Some("0.1"), Some("inf")]));
    let merged = merge(
        &narrow,
        &one(ChunkType::Float32, Float32Array::from(vec![f32::NAN, -2.5])),
        &ChunkType::Float32,
    );
    assert_eq!(facts(&merged), (4, Some(1), [None, Some("-2.5"), Some("inf")]));
}

#[test]
fn what_is_no_number_is_left_out_of_a_merge() {
    let good = one(ChunkType::Int32, Int32Array::from(vec![1]));
    for bad in ["", "-", "1.5", "x", "9".repeat(200).as_str()] {
        let bad = ColumnAggregate {
            sum: Some(bad.into()),
            max: Some(bad.into()),
            ..good.clone()
        };
        let merged = merge(&good, &bad, &ChunkType::Int32);
        assert_eq!(facts(&merged), (2, None, [None, Some("1"), None]));
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn parts_merge_to_the_whole((columns, rows) in tables(), cut in 0usize..60) {
        let cut = cut.min(rows.num_rows());
        let (left, right) = (rows.slice(0, cut), rows.slice(cut, rows.num_rows() - cut));
        let whole = aggregate(&columns, &[rows]);
        let halves = aggregate(&columns, &[left.clone(), right.clone()]);
        prop_assert_eq!(&whole, &halves);
        let parts = aggregate(&columns, &[left]).into_iter().zip(aggregate(&columns, &[right]));
        let merged: Vec<_> = parts.zip(&columns).map(|((a, b), c)| merge(&a, &b, &c.chunk)).collect();
        prop_assert_eq!(whole, merged);
    }
}
