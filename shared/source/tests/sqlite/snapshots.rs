//! One state for all readers, and what proves it afterwards.

use sqlextract_model::{ChunkType, Code, ColumnMapping, SnapshotEvidence, SnapshotToken};
use sqlextract_source::{Source, SqliteSource};

use crate::database::{Database, Read, cell, settings};

fn id() -> [ColumnMapping; 1] {
    [cell("id", "INTEGER", ChunkType::Int64)]
}

fn database(journal: &str) -> Database {
    Database::new(&format!(
        "PRAGMA journal_mode = {journal}; CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);"
    ))
}

async fn evidence(source: &dyn Source) -> SnapshotEvidence {
    source.snapshot().await.unwrap().unwrap().evidence().clone()
}

async fn ids(source: &dyn Source, token: Option<&SnapshotToken>) -> Vec<i64> {
    Read {
        snapshot: token,
        ..Read::of("t", &id())
    }
    .integers(source)
    .await
}

#[tokio::test]
async fn with_a_rollback_journal_nobody_commits_while_the_snapshot_lives() {
    let database = database("delete");
    let source = database.source().await;
    let snapshot = source.snapshot().await.unwrap().unwrap();
    assert!(
        database.try_execute("INSERT INTO t VALUES (4)").is_err(),
        "the readers' locks hold"
    );
    let reads = (0..6).map(|_| ids(&source, Some(snapshot.token())));
    for found in futures_util::future::join_all(reads).await {
        assert_eq!(found, [1, 2, 3]);
    }
    drop(snapshot);
    database.execute_all("INSERT INTO t VALUES (4)");
    assert_eq!(ids(&source, None).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn with_a_write_ahead_log_the_readers_keep_their_state() {
    let database = database("wal");
    let source = database.source().await;
    let snapshot = source.snapshot().await.unwrap().unwrap();
    database.execute_all("INSERT INTO t VALUES (4); DELETE FROM t WHERE id = 1; PRAGMA wal_checkpoint(PASSIVE);");
    let reads = (0..9).map(|_| ids(&source, Some(snapshot.token())));
    for found in futures_util::future::join_all(reads).await {
        assert_eq!(found, [1, 2, 3]);
    }
    snapshot.check().await.unwrap();
    drop(snapshot);
    assert_eq!(ids(&source, None).await, [2, 3, 4]);
}

/// A reader that failed with its value refused reads the snapshot's state again.
#[tokio::test]
async fn a_refused_value_costs_no_reader() {
    let database = database("wal");
    database.execute_all("CREATE TABLE bad (c INTEGER); INSERT INTO bad VALUES ('text');");
    let source = database.source().await;
    let snapshot = source.snapshot().await.unwrap().unwrap();
    database.execute_all("DELETE FROM t");
    let columns = [cell("c", "INTEGER", ChunkType::Int64)];
    for _ in 0..10 {
        let read = Read {
            snapshot: Some(snapshot.token()),
            ..Read::of("bad", &columns)
        };
        assert_eq!(read.failure(&source).await.code, Code::ValueRefused);
    }
    assert_eq!(ids(&source, Some(snapshot.token())).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_token_of_another_time_or_source_is_lost() {
    let database = database("wal");
    let (source, other) = (database.source().await, database.source().await);
    let first = source.snapshot().await.unwrap().unwrap().token().clone();
    let living = other.snapshot().await.unwrap().unwrap();
    for token in [&first, living.token(), &SnapshotToken("00000003-1".into())] {
        let failure = Read {
            snapshot: Some(token),
            ..Read::of("t", &id())
        }
        .failure(&source)
        .await;
        assert_eq!(failure.code, Code::SnapshotLost);
    }
}

/// While a snapshot lives, other calls read through it instead of waiting for its end.
#[tokio::test]
async fn calls_without_a_token_are_answered_while_a_snapshot_lives() {
    for journal in ["delete", "wal"] {
        let database = database(journal);
        let mut settings = settings(&database.path().display().to_string());
        settings.max_connections = 1;
        let source = SqliteSource::open(settings).await.unwrap();
        let snapshot = source.snapshot().await.unwrap().unwrap();
        assert_eq!(ids(&source, None).await, [1, 2, 3]);
        assert_eq!(crate::database::facts(&source, "t").await.columns.len(), 1);
        let again = source.snapshot().await.unwrap().unwrap();
        assert_eq!(
            again.token(),
            snapshot.token(),
            "nothing was changed, so it is the same instant"
        );
    }
}

#[tokio::test]
async fn a_second_snapshot_after_a_change_waits_for_the_end_of_the_first() {
    let database = database("wal");
    let source = database.source().await;
    let first = source.snapshot().await.unwrap().unwrap();
    database.execute_all("INSERT INTO t VALUES (4)");
    let mut second = std::pin::pin!(source.snapshot());
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), &mut second).await;
    assert!(early.is_err(), "there are no connections for two");
    drop(first);
    let second = second.await.unwrap().unwrap();
    assert_eq!(ids(&source, Some(second.token())).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn evidence_is_equal_until_something_is_changed() {
    for journal in ["delete", "truncate", "persist", "wal"] {
        let database = database(journal);
        let before = evidence(&database.source().await).await;
        // Another source stands for another process: nothing but the file connects them.
        let source = database.source().await;
        ids(&source, None).await;
        assert_eq!(evidence(&source).await, before, "{journal}");
        drop(source);
        assert_eq!(
            evidence(&database.source().await).await,
            before,
            "{journal}: reading changes nothing"
        );

        for change in [
            "UPDATE t SET id = 9 WHERE id = 3",
            "UPDATE t SET id = 3 WHERE id = 9",
            "CREATE TABLE u (a)",
        ] {
            database.execute_all(change);
            let after = evidence(&database.source().await).await;
            assert_ne!(after, before, "{journal}: {change}");
        }
    }
}

#[tokio::test]
async fn evidence_survives_the_process_that_wrote_the_log() {
    let database = database("wal");
    let source = database.source().await;
    let before = evidence(&source).await;
    // A copy of all three files, taken while nobody writes, is what a killed process leaves.
    let log = database.path().with_file_name("data base.db-wal");
    let frames = std::fs::metadata(&log).unwrap().len();
    assert!(frames > 0, "the writer's frames are in the log");
    drop(source);
    assert_eq!(evidence(&database.source().await).await, before);
    assert_eq!(
        std::fs::metadata(&log).unwrap().len(),
        frames,
        "closing took no checkpoint"
    );
}

#[tokio::test]
async fn a_change_right_after_the_snapshot_shows_in_the_evidence() {
    let database = database("delete");
    for round in 10..20 {
        let before = evidence(&database.source().await).await;
        database.execute_all(&format!("INSERT INTO t VALUES ({round})"));
        assert_ne!(evidence(&database.source().await).await, before, "round {round}");
    }
}

/// Writers that commit all the time: whatever the snapshot's readers see, they all see the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_agree_while_others_commit() {
    let database = std::sync::Arc::new(database("wal"));
    let stop = tokio_util::sync::CancellationToken::new();
    let writing = {
        let (database, stop) = (std::sync::Arc::clone(&database), stop.clone());
        tokio::task::spawn_blocking(move || {
            for id in 100.. {
                if stop.is_cancelled() {
                    return id;
                }
                database.execute_all(&format!("INSERT INTO t VALUES ({id})"));
            }
            0
        })
    };
    let source = database.source().await;
    for _ in 0..10 {
        let snapshot = source.snapshot().await.unwrap().unwrap();
        let reads = (0..6).map(|_| ids(&source, Some(snapshot.token())));
        let found = futures_util::future::join_all(reads).await;
        assert!(
            found.windows(2).all(|pair| pair[0] == pair[1]),
            "all readers see one state"
        );
    }
    stop.cancel();
    assert!(writing.await.unwrap() > 100, "the writer wrote meanwhile");
}
