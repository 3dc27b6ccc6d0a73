//! What the server counts of our reading.

use sqlextract_model::{Relation, SourceCounters, TableName};
use sqlextract_source::{PostgresSource, Source};

use crate::fixture::{Reading, Scratch, inspect};

fn table(name: &str) -> Relation {
    Relation::Table(TableName::new("public", name))
}

async fn counted(source: &PostgresSource, relations: &[Relation]) -> SourceCounters {
    source.counters(relations).await.unwrap()
}

#[tokio::test]
async fn the_blocks_of_a_table_are_counted_once_it_is_read_and_those_of_its_partitions() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE plain AS SELECT i AS id, repeat('x', 300) AS body FROM generate_series(1, 20000) i; \
             CREATE TABLE parts (id int, body text) PARTITION BY RANGE (id); \
             CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10000); \
             CREATE TABLE high PARTITION OF parts FOR VALUES FROM (10000) TO (20000); \
             INSERT INTO parts SELECT i, repeat('y', 300) FROM generate_series(1, 19999) i",
        )
        .await;
    scratch.execute("VACUUM ANALYZE").await;
    let source = scratch.open().await;
    for name in ["plain", "parts"] {
        let relations = [table(name)];
        let before = counted(&source, &relations).await;
        let all = before.table_blocks.unwrap();
        assert!(all > 700, "{name}: {before:?}");
        Reading::all(&inspect(&source, name).await).rows(&source).await;
        let grown = counted(&source, &relations).await.since(&before);
        let read = grown.blocks_read.unwrap();
        assert!((all..=all + all / 10).contains(&read), "{name}: {read} of {all} blocks");
        assert_eq!(grown.temporary_bytes, Some(0));
    }
    let relations = [table("plain")];
    let before = counted(&source, &relations).await;
    scratch.execute("SELECT pg_stat_reset()").await;
    Reading::all(&inspect(&source, "plain").await).rows(&source).await;
    let grown = counted(&source, &relations).await.since(&before);
    assert_eq!(
        (grown.blocks_read, grown.temporary_bytes),
        (None, None),
        "they were reset"
    );
    scratch.remove().await;
}

#[tokio::test]
async fn what_nobody_counts_is_not_told() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t (id int); CREATE VIEW v AS SELECT * FROM t")
        .await;
    let source = scratch.open().await;
    let cases = [
        vec![table("t"), table("v")],
        vec![table("t"), Relation::Query("SELECT 1 AS a".to_owned())],
        vec![table("gone")],
        vec![],
    ];
    for relations in cases {
        let told = counted(&source, &relations).await;
        assert_eq!((told.blocks_read, told.table_blocks), (None, None), "{relations:?}");
        assert!(told.temporary_bytes.is_some());
    }
    scratch.remove().await;
}
