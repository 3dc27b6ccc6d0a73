use std::sync::Arc;
use std::time::Duration;

use sqlextract_model::Code;
use tokio::time::Instant;

use super::*;
use crate::suite::Subject;
use crate::{Delivery, Settlement};

async fn open(capacity: usize) -> Subject {
    let queue = Arc::new(InProcessQueue::new(capacity));
    Subject { queue, capacity }
}

crate::queue_suite!(open);

fn message(id: &str) -> Message {
    Message::new(id, Vec::new())
}

async fn receive(receiver: &mut Box<dyn Receiver>) -> Box<dyn Delivery> {
    receiver.receive().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_long_delay_passes_on_the_paused_clock() {
    let queue = InProcessQueue::new(1);
    let mut receiver = queue.receiver(&QueueName::Ticks, 1).await.unwrap();
    queue.publish(&QueueName::Ticks, message("a")).await.unwrap();
    let begun = Instant::now();
    let after = Duration::from_secs(600);
    receive(&mut receiver)
        .await
        .settle(Settlement::Again { after })
        .await
        .unwrap();
    let again = receive(&mut receiver).await;
    assert!(begun.elapsed() >= after && begun.elapsed() < after + Duration::from_secs(1));
    assert_eq!(again.redeliveries(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_delay_overtakes_a_later_one_and_wakes_every_receiver() {
    let queue = InProcessQueue::new(4);
    let mut first = queue.receiver(&QueueName::Ticks, 2).await.unwrap();
    for (id, seconds) in [("late", 60), ("early", 10)] {
        queue.publish(&QueueName::Ticks, message(id)).await.unwrap();
        let after = Duration::from_secs(seconds);
        receive(&mut first)
            .await
            .settle(Settlement::Again { after })
            .await
            .unwrap();
    }
    let mut second = queue.receiver(&QueueName::Ticks, 2).await.unwrap();
    let (one, two) = tokio::join!(receive(&mut first), receive(&mut second));
    let mut ids = [one.message().id.as_str(), two.message().id.as_str()];
    ids.sort_unstable();
    assert_eq!(ids, ["early", "late"]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_waits_already_learns_of_a_new_delay() {
    let queue = InProcessQueue::new(1);
    let mut receiver = queue.receiver(&QueueName::Ticks, 1).await.unwrap();
    let mut waiting = queue.receiver(&QueueName::Ticks, 1).await.unwrap();
    queue.publish(&QueueName::Ticks, message("a")).await.unwrap();
    let held = receive(&mut receiver).await;
    let settled = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = Duration::from_secs(5);
        held.settle(Settlement::Again { after }).await.unwrap();
    };
    let both = async { tokio::join!(receive(&mut waiting), settled) };
    let (again, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    assert_eq!(again.redeliveries(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delay_beyond_the_clock_is_held_and_counted() {
    let queue = InProcessQueue::new(1);
    let mut receiver = queue.receiver(&QueueName::Ticks, 1).await.unwrap();
    queue.publish(&QueueName::Ticks, message("a")).await.unwrap();
    let after = Duration::MAX;
    receive(&mut receiver)
        .await
        .settle(Settlement::Again { after })
        .await
        .unwrap();
    assert_eq!(queue.depth(&QueueName::Ticks).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_parked_queue_refuses_and_the_message_comes_back() {
    let queue = InProcessQueue::new(1);
    for n in 0..FEWEST_PARKED {
        queue
            .publish(&QueueName::Parked, message(&n.to_string()))
            .await
            .unwrap();
    }
    let mut receiver = queue.receiver(&QueueName::Ticks, 1).await.unwrap();
    queue.publish(&QueueName::Ticks, message("bad")).await.unwrap();
    let reason = "no luck".to_owned();
    let refused = receive(&mut receiver).await.settle(Settlement::Park { reason }).await;
    assert_eq!(refused.unwrap_err().code, Code::QueueUnavailable);
    assert_eq!(receive(&mut receiver).await.message().id, "bad");
}

#[tokio::test]
async fn a_drop_hands_the_message_back_before_it_returns() {
    let queue = InProcessQueue::new(1);
    let mut receiver = queue.receiver(&QueueName::Ticks, 1).await.unwrap();
    queue.publish(&QueueName::Ticks, message("a")).await.unwrap();
    drop(receive(&mut receiver).await);
    // No other task has run in between.
    let again = tokio::task::unconstrained(receiver.receive());
    let mut again = std::pin::pin!(again);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(again.as_mut().poll(&mut context).is_ready());
}

#[tokio::test]
async fn asking_for_the_depth_makes_no_subscriber() {
    let queue = InProcessQueue::new(1);
    let nobody = QueueName::Events {
        subscriber: "nobody".to_owned(),
    };
    for _ in 0..3 {
        assert_eq!(queue.depth(&nobody).await.unwrap(), 0);
        queue.announce("batch.parked.shop.job", message("e")).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_held_ends_with_the_last_handle() {
    let queue = InProcessQueue::new(1);
    let lanes = Arc::downgrade(&queue.lanes);
    let mut receiver = queue.receiver(&QueueName::Ticks, 1).await.unwrap();
    queue.publish(&QueueName::Ticks, message("a")).await.unwrap();
    let delivery = receive(&mut receiver).await;
    drop((queue, receiver));
    assert!(lanes.upgrade().is_some(), "an unsettled delivery can still be parked");
    drop(delivery);
    assert!(lanes.upgrade().is_none());
}
