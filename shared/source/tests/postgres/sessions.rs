use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlextract_source::{PostgresSource, Source, SourceSettings};

use crate::fixture::{Reading, Scratch, inspect, settings};

const HOSTILE: &[&str] = &[
    "datestyle = 'SQL, DMY'",
    "timezone = 'Asia/Kolkata'",
    "intervalstyle = 'postgres_verbose'",
    "bytea_output = 'escape'",
    "extra_float_digits = -10",
    "client_encoding = 'LATIN1'",
    "standard_conforming_strings = off",
    "transform_null_equals = on",
    "quote_all_identifiers = on",
    "xmlbinary = 'hex'",
    "default_transaction_isolation = 'read committed'",
    "default_transaction_deferrable = on",
    "statement_timeout = '3s'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1s'",
    "idle_session_timeout = '1s'",
    "enable_indexscan = off",
    "search_path = evil, public",
];

const VALUES: &str = "CREATE TABLE t (id int PRIMARY KEY, d date, ts timestamp, tz timestamptz, i interval, b bytea, \
        f float8, r float4, dr daterange, ba bytea[], tza timestamptz[], ia interval[], tr tstzrange); \
    INSERT INTO t VALUES (1, '2024-03-04', '2024-03-04 05:06:07.5', '2024-03-04 05:06:07+00', '1 mon -2 days 03:00', \
        '\\x00ff5c', 0.1::float8 + 0.2::float8, 0.1, '[2024-03-04,2024-05-06)', ARRAY['\\x00'::bytea], \
        ARRAY['2024-03-04 05:06:07+00'::timestamptz], ARRAY['1 mon'::interval], '[2024-03-04 00:00+00,)')";

#[tokio::test]
async fn values_do_not_depend_on_the_settings_of_the_role() {
    let mut scratch = Scratch::new().await;
    let (role, url) = scratch.role().await;
    // Functions that would answer wrongly if they were found first.
    let evil = "CREATE SCHEMA evil; CREATE FUNCTION evil.count(\"any\") RETURNS bigint LANGUAGE internal AS 'pg_backend_pid'; \
        CREATE FUNCTION evil.format_type(oid, int) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$; \
        CREATE FUNCTION evil.to_json(anyelement) RETURNS json LANGUAGE sql AS $$ SELECT '\"evil\"'::json $$; \
        CREATE FUNCTION evil.less(int, bigint) RETURNS bool LANGUAGE sql AS $$ SELECT false $$; \
        CREATE OPERATOR evil.>= (LEFTARG = int, RIGHTARG = bigint, FUNCTION = evil.less); \
        CREATE TABLE evil.pg_class (oid int)";
    scratch
        .execute(&format!(
            "{VALUES}; {evil}; GRANT USAGE ON SCHEMA evil TO {role}; GRANT SELECT ON t TO {role}"
        ))
        .await;
    let plain = scratch.open().await;
    let facts = inspect(&plain, "t").await;
    let expected = Reading::all(&facts).rows(&plain).await;
    for setting in HOSTILE {
        scratch.execute(&format!("ALTER ROLE {role} SET {setting}")).await;
    }
    let source = PostgresSource::open(settings(url)).await.unwrap();
    let hostile = inspect(&source, "t").await;
    assert_eq!(hostile, facts);
    assert_eq!(Reading::all(&hostile).rows(&source).await, expected);
    let key = sqlextract_model::KeyRange {
        columns: facts.keys[0].columns.clone(),
        lower: Some(vec![sqlextract_model::KeyValue::Integer(0)]),
        upper: None,
    };
    let range = sqlextract_model::Range::Keys(key);
    assert_eq!(Reading::all(&hostile).range(range).rows(&source).await, expected);
    // Longer than the role's own limit for statements.
    let slow = Reading::all(&hostile).filter("pg_sleep(3.5) IS NOT NULL");
    assert_eq!(slow.rows(&source).await, expected);
    let snapshot = Source::snapshot(&source).await.unwrap().unwrap();
    assert_eq!(
        Reading::all(&hostile).snapshot(snapshot.token()).rows(&source).await,
        expected
    );
    scratch.execute(&format!("DROP OWNED BY {role}")).await;
    scratch.remove().await;
}

#[tokio::test]
async fn what_a_query_writes_is_refused() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute(
            "CREATE TABLE t (id int); INSERT INTO t VALUES (1); \
             CREATE FUNCTION sneak() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t; RETURN true; END $$",
        )
        .await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let failure = Reading::all(&facts).filter("sneak()").failure(&source).await;
    assert_eq!(failure.code, sqlextract_model::Code::SourceQueryInvalid, "{failure:?}");
    assert_eq!(scratch.value("SELECT count(*) FROM t").await, "1");
    scratch.remove().await;
}

#[tokio::test]
async fn connections_come_with_use_and_go_without() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5)")
        .await;
    let source = PostgresSource::open(SourceSettings {
        idle_timeout: Duration::from_millis(300),
        max_connections: 6,
        ..settings(scratch.url())
    });
    let source = source.await.unwrap();
    let facts = inspect(&source, "t").await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    for _ in 0..2 {
        // Five at once, each long enough for all to be there.
        let reading = Reading::all(&facts).filter("pg_sleep(0.1) IS NOT NULL");
        let done = AtomicBool::new(false);
        let reads = async {
            let read = futures_util::future::join_all((0..5).map(|_| reading.rows(&source))).await;
            done.store(true, Ordering::Relaxed);
            read
        };
        let counted = async {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(scratch.value(count).await.parse().unwrap());
            }
            most
        };
        let (read, most): (_, u32) = tokio::join!(reads, counted);
        assert!((5..=6).contains(&most), "{most} connections for five reads");
        assert!(read.iter().all(|rows| rows.len() == 5));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while scratch.value(count).await != "0" {
            assert!(tokio::time::Instant::now() < deadline, "they stay");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    scratch.remove().await;
}

#[tokio::test]
async fn a_connection_for_reads_is_opened_ahead_where_there_is_room() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5)")
        .await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    // Two are opened with the source, and each read takes one of its own kind.
    for (max_connections, expected) in [(6, "3"), (2, "2"), (1, "1")] {
        let source = PostgresSource::open(SourceSettings {
            max_connections,
            ..settings(scratch.url())
        });
        let source = source.await.unwrap();
        let facts = inspect(&source, "t").await;
        for _ in 0..2 {
            source.before_reads();
            until(&mut scratch, count, expected).await;
        }
        assert_eq!(Reading::all(&facts).rows(&source).await.len(), 5);
        until(&mut scratch, count, expected).await;
        drop(source);
        until(&mut scratch, count, "0").await;
    }
    scratch.remove().await;
}

async fn until(scratch: &mut Scratch, count: &str, expected: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let found = scratch.value(count).await;
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
