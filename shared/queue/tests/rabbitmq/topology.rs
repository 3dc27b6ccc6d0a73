//! What a service says before it starts.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use sqlextract_model::Code;
use sqlextract_queue::{RabbitmqQueue, RabbitmqSettings};

use crate::fixture::{self, raw};

#[tokio::test]
async fn a_service_names_everything_that_is_missing_and_the_command_that_helps() {
    let settings = fixture::settings(10);
    let failure = RabbitmqQueue::connect(settings.clone()).await.unwrap_err();
    assert_eq!(failure.code, Code::QueueMissing);
    assert!(
        failure.message.contains(&format!("{}.work", settings.prefix)),
        "{failure}"
    );
    for name in ["retry.10m", "batches.shop", "scripter", "parked", "dead"] {
        let name = format!("queue {}.{name} does not exist", settings.prefix);
        assert!(
            failure.causes.iter().any(|cause| cause.contains(&name)),
            "{name}: {failure:?}"
        );
    }
    assert!(failure.action().contains("sqlextract topology apply"));
}

#[tokio::test]
async fn applying_twice_changes_nothing_and_checking_agrees() {
    let settings = fixture::applied(10).await;
    let again = RabbitmqQueue::apply_topology(&settings).await.unwrap();
    assert_eq!(RabbitmqQueue::check_topology(&settings).await.unwrap(), again);
    // Eight exchanges and thirteen queues, four of them of sources.
    assert_eq!(again.len(), 21, "{again:?}");
}

#[tokio::test]
async fn a_source_without_its_queue_is_told_before_it_has_jobs() {
    let mut settings = fixture::applied(10).await;
    settings.sources.push("new".to_owned());
    let failure = RabbitmqQueue::connect(settings.clone()).await.unwrap_err();
    assert!(failure.message.contains("batches.new"), "{failure}");
    RabbitmqQueue::apply_topology(&settings).await.unwrap();
    fixture::connected(&settings).await;
}

#[tokio::test]
async fn a_queue_with_other_properties_is_refused_and_left_alone() {
    let settings = fixture::applied(10).await;
    let (_connection, channel) = raw(&settings.url).await;
    let name = format!("{}.ticks", settings.prefix);
    let deleted = channel
        .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
        .await;
    deleted.unwrap();
    let mut classic = FieldTable::default();
    classic.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    let declared = channel
        .queue_declare(name.as_str().into(), QueueDeclareOptions::durable(), classic.clone())
        .await;
    declared.unwrap();
    for outcome in [
        RabbitmqQueue::connect(settings.clone()).await.map(|_| ()),
        RabbitmqQueue::apply_topology(&settings).await.map(|_| ()),
    ] {
        let failure = outcome.unwrap_err();
        assert_eq!((failure.code, failure.code.exit_code()), (Code::QueueMismatch, 6));
        assert!(failure.message.contains(&name), "{failure}");
        assert!(failure.causes[0].contains("inequivalent arg"), "{failure:?}");
    }
    let still = channel
        .queue_declare(name.as_str().into(), QueueDeclareOptions::durable(), classic)
        .await;
    still.expect("the classic queue is as it was");
}

#[tokio::test]
async fn a_wrong_password_is_told_without_showing_it() {
    let url = fixture::url().replacen("://", "://nobody:hunter2@", 1);
    let (_, place) = url.rsplit_once('@').unwrap();
    let settings = RabbitmqSettings::new(format!("amqp://nobody:hunter2@{place}"));
    let failure = RabbitmqQueue::connect(settings.clone()).await.unwrap_err();
    assert_eq!(failure.code, Code::QueueAuthentication, "{failure:?}");
    assert!(!format!("{failure:?}{settings:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_retryable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = RabbitmqSettings::new(format!("amqp://u:hunter2@127.0.0.1:{port}/%2f"));
    let failure = RabbitmqQueue::connect(settings).await.unwrap_err();
    assert_eq!(failure.code, Code::QueueUnavailable);
    assert!(failure.message.contains(&port.to_string()) && !format!("{failure:?}").contains("hunter2"));
}
