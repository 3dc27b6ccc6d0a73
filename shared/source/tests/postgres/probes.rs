use sqlextract_model::{BlockRange, KeyColumn, KeyRange, KeyValue, Range, Relation, TableFacts};
use sqlextract_source::{PostgresSource, Probe, ProbeAnswer, Source};

use crate::fixture::{Scratch, block_ranges, inspect};

async fn ask(source: &PostgresSource, facts: &TableFacts, filter: Option<&str>, probe: Probe) -> ProbeAnswer {
    let relation = Relation::Table(facts.name.clone());
    source.probe(&relation, filter, &[probe], None).await.unwrap().remove(0)
}

fn columns(facts: &TableFacts, name: &str) -> Vec<KeyColumn> {
    let key = facts.keys.iter().find(|k| k.columns[0].name == name);
    key.unwrap().columns.clone()
}

fn integer(value: i128) -> Vec<KeyValue> {
    vec![KeyValue::Integer(value)]
}

const KEYED: &str = "CREATE TABLE t (id int8 PRIMARY KEY, word text UNIQUE, raw bytea UNIQUE); \
    INSERT INTO t SELECT (i - 2) * 700, CASE WHEN i > 1 THEN 'w' || i END, decode(to_hex(i + 16), 'hex') \
        FROM generate_series(1, 9) i; \
    CREATE TABLE empty (id int PRIMARY KEY)";

#[tokio::test]
async fn the_ends_of_a_key_are_looked_up() {
    let mut scratch = Scratch::new().await;
    scratch.execute(KEYED).await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let text = |v: &str| vec![KeyValue::Text(v.to_owned())];
    let bytes = |b: u8| vec![KeyValue::Bytes(vec![b])];
    let cases = [
        ("id", integer(-700), integer(4900)),
        ("word", text("w2"), text("w9")),
        ("raw", bytes(17), bytes(25)),
    ];
    for (name, smallest, largest) in cases {
        let columns = columns(&facts, name);
        let bounds = ask(&source, &facts, Some("false"), Probe::Bounds { columns }).await;
        assert_eq!(bounds, ProbeAnswer::Bounds(Some((smallest, largest))), "{name}");
    }
    let empty = inspect(&source, "empty").await;
    let columns = empty.keys[0].columns.clone();
    let bounds = ask(&source, &empty, None, Probe::Bounds { columns }).await;
    assert_eq!(bounds, ProbeAnswer::Bounds(None));
    let query = Relation::Query("SELECT id, word FROM t WHERE id > 0 -- the end".to_owned());
    let columns = facts.keys[0].columns.clone();
    let answers = source
        .probe(&query, None, &[Probe::Bounds { columns }], None)
        .await
        .unwrap();
    assert_eq!(answers, [ProbeAnswer::Bounds(Some((integer(700), integer(4900))))]);
    scratch.remove().await;
}

#[tokio::test]
async fn the_next_key_is_looked_up_inside_its_range() {
    let mut scratch = Scratch::new().await;
    scratch.execute(KEYED).await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let within = KeyRange {
        columns: columns(&facts, "id"),
        lower: Some(integer(600)),
        upper: Some(integer(2800)),
    };
    let answers = [
        (0, Some(700)),
        (701, Some(1400)),
        (2100, Some(2100)),
        (2101, None),
        (i128::from(i64::MAX) + 5, None),
    ];
    for (at_least, expected) in answers {
        let probe = Probe::NextKey {
            within: within.clone(),
            at_least: integer(at_least),
        };
        let answer = ask(&source, &facts, None, probe).await;
        assert_eq!(answer, ProbeAnswer::NextKey(expected.map(integer)), "{at_least}");
    }
    scratch.remove().await;
}

const LARGE: &str = "CREATE TABLE t (id int PRIMARY KEY, other int, filler text) WITH (autovacuum_enabled = off); \
    INSERT INTO t SELECT i, i, repeat('x', 500) FROM generate_series(1, 30000) i; ANALYZE t; \
    CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1)";

fn below(columns: Vec<KeyColumn>, value: i128) -> Range {
    Range::Keys(KeyRange {
        columns,
        lower: None,
        upper: Some(integer(value)),
    })
}

#[tokio::test]
async fn the_optimizer_estimates_the_rows_of_a_range() {
    let mut scratch = Scratch::new().await;
    scratch.execute(LARGE).await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let leaf = &facts.leaves[0];
    let two = [0, 500].map(|from| BlockRange {
        oid: leaf.oid,
        name: leaf.name.clone(),
        from,
        to: Some(from + 250),
    });
    let cases = [
        (below(columns(&facts, "id"), 1001), 700..1400),
        (Range::Blocks(two.to_vec()), 4_000..12_000),
        (Range::All, 29_000..31_000),
    ];
    for (range, expected) in cases {
        let answer = ask(&source, &facts, None, Probe::EstimateRows { range }).await;
        let ProbeAnswer::Rows(Some(rows)) = answer else {
            panic!("{answer:?}");
        };
        assert!(expected.contains(&rows), "{rows} instead of {expected:?}");
    }
    scratch.remove().await;
}

#[tokio::test]
async fn a_range_that_scans_more_than_its_rows_is_told() {
    let mut scratch = Scratch::new().await;
    scratch.execute(LARGE).await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let mut unindexed = columns(&facts, "id");
    unindexed[0].name = "other".to_owned();
    let small = inspect(&source, "small").await;
    let cases = [
        (&facts, below(columns(&facts, "id"), 1000), None),
        (&facts, below(unindexed, 1000), Some("Seq Scan on public.t")),
        (&facts, block_ranges(&facts, 500).remove(1), None),
        (&facts, Range::All, None),
        // A small table may be scanned.
        (&small, below(columns(&small, "id"), 9), None),
    ];
    for (table, range, expected) in cases {
        let answer = ask(&source, table, None, Probe::Explain { range: range.clone() }).await;
        let expected = ProbeAnswer::Explain(expected.map(str::to_owned));
        assert_eq!(answer, expected, "{range:?}");
    }
    scratch.remove().await;
}
