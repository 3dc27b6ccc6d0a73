mod budget;
mod loss;
mod overview;
mod refusals;
mod server;

use std::collections::BTreeSet;

use sqlextract_model::{BatchIndex, Generation, JobId, TableName, segments};

use self::server::{DEADLINE, Server, run_at};
use super::*;
use crate::suite::Subject;

/// The server of the test run under names of their own, or a private one.
async fn open() -> (Subject, Option<Server>) {
    let prefix = format!("test-{}", random_name());
    let (url, server) = match std::env::var("SQLEXTRACT_TEST_REDIS") {
        Ok(url) => (url, None),
        Err(_) => {
            let server = Server::start().await;
            (server.url(), Some(server))
        }
    };
    (two(&url, &prefix).await, server)
}

async fn two(url: &str, prefix: &str) -> Subject {
    let settings = RedisSettings {
        prefix: prefix.to_owned(),
        // What a test leaves on a server that is not its own goes soon.
        retention: Duration::from_secs(600),
        ..RedisSettings::new(url)
    };
    Subject {
        first: Arc::new(RedisCheckpoint::open(settings.clone()).await.unwrap()),
        second: Arc::new(RedisCheckpoint::open(settings).await.unwrap()),
    }
}

crate::checkpoint_suite!(open);

/// The same on a node of a cluster that holds all slots, where keys of two slots in one call are an error.
mod cluster {
    use super::*;

    async fn open() -> (Subject, Server) {
        let server = cluster().await;
        (two(&server.url(), "sqlextract").await, server)
    }

    crate::checkpoint_suite!(open);
}

async fn cluster() -> Server {
    let server = Server::with(&["--cluster-enabled", "yes"]).await;
    server.run(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    let begun = std::time::Instant::now();
    loop {
        let info = String::from_redis_value(server.run(&["CLUSTER", "INFO"]).await).unwrap();
        if info.contains("cluster_state:ok") {
            return server;
        }
        assert!(begun.elapsed() < DEADLINE, "{info}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn job() -> JobId {
    JobId::new("j").unwrap()
}

fn batch(batch: u64) -> BatchId {
    BatchId {
        table: segments(&[TableName::new("public", "t")]).remove(0),
        generation: Generation::FIRST,
        batch: BatchIndex(batch),
    }
}

fn table(batches: u64, done: &[u64]) -> TableState {
    TableState {
        table: batch(0).table,
        generation: Generation::FIRST,
        batches,
        done: done.iter().copied().map(BatchIndex).collect(),
    }
}

fn recorded(new: bool, remaining: u64) -> Result<Completion> {
    Ok(Completion::Recorded { new, remaining })
}

#[tokio::test]
async fn every_key_has_its_names_and_a_time_to_live() {
    let server = Server::start().await;
    let checkpoint = RedisCheckpoint::open(server.settings()).await.unwrap();
    let failure = Failure::new(sqlextract_model::Code::ValueRefused, "x");
    let limits = SourceLimits {
        rows: std::num::NonZeroU64::new(1000),
        connections: std::num::NonZeroU32::new(2),
        ..SourceLimits::default()
    };
    checkpoint.begin(&job(), &[table(5, &[])]).await.unwrap();
    checkpoint.attempt(&job(), &batch(1)).await.unwrap();
    checkpoint.attempt(&job(), &batch(2)).await.unwrap();
    checkpoint.park(&job(), &batch(2), Some(&failure)).await.unwrap();
    checkpoint.complete(&job(), &batch(1), 1, 1).await.unwrap();
    checkpoint
        .attempt(&JobId::new("unknown").unwrap(), &batch(1))
        .await
        .unwrap();
    checkpoint.lease("j/7", "me", Duration::MAX).await.unwrap();
    checkpoint
        .lease("lock", "me", Duration::from_nanos(1_000_000))
        .await
        .unwrap();
    let budget = checkpoint.source_budget("shop", limits);
    let _connection = crate::SourceBudget::connection(&budget).await.unwrap();
    crate::SourceBudget::take(&budget, crate::Unit::Rows).await.unwrap();

    let keys = Vec::<String>::from_redis_value(server.run(&["KEYS", "*"]).await).unwrap();
    for key in &keys {
        let lives = i64::from_redis_value(server.run(&["PTTL", key]).await).unwrap();
        // -2: it went meanwhile. In its last millisecond a key lives for 0.
        assert!(lives >= 0 || lives == -2, "{key} lives for {lives} ms");
    }
    let expected = [
        "sqlextract:source:{shop}:budget",
        "sqlextract:source:{shop}:connections",
        "sqlextract:source:{shop}:members",
        "sqlextract:{j}:attempts",
        "sqlextract:{j}:done",
        "sqlextract:{j}:lease:7",
        "sqlextract:{j}:meta",
        "sqlextract:{j}:parked",
        "sqlextract:{unknown}:attempts",
    ];
    let keys: BTreeSet<_> = keys
        .iter()
        .map(String::as_str)
        .filter(|key| !key.contains("{lock}"))
        .collect();
    assert_eq!(keys, BTreeSet::from(expected));
}

#[tokio::test]
async fn tokens_grow_from_holder_to_holder_even_over_a_loss() {
    let server = Server::start().await;
    let checkpoint = RedisCheckpoint::open(server.settings()).await.unwrap();
    let long = Duration::from_secs(600);
    let mut last = 0;
    for (round, holder) in ["a", "b", "a"].into_iter().enumerate() {
        let FencedLease::Held { token } = checkpoint.fenced_lease("l", holder, long).await.unwrap() else {
            panic!("the lease is free for {holder}");
        };
        assert!(token > last, "{token} after {last}");
        let again = checkpoint.fenced_lease("l", holder, long).await.unwrap();
        assert_eq!(again, FencedLease::Held { token }, "a renewal is no new taking");
        last = token;
        if round == 0 {
            checkpoint.lease("l", holder, Duration::ZERO).await.unwrap();
        } else {
            server.run(&["FLUSHALL"]).await;
        }
    }
}

/// Generous bounds: what they must catch is work that grows with the number of batches.
#[tokio::test]
async fn a_hundred_thousand_batches_are_quick() {
    let server = Server::start().await;
    let checkpoint = RedisCheckpoint::open(server.settings()).await.unwrap();
    let done: Vec<u64> = (0..100_000).collect();
    let begun = std::time::Instant::now();
    checkpoint.begin(&job(), &[table(200_000, &done)]).await.unwrap();
    let begin = begun.elapsed();
    let begun = std::time::Instant::now();
    for n in 100_000..101_000 {
        checkpoint.complete(&job(), &batch(n), 1, 1).await.unwrap();
    }
    let complete = begun.elapsed() / 1000;
    assert!(begin < Duration::from_secs(1), "begin took {begin:?}");
    assert!(complete < Duration::from_millis(5), "complete took {complete:?}");
    let bytes = i64::from_redis_value(server.run(&["MEMORY", "USAGE", "sqlextract:{j}:done"]).await).unwrap();
    assert!(bytes < 100_000, "101,000 bits take {bytes} bytes");
}

#[tokio::test]
async fn the_test_runs_server_can_be_asked() {
    let server = Server::start().await;
    assert!(run_at(&server.url(), &["PING"]).await.is_some());
    let facts = RedisCheckpoint::open(server.settings())
        .await
        .unwrap()
        .examine()
        .await
        .unwrap();
    assert_eq!(facts.location, format!("127.0.0.1:{}/0", server.port));
    assert!(
        !facts.cluster && !facts.replica && facts.clock_ahead_ms.abs() < 5000,
        "{facts:?}"
    );
}
