//! Announcements.

use super::{Subject, message, next, within};
use crate::{QueueName, Settlement};

fn events(subscriber: &str) -> QueueName {
    QueueName::Events {
        subscriber: subscriber.to_owned(),
    }
}

pub async fn announcements_reach_every_subscriber(subject: Subject) {
    let announce = |key: &'static str| {
        let subject = subject.clone();
        async move {
            within(subject.queue.announce(key, message(key)))
                .await
                .expect("announcing succeeds")
        }
    };
    announce("batch.parked.shop.nobody-listens").await;
    let mut watch = subject.receiver(&events("watch"), 4).await;
    // A subscriber that went away and comes again has missed nothing.
    drop(subject.receiver(&events("audit"), 4).await);
    announce("batch.parked.shop.job-1").await;
    announce("extraction.planned.shop.job-1").await;
    let mut audit = subject.receiver(&events("audit"), 4).await;
    for receiver in [&mut watch, &mut audit] {
        let mut keys = Vec::new();
        for _ in 0..2 {
            let delivery = next(receiver).await;
            keys.push(delivery.message().id.clone());
            delivery.settle(Settlement::Done).await.expect("settling succeeds");
        }
        keys.sort();
        assert_eq!(keys, ["batch.parked.shop.job-1", "extraction.planned.shop.job-1"]);
    }
    subject.depth_becomes(&events("watch"), 0).await;
    subject.depth_becomes(&QueueName::Scripter, 0).await;
}

pub async fn completions_reach_the_scripter(subject: Subject) {
    let keys = [
        "extraction.completed.shop.job-1",
        "extraction.failed.shop.job-2",
        "extraction.completedness.shop.job-3",
        "ingest.generated.shop.job-1",
    ];
    for key in keys {
        within(subject.queue.announce(key, message(key)))
            .await
            .expect("announcing succeeds");
    }
    let mut scripter = subject.receiver(&QueueName::Scripter, 4).await;
    let delivery = next(&mut scripter).await;
    assert_eq!(delivery.message(), &message("extraction.completed.shop.job-1"));
    delivery.settle(Settlement::Done).await.expect("settling succeeds");
    subject.depth_becomes(&QueueName::Scripter, 0).await;
}
