//! What people do with parked messages.

use super::{Subject, batches, next, within};
use crate::parked::{ParkedAction, ParkedMessage, parked};
use crate::{QueueName, Settlement};

async fn act(subject: &Subject, action: ParkedAction, chosen: &(dyn Fn(&ParkedMessage) -> bool + Sync)) -> Vec<String> {
    let answered = within(parked(subject.queue.as_ref(), action, chosen)).await;
    let mut ids: Vec<_> = answered
        .expect("it succeeds")
        .into_iter()
        .map(|parked| parked.message.id)
        .collect();
    ids.sort();
    ids
}

pub async fn parked_messages_are_listed_replayed_and_dropped(subject: Subject) {
    let all = |_: &ParkedMessage| true;
    assert!(act(&subject, ParkedAction::List, &all).await.is_empty());
    let mut receiver = subject.receiver(&batches(), 3).await;
    for id in ["a", "b", "c"] {
        subject.publish(&batches(), id).await;
        let reason = format!("because of {id}");
        let parking = next(&mut receiver).await.settle(Settlement::Park { reason });
        within(parking).await.expect("settling succeeds");
    }
    subject.depth_becomes(&QueueName::Parked, 3).await;
    assert_eq!(act(&subject, ParkedAction::List, &all).await, ["a", "b", "c"]);
    subject.depth_becomes(&QueueName::Parked, 3).await;
    let because_of_b = |parked: &ParkedMessage| parked.reason == "because of b" && parked.origin == Some(batches());
    assert_eq!(act(&subject, ParkedAction::Replay, &because_of_b).await, ["b"]);
    let again = next(&mut receiver).await;
    assert_eq!(
        (again.message().id.as_str(), again.redeliveries(), again.reason()),
        ("b", 0, None)
    );
    within(again.settle(Settlement::Done)).await.expect("settling succeeds");
    subject.depth_becomes(&QueueName::Parked, 2).await;
    assert_eq!(act(&subject, ParkedAction::Drop, &all).await, ["a", "c"]);
    subject.depth_becomes(&QueueName::Parked, 0).await;
    subject.depth_becomes(&batches(), 0).await;
}
