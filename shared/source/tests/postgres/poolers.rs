//! Behind pgbouncer, which these tests start themselves: `SQLEXTRACT_TEST_PGBOUNCER` is its program, `pgbouncer` by
//! default.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlextract_model::Code;
use sqlextract_source::{PostgresSource, Source};
use tempfile::TempDir;

use crate::fixture::{Reading, Scratch, inspect, settings};

struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn start(scratch: &Scratch, mode: &str) -> Pooler {
    start_asking(scratch, mode, "any").await
}

/// `asking` is how the pooler wants to know who connects.
async fn start_asking(scratch: &Scratch, mode: &str, asking: &str) -> Pooler {
    let (credentials, address) = scratch
        .server
        .trim_start_matches("postgres://")
        .rsplit_once('@')
        .unwrap();
    let (user, password) = credentials.split_once(':').unwrap();
    let (host, server_port) = address.split_once(':').unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = TempDir::new().unwrap();
    let users = folder.path().join("users.txt");
    std::fs::write(&users, "\"postgres\" \"quite \\secret\"\n").unwrap();
    let users = users.display();
    let settings = format!(
        "[databases]\n* = host={host} port={server_port} user={user} password={password}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = {asking}\nauth_file = {users}\npool_mode = {mode}\n\
         unix_socket_dir =\nlogfile =\ndefault_pool_size = 6\n"
    );
    let file = folder.path().join("pgbouncer.ini");
    std::fs::write(&file, settings).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = std::env::var("SQLEXTRACT_TEST_PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned());
    let mut command = Command::new(&program);
    command.arg(&file).stderr(Stdio::null()).stdout(Stdio::null());
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|id| id.stdout == b"0\n");
    if root {
        // It refuses to run as root.
        command.arg("--user=nobody");
    }
    let process = command
        .spawn()
        .unwrap_or_else(|error| panic!("{program} (SQLEXTRACT_TEST_PGBOUNCER): {error}"));
    let pooler = Pooler {
        process,
        port,
        _folder: folder,
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < deadline, "pgbouncer does not listen");
        tokio::task::yield_now().await;
    }
    pooler
}

async fn open(scratch: &Scratch, pooler: &Pooler) -> PostgresSource {
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", pooler.port, scratch.name);
    PostgresSource::open(settings(url)).await.unwrap()
}

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, i interval); INSERT INTO t VALUES (1, '1 mon'), (2, NULL)";

#[tokio::test]
async fn in_session_mode_a_pooler_is_no_hindrance() {
    let mut scratch = Scratch::new().await;
    scratch.execute(TABLE).await;
    let pooler = start(&scratch, "session").await;
    let source = open(&scratch, &pooler).await;
    let facts = source.inspect(&[crate::fixture::table("t")]).await.unwrap();
    assert_eq!(facts.pooler, None);
    let snapshot = source.snapshot().await.unwrap().unwrap();
    let rows = Reading::all(&facts.tables[0])
        .snapshot(snapshot.token())
        .rows(&source)
        .await;
    assert_eq!(rows, ["1|P1M", "2|∅"]);
    drop((snapshot, source, pooler));
    scratch.remove().await;
}

#[tokio::test]
async fn in_transaction_mode_a_pooler_is_named_and_keeps_no_snapshot() {
    let mut scratch = Scratch::new().await;
    scratch.execute(TABLE).await;
    let pooler = start(&scratch, "transaction").await;
    let source = open(&scratch, &pooler).await;
    let facts = source.inspect(&[crate::fixture::table("t")]).await.unwrap();
    assert_eq!(facts.pooler.as_deref(), Some("a pooler in transaction mode"));
    assert_eq!(source.snapshot().await.unwrap_err().code, Code::SourcePooler);
    // Without a snapshot it can be read, and settings do not leak into the sessions of others.
    for _ in 0..5 {
        let facts = inspect(&source, "t").await;
        assert_eq!(Reading::all(&facts).rows(&source).await, ["1|P1M", "2|∅"]);
        let empty = Reading::all(&facts).filter("id > 5");
        assert!(empty.rows(&source).await.is_empty());
    }
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", pooler.port, scratch.name);
    let mut other =
        <sqlx::postgres::PgConnection as sqlx::Connection>::connect(&format!("{url}?sslmode=disable")).await;
    if let Ok(other) = &mut other {
        let row = sqlx::raw_sql("SELECT current_setting('intervalstyle') || current_setting('transaction_read_only')");
        let row = row.fetch_one(other).await.unwrap();
        assert_eq!(sqlx::Row::get::<String, _>(&row, 0), "postgresoff");
    }
    drop((other, source, pooler));
    scratch.remove().await;
}

#[tokio::test]
async fn in_statement_mode_a_pooler_is_refused() {
    let scratch = Scratch::new().await;
    let pooler = start(&scratch, "statement").await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", pooler.port, scratch.name);
    let failure = PostgresSource::open(settings(url)).await.unwrap_err();
    assert_eq!(failure.code, Code::SourcePooler, "{failure:?}");
    drop(pooler);
    scratch.remove().await;
}

#[tokio::test]
async fn a_password_is_told_in_every_way_that_it_is_asked_for() {
    let mut scratch = Scratch::new().await;
    scratch.execute(TABLE).await;
    for asking in ["plain", "md5", "scram-sha-256"] {
        let pooler = start_asking(&scratch, "session", asking).await;
        let url = |password| {
            let address = format!("127.0.0.1:{}/{}", pooler.port, scratch.name);
            settings(format!("postgres://postgres:{password}@{address}"))
        };
        let source = PostgresSource::open(url("quite%20%5Csecret")).await.unwrap();
        let rows = Reading::all(&inspect(&source, "t").await).rows(&source).await;
        assert_eq!(rows, ["1|P1M", "2|∅"], "{asking}");
        let failure = PostgresSource::open(url("wrong")).await.unwrap_err();
        // pgbouncer has no SQLSTATE of its own for it.
        assert!(
            format!("{failure:?}").contains("authentication failed"),
            "{asking}: {failure:?}"
        );
    }
    scratch.remove().await;
}
