//! Ranges as a property: whatever the keys and the bounds, no row is lost or doubled.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlextract_model::KeyValue;

use crate::database::{Database, key};
use crate::keys::{integer, ranges, text};

/// Any keys of any class, split anywhere: each row is in exactly one range.
#[test]
fn every_row_is_in_exactly_one_range() {
    let value = || {
        prop_oneof![
            any::<i64>().prop_map(|value| value.to_string()),
            (-3_i64..3).prop_map(|value| value.to_string()),
            "[aAbé ]{0,3}".prop_map(|text| format!("'{text}'")),
            proptest::collection::vec(any::<u8>(), 0..3)
                .prop_map(|bytes| { format!("x'{}'", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()) }),
        ]
    };
    let bound = || {
        prop_oneof![
            any::<i64>().prop_map(integer),
            (-3_i64..3).prop_map(integer),
            "[aAbé ]{0,3}".prop_map(|value| text(&value)),
            proptest::collection::vec(any::<u8>(), 0..3).prop_map(KeyValue::Bytes),
        ]
    };
    let types = prop_oneof![Just("INTEGER"), Just("TEXT"), Just("TEXT COLLATE NOCASE"), Just("BLOB")];
    let strategy = (
        types.clone(),
        types,
        proptest::collection::vec((value(), value()), 0..12),
        proptest::collection::vec(proptest::collection::vec(bound(), 1..3), 0..4),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&strategy, |(first, second, rows, bounds)| {
        let mut sql = format!("CREATE TABLE t (a {first}, b {second}, PRIMARY KEY (a, b)) WITHOUT ROWID;");
        for (a, b) in &rows {
            sql.push_str(&format!("INSERT OR IGNORE INTO t VALUES ({a}, {b});"));
        }
        let database = Database::new(&sql);
        let bounds = sorted(&database, first, second, bounds);
        runtime.block_on(async {
            let source = database.source().await;
            let key = key(&source, "t").await;
            let mut split = ranges(&source, "t", &key, &bounds).await.concat();
            split.sort();
            let mut whole = ranges(&source, "t", &key, &[]).await.concat();
            whole.sort();
            prop_assert_eq!(split, whole);
            Ok(())
        })
    });
    result.unwrap();
}

/// Bounds of one length in the order of the key, by SQLite itself.
fn sorted(database: &Database, first: &str, second: &str, bounds: Vec<Vec<KeyValue>>) -> Vec<Vec<KeyValue>> {
    use rusqlite::types::Value;
    let columns = bounds.first().map_or(1, Vec::len);
    let value = |value: &KeyValue| match value {
        KeyValue::Integer(value) => Value::Integer(i64::try_from(*value).unwrap()),
        KeyValue::Text(text) => Value::Text(text.clone()),
        KeyValue::Bytes(bytes) => Value::Blob(bytes.clone()),
    };
    let writer = database.writer.lock().unwrap();
    writer
        .execute_batch(&format!("CREATE TEMP TABLE bounds (a {first}, b {second}, at INTEGER)"))
        .unwrap();
    for (at, bound) in bounds.iter().enumerate().filter(|(_, bound)| bound.len() == columns) {
        let second = bound.get(1).map_or(Value::Null, value);
        writer
            .execute(
                "INSERT INTO bounds VALUES (?1, ?2, ?3)",
                (value(&bound[0]), second, at as i64),
            )
            .unwrap();
    }
    let mut statement = writer.prepare("SELECT at FROM bounds ORDER BY a, b").unwrap();
    let order = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    order
        .map(|at| bounds[usize::try_from(at.unwrap()).unwrap()].clone())
        .collect()
}
