use sqlextract_model::{BlockRange, Code, Range, Relation};
use sqlextract_source::{ReadLimits, Source};

use crate::fixture::{Collected, LIMITS, Reading, Scratch, block_ranges, inspect};

#[tokio::test]
async fn block_ranges_hold_each_row_once_and_the_open_end_holds_what_came_later() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t (id int, filler text) WITH (autovacuum_enabled = off); \
             INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 5000) i; DELETE FROM t WHERE id % 3 = 0",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    scratch
        .execute("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(5001, 6000) i")
        .await;
    let snapshot = source.snapshot().await.unwrap().unwrap();
    let mut rows = Vec::new();
    for range in block_ranges(&facts, 17) {
        rows.extend(
            Reading::all(&facts)
                .range(range)
                .snapshot(snapshot.token())
                .rows(&source)
                .await,
        );
    }
    rows.sort();
    assert_eq!(
        rows,
        Reading::all(&facts).snapshot(snapshot.token()).rows(&source).await
    );
    let leaf = &facts.leaves[0];
    let block = |from, to| BlockRange {
        oid: leaf.oid,
        name: leaf.name.clone(),
        from,
        to,
    };
    let several = Range::Blocks(vec![
        block(0, Some(3)),
        block(3, Some(3)),
        block(3, Some(9)),
        block(4_294_967_290, None),
    ]);
    let one = Range::Blocks(vec![block(0, Some(9))]);
    let several = Reading::all(&facts).range(several).rows(&source).await;
    assert_eq!(several, Reading::all(&facts).range(one).rows(&source).await);
    scratch.remove().await;
}

#[tokio::test]
async fn batches_keep_to_their_limits_and_to_the_columns_of_the_request() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS x, -i AS n FROM generate_series(1, 2500) i")
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let mut reading = Reading::all(&facts);
    reading.columns.remove(1);
    reading.columns.reverse();
    let mut collected = Collected::default();
    let summary = reading.push_to(&source, &mut collected).await.unwrap();
    let sizes: Vec<_> = collected.0.iter().map(|b| b.num_rows()).collect();
    assert_eq!((summary.rows, sizes), (2500, vec![1000, 1000, 500]));
    // Per row a count and two lengths beside the values.
    assert_eq!(summary.load.wire_bytes, 2500 * (2 + 2 * (4 + 4)));
    let schema = collected.0[0].schema();
    let names: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["n", "id"]);
    let mut reading = Reading::all(&facts);
    reading.limits = ReadLimits {
        record_batch_bytes: 30_000,
        ..LIMITS
    };
    let mut collected = Collected::default();
    reading.push_to(&source, &mut collected).await.unwrap();
    assert!(
        collected
            .0
            .iter()
            .all(|b| (200..300).contains(&b.num_rows()) || b.num_rows() < 200)
    );
    assert!(collected.0.len() > 8);
    scratch.remove().await;
}

#[tokio::test]
async fn a_row_over_the_limit_is_named_by_its_key() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t (body text, id int PRIMARY KEY); ALTER TABLE t ALTER body SET STORAGE EXTERNAL; \
             INSERT INTO t VALUES ('small', 1), (repeat('x', 20000000), 7)",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let failure = Reading::all(&facts).failure(&source).await;
    assert_eq!(failure.code, Code::ValueTooLarge);
    assert_eq!(
        (failure.column.as_deref(), failure.row.as_deref()),
        (Some("body"), Some("id=7"))
    );
    scratch.remove().await;
}

#[tokio::test]
async fn a_filter_is_one_expression_or_refused() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i; CREATE INDEX ON t (id)")
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let filters = [
        ("id > 50 OR id = 1", 51),
        ("id = 5 -- a comment", 1),
        ("id IN (SELECT 7)", 1),
        ("NULL", 0),
    ];
    for (filter, expected) in filters {
        for range in [Range::All, block_ranges(&facts, 1000).remove(0)] {
            let rows = Reading::all(&facts).filter(filter).range(range).rows(&source).await;
            assert_eq!(rows.len(), expected, "{filter}");
        }
    }
    let refused = [
        "true) OR (true",
        "true); DROP TABLE t; SELECT (1",
        "id >",
        "true) TO STDOUT; DELETE FROM t --",
        "nope = 1",
    ];
    for filter in refused {
        let failure = Reading::all(&facts).filter(filter).failure(&source).await;
        assert_eq!(failure.code, Code::SourceQueryInvalid, "{filter}: {failure:?}");
        assert_eq!(failure.table.as_deref(), Some("public.t"));
    }
    assert_eq!(scratch.value("SELECT count(*) FROM t").await, "100");
    scratch.remove().await;
}

