//! Rows that are too large to be buffered with others.

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{Code, Relation, Result};
use sqlextract_source::{ReadLimits, RowSink};

use crate::fixture::{Collected, LIMITS, Reading, Scratch, block_ranges, inspect};

const SMALL: ReadLimits = ReadLimits {
    alone_bytes: 100_000,
    row_bytes: 4_000_000,
    ..LIMITS
};

/// Notes which rows were admitted with how many bytes, and checks that each came alone and at once.
#[derive(Default)]
struct Admitting {
    rows: Collected,
    admitted: Vec<usize>,
    open: bool,
}

#[async_trait]
impl RowSink for Admitting {
    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        assert!(!self.open || batch.num_rows() == 1, "an admitted row comes alone");
        let bytes = batch.get_array_memory_size();
        assert!(self.open || bytes < 2_000_000, "{bytes} bytes were pushed unasked");
        self.open = false;
        self.rows.push(batch).await
    }

    async fn admit(&mut self, bytes: usize) -> Result<()> {
        assert!(!self.open, "the last admitted row was not pushed");
        self.open = true;
        self.admitted.push(bytes);
        Ok(())
    }
}

/// Rows of every kind of size, in every kind of storage: 2000 small ones and seven large ones.
const MIXED: &str = "\
    CREATE TABLE t (id int PRIMARY KEY, body text, raw bytea, doc jsonb, note json, words text[], price numeric); \
    ALTER TABLE t ALTER body SET STORAGE EXTERNAL; \
    INSERT INTO t (id, body) SELECT i, repeat('x', i % 300) FROM generate_series(1, 2000) i; \
    INSERT INTO t (id, body) VALUES (3001, repeat('é\"', 700000)), (3002, repeat('compressed ', 200000)); \
    INSERT INTO t (id, raw) VALUES (3003, decode(repeat('00ff5c', 500000), 'hex')); \
    INSERT INTO t (id, doc) VALUES (3004, jsonb_build_object('k', repeat('v', 300000))); \
    INSERT INTO t (id, note) VALUES (3005, json_build_object('k', repeat('v', 300000))); \
    INSERT INTO t (id, words) SELECT 3006, array_agg('word ' || i) FROM generate_series(1, 60000) i; \
    INSERT INTO t VALUES (3007, repeat('a', 60000), decode(repeat('61', 60000), 'hex'), '1', '2', '{}', 1e3)";

#[tokio::test]
async fn large_rows_are_admitted_one_by_one_and_are_the_same_as_in_one_piece() {
    let mut scratch = Scratch::new().await;
    scratch.execute(MIXED).await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let snapshot = sqlextract_source::Source::snapshot(&source).await.unwrap().unwrap();
    let whole = Reading::all(&facts).rows(&source).await;
    assert_eq!(whole.len(), 2007);
    for query in [false, true] {
        let mut reading = Reading::all(&facts).snapshot(snapshot.token());
        reading.limits = SMALL;
        if query {
            reading.relation = Relation::Query("SELECT * FROM t -- all".to_owned());
        }
        let mut sink = Admitting::default();
        let summary = reading.push_to(&source, &mut sink).await.unwrap();
        assert_eq!((summary.rows, sink.admitted.len()), (2007, 7));
        assert!(
            sink.admitted.iter().all(|bytes| *bytes > 100_000),
            "{:?}",
            sink.admitted
        );
        assert!(sink.rows.rows() == whole, "the rows differ");
    }
    scratch.remove().await;
}

#[tokio::test]
async fn every_range_reads_its_own_large_rows() {
    let mut scratch = Scratch::new().await;
    scratch.execute(MIXED).await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let whole = Reading::all(&facts).rows(&source).await;
    let (mut rows, mut admitted) = (Vec::new(), 0);
    for range in block_ranges(&facts, 5) {
        let mut reading = Reading::all(&facts).range(range).filter("id <> 5");
        reading.limits = SMALL;
        let mut sink = Admitting::default();
        reading.push_to(&source, &mut sink).await.unwrap();
        admitted += sink.admitted.len();
        rows.extend(sink.rows.rows());
    }
    rows.sort();
    assert_eq!((rows.len(), admitted), (2006, 7));
    assert!(rows.iter().all(|row| whole.contains(row)), "a row differs");
    scratch.remove().await;
}

#[tokio::test]
async fn a_row_that_is_too_large_is_named_and_never_sent() {
    let mut scratch = Scratch::new().await;
    scratch.execute(MIXED).await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let mut reading = Reading::all(&facts);
    reading.limits = ReadLimits {
        row_bytes: 1_900_000,
        ..SMALL
    };
    let mut sink = Admitting::default();
    let failure = reading.push_to(&source, &mut sink).await.unwrap_err();
    assert_eq!(failure.code, Code::ValueTooLarge);
    // Which of the two comes first is the database's choice.
    let named = (failure.column.as_deref(), failure.row.as_deref());
    assert!(
        [(Some("body"), Some("id=3001")), (Some("body"), Some("id=3002"))].contains(&named),
        "{failure:?}"
    );
    assert!(sink.admitted.iter().all(|bytes| *bytes <= 1_900_000));
    scratch.remove().await;
}
