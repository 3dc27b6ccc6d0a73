use sqlextract_model::{Code, KeyColumn, KeyKind, KeyRange, KeyValue, Range};

use crate::fixture::{Reading, Scratch, inspect};

#[tokio::test]
async fn only_whole_valid_plain_indexes_are_keys_best_first() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
             CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b text, c text COLLATE loose, d bytea, e date, f uuid, \
                 g text, h point, i numeric); \
             CREATE UNIQUE INDEX partial ON t (a) WHERE a > 5; \
             CREATE UNIQUE INDEX expression ON t (lower(b)); \
             CREATE UNIQUE INDEX nondeterministic ON t (c); \
             CREATE INDEX hashed ON t USING hash (a); \
             CREATE INDEX pattern ON t (g text_pattern_ops); \
             CREATE INDEX collated ON t (g COLLATE \"C\"); \
             CREATE INDEX spatial ON t USING gist (h); \
             CREATE INDEX day ON t (e DESC NULLS LAST); \
             CREATE UNIQUE INDEX composite ON t (a, b DESC) INCLUDE (g); \
             CREATE UNIQUE INDEX mixed ON t (f, c); \
             CREATE INDEX bytes ON t (d); \
             CREATE INDEX amount ON t (i); \
             INSERT INTO t (id, a, g) VALUES (1, 1, 'x'), (2, 1, 'x')",
        )
        .await;
    // A unique index that failed to build concurrently stays behind, invalid.
    let concurrent = sqlx::raw_sql("CREATE UNIQUE INDEX CONCURRENTLY broken ON t (g)")
        .execute(&mut scratch.admin)
        .await;
    assert!(concurrent.is_err());
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let keys: Vec<String> = facts
        .keys
        .iter()
        .map(|key| {
            let columns: Vec<_> = key.columns.iter().map(|c| format!("{}:{:?}", c.name, c.kind)).collect();
            let rank = if key.primary {
                "primary"
            } else if key.unique {
                "unique"
            } else {
                "plain"
            };
            format!("{} {rank} {}", key.name, columns.join(","))
        })
        .collect();
    let expected = [
        "t_pkey primary id:Integer",
        "composite unique a:Integer,b:Text",
        "mixed plain f:Uuid",
        "amount plain i:Literal",
        "bytes plain d:Bytes",
        "day plain e:Literal",
    ];
    assert_eq!(keys, expected);
    scratch.remove().await;
}

/// Ranges between the values, open at both ends.
fn split(columns: &[KeyColumn], bounds: &[Vec<KeyValue>]) -> Vec<Range> {
    let lower = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
    let upper = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
    lower
        .zip(upper)
        .map(|(lower, upper)| {
            Range::Keys(KeyRange {
                columns: columns.to_vec(),
                lower,
                upper,
            })
        })
        .collect()
}

fn texts(values: &[&str]) -> Vec<Vec<KeyValue>> {
    values.iter().map(|v| vec![KeyValue::Text((*v).to_owned())]).collect()
}