#[tokio::test]
async fn a_query_is_read_wrapped_and_split_by_its_key() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t AS SELECT i AS id, 'v' || i AS v FROM generate_series(1, 100) i")
        .await;
    let source = scratch.open().await;
    let sql = "SELECT id, v FROM t WHERE id <= 90 ORDER BY id -- the end";
    let selection = sqlextract_model::Selection::Query {
        name: "q".to_owned(),
        sql: sql.to_owned(),
        key: Some("id".to_owned()),
    };
    let facts = source.inspect(&[selection]).await.unwrap().tables.remove(0);
    let mut reading = Reading::all(&facts);
    reading.relation = Relation::Query(sql.to_owned());
    assert_eq!(reading.rows(&source).await.len(), 90);
    let range = sqlextract_model::KeyRange {
        columns: facts.keys[0].columns.clone(),
        lower: Some(vec![sqlextract_model::KeyValue::Integer(81)]),
        upper: None,
    };
    let reading = reading.range(Range::Keys(range)).filter("v <> 'v85'");
    assert_eq!(reading.rows(&source).await.len(), 9);
    scratch.execute("ALTER TABLE t ALTER id TYPE int8").await;
    assert_eq!(reading.failure(&source).await.code, Code::SchemaChanged);
    scratch.remove().await;
}

#[tokio::test]
async fn a_range_without_rows_is_read_as_empty() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    assert!(Reading::all(&facts).filter("id > 5").rows(&source).await.is_empty());
    scratch.remove().await;
}

#[tokio::test]
async fn a_changed_table_is_refused() {
    let changes = [
        "ALTER TABLE t RENAME COLUMN v TO w",
        "ALTER TABLE t ALTER v TYPE varchar(9)",
        "ALTER TABLE t DROP COLUMN v",
        "ALTER TABLE t RENAME TO other",
        "ALTER TABLE t RENAME TO other; CREATE TABLE t (id int, v text, n numeric(9,2))",
        "ALTER TABLE t ALTER n TYPE numeric(9,3)",
        "DROP TABLE t",
    ];
    for change in changes {
        let mut scratch = Scratch::new().await;
        scratch
            .execute("CREATE TABLE t (id int, v text, n numeric(9,2)); INSERT INTO t VALUES (1, 'x', 1)")
            .await;
        let source = scratch.open().await;
        let facts = inspect(&source, "t").await;
        scratch.execute(change).await;
        let blocks = Reading::all(&facts)
            .range(block_ranges(&facts, 10).remove(0))
            .failure(&source)
            .await;
        assert_eq!(blocks.code, Code::SchemaChanged, "{change}: {blocks:?}");
        // The name is all that a whole-table read goes by; what stands under it has the same columns here.
        if !change.contains("CREATE TABLE") {
            assert_eq!(
                Reading::all(&facts).failure(&source).await.code,
                Code::SchemaChanged,
                "{change}"
            );
        }
        scratch.remove().await;
    }
}

#[tokio::test]
async fn rows_that_were_rewritten_after_the_snapshot_are_refused() {
    let changes = [
        "TRUNCATE t",
        "VACUUM FULL t",
        "ALTER TABLE t ALTER id TYPE int8",
        "ALTER TABLE t RENAME v TO x; ALTER TABLE t RENAME w TO v; ALTER TABLE t RENAME x TO w",
    ];
    for change in changes {
        let mut scratch = Scratch::new().await;
        scratch
            .execute("CREATE TABLE t (id int, v text, w text); INSERT INTO t VALUES (1, 'v', 'w'), (2, 'v', 'w')")
            .await;
        let source = scratch.open().await;
        let facts = inspect(&source, "t").await;
        let snapshot = source.snapshot().await.unwrap().unwrap();
        let reading = Reading::all(&facts)
            .range(block_ranges(&facts, 10).remove(0))
            .snapshot(snapshot.token());
        assert_eq!(reading.rows(&source).await.len(), 2);
        scratch.execute(change).await;
        let failure = reading.failure(&source).await;
        assert_eq!(failure.code, Code::SchemaChanged, "{change}: {failure:?}");
        scratch.remove().await;
    }
}
