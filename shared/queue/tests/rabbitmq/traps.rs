//! What a confirm proves and what it does not.

use std::time::Duration;

use lapin::options::QueueBindOptions;
use lapin::types::FieldTable;
use sqlextract_model::Code;
use sqlextract_queue::{Message, Queue, QueueName};

use crate::fixture::{self, batches, message, raw, within};

/// Pipelined messages of which every third has no queue: the client library attaches returns to any confirm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_queue_fails_and_its_neighbours_do_not() {
    let queue = fixture::connected(&fixture::applied(1000).await).await;
    let nowhere = QueueName::Batches {
        source: "unknown".to_owned(),
    };
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..600 {
        let (queue, nowhere) = (queue.clone(), nowhere.clone());
        tasks.spawn(async move {
            let routable = number % 3 != 0;
            let name = if routable { batches() } else { nowhere };
            (routable, queue.publish(&name, message(&number.to_string())).await)
        });
    }
    let outcomes = within(tasks.join_all()).await;
    for (routable, outcome) in outcomes {
        match outcome {
            Ok(()) => assert!(routable, "a message without a queue counts as taken"),
            Err(failure) => {
                assert!(!routable, "{failure} {:?}", failure.causes);
                assert_eq!(failure.code, Code::QueueMissing);
            }
        }
    }
    assert_eq!(queue.depth(&batches()).await.unwrap(), 400);
    assert_eq!(queue.health().publishes.returned, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_that_is_an_error_once_patience_ends() {
    let mut settings = fixture::applied(3).await;
    settings.full_patience = Duration::from_millis(400);
    let queue = fixture::connected(&settings).await;
    let mut refused = None;
    for number in 0..20 {
        if let Err(failure) = within(queue.publish(&batches(), message(&number.to_string()))).await {
            refused = Some(failure);
            break;
        }
    }
    let failure = refused.expect("a queue for three does not take twenty");
    assert_eq!(failure.code, Code::QueueUnavailable);
    assert!(failure.causes.iter().any(|cause| cause.contains("full")), "{failure:?}");
    assert!(queue.health().publishes.refused > 0);
    assert!(queue.depth(&batches()).await.unwrap() < 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_completion_that_nobody_takes_is_an_error_until_the_scripter_is_bound_again() {
    let settings = fixture::applied(10).await;
    let queue = fixture::connected(&settings).await;
    let (_connection, channel) = raw(&settings.url).await;
    let (scripter, events) = (
        format!("{}.scripter", settings.prefix),
        format!("{}.events", settings.prefix),
    );
    let key = "extraction.completed.#";
    let unbinding = channel.queue_unbind(
        scripter.as_str().into(),
        events.as_str().into(),
        key.into(),
        FieldTable::default(),
    );
    unbinding.await.unwrap();
    let completed = "extraction.completed.shop.job-1";
    let failure = within(queue.announce(completed, message("c"))).await.unwrap_err();
    assert_eq!(failure.code, Code::QueueMissing);
    within(queue.announce("batch.parked.shop.job-1", message("p")))
        .await
        .expect("other events may interest nobody");
    let binding = channel.queue_bind(
        scripter.as_str().into(),
        events.as_str().into(),
        key.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    binding.await.unwrap();
    within(queue.announce(completed, message("c"))).await.unwrap();
    assert_eq!(queue.depth(&QueueName::Scripter).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_are_published_at_once_and_a_failure_among_them_is_told() {
    let queue = fixture::connected(&fixture::applied(1000).await).await;
    let messages: Vec<Message> = (0..1000).map(|n| message(&n.to_string())).collect();
    within(queue.publish_all(&batches(), messages)).await.unwrap();
    assert_eq!(queue.depth(&batches()).await.unwrap(), 1000);
    let too_long = Message::new("long", vec![0; (64 << 10) + 1]);
    let failure = within(queue.publish_all(&batches(), vec![message("a"), too_long]))
        .await
        .unwrap_err();
    assert_eq!(failure.code, Code::Defect);
}
