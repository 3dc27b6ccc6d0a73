use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlextract_model::{Code, SnapshotToken};
use sqlextract_source::{PostgresSource, Source, SourceSettings};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::fixture::{Reading, Scratch, block_ranges, execute, inspect, settings};

#[tokio::test]
async fn readers_of_a_snapshot_see_one_instant_while_rows_move() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS v FROM generate_series(1, 20000) i; CREATE INDEX ON t (id)")
        .await;
    let source = scratch.open().await;
    let snapshot = source.snapshot().await.unwrap().unwrap();
    let facts = inspect(&source, "t").await;
    let expected = Reading::all(&facts).snapshot(snapshot.token()).rows(&source).await;
    assert_eq!(expected.len(), 20_000);
    let done = AtomicBool::new(false);
    let mut updater = PgConnection::connect(&scratch.url()).await.unwrap();
    let updating = async {
        let mut rounds = 0;
        while !done.load(Ordering::Relaxed) || rounds < 3 {
            execute(
                &mut updater,
                "UPDATE t SET id = 20001 - id WHERE id % 5 = 0; DELETE FROM t WHERE id % 11 = 0; \
                 INSERT INTO t SELECT i, 'new' FROM generate_series(1, 500) i",
            )
            .await;
            execute(&mut updater, "VACUUM t").await;
            rounds += 1;
        }
    };
    let reading = async {
        let mut rows = Vec::new();
        for range in block_ranges(&facts, 20) {
            rows.extend(
                Reading::all(&facts)
                    .range(range)
                    .snapshot(snapshot.token())
                    .rows(&source)
                    .await,
            );
        }
        done.store(true, Ordering::Relaxed);
        rows.sort();
        rows
    };
    let (rows, ()) = tokio::join!(reading, updating);
    assert!(rows == expected, "{} rows instead of {}", rows.len(), expected.len());
    snapshot.check().await.unwrap();
    assert_ne!(Reading::all(&facts).rows(&source).await.len(), 20_000);
    scratch.remove().await;
}

#[tokio::test]
async fn a_snapshot_that_is_gone_is_named_so() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    for token in ["00000003-0000001B-1", "nonsense", "'; DROP TABLE t; --", ""] {
        let token = SnapshotToken(token.to_owned());
        let failure = Reading::all(&facts).snapshot(&token).failure(&source).await;
        assert_eq!(failure.code, Code::SnapshotLost, "{token:?}: {failure:?}");
    }
    let snapshot = source.snapshot().await.unwrap().unwrap();
    let token = snapshot.token().clone();
    assert_eq!(Reading::all(&facts).snapshot(&token).rows(&source).await, ["1"]);
    drop(snapshot);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let mut sink = crate::fixture::Collected::default();
        match Reading::all(&facts).snapshot(&token).push_to(&source, &mut sink).await {
            Err(failure) => break assert_eq!(failure.code, Code::SnapshotLost, "{failure:?}"),
            Ok(_) => assert!(
                tokio::time::Instant::now() < deadline,
                "the snapshot outlives its keeper"
            ),
        }
    }
    let snapshot = source.snapshot().await.unwrap().unwrap();
    snapshot.check().await.unwrap();
    scratch
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        .await;
    assert_eq!(snapshot.check().await.unwrap_err().code, Code::SnapshotLost);
    scratch.remove().await;
}

#[tokio::test]
async fn evidence_is_equal_exactly_while_nothing_is_committed() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t (id int) WITH (autovacuum_enabled = off); INSERT INTO t VALUES (1)")
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    // Other tests commit on the same server; two snapshots in a row with nothing in between are found by trying.
    let mut equal = false;
    for _ in 0..200 {
        let first = source.snapshot().await.unwrap().unwrap();
        Reading::all(&facts).snapshot(first.token()).rows(&source).await;
        let evidence = first.evidence().clone();
        drop(first);
        let second = source.snapshot().await.unwrap().unwrap();
        equal = *second.evidence() == evidence;
        if equal {
            break;
        }
    }
    assert!(
        equal,
        "a snapshot of an unchanged server has the evidence of the one before"
    );
    let first = source.snapshot().await.unwrap().unwrap();
    scratch.execute("UPDATE t SET id = 2").await;
    let second = source.snapshot().await.unwrap().unwrap();
    assert_ne!(first.evidence(), second.evidence());
    // A transaction that was open at the first snapshot and commits before the second is a change too.
    scratch.execute("BEGIN; UPDATE t SET id = 3").await;
    let first = source.snapshot().await.unwrap().unwrap();
    scratch.execute("COMMIT").await;
    let second = source.snapshot().await.unwrap().unwrap();
    assert_ne!(first.evidence(), second.evidence());
    scratch.remove().await;
}

#[tokio::test]
async fn a_snapshot_needs_a_connection_beside_the_readers() {
    let scratch = Scratch::new().await;
    let source = PostgresSource::open(SourceSettings {
        max_connections: 1,
        ..settings(scratch.url())
    })
    .await
    .unwrap();
    assert_eq!(source.snapshot().await.unwrap_err().code, Code::ConfigInvalid);
    scratch.remove().await;
}

#[tokio::test]
async fn a_snapshot_that_ends_leaves_its_connection_to_others() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
        .await;
    let source = PostgresSource::open(SourceSettings {
        max_connections: 2,
        ..settings(scratch.url())
    })
    .await
    .unwrap();
    let facts = inspect(&source, "t").await;
    let ours = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
        AND backend_type = 'client backend'";
    let in_transaction = format!("SELECT count(*) {ours} AND state LIKE 'idle in transaction%'");
    let pids = format!("SELECT string_agg(pid::text, ',' ORDER BY pid) {ours}");
    let ended = source.snapshot().await.unwrap().unwrap();
    assert_eq!(scratch.value(&in_transaction).await, "1");
    ended.end().await;
    ended.end().await;
    assert_eq!(scratch.value(&in_transaction).await, "0");
    assert_eq!(ended.check().await.unwrap_err().code, Code::SnapshotLost);
    let before = scratch.value(&pids).await;
    // The server would log a connection that is closed within its transaction.
    drop(source.snapshot().await.unwrap().unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while scratch.value(&in_transaction).await != "0" {
        assert!(tokio::time::Instant::now() < deadline, "the transaction stays open");
    }
    assert_eq!(scratch.value(&pids).await, before, "connections were closed");
    let failure = Reading::all(&facts).snapshot(ended.token()).failure(&source).await;
    assert_eq!(failure.code, Code::SnapshotLost, "{failure:?}");
    scratch.remove().await;
}
