//! The queue port: messages between services, and events for everybody.
//!
//! A queue carries permission to work; storage carries the facts. Losing, doubling or reordering a message may cost
//! time and never data, so an adapter in memory and a broker host the same services.

mod in_process;
pub mod parked;
mod rabbitmq;
#[cfg(feature = "suite")]
pub mod suite;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sqlextract_model::{Code, Failure, Result};

pub use in_process::InProcessQueue;
pub use rabbitmq::{PublishCounts, RabbitmqHealth, RabbitmqQueue, RabbitmqSettings, rabbitmq_definitions};

/// The head of the routing key of events that the scripter works on.
const COMPLETION: &str = "extraction.completed";
/// Events that others act upon: outcomes and scripts. The rest is news.
const RESULTS: [&str; 4] = [
    COMPLETION,
    "extraction.failed",
    "extraction.cancelled",
    "ingest.generated",
];
/// The confirm window: messages that [`Queue::publish_all`] has under way at once.
const CONFIRM_WINDOW: usize = 256;

/// Where a message is published, and where it is received.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum QueueName {
    /// Extraction requests.
    Requests,
    /// Looks at a job: fan-out, finishing.
    Ticks,
    /// Batches of one source.
    Batches { source: String },
    /// Batches of one source that last longer than a message may wait for its settlement.
    LongBatches { source: String },
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

    /// Reads a name as it is displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let name = match text.split_once('.') {
            None => match text {
                "requests" => Self::Requests,
                "ticks" => Self::Ticks,
                "scripter" => Self::Scripter,
                "parked" => Self::Parked,
                _ => return None,
            },
            Some((_, "")) => return None,
            Some(("batches", source)) => Self::Batches {
                source: source.to_owned(),
            },
            Some(("long-batches", source)) => Self::LongBatches {
                source: source.to_owned(),
            },
            Some(("events", subscriber)) => Self::Events {
                subscriber: subscriber.to_owned(),
            },
            Some(_) => return None,
        };
        Some(name)
    }

    /// Refuses a body that is longer than the queue takes, as a defect of the publisher.
    fn check_length(&self, message: &Message) -> Result<()> {
        let (length, longest) = (message.body.len(), self.longest_body_bytes());
        if length <= longest {
            return Ok(());
        }
        let text = format!(
            "message {} has {length} bytes, and the queue {self} takes {longest}",
            message.id
        );
        Err(Failure::new(Code::Defect, text))
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests => f.write_str("requests"),
            Self::Ticks => f.write_str("ticks"),
            Self::Batches { source } => write!(f, "batches.{source}"),
            Self::LongBatches { source } => write!(f, "long-batches.{source}"),
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
    /// The W3C trace context of whoever publishes, where there is one.
    pub traceparent: Option<String>,
    /// At most [`QueueName::longest_body_bytes`]. What others publish may be longer: look before parsing.
    pub body: Vec<u8>,
}

impl Message {
    pub fn new(id: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            id: id.into(),
            correlation: None,
            traceparent: None,
            body,
        }
    }

    #[must_use]
    pub fn job(mut self, job: impl fmt::Display) -> Self {
        self.correlation = Some(job.to_string());
        self
    }

    #[must_use]
    pub fn traceparent(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }
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
///   returns once all of them hold it. News that is no result waits for no subscriber whose queue refuses it or does not
///   answer: the others have it.
/// - A queue's depth is bounded, and so is what one receiver holds: `receive` waits while as many deliveries as the
///   receiver's window are unsettled.
/// - A body that is longer than the queue's limit is refused as a defect of the publisher, before anything is held.
/// - A parked delivery is received from [`QueueName::Parked`] with its reason; its count of redeliveries starts anew.
/// - `depth` counts messages that wait, and those that this process holds unsettled or has delayed. What other processes
///   hold or have delayed is counted where the adapter can see it: 0 is no proof that nothing is under way.
/// - No method interprets a body.
#[async_trait]
pub trait Queue: Send + Sync + fmt::Debug {
    async fn publish(&self, queue: &QueueName, message: Message) -> Result<()>;

    /// Publishes many, a bounded number of them at once. After an error any of them may be held or not.
    async fn publish_all(&self, queue: &QueueName, messages: Vec<Message>) -> Result<()> {
        let mut outcome = Ok(());
        let mut under_way = FuturesUnordered::new();
        for message in messages {
            if under_way.len() == CONFIRM_WINDOW {
                outcome = outcome.and(under_way.next().await.unwrap_or(Ok(())));
            }
            if outcome.is_err() {
                break;
            }
            under_way.push(self.publish(queue, message));
        }
        while let Some(published) = under_way.next().await {
            outcome = outcome.and(published);
        }
        outcome
    }

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

    /// The queue that a parked message came from; `None` in every queue but [`QueueName::Parked`].
    fn origin(&self) -> Option<&QueueName> {
        None
    }

    /// After a lost connection the answer is an error of class indeterminate, never success: the message may come
    /// again.
    async fn settle(self: Box<Self>, settlement: Settlement) -> Result<()>;
}

/// Whether the routing key is a completion's.
fn is_completion(routing_key: &str) -> bool {
    is_of(routing_key, COMPLETION)
}

/// Whether the routing key is one of an event that others act upon.
fn is_result(routing_key: &str) -> bool {
    RESULTS.iter().any(|kind| is_of(routing_key, kind))
}

fn is_of(routing_key: &str, kind: &str) -> bool {
    routing_key
        .strip_prefix(kind)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
