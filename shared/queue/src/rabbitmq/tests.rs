//! Traps that need a hand on the channels, on the scratch broker of `SQLEXTRACT_TEST_RABBITMQ`.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use lapin::options::BasicAckOptions;

use super::publish::one_on_an_unconfirmed_channel;
use super::*;
use crate::Delivery;

const DEADLINE: Duration = Duration::from_secs(60);

async fn connected() -> RabbitmqQueue {
    let url = std::env::var("SQLEXTRACT_TEST_RABBITMQ")
        .expect("SQLEXTRACT_TEST_RABBITMQ must be the URL of a scratch broker: amqp://user:password@host:port/vhost");
    let settings = RabbitmqSettings {
        prefix: format!("test-10-{:016x}", RandomState::new().hash_one(0)),
        ..RabbitmqSettings::new(url)
    };
    RabbitmqQueue::apply_topology(&settings).await.unwrap();
    RabbitmqQueue::connect(settings).await.unwrap()
}

fn message(id: &str) -> Message {
    Message::new(id, Vec::new())
}

/// The broker closes a channel on which an unknown delivery is acknowledged, as it does after a consumer timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_the_broker_closed_is_replaced_and_its_deliveries_come_again() {
    let queue = connected().await;
    queue.publish(&QueueName::Ticks, message("a")).await.unwrap();
    let mut receiver = RabbitmqReceiver::open(&queue.shared, &QueueName::Ticks, 1)
        .await
        .unwrap();
    let first = receiver.next_of_ours().await.unwrap();
    let acking = first.channel().basic_ack(999, BasicAckOptions::default());
    acking.await.unwrap();
    let closed = tokio::time::timeout(DEADLINE, async {
        while first.is_ours() {
            sleep(Duration::from_millis(10)).await;
        }
    });
    closed.await.expect("the broker closes the channel");
    let failure = Box::new(first).settle(crate::Settlement::Done).await.unwrap_err();
    assert_eq!(
        failure.code,
        Code::QueueUnconfirmed,
        "an acknowledgement on a lost channel is no success"
    );
    let again = tokio::time::timeout(DEADLINE, receiver.receive())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again.message().id, "a");
    assert!(again.redeliveries() >= 1);
    again.settle(crate::Settlement::Done).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_without_confirms_is_noticed() {
    let queue = connected().await;
    let outgoing = Outgoing {
        exchange: queue.shared.names.work(),
        key: QueueName::Ticks.to_string(),
        properties: wire::properties_of(&message("a"), &Notes::default()).unwrap(),
        body: Vec::new().into(),
    };
    let outcome = one_on_an_unconfirmed_channel(&queue.shared.publishing, outgoing).await;
    assert_eq!(outcome, Outcome::NotConfirmed);
}
