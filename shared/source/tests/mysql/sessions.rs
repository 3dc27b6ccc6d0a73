//! Sessions are pinned: the server's defaults change no byte.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use sqlextract_model::{KeyRange, KeyValue, Range};
use sqlextract_source::{MysqlSource, Probe, ProbeAnswer, Source, SourceSettings};

use crate::support::{Reading, Scratch, facts};

/// Global settings that would change what a text, a name, a time or an answer is.
const HOSTILE: [(&str, &str); 8] = [
    (
        "sql_mode",
        "'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE'",
    ),
    ("time_zone", "'+11:30'"),
    ("character_set_server", "latin1"),
    ("character_set_client", "latin1"),
    ("character_set_results", "latin1"),
    ("sql_select_limit", "2"),
    ("sql_auto_is_null", "1"),
    ("autocommit", "0"),
];

#[tokio::test]
async fn hostile_global_settings_change_nothing() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, c CHAR(9), s VARCHAR(9), x TIMESTAMP NULL, d DATE)")
        .await;
    let row = "(NULL, 'a', '🦀\\\\', '2024-07-01 12:00:00', NULL)";
    scratch
        .run(&format!("INSERT INTO t VALUES {row}, {row}, {row}, {row}"))
        .await;
    let mut saved = Vec::new();
    for (name, _) in HOSTILE {
        let sql = format!("SELECT CAST(@@GLOBAL.{name} AS CHAR)");
        let value: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut scratch.admin)
            .await
            .unwrap();
        saved.push((name, value));
    }
    for (name, value) in HOSTILE {
        scratch.run(&format!("SET GLOBAL {name} = {value}")).await;
    }
    let read = async {
        let source = MysqlSource::open(scratch.settings()).await?;
        let mut reading = Reading::of(&facts(&source, "t").await);
        let rows = reading.rows(&source).await?;
        reading.filter = Some("id IS NULL OR s = \"none\"".to_owned());
        let none = reading.rows(&source).await?;
        Ok::<_, sqlextract_model::Failure>((rows, none))
    };
    // The settings go back in any case.
    let read = AssertUnwindSafe(read).catch_unwind().await;
    for (name, value) in saved {
        let quoted = if matches!(value.as_str(), "ON" | "OFF") || value.parse::<u64>().is_ok() {
            value
        } else {
            format!("'{value}'")
        };
        scratch.run(&format!("SET GLOBAL {name} = {quoted}")).await;
    }
    let (rows, none) = read.unwrap().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0][1..], ["a", "🦀\\", "2024-07-01T12:00:00Z", "NULL"]);
    assert_eq!(none.len(), 0);
    scratch.drop().await;
}

#[tokio::test]
async fn nothing_can_be_written_through_a_session() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
    scratch.run("CREATE SEQUENCE IF NOT EXISTS counter").await;
    scratch.run("INSERT INTO t VALUES (1)").await;
    let source = scratch.open().await;
    let mut reading = Reading::of(&facts(&source, "t").await);
    reading.filter = Some("NEXTVAL(counter) > 0".to_owned());
    assert!(reading.rows(&source).await.is_err());
    scratch.drop().await;
}

#[tokio::test]
async fn no_more_connections_are_open_than_allowed() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
    scratch.run("INSERT INTO t SELECT seq FROM seq_1_to_100").await;
    let mut settings = scratch.settings();
    settings.max_connections = 2;
    let source = MysqlSource::open(settings).await.unwrap();
    let table = facts(&source, "t").await;
    let read = |lower: i128| {
        let mut reading = Reading::of(&table);
        let columns = reading.row_key.clone();
        reading.range = Range::Keys(KeyRange {
            columns,
            lower: Some(vec![KeyValue::Integer(lower)]),
            upper: None,
        });
        let source = &source;
        async move { reading.rows(source).await.unwrap().len() }
    };
    // Empty ranges among them, whose proof needs a connection of its own.
    let lengths = futures_util::future::join_all([1, 200, 50, 300, 400, 100, 500].map(read)).await;
    assert_eq!(lengths, [100, 0, 51, 0, 0, 1, 0]);
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND ID <> CONNECTION_ID()",
        scratch.name
    );
    assert!(scratch.number(&sql).await <= 2);
    scratch.drop().await;
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_replaced() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
    let source = scratch.open().await;
    let table = facts(&source, "t").await;
    let idle = format!(
        "SELECT MAX(ID) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND ID <> CONNECTION_ID()",
        scratch.name
    );
    let id = scratch.number(&idle).await;
    scratch.run(&format!("KILL {id}")).await;
    let columns = table.keys[0].columns.clone();
    let relation = sqlextract_model::Relation::Table(table.name.clone());
    let answers = source
        .probe(&relation, None, &[Probe::Bounds { columns }], None)
        .await
        .unwrap();
    assert_eq!(answers, [ProbeAnswer::Bounds(None)]);
    assert!(source.snapshot().await.unwrap().is_none());
    scratch.drop().await;
}

#[tokio::test]
async fn connections_come_with_use_and_go_without() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)")
        .await;
    let settings = SourceSettings {
        idle_timeout: Duration::from_millis(300),
        max_connections: 4,
        ..scratch.settings()
    };
    let source = MysqlSource::open(settings).await.unwrap();
    let facts = facts(&source, "t").await;
    let mut reading = Reading::of(&facts);
    reading.filter = Some("SLEEP(0.2) = 0".to_owned());
    let sql = "SELECT CAST(COUNT(*) AS SIGNED) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    for _ in 0..2 {
        let done = AtomicBool::new(false);
        let reads = async {
            let read = futures_util::future::join_all((0..3).map(|_| reading.rows(&source))).await;
            done.store(true, Ordering::Relaxed);
            read
        };
        let admin = &mut scratch.admin;
        let counted = async {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                let now: i64 = sqlx::query_scalar(sql).fetch_one(&mut *admin).await.unwrap();
                most = most.max(now);
            }
            most
        };
        let (read, most) = tokio::join!(reads, counted);
        assert!((3..=4).contains(&most), "{most} connections for three reads");
        assert!(read.iter().all(|rows| rows.as_ref().unwrap().len() == 3));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(&mut scratch.admin)
            .await
            .unwrap()
            != 0
        {
            assert!(tokio::time::Instant::now() < deadline, "they stay");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_connection_for_reads_is_opened_ahead_and_all_are_told_goodbye() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)")
        .await;
    let count = "SELECT CAST(COUNT(*) AS SIGNED) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()";
    // One is opened with the source.
    for (max_connections, expected) in [(4, 2), (1, 1)] {
        let settings = SourceSettings {
            max_connections,
            ..scratch.settings()
        };
        let source = MysqlSource::open(settings).await.unwrap();
        let facts = facts(&source, "t").await;
        source.before_reads();
        until(&mut scratch, count, expected).await;
        assert_eq!(Reading::of(&facts).rows(&source).await.unwrap().len(), 3);
        until(&mut scratch, count, expected).await;
        // A read gives its connection back on its own time.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while scratch.number(count).await != 0 {
            assert!(
                tokio::time::Instant::now() < deadline,
                "of {max_connections}: they stay"
            );
            source.leave().await;
        }
        // Whoever asks after all is answered.
        assert_eq!(Reading::of(&facts).rows(&source).await.unwrap().len(), 3);
    }
    scratch.drop().await;
}

async fn until(scratch: &mut Scratch, count: &str, expected: i64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let found = scratch.number(count).await;
        if found == expected {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{found} connections instead of {expected}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
