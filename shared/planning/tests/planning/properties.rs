//! Every row in exactly one batch, whatever the key, the collation and the answers' quality.

use proptest::prelude::*;
use sqlextract_model::{Dialect, KeyKind, KeyValue, Range};
use sqlextract_planning::check;

use crate::table::{Collation, Estimates, Row, Table, batches, column, plan};

fn estimates() -> impl Strategy<Value = Estimates> {
    prop::sample::select(vec![
        Estimates::None,
        Estimates::Exact,
        Estimates::Rough,
        Estimates::Useless,
    ])
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(Dialect::ALL.to_vec())
}

/// The laws that hold for every table; `late` are rows that were not there when it was planned.
fn holds(table: &Table, rows: &[Row], late: &[Row], dialect: Dialect, batch_rows: u64) -> Result<(), TestCaseError> {
    let (split, cost) = plan(table, dialect, batch_rows);
    let plan_again = plan(table, dialect, batch_rows).0;
    prop_assert_eq!(&split, &plan_again, "same facts and answers, same plan");
    let batches = batches(&split);
    prop_assert_eq!(batches.len() as u64, split.batches);
    prop_assert!(
        check(batches.iter().cloned(), &table.facts()).is_ok(),
        "{:?}",
        check(batches, &table.facts())
    );
    for row in rows.iter().chain(late) {
        let count = batches.iter().filter(|batch| table.holds(&batch.range, row)).count();
        prop_assert_eq!(count, 1, "{:?} in {:?}", row, batches);
    }
    let counted: u64 = batches.iter().map(|batch| table.count(&batch.range)).sum();
    prop_assert_eq!(counted, table.len());
    prop_assert!(cost.questions <= 1_500, "{:?}", cost);
    Ok(())
}

fn integer_rows() -> impl Strategy<Value = Vec<Row>> {
    let clustered = (any::<i64>(), 1..200i64);
    let value = prop_oneof![
        Just(Some(i128::from(i64::MIN))),
        Just(Some(i128::from(i64::MAX))),
        Just(Some(i128::from(u64::MAX))),
        Just(None),
        (-50..50i128).prop_map(Some),
        any::<i64>().prop_map(|value| Some(i128::from(value))),
        (0..=u64::MAX).prop_map(|value| Some(i128::from(value))),
    ];
    (
        prop::collection::vec(value, 0..120),
        prop::collection::vec(clustered, 0..4),
    )
        .prop_map(|(values, clusters)| {
            let clusters = clusters
                .into_iter()
                .flat_map(|(from, rows)| (0..rows).map(move |i| Some(i128::from(from) + i128::from(i))));
            values
                .into_iter()
                .chain(clusters)
                .map(|value| vec![value.map(KeyValue::Integer)])
                .collect()
        })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-cA-C]{0,4}",
        "user-[0-9]{4}",
        "[ -~]{0,12}",
        "\\PC{0,6}",
        "(ä|ß|é|日|本){1,4}"
    ]
}

fn text_rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec(text(), 0..150)
        .prop_map(|texts| texts.into_iter().map(|text| vec![Some(KeyValue::Text(text))]).collect())
}

fn collation() -> impl Strategy<Value = Collation> {
    prop::sample::select(vec![Collation::Bytes, Collation::CaseInsensitive])
}

