//! The queue at a RabbitMQ broker.
//!
//! One connection publishes and another receives: a broker in alarm stops reading from whoever publishes, and
//! acknowledgements must still pass. Everything is confirmed: a message is taken once every queue on its way holds it.

mod delivery;
mod failure;
mod ledger;
mod link;
mod objects;
mod patience;
mod policies;
mod publish;
mod receive;
mod settings;
#[cfg(test)]
mod tests;
mod topology;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use sqlextract_model::{Code, Failure, Result};
use tokio::time::{Instant, sleep};

use self::ledger::Ledger;
use self::link::Link;
use self::patience::{Next, Tries};
use self::publish::{Lanes, Outcome, Outgoing};
use self::receive::RabbitmqReceiver;
use self::topology::{Names, Topology};
use self::wire::Notes;
use crate::{CONFIRM_WINDOW, Message, Queue, QueueName, Receiver, is_completion, is_result};

pub use self::policies::rabbitmq_definitions;
pub use self::settings::RabbitmqSettings;

/// Channels that share the confirm window.
const WORK_LANES: usize = 4;
/// Channels with one message under way each: for events and for what must not be judged in company.
const CAREFUL_LANES: usize = 4;

/// How often news is published in vain before it is taken for told.
const MOST_UNANSWERED: u32 = 2;

/// Queues at a broker. Clones are handles of the same connections.
#[derive(Clone)]
pub struct RabbitmqQueue {
    shared: Arc<Shared>,
}

/// What readiness and metrics ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RabbitmqHealth {
    pub publishing_connected: bool,
    pub consuming_connected: bool,
    /// The broker takes no messages for now: an alarm about its memory or its disk.
    pub blocked: bool,
    /// Lost connections that were opened again.
    pub reconnects: u64,
    /// Receivers without a subscription, which they are trying to get again.
    pub receivers_down: usize,
    pub publishes: PublishCounts,
}

/// Tries to publish, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishCounts {
    pub taken: u64,
    pub refused: u64,
    pub returned: u64,
    pub unsent: u64,
    pub unknown: u64,
}

#[derive(Debug, Default)]
struct Counters {
    taken: AtomicU64,
    refused: AtomicU64,
    returned: AtomicU64,
    unsent: AtomicU64,
    unknown: AtomicU64,
}

struct Shared {
    settings: RabbitmqSettings,
    names: Names,
    publishing: Arc<Link>,
    consuming: Arc<Link>,
    work: Lanes,
    careful: Lanes,
    ledger: Ledger,
    counters: Counters,
    receivers_down: AtomicUsize,
    /// Where dropped deliveries are given back, whatever thread drops them.
    runtime: tokio::runtime::Handle,
}

