//! Files that are missing, locked, broken, or no databases.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use sqlextract_model::{ChunkType, Code, Relation};
use sqlextract_source::{Source, SourceSettings, SqliteSource};

use crate::database::{Database, Read, cell, settings};

#[tokio::test]
async fn missing_files_and_other_urls_are_told_apart() {
    let open = |url: &str| {
        SqliteSource::open(SourceSettings {
            url: url.to_owned(),
            ..settings("")
        })
    };
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("sqlite://{}/none.db", folder.path().display());
    assert_eq!(open(&missing).await.unwrap_err().code, Code::SourceObjectMissing);
    assert!(!folder.path().join("none.db").exists(), "nothing is created");
    assert_eq!(open("sqlite://").await.unwrap_err().code, Code::ConfigInvalid);
    assert_eq!(open("mysql://localhost/x").await.unwrap_err().code, Code::ConfigInvalid);
}

#[tokio::test]
async fn all_spellings_of_a_path_open_the_same_file() {
    let database = Database::new("CREATE TABLE t (a)");
    let path = database.path().display().to_string();
    for url in [format!("sqlite://{path}"), format!("sqlite:{path}")] {
        let source = SqliteSource::open(SourceSettings { url, ..settings("") })
            .await
            .unwrap();
        let identity = source.inspect(&[]).await.unwrap().identity;
        assert_eq!(
            identity.location,
            database.path().canonicalize().unwrap().display().to_string()
        );
        assert_eq!(identity.version, rusqlite::version());
    }
}

#[tokio::test]
async fn what_is_no_database_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    std::fs::write(
        &path,
        "no database, though long enough for a header of a hundred bytes".repeat(20),
    )
    .unwrap();
    let failure = SqliteSource::open(settings(&path.display().to_string()))
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::SourceCorrupt);
}

#[tokio::test]
async fn a_broken_page_ends_the_read_as_corrupt() {
    let database = Database::new(
        "PRAGMA page_size = 1024; CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, 'some text of some length ' || i FROM n;",
    );
    // The writer's descriptor is in this process as well: only its own locks could be lost, and it holds none.
    let mut bytes = std::fs::read(database.path()).unwrap();
    let middle = bytes.len() / 2 / 1024 * 1024;
    bytes[middle..middle + 1024].fill(0xaa);
    std::fs::write(database.path(), bytes).unwrap();
    let columns = [
        cell("id", "INTEGER", ChunkType::Int64),
        cell("a", "TEXT", ChunkType::Text),
    ];
    let failure = Read::of("t", &columns).failure(&database.source().await).await;
    assert_eq!(
        (failure.code, failure.table.as_deref()),
        (Code::SourceCorrupt, Some("main.t"))
    );
}

/// The files that a writer leaves that was killed in the middle of a transaction.
#[tokio::test]
async fn an_interrupted_transaction_is_told_and_the_remedy_helps() {
    let database = Database::new(
        "PRAGMA cache_size = 1; CREATE TABLE t (id INTEGER, a BLOB); INSERT INTO t VALUES (1, zeroblob(100000));
         BEGIN; UPDATE t SET a = randomblob(200000); INSERT INTO t VALUES (2, randomblob(500000));",
    );
    let left = tempfile::tempdir().unwrap();
    let path = left.path().join("left.db");
    let journal = database.path().with_file_name("data base.db-journal");
    std::fs::copy(database.path(), &path).unwrap();
    std::fs::copy(journal, left.path().join("left.db-journal")).unwrap();

    let failure = SqliteSource::open(settings(&path.display().to_string()))
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::SourceCorrupt, "{failure:?}");
    assert!(
        failure.action().contains("program that may write"),
        "{}",
        failure.action()
    );
    Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM t", [], |_| Ok(()))
        .unwrap();
    let source = SqliteSource::open(settings(&path.display().to_string())).await.unwrap();
    let columns = [cell("id", "INTEGER", ChunkType::Int64)];
    assert_eq!(Read::of("t", &columns).integers(&source).await, [1]);
}

