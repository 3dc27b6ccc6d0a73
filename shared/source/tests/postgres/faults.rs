use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{Code, Failure, Result};
use sqlextract_source::{PostgresSource, RowSink, SourceSettings};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::fixture::{Collected, Reading, Scratch, execute, inspect, settings};

const MANY: &str = "CREATE TABLE t AS SELECT i AS id, repeat('x', 200) AS filler FROM generate_series(1, 200000) i";

/// One connection, so that each read would get the one of the read before it.
async fn open_narrow(scratch: &Scratch) -> PostgresSource {
    PostgresSource::open(SourceSettings {
        max_connections: 1,
        ..settings(scratch.url())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_read_after_a_failed_one_has_all_its_rows() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t AS SELECT i AS id FROM generate_series(0, 5000) i")
        .await;
    let source = open_narrow(&scratch).await;
    let facts = inspect(&source, "t").await;
    for filter in ["1 / (id - 3000) < 2", "1 / id < 2", "id::text::date > now()"] {
        let failure = Reading::all(&facts).filter(filter).failure(&source).await;
        assert_eq!(failure.code, Code::SourceQueryInvalid, "{failure:?}");
        for _ in 0..3 {
            assert_eq!(Reading::all(&facts).rows(&source).await.len(), 5001);
        }
    }
    scratch.remove().await;
}

/// Does something at the first batch, then fails or goes on.
struct AtFirstBatch<F> {
    act: Option<F>,
}

#[async_trait]
impl<F: AsyncFnOnceBox> RowSink for AtFirstBatch<F> {
    async fn push(&mut self, _: RecordBatch) -> Result<()> {
        match self.act.take() {
            Some(act) => act.call().await,
            None => Ok(()),
        }
    }
}

/// A boxed asynchronous step of a test.
#[async_trait]
trait AsyncFnOnceBox: Send {
    async fn call(self) -> Result<()>;
}

struct Fail;

#[async_trait]
impl AsyncFnOnceBox for Fail {
    async fn call(self) -> Result<()> {
        Err(Failure::new(Code::StorageFull, "no room"))
    }
}

struct Cancel(CancellationToken);

#[async_trait]
impl AsyncFnOnceBox for Cancel {
    async fn call(self) -> Result<()> {
        self.0.cancel();
        Ok(())
    }
}

/// Ends every reader of the database.
struct Kill(String);

const KILL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE datname = current_database() AND application_name = 'sqlextract'";

#[async_trait]
impl AsyncFnOnceBox for Kill {
    async fn call(self) -> Result<()> {
        let mut admin = PgConnection::connect(&self.0).await.unwrap();
        execute(&mut admin, KILL).await;
        Ok(())
    }
}

#[tokio::test]
async fn a_read_after_an_abandoned_one_has_all_its_rows() {
    let mut scratch = Scratch::new().await;
    scratch.execute(MANY).await;
    let source = open_narrow(&scratch).await;
    let facts = inspect(&source, "t").await;
    for _ in 0..2 {
        let failed = Reading::all(&facts)
            .push_to(&source, &mut AtFirstBatch { act: Some(Fail) })
            .await;
        assert_eq!(failed.unwrap_err().code, Code::StorageFull);
        let small = Reading::all(&facts).filter("id <= 10").rows(&source).await;
        assert_eq!(small.len(), 10);
    }
    scratch.remove().await;
}

#[tokio::test]
async fn a_cancelled_read_stops_at_once_and_leaves_the_source_usable() {
    let mut scratch = Scratch::new().await;
    scratch.execute(MANY).await;
    let source = open_narrow(&scratch).await;
    let facts = inspect(&source, "t").await;
    let reading = Reading::all(&facts);
    let mut sink = AtFirstBatch {
        act: Some(Cancel(reading.cancel.clone())),
    };
    let started = Instant::now();
    assert_eq!(
        reading.push_to(&source, &mut sink).await.unwrap_err().code,
        Code::Interrupted
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    // A statement that computes and sends nothing is left just as quickly.
    let reading = Reading::all(&facts).filter("pg_sleep(0.01) IS NULL");
    let cancel = reading.cancel.clone();
    let mut sink = Collected::default();
    let started = Instant::now();
    let (result, ()) = tokio::join!(reading.push_to(&source, &mut sink), async {
        tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>())
            .await
            .unwrap_err();
        cancel.cancel();
    });
    assert_eq!(result.unwrap_err().code, Code::Interrupted);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(Reading::all(&facts).filter("id <= 10").rows(&source).await.len(), 10);
    scratch.remove().await;
}

#[tokio::test]
async fn a_backend_that_is_killed_in_mid_stream_is_a_lost_connection() {
    let mut scratch = Scratch::new().await;
    scratch.execute(MANY).await;
    let source = scratch.open().await;
    let facts = inspect(&source, "t").await;
    let mut sink = AtFirstBatch {
        act: Some(Kill(scratch.url())),
    };
    let failure = Reading::all(&facts).push_to(&source, &mut sink).await.unwrap_err();
    assert_eq!(failure.code, Code::SourceConnectionLost, "{failure:?}");
    // The idle connections were killed too; nobody notices.
    assert_eq!(Reading::all(&facts).filter("id <= 10").rows(&source).await.len(), 10);
    scratch.execute(KILL).await;
    assert_eq!(inspect(&source, "t").await.columns.len(), 2);
    scratch.remove().await;
}

#[tokio::test]
async fn locks_and_long_statements_end_in_time() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
        .await;
    let quick = SourceSettings {
        lock_timeout: Duration::from_millis(200),
        statement_timeout: Duration::from_millis(500),
        ..settings(scratch.url())
    };
    let source = PostgresSource::open(quick).await.unwrap();
    let facts = inspect(&source, "t").await;
    let failure = Reading::all(&facts)
        .filter("pg_sleep(5) IS NOT NULL")
        .failure(&source)
        .await;
    assert_eq!(failure.code, Code::SourceTimeout, "{failure:?}");
    scratch.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE").await;
    assert_eq!(Reading::all(&facts).failure(&source).await.code, Code::SourceTimeout);
    scratch.execute("COMMIT").await;
    assert_eq!(Reading::all(&facts).rows(&source).await, ["1"]);
    scratch.remove().await;
}

#[tokio::test]
async fn no_more_connections_are_open_than_allowed() {
    let mut scratch = Scratch::new().await;
    scratch.execute(MANY).await;
    let source = PostgresSource::open(SourceSettings {
        max_connections: 2,
        ..settings(scratch.url())
    })
    .await
    .unwrap();
    let facts = inspect(&source, "t").await;
    let read = |filter: &'static str| {
        let reading = Reading::all(&facts).filter(filter);
        let source = &source;
        async move { reading.rows(source).await.len() }
    };
    let watch = async {
        let mut most = 0;
        for _ in 0..200 {
            let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                AND application_name = 'sqlextract'";
            most = most.max(scratch.value(count).await.parse::<usize>().unwrap());
            tokio::task::yield_now().await;
        }
        most
    };
    let reads = async {
        tokio::join!(
            read("id % 2 = 0"),
            read("id < 0"),
            read("id % 3 = 0"),
            read("id < 0"),
            read("id % 5 = 0")
        )
    };
    let (counts, most) = tokio::join!(reads, watch);
    assert_eq!(counts, (100_000, 0, 66_666, 0, 40_000));
    // A connection that was just closed may be counted for a moment longer.
    assert!((1..=3).contains(&most), "{most}");
    scratch.remove().await;
}

