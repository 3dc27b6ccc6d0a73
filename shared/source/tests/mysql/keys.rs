//! Keys, their probes, and ranges that hold every row once.

use std::collections::HashMap;

use sqlextract_model::{KeyColumn, KeyKind, KeyRange, KeyValue, Range, Relation, TableFacts};
use sqlextract_source::{MysqlSource, Probe, ProbeAnswer, Source};

use crate::support::{Reading, Scratch, facts};

fn range(columns: &[KeyColumn], lower: Option<Vec<KeyValue>>, upper: Option<Vec<KeyValue>>) -> KeyRange {
    KeyRange {
        columns: columns.to_vec(),
        lower,
        upper,
    }
}

async fn probe(source: &MysqlSource, table: &TableFacts, probe: Probe) -> ProbeAnswer {
    let relation = Relation::Table(table.name.clone());
    source.probe(&relation, None, &[probe], None).await.unwrap().remove(0)
}

/// Walks the key by look-ups from bound to bound, each time after so many values, and reads what lies between. The
/// whole must be every row once.
async fn assert_ranges_cover(source: &MysqlSource, table: &TableFacts, key: &[KeyColumn], seeds: Vec<Vec<KeyValue>>) {
    let mut bounds: Vec<Vec<KeyValue>> = Vec::new();
    for seed in seeds {
        let within = range(key, None, None);
        let ProbeAnswer::NextKey(found) = probe(source, table, Probe::NextKey { within, at_least: seed }).await else {
            panic!("a key was asked for");
        };
        if let Some(found) = found.filter(|f| bounds.last() != Some(f)) {
            bounds.push(found);
        }
    }
    assert!(bounds.len() >= 2, "{bounds:?}");
    let mut reading = Reading::of(table);
    let whole = counted(reading.rows(source).await.unwrap());
    let mut ranges = Vec::new();
    let lowers = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
    let uppers = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
    ranges.extend(
        lowers
            .zip(uppers)
            .map(|(lower, upper)| Range::Keys(range(key, lower, upper))),
    );
    if let [only] = key
        && only.nullable
    {
        ranges.push(Range::KeyIsNull(only.clone()));
    }
    let mut read = Vec::new();
    for range in ranges {
        reading.range = range;
        read.extend(reading.rows(source).await.unwrap());
    }
    assert_eq!(counted(read), whole);
}

fn counted(rows: Vec<Vec<String>>) -> HashMap<Vec<String>, usize> {
    let mut counted = HashMap::new();
    for row in rows {
        *counted.entry(row).or_default() += 1;
    }
    counted
}

fn texts(values: &[&str]) -> Vec<Vec<KeyValue>> {
    values.iter().map(|v| vec![KeyValue::Text((*v).to_owned())]).collect()
}

fn integers(values: &[i128]) -> Vec<Vec<KeyValue>> {
    values.iter().map(|v| vec![KeyValue::Integer(*v)]).collect()
}

#[tokio::test]
async fn only_indexes_that_order_whole_columns_are_keys() {
    let mut scratch = Scratch::new().await;
    scratch
        .run(
            "CREATE TABLE t (a INT, b INT NOT NULL, s VARCHAR(50) NOT NULL, x TEXT, f DOUBLE NOT NULL, e ENUM('p','q'), \
             PRIMARY KEY (b, s), UNIQUE KEY u_a (a), KEY k_s (s), KEY prefix_s (s(5)), KEY prefix_x (x(10)), \
             FULLTEXT KEY ft (x), KEY k_f (f), UNIQUE KEY u_b (b), KEY k_be (b, e))",
        )
        .await;
    let source = scratch.open().await;
    let table = facts(&source, "t").await;
    let found: Vec<_> = table
        .keys
        .iter()
        .map(|k| (k.name.as_str(), k.unique, k.columns.len()))
        .collect();
    let expected = [
        ("PRIMARY", true, 2),
        ("u_b", true, 1),
        ("u_a", true, 1),
        ("k_be", false, 1),
        ("k_s", false, 1),
    ];
    assert_eq!(found, expected);
    assert!(table.keys[0].primary && !table.keys[1].primary && table.keys[2].columns[0].nullable);
    scratch.drop().await;
}

