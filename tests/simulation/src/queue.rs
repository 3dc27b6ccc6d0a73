//! A queue that loses answers, doubles messages, and forgets that they were settled.

use std::sync::Arc;

use async_trait::async_trait;
use sqlextract_model::{Code, Failure, Result};
use sqlextract_queue::{Delivery, Message, Queue, QueueName, Receiver, Settlement};

use crate::Chance;

#[derive(Debug)]
pub struct FaultyQueue {
    pub inner: Arc<dyn Queue>,
    pub chance: Arc<Chance>,
    /// Planted: a message is settled before it is handled.
    pub settles_at_once: bool,
    /// Planted: some publishes are taken for confirmed that nobody has confirmed.
    pub believes: bool,
}

#[async_trait]
impl Queue for FaultyQueue {
    async fn publish(&self, queue: &QueueName, message: Message) -> Result<()> {
        if self.believes && self.chance.strikes(20) {
            return Ok(());
        }
        if self.chance.strikes(5) {
            self.inner.publish(queue, message.clone()).await?;
        }
        let publishing = self.inner.publish(queue, message);
        self.chance.around(Code::QueueUnavailable, publishing).await
    }

    async fn announce(&self, routing_key: &str, message: Message) -> Result<()> {
        if self.believes && self.chance.strikes(20) {
            return Ok(());
        }
        let announcing = self.inner.announce(routing_key, message);
        self.chance.around(Code::QueueUnavailable, announcing).await
    }

    async fn receiver(&self, queue: &QueueName, window: u16) -> Result<Box<dyn Receiver>> {
        Ok(Box::new(FaultyReceiver {
            inner: self.inner.receiver(queue, window).await?,
            chance: Arc::clone(&self.chance),
            settles_at_once: self.settles_at_once,
        }))
    }

    async fn depth(&self, queue: &QueueName) -> Result<u64> {
        self.inner.depth(queue).await
    }
}

struct FaultyReceiver {
    inner: Box<dyn Receiver>,
    chance: Arc<Chance>,
    settles_at_once: bool,
}

#[async_trait]
impl Receiver for FaultyReceiver {
    async fn receive(&mut self) -> Result<Box<dyn Delivery>> {
        let inner = self.inner.receive().await?;
        if self.chance.strikes(3) {
            return Err(Failure::new(Code::QueueUnavailable, "simulated: the connection broke"));
        }
        if self.settles_at_once {
            let message = inner.message().clone();
            inner.settle(Settlement::Done).await?;
            return Ok(Box::new(Gone { message }));
        }
        Ok(Box::new(FaultyDelivery {
            inner,
            chance: Arc::clone(&self.chance),
        }))
    }
}

#[derive(Debug)]
struct FaultyDelivery {
    inner: Box<dyn Delivery>,
    chance: Arc<Chance>,
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
        // Unsettled, the message comes again.
        let settling = self.inner.settle(settlement);
        self.chance.around(Code::QueueUnavailable, settling).await
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
