//! Receiving that goes on: a deleted queue, and draining.

use lapin::options::QueueDeleteOptions;
use sqlextract_queue::{Delivery, Queue, RabbitmqQueue, Settlement};

use crate::fixture::{self, batches, message, next, raw, receiver, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_is_received_from_again_once_it_is_declared() {
    let settings = fixture::applied(10).await;
    let queue = fixture::connected(&settings).await;
    let mut receiving = receiver(&queue, &batches(), 2).await;
    queue.publish(&batches(), message("before")).await.unwrap();
    let held = next(&mut receiving).await;
    let (_connection, channel) = raw(&settings.url).await;
    let name = format!("{}.batches.shop", settings.prefix);
    let deleted = channel
        .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
        .await;
    deleted.unwrap();
    until("the receiver sees that it was cancelled", || {
        queue.health().receivers_down == 1
    })
    .await;
    RabbitmqQueue::apply_topology(&settings).await.unwrap();
    within(queue.publish(&batches(), message("after"))).await.unwrap();
    let after = next(&mut receiving).await;
    assert_eq!(after.message().id, "after");
    within(after.settle(Settlement::Done)).await.unwrap();
    until("the receiver is well again", || queue.health().receivers_down == 0).await;
    drop(held);
}

/// A receiver that ends gives back what it has prefetched; deliveries in work can still be settled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_hands_back_what_was_not_taken_and_settles_what_was() {
    let queue = fixture::connected(&fixture::applied(10).await).await;
    for id in ["a", "b", "c", "d"] {
        queue.publish(&batches(), message(id)).await.unwrap();
    }
    let mut draining = receiver(&queue, &batches(), 4).await;
    let in_work = next(&mut draining).await;
    drop(draining);
    let mut another = receiver(&queue, &batches(), 4).await;
    let mut others: Vec<Box<dyn Delivery>> = Vec::new();
    for _ in 0..3 {
        others.push(next(&mut another).await);
    }
    let mut ids: Vec<_> = others.iter().map(|delivery| delivery.message().id.clone()).collect();
    ids.push(in_work.message().id.clone());
    ids.sort();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    within(in_work.settle(Settlement::Done)).await.unwrap();
    for delivery in others {
        within(delivery.settle(Settlement::Done)).await.unwrap();
    }
    drop(another);
    let mut last = receiver(&queue, &batches(), 1).await;
    let quiet = std::time::Duration::from_millis(500);
    assert!(
        tokio::time::timeout(quiet, last.receive()).await.is_err(),
        "all four are done"
    );
    queue.close().await;
}