#[tokio::test]
async fn an_index_that_the_optimizer_may_not_use_is_no_key() {
    let mut scratch = Scratch::new().await;
    let hidden = if scratch.is_mariadb().await {
        "IGNORED"
    } else {
        "INVISIBLE"
    };
    scratch
        .run(&format!("CREATE TABLE t (a INT NOT NULL, KEY k (a) {hidden})"))
        .await;
    let source = scratch.open().await;
    assert_eq!(facts(&source, "t").await.keys, []);
    scratch.drop().await;
}

#[tokio::test]
async fn bounds_are_those_of_the_index_and_none_for_an_empty_table() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (a BIGINT UNSIGNED, KEY (a))").await;
    let source = scratch.open().await;
    let table = facts(&source, "t").await;
    let columns = table.keys[0].columns.clone();
    let asked = Probe::Bounds { columns };
    assert_eq!(probe(&source, &table, asked.clone()).await, ProbeAnswer::Bounds(None));
    scratch.run("INSERT INTO t VALUES (NULL)").await;
    assert_eq!(probe(&source, &table, asked.clone()).await, ProbeAnswer::Bounds(None));
    scratch.run("INSERT INTO t VALUES (18446744073709551615), (3)").await;
    let (first, last) = (
        vec![KeyValue::Integer(3)],
        vec![KeyValue::Integer(i128::from(u64::MAX))],
    );
    assert_eq!(
        probe(&source, &table, asked).await,
        ProbeAnswer::Bounds(Some((first, last)))
    );
    scratch.drop().await;
}

#[tokio::test]
async fn integer_ranges_hold_every_row_once() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (a BIGINT, n INT, KEY (a))").await;
    let extremes = "(-9223372036854775808, 1), (-1, 2), (-1, 3), (0, 4), (7, 5), (7, 6), (9223372036854775807, 7), \
                    (NULL, 8), (NULL, 9)";
    scratch.run(&format!("INSERT INTO t VALUES {extremes}")).await;
    let source = scratch.open().await;
    let table = facts(&source, "t").await;
    let key = table.keys[0].columns.clone();
    assert_eq!(key[0].kind, KeyKind::Integer);
    let seeds = integers(&[
        i128::from(i64::MIN),
        -5,
        0,
        1,
        i128::from(i64::MAX),
        i128::from(u64::MAX),
    ]);
    assert_ranges_cover(&source, &table, &key, seeds).await;
    scratch.drop().await;
}

#[tokio::test]
async fn text_ranges_follow_the_collation_and_hold_every_row_once() {
    let mut scratch = Scratch::new().await;
    let collations = [
        "utf8mb4 COLLATE utf8mb4_general_ci",
        "utf8mb4 COLLATE utf8mb4_bin",
        "latin1",
        "utf8mb3",
        "utf16",
    ];
    for (i, collation) in collations.into_iter().enumerate() {
        scratch
            .run(&format!(
                "CREATE TABLE t{i} (s VARCHAR(20) CHARACTER SET {collation}, n INT, KEY (s))"
            ))
            .await;
        let values = "('', 1), ('a', 2), ('A', 3), ('ä', 4), ('Ä ', 5), ('b', 6), ('B ', 7), ('z', 8), ('Zz', 9), (NULL, 10), \
                      ('é', 11), ('_', 12), ('~', 13)";
        scratch.run(&format!("INSERT INTO t{i} VALUES {values}")).await;
        let source = scratch.open().await;
        let table = facts(&source, &format!("t{i}")).await;
        let key = table.keys[0].columns.clone();
        assert_eq!(key[0].kind, KeyKind::Text);
        let seeds = match collation.ends_with("_bin") {
            true => ["", "A", "b", "z", "é"],
            false => ["", "A", "b", "é", "z"],
        };
        assert_ranges_cover(&source, &table, &key, texts(&seeds)).await;
    }
    scratch.drop().await;
}

