//! The queue inside one process: bounded, redelivering, and gone with the process. Storage repairs what is lost.

mod delivery;
mod lane;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sqlextract_model::Result;
use tokio::sync::Semaphore;

use self::delivery::InProcessReceiver;
use self::lane::Lane;
use crate::{Message, Queue, QueueName, Receiver};

/// Nobody may be receiving parked messages, so that parking never waits; this many are held at least.
const FEWEST_PARKED: usize = 10_000;

/// Queues in memory. Clones are handles of the same queues.
///
/// A message keeps its place from `publish` until it is settled for good, so that a queue's depth never passes its
/// capacity and a message that comes back never waits for room. The capacity must therefore be larger than the windows
/// of all receivers, and a handler that publishes into the queue that it is served from needs spare room there.
///
/// Parking into a full parked queue answers `queue_unavailable`, and the message comes back after ten seconds.
#[derive(Clone)]
pub struct InProcessQueue {
    lanes: Arc<Lanes>,
}

impl InProcessQueue {
    /// Each queue holds at most `capacity` messages, at least one.
    pub fn new(capacity: usize) -> Self {
        let lanes = Lanes {
            capacity: capacity.clamp(1, Semaphore::MAX_PERMITS),
            by_name: Mutex::new(HashMap::new()),
        };
        Self { lanes: Arc::new(lanes) }
    }
}

impl fmt::Debug for InProcessQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessQueue")
            .field("capacity", &self.lanes.capacity)
            .finish_non_exhaustive()
    }
}

/// All queues, made when they are first named.
struct Lanes {
    capacity: usize,
    by_name: Mutex<HashMap<QueueName, Arc<Lane>>>,
}

impl Lanes {
    fn lane(&self, name: &QueueName) -> Arc<Lane> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let capacity = match name {
            QueueName::Parked => self.capacity.max(FEWEST_PARKED),
            _ => self.capacity,
        };
        let made = by_name
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Lane::new(capacity)));
        Arc::clone(made)
    }

    fn existing(&self, name: &QueueName) -> Option<Arc<Lane>> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.get(name).map(Arc::clone)
    }

    fn subscribers(&self) -> Vec<QueueName> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let events = by_name.keys().filter(|name| matches!(name, QueueName::Events { .. }));
        let mut events: Vec<QueueName> = events.cloned().collect();
        // Always in the same order, so that a run can be repeated.
        events.sort_by_cached_key(ToString::to_string);
        events
    }

    async fn publish(&self, queue: &QueueName, message: Message) -> Result<()> {
        queue.check_length(&message)?;
        self.lane(queue).publish(message).await;
        Ok(())
    }
}

#[async_trait]
impl Queue for InProcessQueue {
    async fn publish(&self, queue: &QueueName, message: Message) -> Result<()> {
        // Only a receiver makes a subscriber; what is published for nobody would be held for ever.
        if matches!(queue, QueueName::Events { .. }) && self.lanes.existing(queue).is_none() {
            return Ok(());
        }
        self.lanes.publish(queue, message).await
    }

    async fn announce(&self, routing_key: &str, message: Message) -> Result<()> {
        let mut queues = self.lanes.subscribers();
        if crate::is_completion(routing_key) {
            queues.push(QueueName::Scripter);
        }
        for queue in queues {
            self.lanes.publish(&queue, message.clone()).await?;
        }
        Ok(())
    }

    async fn receiver(&self, queue: &QueueName, window: u16) -> Result<Box<dyn Receiver>> {
        let receiver = InProcessReceiver::new(&self.lanes, queue, window);
        Ok(Box::new(receiver))
    }

    async fn depth(&self, queue: &QueueName) -> Result<u64> {
        // Asking makes no queue: a subscriber exists only once somebody has received.
        Ok(self.lanes.existing(queue).map_or(0, |lane| lane.depth()))
    }
}
