//! What becomes of one message: dropped, done, again, parked; and the bounds around it.

use std::time::{Duration, Instant};

use super::{QUIET, Subject, batches, message, next, stays_quiet, within};
use crate::{QueueName, Settlement};

pub async fn dropped_deliveries_come_back(subject: Subject) {
    let queue = batches();
    subject.publish(&queue, "a").await;
    let mut receiver = subject.receiver(&queue, 2).await;
    let first = next(&mut receiver).await;
    assert_eq!((first.message(), first.redeliveries()), (&message("a"), 0));
    drop(first);
    let second = next(&mut receiver).await;
    assert_eq!(second.message(), &message("a"));
    assert!(second.redeliveries() >= 1, "a message that comes again says so");
    drop(second);
    drop(receiver);
    let mut another = subject.receiver(&queue, 2).await;
    let third = next(&mut another).await;
    assert!(third.redeliveries() >= 1);
    third.settle(Settlement::Done).await.expect("settling succeeds");
    subject.depth_becomes(&queue, 0).await;
}

pub async fn done_is_final(subject: Subject) {
    let queue = QueueName::Ticks;
    subject.publish(&queue, "a").await;
    let mut receiver = subject.receiver(&queue, 1).await;
    next(&mut receiver)
        .await
        .settle(Settlement::Done)
        .await
        .expect("settling succeeds");
    assert!(
        stays_quiet(&mut receiver).await,
        "a message that is done does not come again"
    );
    subject.depth_becomes(&queue, 0).await;
}

pub async fn messages_come_again_after_their_delay(subject: Subject) {
    let queue = batches();
    let after = Duration::from_millis(200);
    subject.publish(&queue, "late").await;
    let mut receiver = subject.receiver(&queue, 1).await;
    let first = next(&mut receiver).await;
    let begun = Instant::now();
    first
        .settle(Settlement::Again { after })
        .await
        .expect("settling succeeds");
    subject.depth_becomes(&queue, 1).await;
    // The delay of one message holds up no other.
    subject.publish(&queue, "soon").await;
    let soon = next(&mut receiver).await;
    assert_eq!(soon.message().id, "soon");
    soon.settle(Settlement::Done).await.expect("settling succeeds");
    let late = next(&mut receiver).await;
    assert_eq!(late.message(), &message("late"));
    assert!(begun.elapsed() >= after, "it came after {:?}", begun.elapsed());
    assert!(late.redeliveries() >= 1);
    late.settle(Settlement::Again { after: Duration::ZERO })
        .await
        .expect("settling succeeds");
    next(&mut receiver)
        .await
        .settle(Settlement::Done)
        .await
        .expect("settling succeeds");
    subject.depth_becomes(&queue, 0).await;
}

pub async fn parked_messages_keep_their_reason(subject: Subject) {
    let queue = batches();
    subject.publish(&queue, "bad").await;
    let mut receiver = subject.receiver(&queue, 1).await;
    let park = Settlement::Park {
        reason: "value_refused: 'NaN' in t.c".to_owned(),
    };
    next(&mut receiver).await.settle(park).await.expect("settling succeeds");
    subject.depth_becomes(&queue, 0).await;
    subject.depth_becomes(&QueueName::Parked, 1).await;
    assert!(stays_quiet(&mut receiver).await, "a parked message is not tried again");
    let mut parked = subject.receiver(&QueueName::Parked, 1).await;
    let delivery = next(&mut parked).await;
    assert_eq!(delivery.message(), &message("bad"));
    assert_eq!(delivery.reason(), Some("value_refused: 'NaN' in t.c"));
    assert_eq!((delivery.origin(), delivery.redeliveries()), (Some(&queue), 0));
    delivery.settle(Settlement::Done).await.expect("settling succeeds");
    subject.depth_becomes(&QueueName::Parked, 0).await;
}

pub async fn full_queues_make_publishers_wait(subject: Subject) {
    let queue = batches();
    for n in 0..subject.capacity {
        subject.publish(&queue, &format!("{n}")).await;
    }
    let one_more = subject.queue.publish(&queue, message("one more"));
    tokio::pin!(one_more);
    assert!(
        tokio::time::timeout(QUIET, &mut one_more).await.is_err(),
        "a full queue makes the publisher wait"
    );
    let mut receiver = subject.receiver(&queue, 1).await;
    let first = next(&mut receiver).await;
    first
        .settle(Settlement::Again { after: Duration::ZERO })
        .await
        .expect("a full queue takes back its own");
    next(&mut receiver)
        .await
        .settle(Settlement::Done)
        .await
        .expect("settling succeeds");
    within(one_more).await.expect("publishing succeeds");
    for _ in 0..subject.capacity {
        next(&mut receiver)
            .await
            .settle(Settlement::Done)
            .await
            .expect("settling succeeds");
    }
    subject.depth_becomes(&queue, 0).await;
}

pub async fn windows_limit_unsettled_deliveries(subject: Subject) {
    let queue = batches();
    for id in ["a", "b", "c", "d"] {
        subject.publish(&queue, id).await;
    }
    let mut receiver = subject.receiver(&queue, 2).await;
    let first = next(&mut receiver).await;
    let second = next(&mut receiver).await;
    assert!(stays_quiet(&mut receiver).await, "two of two are unsettled");
    let mut other = subject.receiver(&queue, 1).await;
    let third = next(&mut other).await;
    first.settle(Settlement::Done).await.expect("settling succeeds");
    let fourth = next(&mut receiver).await;
    for delivery in [second, third, fourth] {
        delivery.settle(Settlement::Done).await.expect("settling succeeds");
    }
    subject.depth_becomes(&queue, 0).await;
}

pub async fn depth_counts_what_waits_and_what_is_unsettled(subject: Subject) {
    let queue = batches();
    subject.depth_becomes(&queue, 0).await;
    for id in ["a", "b", "c"] {
        subject.publish(&queue, id).await;
    }
    subject.depth_becomes(&queue, 3).await;
    let mut receiver = subject.receiver(&queue, 2).await;
    let first = next(&mut receiver).await;
    let second = next(&mut receiver).await;
    subject.depth_becomes(&queue, 3).await;
    let later = Duration::from_secs(3600);
    first
        .settle(Settlement::Again { after: later })
        .await
        .expect("settling succeeds");
    subject.depth_becomes(&queue, 3).await;
    second.settle(Settlement::Done).await.expect("settling succeeds");
    subject.depth_becomes(&queue, 2).await;
    let elsewhere = QueueName::Batches {
        source: "elsewhere".to_owned(),
    };
    subject.depth_becomes(&elsewhere, 0).await;
}

pub async fn cancelled_receives_lose_nothing(subject: Subject) {
    let queue = batches();
    let mut receiver = subject.receiver(&queue, 1).await;
    let mut received = Vec::new();
    for n in 0..200u32 {
        let id = n.to_string();
        // The receive is abandoned at whatever point the publish left it.
        let raced = tokio::select! {
            biased;
            delivery = receiver.receive() => Some(delivery.expect("receiving succeeds")),
            () = subject.publish(&queue, &id) => None,
        };
        let delivery = match raced {
            Some(early) => early,
            None => next(&mut receiver).await,
        };
        received.push(delivery.message().id.clone());
        delivery.settle(Settlement::Done).await.expect("settling succeeds");
    }
    subject.depth_becomes(&queue, 0).await;
    let expected: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    received.sort_by_key(|id| id.parse::<u32>().ok());
    assert_eq!(received, expected);
}
