//! What people ask for.

use sqlextract_model::TableSegment;

use super::*;
use crate::TableState;

async fn opened() -> (RedisCheckpoint, Option<Server>) {
    let (url, server) = match std::env::var("SQLEXTRACT_TEST_REDIS") {
        Ok(url) => (url, None),
        Err(_) => {
            let server = Server::start().await;
            (server.url(), Some(server))
        }
    };
    let settings = RedisSettings {
        prefix: format!("test-{}", random_name()),
        retention: Duration::from_secs(600),
        ..RedisSettings::new(url)
    };
    (RedisCheckpoint::open(settings).await.unwrap(), server)
}

fn state(table: &TableSegment, batches: u64) -> TableState {
    TableState {
        table: table.clone(),
        generation: Generation(2),
        batches,
        done: Vec::new(),
    }
}

#[tokio::test]
async fn a_jobs_tables_are_told_one_by_one() {
    let (checkpoint, _server) = opened().await;
    let job = JobId::new("j").unwrap();
    assert_eq!(checkpoint.tables(&job).await.unwrap(), [], "the job is not known");
    let names = [TableName::new("public", "a:b"), TableName::new("public", "visits")];
    let [first, second]: [TableSegment; 2] = segments(&names).try_into().unwrap();
    checkpoint
        .begin(&job, &[state(&second, 5), state(&first, 3)])
        .await
        .unwrap();
    for number in [1, 4] {
        let batch = BatchId {
            table: second.clone(),
            generation: Generation(2),
            batch: BatchIndex(number),
        };
        checkpoint.complete(&job, &batch, 100, 7).await.unwrap();
    }
    let sums = |table: &TableSegment, batches, done, rows, bytes| TableSums {
        table: table.clone(),
        generation: Generation(2),
        batches,
        done,
        rows,
        bytes,
    };
    let told = checkpoint.tables(&job).await.unwrap();
    assert_eq!(told, [sums(&first, 3, 0, 0, 0), sums(&second, 5, 2, 200, 14)]);
}

#[tokio::test]
async fn who_works_at_a_source_is_told_in_its_last_words_and_forgotten_when_it_is_silent() {
    let (checkpoint, _server) = opened().await;
    let replica = |name: &str, text: &str| Replica {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(checkpoint.replicas("shop").await.unwrap(), []);
    for (name, text) in [("b", "one"), ("a", "two words\nand a line"), ("b", "three")] {
        checkpoint.report("shop", &replica(name, text)).await.unwrap();
    }
    let told = checkpoint.replicas("shop").await.unwrap();
    assert_eq!(told, [replica("a", "two words\nand a line"), replica("b", "three")]);
    assert_eq!(checkpoint.replicas("other").await.unwrap(), []);
    // As if it was written an hour ago.
    let key = checkpoint.inner.keys.replicas("shop");
    let old = redis::Script::new("redis.call('HSET', KEYS[1], 'b', '1 three') return 1");
    let mut old = old.prepare_invoke();
    old.key(key);
    checkpoint.call(&old).await.unwrap();
    assert_eq!(checkpoint.replicas("shop").await.unwrap().len(), 1);
}