/// A way to the server on which one message out of those with these bytes is lost, by its port.
async fn way_that_loses(server: String, marked: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.split();
                let (mut from_server, mut to_server) = server.split();
                let back = async {
                    let mut lost = false;
                    // Every message has a tag and the length of what follows the tag.
                    while let Ok(tag) = from_server.read_u8().await {
                        let length = from_server.read_u32().await.unwrap();
                        let mut body = vec![0; length as usize - 4];
                        from_server.read_exact(&mut body).await.unwrap();
                        if !lost && body.windows(marked.len()).any(|bytes| bytes == marked) {
                            lost = true;
                            continue;
                        }
                        let message = [&[tag], length.to_be_bytes().as_slice(), &body].concat();
                        if to_client.write_all(&message).await.is_err() {
                            break;
                        }
                    }
                };
                tokio::select! {
                    () = back => {}
                    _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_row_that_is_lost_on_the_way_is_noticed() {
    let mut scratch = Scratch::new().await;
    scratch
        .execute("CREATE TABLE t AS SELECT i AS id, 'row number ' || i AS x FROM generate_series(1, 2000) i")
        .await;
    let (credentials, address) = scratch
        .url()
        .rsplit_once('@')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let (host, database) = address.split_once('/').unwrap();
    for (marked, lost) in [(&b"row number 1234"[..], true), (b"row number 2001", false)] {
        let port = way_that_loses(host.to_owned(), marked).await;
        let url = format!("{credentials}@127.0.0.1:{port}/{database}?sslmode=disable");
        let source = PostgresSource::open(settings(url)).await.unwrap();
        let facts = inspect(&source, "t").await;
        let mut collected = Collected::default();
        let read = Reading::all(&facts).push_to(&source, &mut collected).await;
        match lost {
            true => assert_eq!(read.unwrap_err().code, Code::RowsUnproven),
            false => assert_eq!(read.unwrap().rows, 2000),
        }
    }
    scratch.remove().await;
}
