//! Receiving from a queue in memory, and what becomes of a delivery.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_model::{Code, Failure, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Lanes;
use super::lane::{Held, Lane, Parked};
use crate::{Delivery, Message, QueueName, Receiver, Settlement};

/// How long a message rests that could not be parked.
const PARK_AGAIN: Duration = Duration::from_secs(10);

pub(super) struct InProcessReceiver {
    lanes: Arc<Lanes>,
    lane: Arc<Lane>,
    queue: QueueName,
    /// One permit per delivery that this receiver may hold unsettled.
    window: Arc<Semaphore>,
}

impl InProcessReceiver {
    pub(super) fn new(lanes: &Arc<Lanes>, queue: &QueueName, window: u16) -> Self {
        Self {
            lanes: Arc::clone(lanes),
            lane: lanes.lane(queue),
            queue: queue.clone(),
            window: Arc::new(Semaphore::new(usize::from(window.max(1)))),
        }
    }
}

#[async_trait]
impl Receiver for InProcessReceiver {
    async fn receive(&mut self) -> Result<Box<dyn Delivery>> {
        let slot = Arc::clone(&self.window).acquire_owned().await;
        let slot = slot.expect("the receiver never closes its semaphore");
        let held = self.lane.take().await;
        Ok(Box::new(InProcessDelivery {
            held: Some(held),
            lane: Arc::clone(&self.lane),
            lanes: Arc::clone(&self.lanes),
            queue: self.queue.clone(),
            _slot: slot,
        }))
    }
}

struct InProcessDelivery {
    /// `None` once it is settled.
    held: Option<Held>,
    lane: Arc<Lane>,
    lanes: Arc<Lanes>,
    queue: QueueName,
    _slot: OwnedSemaphorePermit,
}

impl InProcessDelivery {
    fn held(&self) -> &Held {
        self.held
            .as_ref()
            .expect("only settling takes it, and settling consumes the delivery")
    }
}

#[async_trait]
impl Delivery for InProcessDelivery {
    fn message(&self) -> &Message {
        &self.held().message
    }

    fn redeliveries(&self) -> u32 {
        self.held().redeliveries
    }

    fn reason(&self) -> Option<&str> {
        self.held().parked.as_ref().map(|parked| parked.reason.as_str())
    }

    fn origin(&self) -> Option<&QueueName> {
        self.held().parked.as_ref().map(|parked| &parked.origin)
    }

    async fn settle(mut self: Box<Self>, settlement: Settlement) -> Result<()> {
        let Some(held) = self.held.take() else {
            return Ok(());
        };
        match settlement {
            Settlement::Done => Ok(()),
            Settlement::Again { after } => {
                self.lane.give_back_later(held, after);
                Ok(())
            }
            Settlement::Park { reason } => {
                let before = held.parked.as_ref().map(|parked| parked.origin.clone());
                let origin = before.unwrap_or_else(|| self.queue.clone());
                let lane = self.lanes.lane(&QueueName::Parked);
                if lane.try_publish(held.message.clone(), Parked { origin, reason }) {
                    return Ok(());
                }
                let text = format!("message {} cannot be parked: the parked queue is full", held.message.id);
                self.lane.give_back_later(held, PARK_AGAIN);
                Err(Failure::new(Code::QueueUnavailable, text))
            }
        }
    }
}

impl Drop for InProcessDelivery {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.lane.give_back(held);
        }
    }
}

impl fmt::Debug for InProcessDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessDelivery")
            .field("message", &self.held.as_ref().map(|held| held.message.id.as_str()))
            .finish_non_exhaustive()
    }
}