#[tokio::test]
async fn somebody_elses_exclusive_lock_is_waited_for_and_then_a_timeout() {
    let database = Database::new("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1);");
    let source = database.source().await;
    database.execute_all("BEGIN EXCLUSIVE");
    let columns = [cell("id", "INTEGER", ChunkType::Int64)];
    assert_eq!(Read::of("t", &columns).failure(&source).await.code, Code::SourceTimeout);
    assert_eq!(source.snapshot().await.unwrap_err().code, Code::SourceTimeout);
    database.execute_all("COMMIT");
    assert_eq!(Read::of("t", &columns).integers(&source).await, [1]);
}

#[tokio::test]
async fn a_statement_has_its_time_limit() {
    let database = Database::new("CREATE TABLE t (id INTEGER)");
    let mut settings = settings(&database.path().display().to_string());
    settings.statement_timeout = Duration::from_millis(200);
    let source = SqliteSource::open(settings).await.unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0";
    let columns = [cell("i", "", ChunkType::Int64)];
    let read = Read {
        relation: Relation::Query(endless.to_owned()),
        ..Read::of("", &columns)
    };
    let began = Instant::now();
    assert_eq!(read.failure(&source).await.code, Code::SourceTimeout);
    assert!(began.elapsed() < Duration::from_secs(20), "the limit holds");
    let relation = Relation::Query(endless.to_owned());
    assert_eq!(
        source.aggregate(&relation, None, &columns).await.unwrap_err().code,
        Code::SourceTimeout
    );
}

/// A statement that finds nothing for long is interrupted as well, and its connection comes free.
#[tokio::test]
async fn a_dropped_statement_without_rows_frees_its_connection() {
    let database = Database::new("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1);");
    let source = database.source().await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0";
    let columns = [cell("i", "", ChunkType::Int64)];
    for _ in 0..6 {
        let read = Read {
            relation: Relation::Query(endless.to_owned()),
            ..Read::of("", &columns)
        };
        let dropped = tokio::time::timeout(Duration::from_millis(30), read.from(&source)).await;
        assert!(dropped.is_err(), "it never ends by itself");
    }
    let columns = [cell("id", "INTEGER", ChunkType::Int64)];
    let read = Read::of("t", &columns);
    let free = tokio::time::timeout(Duration::from_secs(20), read.integers(&source)).await;
    assert_eq!(free.expect("a connection comes free"), [1]);
}

/// A process that closes any descriptor of a file loses all its locks on it, and SQLite in the same process would not
/// notice: the system's own list tells whether they hold.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_call_takes_the_locks_of_a_snapshot() {
    use std::os::unix::fs::MetadataExt;
    let database = Database::new("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1);");
    let inode = std::fs::metadata(database.path()).unwrap().ino();
    let locked = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks
            .lines()
            .any(|line| line.contains("POSIX") && line.contains("READ") && line.contains(&format!(":{inode} ")))
    };
    let source = database.source().await;
    assert!(!locked(), "nobody reads");
    let snapshot = source.snapshot().await.unwrap().unwrap();
    for _ in 0..3 {
        let other = database.source().await;
        drop(other.snapshot().await.unwrap());
        drop(source.snapshot().await.unwrap());
        drop(other);
        assert!(locked(), "the snapshot's lock holds");
    }
    drop(snapshot);
    assert!(!locked(), "the snapshot has ended");
}

#[tokio::test]
async fn nothing_can_be_written() {
    let database = Database::new("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1);");
    let source = database.source().await;
    let columns = [cell("id", "INTEGER", ChunkType::Int64)];
    let before = std::fs::metadata(database.path()).unwrap().modified().unwrap();
    for sql in [
        "PRAGMA user_version = 7",
        "ATTACH 'x.db' AS x",
        "VACUUM INTO 'y.db'",
        "INSERT INTO t VALUES (2) RETURNING id",
    ] {
        let read = Read {
            relation: Relation::Query(sql.to_owned()),
            ..Read::of("", &columns)
        };
        assert_eq!(read.failure(&source).await.code, Code::SourceQueryInvalid, "{sql}");
    }
    assert_eq!(std::fs::metadata(database.path()).unwrap().modified().unwrap(), before);
    let check = Connection::open(database.path()).unwrap();
    assert_eq!(
        check
            .query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
            .unwrap(),
        0
    );
}
