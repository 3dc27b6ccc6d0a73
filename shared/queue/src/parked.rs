//! Looking at parked messages, putting them back, and giving them up, over any queue.

use std::time::Duration;

use sqlextract_model::{Code, Failure, Result};

use crate::{Delivery, Message, Queue, QueueName, Settlement};

/// Messages that are looked at in one go; each is held until all are seen.
const MOST: u16 = 1000;
/// The queue's depth tells how many there are; one that somebody else holds does not come.
const PATIENCE: Duration = Duration::from_secs(2);

/// A parked message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedMessage {
    pub message: Message,
    pub reason: String,
    /// The queue that it came from, and goes back to.
    pub origin: Option<QueueName>,
}

/// What becomes of the messages that were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedAction {
    /// They stay.
    List,
    /// They are published to the queues that they came from, under their own ids and with their counts anew.
    Replay,
    /// They are given up.
    Drop,
}

/// Looks at the parked messages, at most 1,000 of them, and does what is asked to those that are chosen; answers them.
///
/// # Errors
///
/// Those of the queue. What was done before stays done; a message that was replayed but not let go is there twice, which
/// does no harm.
pub async fn parked(
    queue: &dyn Queue,
    action: ParkedAction,
    chosen: &(dyn Fn(&ParkedMessage) -> bool + Sync),
) -> Result<Vec<ParkedMessage>> {
    let mut answered = Vec::new();
    for held in hold(queue).await? {
        if !chosen(&held.parked) {
            continue;
        }
        answered.push(match action {
            ParkedAction::List => held.parked,
            ParkedAction::Replay => held.replay(queue).await?,
            ParkedAction::Drop => held.give_up().await?,
        });
    }
    Ok(answered)
}

/// A parked message in our hands; dropped, it stays parked.
#[derive(Debug)]
pub struct Held {
    pub parked: ParkedMessage,
    delivery: Box<dyn Delivery>,
}

impl Held {
    /// Publishes it to the queue that it came from, under its own id and with its count anew.
    ///
    /// # Errors
    ///
    /// Those of the queue, and `message_unreadable` where the message does not say where it came from.
    pub async fn replay(self, queue: &dyn Queue) -> Result<ParkedMessage> {
        let origin = self.parked.origin.as_ref().ok_or_else(|| {
            let text = format!(
                "message {} does not say which queue it came from",
                self.parked.message.id
            );
            Failure::new(Code::MessageUnreadable, text).remedy("Drop it, and send it again.")
        })?;
        queue.publish(origin, self.parked.message.clone()).await?;
        self.give_up().await
    }

    /// Lets it go for good.
    ///
    /// # Errors
    ///
    /// Those of the queue.
    pub async fn give_up(self) -> Result<ParkedMessage> {
        self.delivery.settle(Settlement::Done).await?;
        Ok(self.parked)
    }
}

/// All parked messages, at most 1,000 of them, in our hands.
///
/// # Errors
///
/// Those of the queue.
pub async fn hold(queue: &dyn Queue) -> Result<Vec<Held>> {
    let deliveries = hold_all(queue).await?.into_iter();
    let held = deliveries.map(|delivery| Held {
        parked: ParkedMessage {
            message: delivery.message().clone(),
            reason: delivery.reason().unwrap_or_default().to_owned(),
            origin: delivery.origin().cloned(),
        },
        delivery,
    });
    Ok(held.collect())
}

/// All parked messages in our hands: those that are dropped unsettled stay parked.
async fn hold_all(queue: &dyn Queue) -> Result<Vec<Box<dyn Delivery>>> {
    let there = queue.depth(&QueueName::Parked).await?.min(MOST.into());
    let mut held = Vec::new();
    if there == 0 {
        return Ok(held);
    }
    let mut receiver = queue.receiver(&QueueName::Parked, MOST).await?;
    while (held.len() as u64) < there {
        match tokio::time::timeout(PATIENCE, receiver.receive()).await {
            Ok(delivery) => held.push(delivery?),
            Err(_) => break,
        }
    }
    Ok(held)
}
