//! Large bodies, and many publishers beside many receivers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Subject, batches, message, next, within};
use crate::{Delivery, Message, QueueName, Settlement};

const MESSAGES: u32 = 10_000;
const PUBLISHERS: u32 = 4;
const RECEIVERS: u32 = 4;
/// The whole load, on a slow broker.
const LOAD_DEADLINE: Duration = Duration::from_secs(120);

pub async fn messages_up_to_the_limit_pass_whole(subject: Subject) {
    for queue in [batches(), QueueName::Requests] {
        let limit = queue.longest_body_bytes();
        let mut receiver = subject.receiver(&queue, 1).await;
        for length in [0, 1, 65_536, limit] {
            let sent = Message {
                id: format!("{length}"),
                correlation: None,
                traceparent: None,
                body: (0..length).map(|n| n as u8).collect(),
            };
            within(subject.queue.publish(&queue, sent.clone()))
                .await
                .expect("publishing succeeds");
            let delivery = next(&mut receiver).await;
            assert!(delivery.message() == &sent, "{length} bytes arrive as they were sent");
            delivery.settle(Settlement::Done).await.expect("settling succeeds");
        }
        let too_long = Message {
            body: vec![0; limit + 1],
            ..message("too long")
        };
        assert!(within(subject.queue.publish(&queue, too_long)).await.is_err());
        subject.depth_becomes(&queue, 0).await;
    }
}

/// How often each message was done.
type Done = Arc<Mutex<HashMap<String, u32>>>;

pub async fn publishers_and_receivers_together_lose_nothing(subject: Subject) {
    let done: Done = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let subject = subject.clone();
        tasks.spawn(async move {
            for n in (publisher..MESSAGES).step_by(PUBLISHERS as usize) {
                subject.publish(&batches(), &n.to_string()).await;
            }
        });
    }
    for receiver in 0..RECEIVERS {
        tasks.spawn(receive_until_all_is_done(subject.clone(), Arc::clone(&done), receiver));
    }
    let all = tokio::time::timeout(LOAD_DEADLINE, async {
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no publisher and no receiver fails");
        }
    });
    all.await.expect("every message is done before the deadline");
    subject.depth_becomes(&batches(), 0).await;
    let done = done.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<_> = (0..MESSAGES).filter(|n| !done.contains_key(&n.to_string())).collect();
    assert!(missing.is_empty(), "never delivered: {missing:?}");
}

async fn receive_until_all_is_done(subject: Subject, done: Done, number: u32) {
    let mut receiver = subject.receiver(&batches(), 3).await;
    let mut held: Vec<Box<dyn Delivery>> = Vec::new();
    let mut step = number;
    loop {
        if done.lock().unwrap_or_else(PoisonError::into_inner).len() == MESSAGES as usize {
            return;
        }
        // Short enough to see the others' last message, and it cancels receives at any point.
        let received = tokio::time::timeout(Duration::from_millis(5), receiver.receive()).await;
        if let Ok(delivery) = received {
            held.push(delivery.expect("receiving succeeds"));
            if held.len() < 3 {
                continue;
            }
        }
        for delivery in held.drain(..) {
            step = step.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            settle(delivery, step >> 24, &done).await;
        }
    }
}

/// Most deliveries are done; some are dropped, some are to come again.
async fn settle(delivery: Box<dyn Delivery>, chance: u32, done: &Done) {
    let fresh = delivery.redeliveries() < 3;
    let settlement = match chance {
        0..=15 if fresh => return,
        16..=31 if fresh => Settlement::Again {
            after: Duration::from_millis(u64::from(chance % 3)),
        },
        _ => {
            let id = delivery.message().id.clone();
            *done
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(id)
                .or_default() += 1;
            Settlement::Done
        }
    };
    delivery.settle(settlement).await.expect("settling succeeds");
}