#[tokio::test]
async fn bytes_decimals_dates_and_times_split_exactly() {
    let mut scratch = Scratch::new().await;
    let bytes = |values: &[&[u8]]| {
        values
            .iter()
            .map(|v| vec![KeyValue::Bytes(v.to_vec())])
            .collect::<Vec<_>>()
    };
    let cases = [
        (
            "VARBINARY(9)",
            "(X'', 1), (X'00', 2), (X'FF', 3), (X'FF00', 4), (X'61', 5)",
            bytes(&[b"", b"\0", b"b", b"\xFF"]),
        ),
        // As doubles, these would be one number.
        (
            "DECIMAL(30,2)",
            "(1234567890123456789012345678.01, 1), (1234567890123456789012345678.02, 2), \
             (1234567890123456789012345678.03, 3), (-1, 4)",
            texts(&[
                "-1",
                "1234567890123456789012345678.02",
                "1234567890123456789012345678.03",
            ]),
        ),
        (
            "DATE",
            "('0000-00-00', 1), ('2024-02-31', 2), ('2024-03-01', 3), ('9999-12-31', 4)",
            texts(&["0000-00-00", "2024-02-31", "2024-03-01"]),
        ),
        (
            "DATETIME(6)",
            "('0000-00-00', 1), ('2024-01-01 00:00:00.000001', 2), ('2024-01-01 00:00:00.000002', 3)",
            texts(&["0000-00-00 00:00:00", "2024-01-01 00:00:00.000002"]),
        ),
        (
            "TIMESTAMP(3) NULL",
            "('1970-01-02', 1), ('2024-01-01 00:00:00.001', 2)",
            texts(&["1970-01-01 00:00:01", "2024-01-01 00:00:00.001"]),
        ),
        (
            "TIME",
            "('-838:59:59', 1), ('00:00:00', 2), ('100:00:00', 3)",
            texts(&["-838:59:59", "00:00:00", "99:00:00"]),
        ),
    ];
    for (i, (declared, values, seeds)) in cases.into_iter().enumerate() {
        scratch
            .run(&format!("CREATE TABLE t{i} (k {declared}, n INT, KEY (k))"))
            .await;
        scratch
            .run(&format!("INSERT INTO t{i} VALUES {values}, (NULL, 99)"))
            .await;
        let source = scratch.open().await;
        let mut table = facts(&source, &format!("t{i}")).await;
        let key = table.keys[0].columns.clone();
        // Some of these dates have no counterpart: it is the other column that is read.
        table.columns.remove(0);
        table.keys.clear();
        assert_ranges_cover(&source, &table, &key, seeds).await;
    }
    scratch.drop().await;
}

#[tokio::test]
async fn uuid_ranges_are_compared_by_the_server() {
    let mut scratch = Scratch::new().await;
    if scratch.is_mariadb().await {
        scratch.run("CREATE TABLE t (u UUID PRIMARY KEY, n INT)").await;
        scratch.run("INSERT INTO t SELECT UUID(), seq FROM seq_1_to_20").await;
        scratch.run("INSERT INTO t VALUES ('00000000-0000-0000-0000-000000000001', 0), ('80000000-0000-0000-0000-000000000001', 1)").await;
        let source = scratch.open().await;
        let table = facts(&source, "t").await;
        let key = table.keys[0].columns.clone();
        assert_eq!(key[0].kind, KeyKind::Text);
        // The order is the server's own, so the ends are asked for.
        let middle = texts(&["80000000-0000-0000-0000-000000000000"]);
        let ProbeAnswer::Bounds(Some((first, last))) =
            probe(&source, &table, Probe::Bounds { columns: key.clone() }).await
        else {
            panic!("the table has rows");
        };
        assert_ranges_cover(&source, &table, &key, [vec![first], middle, vec![last]].concat()).await;
    }
    scratch.drop().await;
}