#[tokio::test]
async fn ranges_of_every_kind_of_key_hold_each_row_once() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t AS SELECT i::int4 AS small, (i * 4000000000)::int8 AS big, \
                 ('00000000-0000-0000-0000-' || lpad(abs(i)::text, 12, '0'))::uuid AS u, \
                 CASE WHEN i % 7 = 0 THEN NULL ELSE chr(65 + abs(i) % 50) || E'\\'\\\\' || i END AS word, \
                 rpad(i::text, 6)::char(8) AS padded, decode(lpad(to_hex(abs(i)), 4, '0'), 'hex') AS bytes, \
                 date '2000-01-01' + i AS day, (i / 3.0)::numeric(10,4) AS amount, i / 3.0::float8 AS f \
             FROM generate_series(-300, 300) i; \
             CREATE INDEX ON t (small); CREATE INDEX ON t (big); CREATE INDEX ON t (u); CREATE INDEX ON t (word); \
             CREATE INDEX ON t (padded); CREATE INDEX ON t (bytes); CREATE INDEX ON t (day); CREATE INDEX ON t (amount); \
             CREATE INDEX ON t (f); CREATE INDEX ON t (small, word)",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let integers = |values: &[i128]| values.iter().map(|v| vec![KeyValue::Integer(*v)]).collect::<Vec<_>>();
    let huge = i128::from(i64::MAX) + 1;
    let cases: [(&str, Vec<Vec<KeyValue>>); 9] = [
        (
            "small",
            integers(&[-huge, i128::from(i32::MIN) - 1, -10, 0, 77, 3_000_000_000, huge]),
        ),
        ("big", integers(&[-4_000_000_000, 1, 8_000_000_001])),
        (
            "u",
            texts(&[
                "00000000-0000-0000-0000-000000000009",
                "00000000-0000-0000-0000-000000000200",
            ]),
        ),
        ("word", texts(&["A", "M'\\", "Q'", "\u{10FFFF}"])),
        ("padded", texts(&["-2", "100", "9       "])),
        (
            "bytes",
            vec![vec![KeyValue::Bytes(vec![])], vec![KeyValue::Bytes(vec![0, 200])]],
        ),
        ("day", texts(&["1999-05-01", "2000-02-29", "infinity"])),
        ("amount", texts(&["-33.3333", "0.00", "1e2"])),
        ("f", texts(&["-0.3333333333333333", "NaN"])),
    ];
    for (name, bounds) in cases {
        let key = facts
            .keys
            .iter()
            .find(|k| k.columns[0].name == name && k.columns.len() == 1)
            .expect(name);
        let mut rows = Vec::new();
        for range in split(&key.columns, &bounds) {
            rows.extend(Reading::all(&facts).range(range).rows(&source).await);
        }
        rows.extend(
            Reading::all(&facts)
                .range(Range::KeyIsNull(key.columns[0].clone()))
                .rows(&source)
                .await,
        );
        rows.sort();
        assert_eq!(rows, Reading::all(&facts).rows(&source).await, "{name}");
    }
    scratch.remove().await;
}

#[tokio::test]
async fn a_bound_on_a_prefix_of_the_key_keeps_equal_rows_together() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t (a int, b text, PRIMARY KEY (a, b)); \
             INSERT INTO t SELECT i / 10, chr(97 + i % 10) FROM generate_series(0, 99) i",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let columns = facts.keys[0].columns.clone();
    assert_eq!(
        columns.iter().map(|c| c.kind).collect::<Vec<_>>(),
        [KeyKind::Integer, KeyKind::Text]
    );
    let five = KeyValue::Integer(5);
    let bounds = [
        vec![KeyValue::Integer(2)],
        vec![KeyValue::Integer(2), KeyValue::Text("d".to_owned())],
        vec![five.clone()],
        vec![KeyValue::Integer(6), KeyValue::Text("zzz".to_owned())],
    ];
    let mut sizes = Vec::new();
    for range in split(&columns, &bounds) {
        sizes.push(Reading::all(&facts).range(range).rows(&source).await.len());
    }
    assert_eq!(sizes, [20, 3, 27, 20, 30]);
    let wrong = KeyRange {
        columns: columns.clone(),
        lower: Some(vec![KeyValue::Text("5".to_owned())]),
        upper: None,
    };
    assert_eq!(
        Reading::all(&facts)
            .range(Range::Keys(wrong))
            .failure(&source)
            .await
            .code,
        Code::PlanUnsound
    );
    let long = KeyRange {
        columns,
        lower: Some(vec![five.clone(), five.clone(), five]),
        upper: None,
    };
    assert_eq!(
        Reading::all(&facts)
            .range(Range::Keys(long))
            .failure(&source)
            .await
            .code,
        Code::PlanUnsound
    );
    scratch.remove().await;
}
