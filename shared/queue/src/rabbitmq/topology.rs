//! Everything that exists at the broker, as one table. `topology apply` declares it, services check it.
//!
//! What correctness hangs on is in the arguments, which a service can check: queue type, dead-lettering, the ladder's
//! delays. What an operator tunes is policy (see `policies`). Arguments can never change under a name.

use std::time::Duration;

use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable};

use crate::{COMPLETION, QueueName};

/// A step of the retry ladder: a message rests in it for this long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rung {
    pub(super) name: &'static str,
    pub(super) delay: Duration,
}

/// From the shortest to the longest.
pub(super) const RUNGS: [Rung; 4] = [
    Rung {
        name: "1s",
        delay: Duration::from_secs(1),
    },
    Rung {
        name: "10s",
        delay: Duration::from_secs(10),
    },
    Rung {
        name: "1m",
        delay: Duration::from_secs(60),
    },
    Rung {
        name: "10m",
        delay: Duration::from_secs(600),
    },
];

/// The shortest rung that does not end before the delay; the longest for what no rung holds.
pub(super) fn rung_for(after: Duration) -> &'static Rung {
    let [.., longest] = &RUNGS;
    RUNGS.iter().find(|rung| rung.delay >= after).unwrap_or(longest)
}

/// Names at the broker.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    fn named(&self, name: impl std::fmt::Display) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// The exchange that brings a queue's name as the key to the queue.
    pub(super) fn work(&self) -> String {
        self.named("work")
    }

    pub(super) fn events(&self) -> String {
        self.named("events")
    }

    /// The exchange of a rung, and its queue.
    pub(super) fn rung(&self, rung: &Rung) -> String {
        self.named(format_args!("retry.{}", rung.name))
    }

    fn dead(&self) -> String {
        self.named("dead")
    }

    pub(super) fn queue(&self, queue: &QueueName) -> String {
        self.named(queue)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) kind: ExchangeKind,
}

/// A durable quorum queue.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct QueueObject {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// Exchange and key.
    pub(super) bindings: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Worked off; what the broker gives up goes to this exchange, and a full queue refuses.
    Worked { dead_letters: String },
    /// Gives every message back to this exchange, under its own key, after the delay.
    Resting { delay: Duration, back_to: String },
    /// Looked at by people or by subscribers.
    Kept,
}

impl QueueObject {
    pub(super) fn arguments(&self) -> FieldTable {
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut arguments = FieldTable::default();
        let mut set = |key: &str, value| {
            arguments.insert(key.into(), value);
        };
        set("x-queue-type", text("quorum"));
        let dead_letters = match &self.shape {
            Shape::Worked { dead_letters } => Some(dead_letters),
            Shape::Resting { delay, back_to } => {
                let milliseconds = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
                set("x-message-ttl", AMQPValue::LongLongInt(milliseconds));
                Some(back_to)
            }
            Shape::Kept => None,
        };
        if let Some(exchange) = dead_letters {
            set("x-dead-letter-exchange", text(exchange));
            // Without both, the broker may lose what it dead-letters.
            set("x-dead-letter-strategy", text("at-least-once"));
            set("x-overflow", text("reject-publish"));
        }
        arguments
    }
}

/// The table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Topology {
    pub(super) exchanges: Vec<Exchange>,
    pub(super) queues: Vec<QueueObject>,
}

impl Topology {
    pub(super) fn new(names: &Names, sources: &[String]) -> Self {
        let exchange = |name: String, kind| Exchange { name, kind };
        let mut exchanges = vec![
            exchange(names.work(), ExchangeKind::Direct),
            exchange(names.queue(&QueueName::Requests), ExchangeKind::Fanout),
            exchange(names.events(), ExchangeKind::Topic),
            exchange(names.dead(), ExchangeKind::Fanout),
        ];
        exchanges.extend(
            RUNGS
                .iter()
                .map(|rung| exchange(names.rung(rung), ExchangeKind::Fanout)),
        );
        let mut queues = vec![
            worked(
                names,
                &QueueName::Requests,
                &[(names.queue(&QueueName::Requests), String::new())],
            ),
            worked(names, &QueueName::Ticks, &[]),
            worked(
                names,
                &QueueName::Scripter,
                &[(names.events(), format!("{COMPLETION}.#"))],
            ),
        ];
        for source in sources.iter().cloned() {
            queues.push(worked(names, &QueueName::Batches { source: source.clone() }, &[]));
            queues.push(worked(names, &QueueName::LongBatches { source }, &[]));
        }
        queues.extend(RUNGS.iter().map(|rung| resting(names, rung)));
        queues.push(kept(names, &QueueName::Parked, &[]));
        queues.push(QueueObject {
            name: names.dead(),
            shape: Shape::Kept,
            bindings: vec![(names.dead(), String::new())],
        });
        Self { exchanges, queues }
    }
}

fn worked(names: &Names, queue: &QueueName, more: &[(String, String)]) -> QueueObject {
    QueueObject {
        shape: Shape::Worked {
            dead_letters: names.dead(),
        },
        ..kept(names, queue, more)
    }
}

fn resting(names: &Names, rung: &Rung) -> QueueObject {
    QueueObject {
        name: names.rung(rung),
        shape: Shape::Resting {
            delay: rung.delay,
            back_to: names.work(),
        },
        bindings: vec![(names.rung(rung), String::new())],
    }
}

fn kept(names: &Names, queue: &QueueName, more: &[(String, String)]) -> QueueObject {
    let mut bindings = vec![(names.work(), queue.to_string())];
    bindings.extend_from_slice(more);
    QueueObject {
        name: names.queue(queue),
        shape: Shape::Kept,
        bindings,
    }
}

/// The queue of a subscriber: made when it first receives.
pub(super) fn subscription(names: &Names, queue: &QueueName) -> QueueObject {
    kept(names, queue, &[(names.events(), "#".to_owned())])
}

#[cfg(test)]
mod tests;
