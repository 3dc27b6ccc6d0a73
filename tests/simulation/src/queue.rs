//! A queue that is late, loses answers, doubles and reorders messages, and forgets that they were settled.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_model::{BatchMessage, Code, Failure, ObjectKey, Result};
use sqlextract_queue::{Delivery, Message, Queue, QueueName, Receiver, Settlement};
use sqlextract_storage::Storage;

use crate::{Planted, Wire};

#[derive(Debug)]
pub struct FaultyQueue {
    pub inner: Arc<dyn Queue>,
    pub wire: Wire,
    pub planted: Option<Planted>,
    /// Where the planted shortcut looks for what is committed.
    pub storage: Arc<dyn Storage>,
}

impl FaultyQueue {
    /// Takes a publish for confirmed that never went out.
    fn believes(&self) -> bool {
        self.planted == Some(Planted::Believing) && self.wire.chance.strikes(20)
    }
}

/// How late a message comes the second time.
fn later(wire: &Wire) -> Duration {
    Duration::from_millis(wire.chance.below(50))
}

#[async_trait]
impl Queue for FaultyQueue {
    async fn publish(&self, queue: &QueueName, message: Message) -> Result<()> {
        if self.believes() {
            return Ok(());
        }
        let what = format!(
            "publish {queue} {} {}",
            message.id,
            String::from_utf8_lossy(&message.body)
        );
        if self.wire.chance.strikes(self.wire.faults.doubled) {
            let (inner, queue, message, late) = (
                Arc::clone(&self.inner),
                queue.clone(),
                message.clone(),
                later(&self.wire),
            );
            // The broker's doing: it outlives the process.
            tokio::spawn(async move {
                tokio::time::sleep(late).await;
                inner.publish(&queue, message).await
            });
        }
        let publishing = self.inner.publish(queue, message);
        self.wire.call(what, Code::QueueUnavailable, publishing).await
    }

    async fn announce(&self, routing_key: &str, message: Message) -> Result<()> {
        if self.believes() {
            return Ok(());
        }
        let what = format!(
            "announce {routing_key} {} {}",
            message.id,
            String::from_utf8_lossy(&message.body)
        );
        let announcing = self.inner.announce(routing_key, message);
        self.wire.call(what, Code::QueueUnavailable, announcing).await
    }

    async fn receiver(&self, queue: &QueueName, window: u16) -> Result<Box<dyn Receiver>> {
        let opening = self.inner.receiver(queue, window);
        let opened = self
            .wire
            .call(format!("receive from {queue}"), Code::QueueUnavailable, opening);
        Ok(Box::new(FaultyReceiver {
            inner: opened.await?,
            wire: self.wire.clone(),
            planted: self.planted,
            storage: Arc::clone(&self.storage),
        }))
    }

    async fn depth(&self, queue: &QueueName) -> Result<u64> {
        let counting = self.inner.depth(queue);
        self.wire
            .call(format!("depth {queue}"), Code::QueueUnavailable, counting)
            .await
    }
}

struct FaultyReceiver {
    inner: Box<dyn Receiver>,
    wire: Wire,
    planted: Option<Planted>,
    storage: Arc<dyn Storage>,
}

#[async_trait]
impl Receiver for FaultyReceiver {
    async fn receive(&mut self) -> Result<Box<dyn Delivery>> {
        loop {
            let inner = self.inner.receive().await?;
            self.wire.life.pass().await;
            self.wire.trace.note(format_args!(
                "{} receives {} after {}",
                self.wire.process,
                inner.message().id,
                inner.redeliveries()
            ));
            // Meanwhile others receive what came later.
            self.wire.delay().await;
            if self.wire.chance.strikes(self.wire.faults.broken) {
                return Err(Failure::new(Code::QueueUnavailable, "simulated: the connection broke"));
            }
            match self.planted {
                Some(Planted::SettlingFirst) => {
                    let message = inner.message().clone();
                    inner.settle(Settlement::Done).await?;
                    return Ok(Box::new(Gone { message }));
                }
                Some(Planted::Shortcut) if is_committed(self.storage.as_ref(), inner.message()).await => {
                    inner.settle(Settlement::Done).await?;
                }
                _ => {
                    let wire = self.wire.clone();
                    return Ok(Box::new(FaultyDelivery { inner, wire }));
                }
            }
        }
    }
}

/// Whether the message is a batch's that has its commit record.
async fn is_committed(storage: &dyn Storage, message: &Message) -> bool {
    let Ok(batch) = serde_json::from_slice::<BatchMessage>(&message.body) else {
        return false;
    };
    let key = ObjectKey::Commit {
        job: batch.job,
        table: batch.segment,
        generation: batch.generation,
        batch: batch.batch,
    };
    matches!(storage.read(&key.to_string(), None).await, Ok(Some(_)))
}

#[derive(Debug)]
struct FaultyDelivery {
    inner: Box<dyn Delivery>,
    wire: Wire,
}

#[async_trait]
impl Delivery for FaultyDelivery {
    fn message(&self) -> &Message {
        self.inner.message()
    }

    fn redeliveries(&self) -> u32 {
        self.inner.redeliveries()
    }

    fn reason(&self) -> Option<&str> {
        self.inner.reason()
    }

    fn origin(&self) -> Option<&QueueName> {
        self.inner.origin()
    }

    async fn settle(self: Box<Self>, settlement: Settlement) -> Result<()> {
        let what = format!("settle {} {settlement:?}", self.inner.message().id);
        // Unsettled, the message comes again.
        let settling = self.inner.settle(settlement);
        self.wire.call(what, Code::QueueUnavailable, settling).await
    }
}

/// What was settled before it was handled.
#[derive(Debug)]
struct Gone {
    message: Message,
}

#[async_trait]
impl Delivery for Gone {
    fn message(&self) -> &Message {
        &self.message
    }

    fn redeliveries(&self) -> u32 {
        0
    }

    async fn settle(self: Box<Self>, _: Settlement) -> Result<()> {
        Ok(())
    }
}
