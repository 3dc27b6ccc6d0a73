//! Streams: bounded, interruptible, and never reused when they did not reach their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{Code, Failure, KeyRange, KeyValue, Range, Result};
use sqlextract_source::{MysqlSource, RowSink};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::{Kept, Reading, Scratch, facts};

const DEADLINE: Duration = Duration::from_secs(20);

/// More than the buffers of a connection hold.
async fn large_table(scratch: &mut Scratch) -> Reading {
    scratch
        .run("CREATE TABLE big (id INT PRIMARY KEY, s VARCHAR(1000))")
        .await;
    scratch
        .run("INSERT INTO big SELECT seq, REPEAT('x', 1000) FROM seq_1_to_50000")
        .await;
    let source = scratch.open().await;
    Reading::of(&facts(&source, "big").await)
}

/// Tells of each batch and waits for leave to go on.
struct Gated {
    arrived: mpsc::Sender<usize>,
    leave: mpsc::Receiver<()>,
}

#[async_trait]
impl RowSink for Gated {
    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let _ = self.arrived.send(batch.num_rows()).await;
        self.leave
            .recv()
            .await
            .ok_or_else(|| Failure::new(Code::Defect, "the sink is closed"))
    }
}

fn gated() -> (Gated, mpsc::Receiver<usize>, mpsc::Sender<()>) {
    let (arrived, arrivals) = mpsc::channel(1);
    let (permit, leave) = mpsc::channel(100);
    (Gated { arrived, leave }, arrivals, permit)
}

/// The number of the connection that reads, as soon as it does.
async fn reading_connection(scratch: &mut Scratch) -> i64 {
    let sql = format!(
        "SELECT COALESCE(MAX(ID), 0) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND COMMAND IN ('Execute', 'Query') \
         AND ID <> CONNECTION_ID()",
        scratch.name
    );
    until(scratch, &sql, |id| id > 0).await
}

