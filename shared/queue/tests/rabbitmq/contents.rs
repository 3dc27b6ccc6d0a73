//! What others publish, and what travels with a message.

use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use sqlextract_model::Digest;
use sqlextract_queue::{Queue, QueueName, RabbitmqSettings, Settlement};

use crate::fixture::{self, message, next, raw, receiver, within};

async fn publish_raw(settings: &RabbitmqSettings, body: &[u8], properties: BasicProperties) {
    let (_connection, channel) = raw(&settings.url).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let exchange = format!("{}.requests", settings.prefix);
    let options = BasicPublishOptions::default();
    let published = channel
        .basic_publish(exchange.as_str().into(), "any.key".into(), options, body, properties)
        .await;
    assert!(published.unwrap().await.unwrap().is_ack());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_request_from_outside_is_named_by_its_content() {
    let settings = fixture::applied(10).await;
    let queue = fixture::connected(&settings).await;
    publish_raw(&settings, b"{\"source\":\"shop\"}", BasicProperties::default()).await;
    let mut requests = receiver(&queue, &QueueName::Requests, 1).await;
    let delivery = next(&mut requests).await;
    assert_eq!(delivery.message().id, Digest::of(b"{\"source\":\"shop\"}").to_string());
    assert_eq!(
        (delivery.message().correlation.clone(), delivery.redeliveries()),
        (None, 0)
    );
    within(delivery.settle(Settlement::Done)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_five_megabytes_arrives_and_can_be_parked() {
    let settings = fixture::applied(10).await;
    let queue = fixture::connected(&settings).await;
    let body = vec![b'x'; 5_000_000];
    publish_raw(
        &settings,
        &body,
        BasicProperties::default().with_message_id("huge".into()),
    )
    .await;
    let mut requests = receiver(&queue, &QueueName::Requests, 1).await;
    let delivery = next(&mut requests).await;
    assert_eq!(delivery.message().body.len(), body.len());
    let reason = "message_unreadable: 5000000 bytes".to_owned();
    within(delivery.settle(Settlement::Park { reason: reason.clone() }))
        .await
        .unwrap();
    let mut parked = receiver(&queue, &QueueName::Parked, 1).await;
    let delivery = next(&mut parked).await;
    assert_eq!(
        (delivery.reason(), delivery.origin()),
        (Some(reason.as_str()), Some(&QueueName::Requests))
    );
    within(delivery.settle(Settlement::Done)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_job_and_count_survive_the_retry_ladder() {
    let settings = fixture::applied(10).await;
    let queue = fixture::connected(&settings).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    let sent = message("a").traceparent(Some(trace));
    queue.publish(&QueueName::Ticks, sent.clone()).await.unwrap();
    let mut ticks = receiver(&queue, &QueueName::Ticks, 1).await;
    for redeliveries in 0..3 {
        let delivery = next(&mut ticks).await;
        assert_eq!((delivery.message(), delivery.redeliveries()), (&sent, redeliveries));
        let after = std::time::Duration::from_millis(1);
        within(delivery.settle(Settlement::Again { after })).await.unwrap();
    }
}
