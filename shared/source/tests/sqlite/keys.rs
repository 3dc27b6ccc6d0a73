//! Keys, their ranges and the questions about them.

use sqlextract_model::{ChunkType, Code, KeyColumn, KeyFacts, KeyKind, KeyRange, KeyValue, Range};
use sqlextract_source::{Probe, ProbeAnswer, Source};

use crate::database::{Database, Read, as_text, cell, facts, key, probe};

pub(crate) fn integer(value: i64) -> KeyValue {
    KeyValue::Integer(i128::from(value))
}

pub(crate) fn text(value: &str) -> KeyValue {
    KeyValue::Text(value.to_owned())
}

fn keys(key: &KeyFacts, lower: Option<Vec<KeyValue>>, upper: Option<Vec<KeyValue>>) -> KeyRange {
    KeyRange {
        columns: key.columns.clone(),
        lower,
        upper,
    }
}

/// Reads the ranges between the bounds, the first open below, the last open above, and gives each range's rows.
pub(crate) async fn ranges(
    source: &dyn Source,
    table: &str,
    key: &KeyFacts,
    bounds: &[Vec<KeyValue>],
) -> Vec<Vec<String>> {
    let columns: Vec<_> = facts(source, table)
        .await
        .columns
        .iter()
        .map(|column| as_text(&column.name))
        .collect();
    let ends: Vec<_> = [None]
        .into_iter()
        .chain(bounds.iter().cloned().map(Some))
        .chain([None])
        .collect();
    let mut found = Vec::new();
    for pair in ends.windows(2) {
        let range = Range::Keys(keys(key, pair[0].clone(), pair[1].clone()));
        let rows = Read {
            range,
            ..Read::of(table, &columns)
        }
        .rows(source)
        .await;
        found.push(rows.into_iter().map(|row| row.join("|")).collect());
    }
    found
}

#[tokio::test]
async fn rowids_of_all_64_bits_are_split_anywhere() {
    let database = Database::new(
        "CREATE TABLE t (a TEXT);
         INSERT INTO t (rowid, a) VALUES (-9223372036854775808, 'min'), (-5, 'm'), (0, 'z'), (7000000000, 'far'),
           (9223372036854775807, 'max');",
    );
    let source = database.source().await;
    let key = key(&source, "t").await;
    assert_eq!(
        (key.name.as_str(), key.columns[0].name.as_str(), key.primary),
        ("rowid", "rowid", true)
    );
    let bounds = probe(
        &source,
        "t",
        Probe::Bounds {
            columns: key.columns.clone(),
        },
    )
    .await;
    assert_eq!(
        bounds,
        ProbeAnswer::Bounds(Some((vec![integer(i64::MIN)], vec![integer(i64::MAX)])))
    );

    let beyond = |value: i128| vec![KeyValue::Integer(value)];
    let least = i128::from(i64::MIN);
    let bounds = [
        beyond(least - 1),
        beyond(least),
        beyond(-4),
        beyond(i128::from(i64::MAX)),
        beyond(1 << 63),
    ];
    let expected: [&[&str]; 6] = [&[], &[], &["m", "min"], &["far", "z"], &["max"], &[]];
    assert_eq!(ranges(&source, "t", &key, &bounds).await, expected);
}

#[tokio::test]
async fn the_next_key_leaps_over_a_gap() {
    let database =
        Database::new("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (1000000000);");
    let source = database.source().await;
    let key = key(&source, "t").await;
    let cases = [
        ((None, None), 3, Some(1_000_000_000)),
        ((None, Some(1_000_000_000)), 3, None),
        ((Some(2), None), 1, Some(2)),
        ((Some(1), Some(3)), 2, Some(2)),
        ((Some(3), Some(2_000_000_000)), 2_000_000_000, None),
        ((None, None), i64::MIN, Some(1)),
    ];
    for ((lower, upper), at_least, expected) in cases {
        let bound = |value: Option<i64>| value.map(|value| vec![integer(value)]);
        let within = keys(&key, bound(lower), bound(upper));
        let answer = probe(
            &source,
            "t",
            Probe::NextKey {
                within,
                at_least: vec![integer(at_least)],
            },
        )
        .await;
        assert_eq!(
            answer,
            ProbeAnswer::NextKey(expected.map(|key| vec![integer(key)])),
            "{lower:?} {upper:?} {at_least}"
        );
    }
}