async fn until(scratch: &mut Scratch, sql: &str, done: impl Fn(i64) -> bool) -> i64 {
    let start = Instant::now();
    loop {
        let value = scratch.number(sql).await;
        if done(value) {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "{sql} stays {value}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn small_rows(source: &MysqlSource, scratch: &mut Scratch) {
    scratch
        .run("CREATE TABLE IF NOT EXISTS small (id INT PRIMARY KEY)")
        .await;
    scratch.run("INSERT IGNORE INTO small VALUES (1), (2), (3)").await;
    let reading = Reading::of(&facts(source, "small").await);
    assert_eq!(reading.rows(source).await.unwrap(), [["1"], ["2"], ["3"]]);
}

#[tokio::test]
async fn record_batches_keep_their_bounds() {
    let mut scratch = Scratch::new().await;
    let mut reading = large_table(&mut scratch).await;
    let source = scratch.open().await;
    reading.limits.record_batch_bytes = 100_000;
    let mut sink = Kept::default();
    let summary = reading.run(&source, &mut sink).await.unwrap();
    assert_eq!(summary.rows, 50_000);
    assert!(
        (50_000_000..53_000_000).contains(&summary.load.wire_bytes),
        "{}",
        summary.load.wire_bytes
    );
    let rows: Vec<_> = sink.batches.iter().map(RecordBatch::num_rows).collect();
    assert!(
        rows.iter().all(|n| (1..=100).contains(n)) && rows.iter().sum::<usize>() == 50_000,
        "{:?}",
        rows.iter().max()
    );
    reading.limits.record_batch_rows = 7;
    reading.filter = Some("id <= 15".to_owned());
    let mut sink = Kept::default();
    reading.run(&source, &mut sink).await.unwrap();
    let rows: Vec<_> = sink.batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows, [7, 7, 1]);
    scratch.drop().await;
}

#[tokio::test]
async fn after_a_dropped_read_the_next_one_is_right() {
    let mut scratch = Scratch::new().await;
    let reading = large_table(&mut scratch).await;
    let mut settings = scratch.settings();
    settings.max_connections = 1;
    let source = MysqlSource::open(settings).await.unwrap();
    for _ in 0..3 {
        let (mut sink, mut arrivals, _permit) = gated();
        tokio::select! {
            ended = reading.run(&source, &mut sink) => panic!("the read ended: {ended:?}"),
            rows = arrivals.recv() => assert!(rows > Some(0)),
        }
        small_rows(&source, &mut scratch).await;
    }
    scratch.drop().await;
}

#[tokio::test]
async fn a_sink_that_fails_ends_the_read_with_its_failure() {
    let mut scratch = Scratch::new().await;
    let reading = large_table(&mut scratch).await;
    let source = scratch.open().await;
    let (mut sink, mut arrivals, permit) = gated();
    drop(permit);
    let (ended, _) = tokio::join!(reading.run(&source, &mut sink), arrivals.recv());
    assert_eq!(ended.unwrap_err().message, "the sink is closed");
    small_rows(&source, &mut scratch).await;
    scratch.drop().await;
}

#[tokio::test]
async fn a_cancelled_read_stops_within_seconds_and_leaves_nothing_running() {
    let mut scratch = Scratch::new().await;
    let mut reading = large_table(&mut scratch).await;
    let source = scratch.open().await;
    // One between rows, one whose sink takes nothing, one before the first row.
    for filter in [None, Some("id + SLEEP(30) > 0")] {
        reading.filter = filter.map(str::to_owned);
        reading.cancel = CancellationToken::new();
        let (mut sink, _arrivals, _permit) = gated();
        let cancel = async {
            let id = reading_connection(&mut scratch).await;
            reading.cancel.cancel();
            id
        };
        let start = Instant::now();
        let (ended, id) = tokio::join!(reading.run(&source, &mut sink), cancel);
        assert_eq!(ended.unwrap_err().code, Code::Interrupted);
        assert!(start.elapsed() < DEADLINE);
        let left = format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {id}");
        until(&mut scratch, &left, |n| n == 0).await;
    }
    small_rows(&source, &mut scratch).await;
    scratch.drop().await;
}

#[tokio::test]
async fn a_connection_killed_while_it_reads_is_a_lost_connection() {
    let mut scratch = Scratch::new().await;
    let reading = large_table(&mut scratch).await;
    let source = scratch.open().await;
    let (mut sink, mut arrivals, permit) = gated();
    let kill = async {
        assert!(arrivals.recv().await > Some(0));
        let id = reading_connection(&mut scratch).await;
        scratch.run(&format!("KILL {id}")).await;
        for _ in 0..100 {
            permit.send(()).await.unwrap();
        }
        while arrivals.recv().await.is_some() {}
    };
    let (ended, ()) = tokio::join!(
        async {
            let ended = reading.run(&source, &mut sink).await;
            drop(sink);
            ended
        },
        kill
    );
    let failure = ended.unwrap_err();
    assert_eq!(failure.code, Code::SourceConnectionLost, "{failure:?}");
    assert_eq!(failure.table, Some(scratch.table("big").to_string()));
    small_rows(&source, &mut scratch).await;
    scratch.drop().await;
}

#[tokio::test]
async fn a_consumer_slower_than_the_servers_patience_gets_every_row() {
    let mut scratch = Scratch::new().await;
    let reading = large_table(&mut scratch).await;
    let patience = scratch.number("@@GLOBAL.net_write_timeout").await;
    scratch.run("SET GLOBAL net_write_timeout = 1").await;
    let source = MysqlSource::open(scratch.settings()).await;
    scratch.run(&format!("SET GLOBAL net_write_timeout = {patience}")).await;
    let source = source.unwrap();
    let (mut sink, mut arrivals, permit) = gated();
    let slow = async {
        assert!(arrivals.recv().await > Some(0));
        let id = reading_connection(&mut scratch).await;
        // Until the server has been waiting for us three times as long as it was told to.
        let waited = format!("SELECT COALESCE(MAX(TIME), 99) FROM information_schema.PROCESSLIST WHERE ID = {id}");
        until(&mut scratch, &waited, |seconds| seconds >= 3).await;
        drain(arrivals, permit).await;
    };
    let (ended, ()) = tokio::join!(
        async {
            let ended = reading.run(&source, &mut sink).await;
            drop(sink);
            ended
        },
        slow
    );
    assert_eq!(ended.unwrap().rows, 50_000);
    scratch.drop().await;
}

async fn drain(mut arrivals: mpsc::Receiver<usize>, permit: mpsc::Sender<()>) {
    let _ = permit.send(()).await;
    while arrivals.recv().await.is_some() {
        let _ = permit.send(()).await;
    }
}

/// Passes a server's connections on and counts the bytes that come from it.
async fn counting_proxy(server: String) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let counted = Arc::new(AtomicU64::new(0));
    let received = Arc::clone(&counted);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (server, received) = (server.clone(), Arc::clone(&received));
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                let (mut from_client, mut to_client) = client.split();
                let (mut from_server, mut to_server) = server.split();
                let back = async {
                    let mut buffer = vec![0; 1 << 16];
                    loop {
                        match from_server.read(&mut buffer).await {
                            Ok(n) if n > 0 && to_client.write_all(&buffer[..n]).await.is_ok() => {
                                received.fetch_add(n as u64, Ordering::Relaxed);
                            }
                            _ => break,
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
    (port, counted)
}

#[tokio::test]
async fn a_value_too_large_is_named_and_never_sent() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (id INT PRIMARY KEY, a LONGBLOB, b LONGTEXT, n INT)")
        .await;
    scratch
        .run("INSERT INTO t VALUES (1, NULL, NULL, 1), (2, REPEAT('a', 600000), 'b', 2), (3, 'a', REPEAT('b', 5000000), 3)")
        .await;
    // Two values that only together are too large.
    scratch
        .run("INSERT INTO t VALUES (4, REPEAT('a', 600000), REPEAT('b', 600001), 3)")
        .await;
    let (port, received) = counting_proxy(scratch.server()).await;
    let url = scratch.url_by_port(port);
    let source = MysqlSource::open(scratch.settings_of(&url)).await.unwrap();
    let mut reading = Reading::of(&facts(&source, "t").await);
    reading.limits.row_bytes = 1_000_000;
    for (id, column, length) in [(3, "b", "5000000"), (4, "b", "600001")] {
        reading.filter = Some(format!("id = {id}"));
        let before = received.load(Ordering::Relaxed);
        let failure = reading.failure(&source).await;
        assert_eq!(failure.code, Code::ValueTooLarge);
        assert_eq!(failure.column.as_deref(), Some(column));
        assert_eq!(failure.row, Some(format!("id={id}")));
        assert!(failure.message.contains(length), "{failure}");
        let sent = received.load(Ordering::Relaxed) - before;
        assert!(sent < 10_000, "{sent} bytes came for a row that is refused");
    }
    reading.filter = Some("id < 3".to_owned());
    assert_eq!(reading.rows(&source).await.unwrap().len(), 2);
    assert!(received.load(Ordering::Relaxed) > 600_000);
    scratch.drop().await;
}

/// Notes what is admitted, and checks that nothing large comes unasked.
#[derive(Default)]
struct Admitting {
    kept: Kept,
    admitted: Vec<usize>,
    is_open: bool,
}

#[async_trait]
impl RowSink for Admitting {
    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let bytes = batch.get_array_memory_size();
        assert!(self.is_open || bytes < 1 << 20, "{bytes} bytes were not admitted");
        assert!(!self.is_open || batch.num_rows() == 1, "a large row comes alone");
        self.is_open = false;
        self.kept.push(batch).await
    }

    async fn admit(&mut self, bytes: usize) -> Result<()> {
        self.admitted.push(bytes);
        self.is_open = true;
        Ok(())
    }
}

#[tokio::test]
async fn large_rows_are_admitted_one_by_one_and_are_the_same_as_among_others() {
    let mut scratch = Scratch::new().await;
    scratch
        .run("CREATE TABLE t (id INT PRIMARY KEY, a LONGBLOB, b LONGTEXT, n INT)")
        .await;
    scratch
        .run(
            "INSERT INTO t VALUES (1, 'a', NULL, 1), (2, REPEAT('a', 2000000), 'b', 2), (3, NULL, REPEAT('b', 100), 3)",
        )
        .await;
    scratch
        .run(
            "INSERT INTO t VALUES (4, REPEAT('a', 300000), REPEAT('b', 400000), 4), (5, '', REPEAT('é', 600000), NULL)",
        )
        .await;
    let source = scratch.open().await;
    let mut reading = Reading::of(&facts(&source, "t").await);
    reading.limits.alone_bytes = usize::MAX;
    let mut whole = reading.rows(&source).await.unwrap();
    whole.sort();
    reading.limits.alone_bytes = 500_000;
    for filter in [None, Some("id <> 100")] {
        reading.filter = filter.map(str::to_owned);
        let mut sink = Admitting::default();
        let summary = reading.run(&source, &mut sink).await.unwrap();
        let mut rows = sink.kept.rows();
        rows.sort();
        assert_eq!((summary.rows, sink.admitted.len()), (5, 3));
        // The driver's own copy is counted.
        assert!(
            sink.admitted.iter().all(|bytes| *bytes >= 2_000_000 / 3 * 4),
            "{:?}",
            sink.admitted
        );
        assert!(rows == whole, "the rows differ");
    }
    scratch.drop().await;
}

#[tokio::test]
async fn an_empty_range_is_proven_and_rows_that_appear_meanwhile_are_told() {
    let mut scratch = Scratch::new().await;
    scratch.run("CREATE TABLE t (id INT PRIMARY KEY)").await;
    scratch.run("INSERT INTO t VALUES (1)").await;
    let source = scratch.open().await;
    let mut reading = Reading::of(&facts(&source, "t").await);
    reading.filter = Some("id > 1".to_owned());
    assert_eq!(reading.rows(&source).await.unwrap().len(), 0);
    // Another connection each time: the first answers with nothing, the second with rows.
    reading.filter = Some("CONNECTION_ID() % 2 = (SELECT id FROM t) % 2".to_owned());
    let mut codes = Vec::new();
    for _ in 0..6 {
        match reading.rows(&source).await {
            Ok(rows) => assert!(rows.len() <= 1),
            Err(failure) => codes.push(failure.code),
        }
    }
    assert!(codes.iter().all(|code| *code == Code::RowsUnproven), "{codes:?}");
    scratch.drop().await;
}

#[tokio::test]
async fn an_empty_range_is_proven_whatever_its_filter_holds() {
    let mut scratch = Scratch::new().await;
    let source = scratch.open().await;
    small_rows(&source, &mut scratch).await;
    let mut reading = Reading::of(&facts(&source, "small").await);
    reading.filter = Some("'what?' <> '?' AND id > 100".to_owned());
    reading.range = Range::Keys(KeyRange {
        columns: reading.row_key.clone(),
        lower: Some(vec![KeyValue::Integer(1)]),
        upper: Some(vec![KeyValue::Integer(50)]),
    });
    assert_eq!(reading.rows(&source).await.unwrap(), Vec::<Vec<String>>::new());
    reading.filter = Some("'what?' <> '?' AND id > 2".to_owned());
    assert_eq!(reading.rows(&source).await.unwrap(), [["3"]]);
    scratch.drop().await;
}