fn uuid(number: u128) -> KeyValue {
    let hex = format!("{number:032x}");
    KeyValue::Text(format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn integer_keys(
        rows in integer_rows(), late in integer_rows(), estimates in estimates(), dialect in dialect(), size in 1..40u64,
    ) {
        let table = Table::new(vec![column("id", KeyKind::Integer, true)], Collation::Bytes, estimates, rows.clone());
        holds(&table, &rows, &late, dialect, size)?;
    }

    #[test]
    fn text_keys(
        rows in text_rows(), late in text_rows(), collation in collation(), estimates in estimates(), size in 1..40u64,
    ) {
        let table = Table::new(vec![column("name", KeyKind::Text, false)], collation, estimates, rows.clone());
        holds(&table, &rows, &late, Dialect::Mysql, size)?;
    }

    #[test]
    fn uuid_keys(
        numbers in prop::collection::vec(any::<u128>(), 0..200), late in any::<u128>(),
        narrow in any::<bool>(), estimates in estimates(), dialect in dialect(), size in 1..40u64,
    ) {
        // Ordered UUIDs of one moment share their first half.
        let rows: Vec<Row> = numbers.iter().map(|n| vec![Some(uuid(if narrow { n >> 60 } else { *n }))]).collect();
        let table = Table::new(vec![column("id", KeyKind::Uuid, false)], Collation::Bytes, estimates, rows.clone());
        holds(&table, &rows, &[vec![Some(uuid(late))]], dialect, size)?;
    }

    #[test]
    fn byte_keys(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..200),
        late in prop::collection::vec(any::<u8>(), 0..8), estimates in estimates(), size in 1..40u64,
    ) {
        let rows: Vec<Row> = values.into_iter().map(|bytes| vec![Some(KeyValue::Bytes(bytes))]).collect();
        let table = Table::new(vec![column("id", KeyKind::Bytes, false)], Collation::Bytes, estimates, rows.clone());
        holds(&table, &rows, &[vec![Some(KeyValue::Bytes(late))]], Dialect::Postgres, size)?;
    }

    #[test]
    fn composite_keys(
        rows in prop::collection::vec((0..5i128, "[a-bA-B]{1,2}", -500..500i128), 0..300),
        late in (-1..7i128, "[a-cA-C]{1,2}", -900..900i128),
        text_first in any::<bool>(), collation in collation(), estimates in estimates(), size in 1..40u64,
    ) {
        let row = |(number, text, last): (i128, String, i128)| {
            let mut row = vec![Some(KeyValue::Integer(number)), Some(KeyValue::Text(text)), Some(KeyValue::Integer(last))];
            if text_first {
                row.swap(0, 1);
            }
            row
        };
        let rows: Vec<Row> = rows.into_iter().map(row).collect();
        let mut columns = vec![
            column("a", KeyKind::Integer, false), column("b", KeyKind::Text, false), column("c", KeyKind::Integer, false),
        ];
        if text_first {
            columns.swap(0, 1);
        }
        let table = Table::new(columns, collation, estimates, rows.clone());
        holds(&table, &rows, &[row(late)], Dialect::Mysql, size)?;
    }

    #[test]
    fn clustered_integers_make_no_giant_batch(
        clusters in prop::collection::vec((0..1_000_000_000i128, 1..3_000i128), 1..8), estimates in estimates(),
    ) {
        let mut ids: Vec<i128> = clusters.iter().flat_map(|(from, rows)| (0..*rows).map(move |i| from + i)).collect();
        ids.sort_unstable();
        ids.dedup();
        let table = Table::integers(ids, estimates);
        let target = 500;
        let (split, _) = plan(&table, Dialect::Mysql, target);
        let largest = split.iter().map(|batch| table.count(&batch.range)).max().unwrap_or(0);
        prop_assert!(largest <= 4 * target, "{} rows in a batch, {} batches", largest, split.batches);
        let wanted = table.len() / target + 1;
        prop_assert!(split.batches <= wanted * 3 + 8, "{} batches where {} were wanted", split.batches, wanted);
    }

    #[test]
    fn nulls_have_their_own_batch(nulls in 0..50usize, keys in prop::collection::vec(any::<i64>(), 100..200)) {
        let mut rows: Vec<Row> = keys.iter().map(|key| vec![Some(KeyValue::Integer(i128::from(*key)))]).collect();
        rows.extend(vec![vec![None]; nulls]);
        let table = Table::new(vec![column("id", KeyKind::Integer, true)], Collation::Bytes, Estimates::None, rows);
        let last = batches(&plan(&table, Dialect::Mysql, 10).0).pop();
        prop_assert!(matches!(last, Some(batch) if matches!(batch.range, Range::KeyIsNull(_))));
    }
}