#[tokio::test]
async fn a_rowid_whose_names_are_taken_is_found_under_the_name_that_is_left() {
    let database = Database::new(
        "CREATE TABLE a (rowid TEXT); CREATE TABLE b (ROWID, _rowid_);
         CREATE TABLE c (id INTEGER PRIMARY KEY, rowid, _rowid_, oid); CREATE TABLE d (rowid, _rowid_, oid);
         CREATE TABLE e (oid INTEGER PRIMARY KEY);
         INSERT INTO a VALUES ('x'), ('y'); INSERT INTO c VALUES (3, 1, 1, 1), (4, 1, 1, 1);",
    );
    let source = database.source().await;
    let mut names = Vec::new();
    for table in ["a", "b", "c", "d", "e"] {
        names.push(
            facts(&source, table)
                .await
                .keys
                .first()
                .map(|key| key.columns[0].name.clone()),
        );
    }
    let expected = [Some("_rowid_"), Some("oid"), Some("id"), None, Some("rowid")];
    assert_eq!(names.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    let a = key(&source, "a").await;
    assert_eq!(ranges(&source, "a", &a, &[vec![integer(2)]]).await, [["x"], ["y"]]);
    let c = key(&source, "c").await;
    assert_eq!(
        ranges(&source, "c", &c, &[vec![integer(4)]]).await,
        [["3|1|1|1"], ["4|1|1|1"]]
    );
}

#[tokio::test]
async fn composite_keys_are_compared_column_by_column() {
    let database = Database::new(
        "CREATE TABLE t (a TEXT, n INTEGER, PRIMARY KEY (a, n)) WITHOUT ROWID;
         INSERT INTO t VALUES ('a', 1), ('a', 2), ('b', -1), ('b', 9), ('ä', 0);",
    );
    let source = database.source().await;
    let key = key(&source, "t").await;
    assert!(key.primary && key.unique);
    let kinds: Vec<_> = key.columns.iter().map(|c| (c.name.as_str(), c.kind)).collect();
    assert_eq!(kinds, [("a", KeyKind::Text), ("n", KeyKind::Integer)]);
    let bounds = [
        vec![text("a"), integer(2)],
        vec![text("b")],
        vec![text("b"), integer(0)],
    ];
    assert_eq!(
        ranges(&source, "t", &key, &bounds).await,
        [vec!["a|1"], vec!["a|2"], vec!["b|-1"], vec!["b|9", "ä|0"]]
    );
    let answer = probe(
        &source,
        "t",
        Probe::Bounds {
            columns: key.columns.clone(),
        },
    )
    .await;
    let ends = (vec![text("a"), integer(1)], vec![text("ä"), integer(0)]);
    assert_eq!(answer, ProbeAnswer::Bounds(Some(ends)));
    let next = Probe::NextKey {
        within: keys(&key, None, None),
        at_least: vec![text("b"), integer(0)],
    };
    assert_eq!(
        probe(&source, "t", next).await,
        ProbeAnswer::NextKey(Some(vec![text("b"), integer(9)]))
    );
}

#[tokio::test]
async fn cells_of_other_classes_lie_in_the_open_ranges() {
    let database = Database::new(
        "CREATE TABLE t (k INTEGER, PRIMARY KEY (k)) WITHOUT ROWID; CREATE TABLE only (k INTEGER, PRIMARY KEY (k)) WITHOUT ROWID;
         INSERT INTO t VALUES (1), (1.5), (2), ('text'), (x'00'), (-9e999); INSERT INTO only VALUES ('a'), ('b');",
    );
    let source = database.source().await;
    let key = key(&source, "t").await;
    let answer = probe(
        &source,
        "t",
        Probe::Bounds {
            columns: key.columns.clone(),
        },
    )
    .await;
    assert_eq!(
        answer,
        ProbeAnswer::Bounds(Some((vec![integer(i64::MIN)], vec![integer(2)])))
    );
    let expected = [vec!["-Infinity", "1"], vec!["00", "1.5", "2", "text"]];
    assert_eq!(
        ranges(&source, "t", &key, &[vec![KeyValue::Integer(2)]])
            .await
            .concat()
            .len(),
        6
    );
    let between = Probe::NextKey {
        within: keys(&key, None, None),
        at_least: vec![integer(2)],
    };
    assert_eq!(
        probe(&source, "t", between).await,
        ProbeAnswer::NextKey(Some(vec![integer(2)]))
    );
    let split = ranges(
        &source,
        "t",
        &key,
        &[vec![KeyValue::Integer(1)], vec![KeyValue::Integer(2)]],
    )
    .await;
    assert_eq!(split, [vec!["-Infinity"], vec!["1", "1.5"], vec!["00", "2", "text"]]);
    assert_eq!(expected.concat().len(), 6);

    let only = crate::database::key(&source, "only").await;
    let answer = probe(
        &source,
        "only",
        Probe::Bounds {
            columns: only.columns.clone(),
        },
    )
    .await;
    assert_eq!(
        answer,
        ProbeAnswer::Bounds(Some((vec![integer(0)], vec![integer(0)]))),
        "rows, though no numbers"
    );
}

#[tokio::test]
async fn only_indexes_that_hold_every_row_in_their_columns_order_are_keys() {
    let database = Database::new(
        "CREATE TABLE t (rowid, _rowid_, oid, a TEXT NOT NULL COLLATE NOCASE, b INT NOT NULL, c INT, d DECIMAL NOT NULL);
         CREATE INDEX good ON t (b DESC, a DESC);
         CREATE UNIQUE INDEX better ON t (a);
         CREATE INDEX partial ON t (b) WHERE b > 0;
         CREATE INDEX nullable ON t (c);
         CREATE INDEX expression ON t (b + 1);
         CREATE INDEX mixed ON t (b, a DESC);
         CREATE INDEX otherwise ON t (a COLLATE BINARY);
         CREATE INDEX inexact ON t (d);",
    );
    let source = database.source().await;
    let found = facts(&source, "t").await.keys;
    assert_eq!(
        found
            .iter()
            .map(|key| (key.name.as_str(), key.unique))
            .collect::<Vec<_>>(),
        [("better", true), ("good", false)]
    );

    database.execute_all("INSERT INTO t (a, b, d) VALUES ('B', 1, 0), ('a', 1, 0), ('C', 2, 0)");
    let nocase = ranges(&source, "t", &found[0], &[vec![text("b")], vec![text("c")]]).await;
    assert_eq!(
        nocase.iter().map(Vec::len).collect::<Vec<_>>(),
        [1, 1, 1],
        "in the column's own collation"
    );
}

#[tokio::test]
async fn ranges_are_index_searches_and_scans_are_told() {
    let database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL); CREATE VIEW v AS SELECT id, a FROM t ORDER BY a;
         CREATE TABLE w (a TEXT, b BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID;",
    );
    let source = database.source().await;
    for (table, lower) in [
        ("t", vec![integer(1)]),
        ("w", vec![text("x"), KeyValue::Bytes(vec![1])]),
        ("w", vec![text("x")]),
    ] {
        let key = key(&source, table).await;
        for range in [
            keys(&key, Some(lower.clone()), None),
            keys(&key, None, Some(lower.clone())),
            keys(&key, None, None),
        ] {
            let answer = probe(
                &source,
                table,
                Probe::Explain {
                    range: Range::Keys(range.clone()),
                },
            )
            .await;
            assert_eq!(answer, ProbeAnswer::Explain(None), "{table} {range:?}");
        }
    }
    let by_a = KeyColumn {
        name: "a".into(),
        kind: KeyKind::Text,
        nullable: false,
        declared: "TEXT".into(),
    };
    let range = KeyRange {
        columns: vec![by_a],
        lower: Some(vec![text("m")]),
        upper: None,
    };
    for (table, words) in [("t", "SCAN"), ("v", "TEMP B-TREE")] {
        let ProbeAnswer::Explain(Some(step)) = probe(
            &source,
            table,
            Probe::Explain {
                range: Range::Keys(range.clone()),
            },
        )
        .await
        else {
            panic!("reading {table} by a column without an index is a scan")
        };
        assert!(step.contains("SCAN") || step.contains(words), "{step}");
    }
}

