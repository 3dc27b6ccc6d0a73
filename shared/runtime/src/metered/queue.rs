//! A queue that counts, and that sends the current trace along.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlextract_model::Result;
use sqlextract_queue::{Delivery, Message, Queue, QueueName, Receiver, Settlement};

use crate::{Metric, Metrics, trace};

/// Counts what passes a queue.
#[derive(Debug)]
pub struct MeteredQueue {
    inner: Arc<dyn Queue>,
    metrics: Metrics,
}

impl MeteredQueue {
    pub fn new(inner: Arc<dyn Queue>, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    fn published(&self, began: Instant, result: &Result<()>, messages: usize) {
        let labels = [("result", if result.is_ok() { "ack" } else { "error" })];
        self.metrics.count(Metric::PublishTotal, &labels, messages as u64);
        self.metrics.observe(Metric::PublishSeconds, &[], began.elapsed());
    }
}

fn traced(mut message: Message) -> Message {
    if message.traceparent.is_none() {
        message.traceparent = trace::current().map(|context| context.next().to_string());
    }
    message
}

#[async_trait]
impl Queue for MeteredQueue {
    async fn publish(&self, queue: &QueueName, message: Message) -> Result<()> {
        let began = Instant::now();
        let result = self.inner.publish(queue, traced(message)).await;
        self.published(began, &result, 1);
        result
    }

    async fn publish_all(&self, queue: &QueueName, messages: Vec<Message>) -> Result<()> {
        let (began, count) = (Instant::now(), messages.len());
        let messages = messages.into_iter().map(traced).collect();
        let result = self.inner.publish_all(queue, messages).await;
        self.published(began, &result, count);
        result
    }

    async fn announce(&self, routing_key: &str, message: Message) -> Result<()> {
        let began = Instant::now();
        let result = self.inner.announce(routing_key, traced(message)).await;
        self.published(began, &result, 1);
        result
    }

    async fn receiver(&self, queue: &QueueName, window: u16) -> Result<Box<dyn Receiver>> {
        Ok(Box::new(MeteredReceiver {
            inner: self.inner.receiver(queue, window).await?,
            metrics: self.metrics.clone(),
            queue: queue.to_string(),
        }))
    }

    async fn depth(&self, queue: &QueueName) -> Result<u64> {
        self.inner.depth(queue).await
    }
}

struct MeteredReceiver {
    inner: Box<dyn Receiver>,
    metrics: Metrics,
    queue: String,
}

#[async_trait]
impl Receiver for MeteredReceiver {
    async fn receive(&mut self) -> Result<Box<dyn Delivery>> {
        let inner = self.inner.receive().await?;
        let queue = [("queue", self.queue.as_str())];
        if inner.redeliveries() > 0 {
            self.metrics.count(Metric::RedeliveredTotal, &queue, 1);
        }
        self.metrics.change(Metric::Inflight, &queue, 1.0);
        let held = Held {
            metrics: self.metrics.clone(),
            queue: self.queue.clone(),
            began: Instant::now(),
        };
        Ok(Box::new(MeteredDelivery { inner, held }))
    }
}

#[derive(Debug)]
struct MeteredDelivery {
    inner: Box<dyn Delivery>,
    held: Held,
}

/// Counts a delivery as in our hands until it is dropped.
#[derive(Debug)]
struct Held {
    metrics: Metrics,
    queue: String,
    began: Instant,
}

impl Held {
    fn settled(&self, verdict: &str) {
        let labels = [("queue", self.queue.as_str()), ("verdict", verdict)];
        self.metrics.count(Metric::MessagesTotal, &labels, 1);
        let took: Duration = self.began.elapsed();
        self.metrics
            .observe(Metric::MessageSeconds, &[("queue", &self.queue)], took);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.metrics.change(Metric::Inflight, &[("queue", &self.queue)], -1.0);
    }
}

#[async_trait]
impl Delivery for MeteredDelivery {
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
        let Self { inner, held } = *self;
        let verdict = match settlement {
            Settlement::Done => "done",
            Settlement::Again { .. } => "again",
            Settlement::Park { .. } => "parked",
        };
        let result = inner.settle(settlement).await;
        held.settled(if result.is_ok() { verdict } else { "unsettled" });
        result
    }
}