#[tokio::test]
async fn composite_ranges_hold_every_row_once() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (a INT, s VARCHAR(5), b INT, PRIMARY KEY (a, s, b))")
        .await;
    let mut rows = Vec::new();
    for a in -2..3 {
        for s in ["", "k", "z"] {
            rows.extend((0..3).map(|b| format!("({a}, '{s}', {b})")));
        }
    }
    scratch.run(&format!("INSERT INTO t VALUES {}", rows.join(", "))).await;
    let source = scratch.open().await;
    let table = facts(&source, "t").await;
    let key = table.keys[0].columns.clone();
    assert_eq!(key.len(), 3);
    let value =
        |a: i128, s: &str, b: i128| vec![KeyValue::Integer(a), KeyValue::Text(s.to_owned()), KeyValue::Integer(b)];
    let seeds = vec![
        value(-2, "", 1),
        value(-1, "a", 0),
        value(0, "k", 2),
        value(0, "k", 3),
        value(2, "z", 2),
    ];
    assert_ranges_cover(&source, &table, &key, seeds).await;
    // A prefix of the key is a bound as well.
    let prefix = |a| vec![KeyValue::Integer(a)];
    let mut reading = Reading::of(&table);
    reading.range = Range::Keys(range(&key, Some(prefix(-1)), Some(prefix(1))));
    assert_eq!(reading.rows(&source).await.unwrap().len(), 18);
    scratch.drop().await;
}

#[tokio::test]
async fn a_range_by_key_is_no_scan_and_a_range_without_index_is() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (a INT, s VARCHAR(10) CHARACTER SET latin1, n INT, PRIMARY KEY (a, s), KEY (s))")
        .await;
    scratch
        .run("INSERT INTO t SELECT seq, CONCAT('k', seq), seq FROM seq_1_to_20000")
        .await;
    scratch.run("ANALYZE TABLE t").await;
    let source = scratch.open().await;
    let table = facts(&source, "t").await;
    let one = |kind, name: &str, declared: &str| KeyColumn {
        name: name.to_owned(),
        kind,
        nullable: true,
        declared: declared.to_owned(),
    };
    let integer = |a| KeyValue::Integer(a);
    let text = |s: &str| KeyValue::Text(s.to_owned());
    let ask = |columns: &[KeyColumn], lower, upper| {
        let range = Range::Keys(range(columns, Some(lower), Some(upper)));
        [Probe::Explain { range: range.clone() }, Probe::EstimateRows { range }]
    };
    let relation = Relation::Table(table.name.clone());
    let by_key = &table.keys[0].columns;
    let by_text = [one(KeyKind::Text, "s", "varchar(10)")];
    let by_number = [one(KeyKind::Integer, "n", "int")];
    let cases = [
        (
            ask(by_key, vec![integer(500), text("k1")], vec![integer(900), text("k2")]),
            true,
        ),
        (ask(&by_text, vec![text("k500")], vec![text("k503")]), true),
        (ask(&by_number, vec![integer(5)], vec![integer(6)]), false),
    ];
    for (i, (probes, good)) in cases.into_iter().enumerate() {
        let answers = source.probe(&relation, None, &probes, None).await.unwrap();
        let ProbeAnswer::Explain(told) = &answers[0] else {
            panic!("{answers:?}")
        };
        assert_eq!(told.is_none(), good, "case {i}: {told:?}");
        let ProbeAnswer::Rows(Some(rows)) = answers[1] else {
            panic!("{answers:?}")
        };
        assert_eq!(rows < 2000, good, "case {i}: {rows} rows");
    }
    scratch.drop().await;
}
