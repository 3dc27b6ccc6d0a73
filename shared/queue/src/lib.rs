//! The queue port: messages between services, and events for everybody.
//!
//! A queue carries permission to work; storage carries the facts. Losing, doubling or reordering a message may cost
//! time and never data, so an adapter in memory and a broker host the same services.

mod in_process;
#[cfg(feature = "suite")]
pub mod suite;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_model::Result;

pub use in_process::InProcessQueue;

/// Where a message is published, and where it is received.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum QueueName {
    /// Extraction requests.
    Requests,
    /// Looks at a job: fan-out, finishing.
    Ticks,
    /// Batches of one source.
    Batches { source: String },
    /// Completed extractions for the scripter.
    Scripter,
    /// Every event, for one named subscriber; exists once somebody has received from it.
    Events { subscriber: String },
    /// Messages that are not tried again until somebody replays them.
    Parked,
}

impl QueueName {
    /// The longest body that the queue takes, in bytes: a request from outside may be longer than what services write.
    pub fn longest_body_bytes(&self) -> usize {
        match self {
            Self::Requests | Self::Parked => 1 << 20,
            _ => 64 << 10,
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests => f.write_str("requests"),
            Self::Ticks => f.write_str("ticks"),
            Self::Batches { source } => write!(f, "batches.{source}"),
            Self::Scripter => f.write_str("scripter"),
            Self::Events { subscriber } => write!(f, "events.{subscriber}"),
            Self::Parked => f.write_str("parked"),
        }
    }
}

/// What a message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Stays the same when the same thing is published again.
    pub id: String,
    /// The job, where there is one.
    pub correlation: Option<String>,
    /// At most [`QueueName::longest_body_bytes`].
    pub body: Vec<u8>,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Its effects are done; it is not delivered again.
    Done,
    /// Delivered again, not before the delay.
    Again { after: Duration },
    /// Moved to the parked queue with its reason.
    Park { reason: String },
}

/// Messages between services.
///
/// # Contract
///
/// - `publish` returns once the message is durably held: confirmed by the broker, or placed in the bounded buffer. It
///   waits while the queue is full, and may hold the message although it answers with an error (indeterminate).
/// - Delivery is at least once, in no promised order. A delivery that is dropped unsettled comes back.
/// - `announce` gives the event to every subscriber that exists, and to the scripter if the event is a completion. It
///   returns once all of them hold it.
/// - A queue's depth is bounded, and so is what one receiver holds: `receive` waits while as many deliveries as the
///   receiver's window are unsettled.
/// - A body that is longer than the queue's limit is refused as a defect of the publisher, before anything is held.
/// - A parked delivery is received from [`QueueName::Parked`] with its reason; its count of redeliveries starts anew.
/// - `depth` counts messages that wait or are unsettled, those waiting out a delay included.
/// - No method interprets a body.
#[async_trait]
pub trait Queue: Send + Sync + fmt::Debug {
    async fn publish(&self, queue: &QueueName, message: Message) -> Result<()>;

    /// Publishes to all subscribers of events. `routing_key` is `<noun>.<verb>.<source>.<table or job>`.
    async fn announce(&self, routing_key: &str, message: Message) -> Result<()>;

    /// Opens a receiver that holds at most `window` unsettled deliveries.
    async fn receiver(&self, queue: &QueueName, window: u16) -> Result<Box<dyn Receiver>>;

    async fn depth(&self, queue: &QueueName) -> Result<u64>;
}

/// A consumer of one queue.
#[async_trait]
pub trait Receiver: Send {
    /// The next delivery; waits for one. Cancel-safe: a delivery that was taken and not returned comes back.
    async fn receive(&mut self) -> Result<Box<dyn Delivery>>;
}

/// A message in our hands, until it is settled or dropped.
#[async_trait]
pub trait Delivery: Send + fmt::Debug {
    fn message(&self) -> &Message;

    /// How often this message was delivered before, as far as the queue knows.
    fn redeliveries(&self) -> u32;

    /// Why the message was parked; `None` in every queue but [`QueueName::Parked`].
    fn reason(&self) -> Option<&str> {
        None
    }

    /// After a lost connection the answer is an error of class indeterminate, never success: the message may come
    /// again.
    async fn settle(self: Box<Self>, settlement: Settlement) -> Result<()>;
}
