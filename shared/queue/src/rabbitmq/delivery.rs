//! A message in our hands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lapin::Acker;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use sqlextract_model::{Code, Failure, Result};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::Shared;
use super::ledger::Held;
use super::topology::rung_for;
use super::wire::{self, Notes};
use crate::{Delivery, Message, QueueName, Settlement};

pub(super) struct RabbitmqDelivery {
    pub(super) message: Message,
    notes: Notes,
    queue: QueueName,
    acker: Acker,
    /// The channel lives as long as its deliveries: closing it would hand them back.
    channel: Channel,
    settled: bool,
    shared: Arc<Shared>,
    _held: Held,
    slot: Option<OwnedSemaphorePermit>,
}

impl RabbitmqDelivery {
    pub(super) fn new(
        shared: &Arc<Shared>,
        queue: &QueueName,
        channel: &Channel,
        raw: lapin::message::Delivery,
    ) -> Self {
        let (message, notes) = wire::read(queue, &raw.properties, raw.data, raw.redelivered);
        Self {
            message,
            notes,
            queue: queue.clone(),
            acker: raw.acker,
            channel: channel.clone(),
            settled: false,
            shared: Arc::clone(shared),
            _held: shared.ledger.hold(queue),
            slot: None,
        }
    }

    /// Whether the broker still takes our word for it. It does not once the channel is gone: then the message comes
    /// again by itself.
    pub(super) fn is_ours(&self) -> bool {
        self.acker.usable()
    }

    #[cfg(test)]
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Takes a place in its receiver's window.
    pub(super) fn occupy(&mut self, slot: OwnedSemaphorePermit) {
        self.slot = Some(slot);
    }

    async fn acknowledge(&mut self) -> Result<()> {
        let acking = self.acker.ack(BasicAckOptions::default());
        let answer = timeout(self.shared.settings.request_timeout, acking).await;
        self.settled = matches!(answer, Ok(Ok(true)));
        self.told(answer.map(|answer| answer.map_err(|e| e.to_string())))
    }

    async fn give_back(&mut self) -> Result<()> {
        let options = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        let answer = timeout(self.shared.settings.request_timeout, self.acker.nack(options)).await;
        self.settled = matches!(answer, Ok(Ok(true)));
        self.told(answer.map(|answer| answer.map_err(|e| e.to_string())))
    }

    /// "Written" is all that there is: the broker answers no acknowledgement.
    fn told<E>(&self, answer: std::result::Result<std::result::Result<bool, String>, E>) -> Result<()> {
        let why = match answer {
            Ok(Ok(true)) => return Ok(()),
            Ok(Ok(false)) => "the channel that it came on is gone".to_owned(),
            Ok(Err(error)) => error,
            Err(_) => "the connection did not take the word in time".to_owned(),
        };
        let text = format!(
            "message {} of {} may come again: its settlement was lost",
            self.message.id, self.queue
        );
        Err(Failure::new(Code::QueueUnconfirmed, text).because(why))
    }

    /// Publishes a copy, confirmed, before the original is let go: a crash in between doubles the message.
    async fn rest(&mut self, after: Duration) -> Result<()> {
        let rung = rung_for(after);
        let notes = Notes {
            redeliveries: self.notes.redeliveries.saturating_add(1),
            ..self.notes.clone()
        };
        let exchange = self.shared.names.rung(rung);
        self.shared
            .copy(&self.message, &notes, exchange, self.queue.to_string())
            .await?;
        self.shared.ledger.delay(&self.queue, rung.delay);
        self.acknowledge().await
    }

    async fn park(&mut self, reason: String) -> Result<()> {
        let notes = Notes {
            redeliveries: 0,
            reason: Some(reason),
            origin: Some(self.notes.origin.clone().unwrap_or_else(|| self.queue.clone())),
            content_type: self.notes.content_type.clone(),
        };
        let exchange = self.shared.names.work();
        self.shared
            .copy(&self.message, &notes, exchange, QueueName::Parked.to_string())
            .await?;
        self.acknowledge().await
    }
}

#[async_trait]
impl Delivery for RabbitmqDelivery {
    fn message(&self) -> &Message {
        &self.message
    }

    fn redeliveries(&self) -> u32 {
        self.notes.redeliveries
    }

    fn reason(&self) -> Option<&str> {
        self.notes.reason.as_deref()
    }

    fn origin(&self) -> Option<&QueueName> {
        self.notes.origin.as_ref()
    }

    /// A settlement that fails lets the message come again.
    async fn settle(mut self: Box<Self>, settlement: Settlement) -> Result<()> {
        match settlement {
            Settlement::Done => self.acknowledge().await,
            Settlement::Again { after } if after.is_zero() => self.give_back().await,
            Settlement::Again { after } => self.rest(after).await,
            Settlement::Park { reason } => self.park(reason).await,
        }
    }
}

impl Drop for RabbitmqDelivery {
    fn drop(&mut self) {
        if self.settled || !self.acker.usable() {
            return;
        }
        let (acker, channel) = (self.acker.clone(), self.channel.clone());
        let patience = self.shared.settings.request_timeout;
        self.shared.runtime.spawn(async move {
            let options = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            if timeout(patience, acker.nack(options)).await.is_err() {
                tracing::debug!("a dropped delivery comes again with the end of its channel");
            }
            drop(channel);
        });
    }
}

impl fmt::Debug for RabbitmqDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitmqDelivery")
            .field("message", &self.message.id)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
