//! Prefixes of their own on the shared broker, raw access to it, and waiting for conditions.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use lapin::{Channel, Connection, ConnectionProperties};
use sqlextract_queue::{Delivery, Message, Queue, QueueName, RabbitmqQueue, RabbitmqSettings, Receiver};

/// Longest wait for something that must happen, on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn url() -> String {
    std::env::var("SQLEXTRACT_TEST_RABBITMQ")
        .expect("SQLEXTRACT_TEST_RABBITMQ must be the URL of a scratch broker: amqp://user:password@host:port/vhost")
}

/// Settings with a new prefix, for which the scratch broker's policies limit queues to the capacity.
pub(crate) fn settings(capacity: usize) -> RabbitmqSettings {
    let random = RandomState::new().hash_one(capacity);
    RabbitmqSettings {
        prefix: format!("test-{capacity}-{random:016x}"),
        sources: vec!["shop".to_owned(), "elsewhere".to_owned()],
        ..RabbitmqSettings::new(url())
    }
}

/// The same, with everything declared.
pub(crate) async fn applied(capacity: usize) -> RabbitmqSettings {
    let settings = settings(capacity);
    RabbitmqQueue::apply_topology(&settings).await.unwrap();
    settings
}

pub(crate) async fn connected(settings: &RabbitmqSettings) -> RabbitmqQueue {
    RabbitmqQueue::connect(settings.clone()).await.unwrap()
}

/// A channel beside the adapter's, to do what it never does.
pub(crate) async fn raw(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

pub(crate) fn batches() -> QueueName {
    QueueName::Batches {
        source: "shop".to_owned(),
    }
}

pub(crate) fn message(id: &str) -> Message {
    Message::new(id, b"{}".to_vec()).job("job-1")
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(DEADLINE, future).await;
    outcome.expect("it happens before the deadline")
}

pub(crate) async fn receiver(queue: &RabbitmqQueue, name: &QueueName, window: u16) -> Box<dyn Receiver> {
    within(queue.receiver(name, window)).await.unwrap()
}

pub(crate) async fn next(receiver: &mut Box<dyn Receiver>) -> Box<dyn Delivery> {
    within(receiver.receive()).await.unwrap()
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let met = tokio::time::timeout(DEADLINE, waiting).await;
    assert!(met.is_ok(), "{what} before the deadline");
}