#[tokio::test]
async fn a_bound_that_no_key_value_holds_is_an_error() {
    let database = Database::new(
        "CREATE TABLE t (k TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES (CAST(x'ff' AS TEXT)); CREATE TABLE empty (a);",
    );
    let source = database.source().await;
    let columns = key(&source, "t").await.columns;
    let relation = sqlextract_model::Relation::Table(sqlextract_model::TableName::new("main", "t"));
    let failure = source
        .probe(&relation, None, &[Probe::Bounds { columns }], None)
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code, failure.column.as_deref()),
        (Code::ValueRefused, Some("k"))
    );
    let columns = key(&source, "empty").await.columns;
    assert_eq!(
        probe(&source, "empty", Probe::Bounds { columns }).await,
        ProbeAnswer::Bounds(None)
    );
}

#[tokio::test]
async fn rows_without_a_key_are_a_range_of_their_own() {
    let database = Database::new(
        "CREATE TABLE t (k INTEGER); CREATE INDEX i ON t (k); INSERT INTO t VALUES (1), (NULL), (3), (NULL);",
    );
    let source = database.source().await;
    let column = KeyColumn {
        name: "k".into(),
        kind: KeyKind::Integer,
        nullable: true,
        declared: "INTEGER".into(),
    };
    let columns = [cell("k", "INTEGER", ChunkType::Int64)];
    let open = KeyRange {
        columns: vec![column.clone()],
        lower: None,
        upper: None,
    };
    assert_eq!(
        Read {
            range: Range::Keys(open),
            ..Read::of("t", &columns)
        }
        .rows(&source)
        .await
        .len(),
        2
    );
    assert_eq!(
        Read {
            range: Range::KeyIsNull(column),
            ..Read::of("t", &columns)
        }
        .rows(&source)
        .await,
        [["∅"], ["∅"]]
    );
}