impl RabbitmqQueue {
    /// Connects twice and checks that everything of the topology exists.
    ///
    /// # Errors
    ///
    /// `queue_unavailable` where nothing answers, `queue_authentication`, `queue_missing` and `queue_mismatch` with every
    /// object that is not as it should be, `plaintext_refused`, `config_invalid`.
    pub async fn connect(settings: RabbitmqSettings) -> Result<Self> {
        settings.check_names()?;
        let publishing = Arc::new(Link::new(&settings, "publishing")?);
        let consuming = Arc::new(Link::new(&settings, "receiving")?);
        let names = Names::new(&settings.prefix);
        objects::visit(&consuming, &Topology::new(&names, &settings.sources), false).await?;
        drop(publishing.channel().await?);
        let shared = Shared {
            work: Lanes::start(&publishing, WORK_LANES, CONFIRM_WINDOW / WORK_LANES),
            careful: Lanes::start(&publishing, CAREFUL_LANES, 1),
            settings,
            names,
            publishing,
            consuming,
            ledger: Ledger::default(),
            counters: Counters::default(),
            receivers_down: AtomicUsize::new(0),
            runtime: tokio::runtime::Handle::current(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Declares whatever of the topology is missing, and answers a sentence per object.
    ///
    /// # Errors
    ///
    /// As for `connect`; an object with other properties is left as it is.
    pub async fn apply_topology(settings: &RabbitmqSettings) -> Result<Vec<String>> {
        visit(settings, true).await
    }

    /// Looks at the topology without changing it, and answers a sentence per object.
    ///
    /// # Errors
    ///
    /// As for `connect`.
    pub async fn check_topology(settings: &RabbitmqSettings) -> Result<Vec<String>> {
        visit(settings, false).await
    }

    /// How the connections are. Where one is lost and nobody needs it now, it is opened again in the background.
    pub fn health(&self) -> RabbitmqHealth {
        let shared = &self.shared;
        shared.publishing.mend();
        shared.consuming.mend();
        RabbitmqHealth {
            publishing_connected: shared.publishing.connected(),
            consuming_connected: shared.consuming.connected(),
            blocked: shared.publishing.blocked(),
            reconnects: shared.publishing.reconnects() + shared.consuming.reconnects(),
            receivers_down: shared.receivers_down.load(Ordering::Relaxed),
            publishes: shared.counters.read(),
        }
    }

    /// Closes both connections. To be called last: what is published or received later opens them again.
    pub async fn close(&self) {
        self.shared.consuming.close().await;
        self.shared.publishing.close().await;
    }
}

async fn visit(settings: &RabbitmqSettings, declare: bool) -> Result<Vec<String>> {
    settings.check_names()?;
    let link = Link::new(settings, "topology")?;
    let topology = Topology::new(&Names::new(&settings.prefix), &settings.sources);
    let sentences = objects::visit(&link, &topology, declare).await;
    link.close().await;
    sentences
}

impl Counters {
    fn count(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Taken => &self.taken,
            Outcome::Refused => &self.refused,
            Outcome::Returned => &self.returned,
            Outcome::Unsent(_) => &self.unsent,
            Outcome::Unknown(_) | Outcome::NotConfirmed => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> PublishCounts {
        PublishCounts {
            taken: self.taken.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            returned: self.returned.load(Ordering::Relaxed),
            unsent: self.unsent.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// Publishes until the broker has taken it; answers whether a queue takes it at all.
    async fn publish(
        &self,
        lanes: &Lanes,
        message: &Message,
        notes: &Notes,
        exchange: String,
        key: String,
    ) -> Result<bool> {
        let outgoing = outgoing(message, notes, exchange, key)?;
        let begun = Instant::now();
        let mut tries = Tries::default();
        loop {
            let outcome = lanes.publish(outgoing.clone()).await;
            self.counters.count(&outcome);
            match tries.next(outcome, begun.elapsed(), &self.settings, || {
                words_of(message, &outgoing)
            }) {
                Next::Taken => return Ok(true),
                Next::Returned => return Ok(false),
                Next::Again { after } => sleep(after).await,
                Next::Fail(failure) => return Err(failure),
            }
        }
    }

    /// Publishes news, which waits for no single subscriber: one whose queue is full, or never answers, is no reason to
    /// hold up what goes on.
    async fn tell(&self, message: &Message, exchange: String, key: String, notes: &Notes) -> Result<()> {
        let outgoing = outgoing(message, notes, exchange, key)?;
        let begun = Instant::now();
        let (mut tries, mut unanswered) = (Tries::default(), 0);
        loop {
            let outcome = self.careful.publish(outgoing.clone()).await;
            self.counters.count(&outcome);
            unanswered += u32::from(matches!(outcome, Outcome::Unknown(_)));
            if outcome == Outcome::Refused || unanswered >= MOST_UNANSWERED {
                tracing::warn!(
                    message.id = message.id,
                    ?outcome,
                    "not every subscriber has the event {}",
                    outgoing.key
                );
                return Ok(());
            }
            match tries.next(outcome, begun.elapsed(), &self.settings, || {
                words_of(message, &outgoing)
            }) {
                Next::Taken | Next::Returned => return Ok(()),
                Next::Again { after } => sleep(after).await,
                Next::Fail(failure) => return Err(failure),
            }
        }
    }

    /// Publishes a delivery's copy, which some queue must take.
    async fn copy(&self, message: &Message, notes: &Notes, exchange: String, key: String) -> Result<()> {
        let where_to = format!("{exchange} under the key {key}");
        if self.publish(&self.careful, message, notes, exchange, key).await? {
            return Ok(());
        }
        Err(no_queue(message, &where_to))
    }
}

fn outgoing(message: &Message, notes: &Notes, exchange: String, key: String) -> Result<Outgoing> {
    Ok(Outgoing {
        properties: wire::properties_of(message, notes)?,
        body: message.body.as_slice().into(),
        exchange,
        key,
    })
}

fn words_of(message: &Message, outgoing: &Outgoing) -> String {
    let Outgoing { exchange, key, .. } = outgoing;
    format!("message {} for {exchange} under the key {key}", message.id)
}

fn no_queue(message: &Message, where_to: &str) -> Failure {
    let text = format!("no queue takes message {} from exchange {where_to}", message.id);
    Failure::new(Code::QueueMissing, text)
}

#[async_trait]
impl Queue for RabbitmqQueue {
    async fn publish(&self, queue: &QueueName, message: Message) -> Result<()> {
        queue.check_length(&message)?;
        let shared = &self.shared;
        let lanes = match queue {
            QueueName::Batches { .. } | QueueName::LongBatches { .. } | QueueName::Ticks => &shared.work,
            _ => &shared.careful,
        };
        let notes = Notes {
            content_type: Some(wire::content_type_of(queue).to_owned()),
            ..Notes::default()
        };
        let (exchange, key) = (shared.names.work(), queue.to_string());
        let taken = shared.publish(lanes, &message, &notes, exchange, key).await?;
        // A subscriber exists once it has received; until then there is nobody to hold messages for.
        if taken || matches!(queue, QueueName::Events { .. }) {
            return Ok(());
        }
        Err(no_queue(
            &message,
            &format!("{} under the key {queue}", shared.names.work()),
        ))
    }

    async fn announce(&self, routing_key: &str, message: Message) -> Result<()> {
        QueueName::Scripter.check_length(&message)?;
        let shared = &self.shared;
        let notes = Notes {
            content_type: Some(wire::content_type_of(&QueueName::Scripter).to_owned()),
            ..Notes::default()
        };
        let (exchange, key) = (shared.names.events(), routing_key.to_owned());
        if !is_result(routing_key) {
            return shared.tell(&message, exchange, key, &notes).await;
        }
        let taken = shared.publish(&shared.careful, &message, &notes, exchange, key).await?;
        // The scripter subscribes to completions at all times; other events may interest nobody.
        if taken || !is_completion(routing_key) {
            return Ok(());
        }
        Err(no_queue(
            &message,
            &format!("{} under the key {routing_key}", shared.names.events()),
        ))
    }

    async fn receiver(&self, queue: &QueueName, window: u16) -> Result<Box<dyn Receiver>> {
        let receiver = RabbitmqReceiver::open(&self.shared, queue, window).await?;
        Ok(Box::new(receiver))
    }

    async fn depth(&self, queue: &QueueName) -> Result<u64> {
        let shared = &self.shared;
        let name = shared.names.queue(queue);
        let what = format!("the depth of queue {name} is unknown");
        let channel = shared.consuming.channel().await?;
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let looking = channel.queue_declare(name.as_str().into(), options, FieldTable::default());
        let ready = match shared.consuming.ask(&what, looking).await {
            Ok(found) => u64::from(found.message_count()),
            Err(failure) if failure.code == Code::QueueMissing && matches!(queue, QueueName::Events { .. }) => 0,
            Err(failure) => return Err(failure),
        };
        Ok(ready + shared.ledger.count(queue))
    }
}

impl fmt::Debug for RabbitmqQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitmqQueue")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}
