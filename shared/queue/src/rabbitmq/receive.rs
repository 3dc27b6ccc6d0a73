//! Receiving: a task per receiver that subscribes, hands deliveries on, and subscribes again whenever the broker, the
//! connection, the channel or the queue was lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use sqlextract_model::{Code, Failure, Result};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::delivery::RabbitmqDelivery;
use super::link::rest_after;
use super::topology::subscription;
use super::{Shared, objects};
use crate::{Delivery, QueueName, Receiver};

/// After so long without a delivery, a receiver makes sure that the broker still knows it: a queue that is deleted and made
/// again at once can lose its consumers without a word to them.
const QUIET: Duration = Duration::from_secs(10);

pub(super) struct RabbitmqReceiver {
    queue: QueueName,
    deliveries: mpsc::Receiver<RabbitmqDelivery>,
    /// One permit per delivery that may be unsettled. The broker limits each channel; after a lost one, deliveries of
    /// the old channel may still be in work beside those of the new.
    window: Arc<Semaphore>,
}

impl RabbitmqReceiver {
    /// Subscribes once, so that what is wrong is told; later losses are mended in the background.
    pub(super) async fn open(shared: &Arc<Shared>, queue: &QueueName, window: u16) -> Result<Self> {
        let window = window.max(1);
        let (sender, deliveries) = mpsc::channel(usize::from(window));
        let pump = Pump {
            shared: Arc::clone(shared),
            queue: queue.clone(),
            window,
            deliveries: sender,
        };
        let first = pump.subscribe().await?;
        tokio::spawn(pump.run(first));
        Ok(Self {
            queue: queue.clone(),
            deliveries,
            window: Arc::new(Semaphore::new(usize::from(window))),
        })
    }
}

#[async_trait]
impl Receiver for RabbitmqReceiver {
    async fn receive(&mut self) -> Result<Box<dyn Delivery>> {
        let delivery = self.next_of_ours().await?;
        Ok(Box::new(delivery))
    }
}

impl RabbitmqReceiver {
    pub(super) async fn next_of_ours(&mut self) -> Result<RabbitmqDelivery> {
        let slot = Arc::clone(&self.window).acquire_owned().await;
        let slot = slot.expect("the receiver never closes its semaphore");
        // Nothing is awaited after a delivery was taken.
        while let Some(mut delivery) = self.deliveries.recv().await {
            // What came on a lost channel comes again on the new one; working at it would be for nothing.
            if delivery.is_ours() {
                delivery.occupy(slot);
                return Ok(delivery);
            }
        }
        let text = format!("receiving from {} has ended", self.queue);
        Err(Failure::new(Code::QueueUnavailable, text))
    }
}

struct Subscription {
    channel: Channel,
    consumer: Consumer,
}

/// Why handing on ended.
enum Ended {
    /// The receiver is gone.
    Unwanted,
    Broken(String),
}

struct Pump {
    shared: Arc<Shared>,
    queue: QueueName,
    window: u16,
    deliveries: mpsc::Sender<RabbitmqDelivery>,
}

impl Pump {
    async fn subscribe(&self) -> Result<Subscription> {
        let link = &self.shared.consuming;
        if let QueueName::Events { subscriber } = &self.queue {
            super::settings::check_name("subscriber", subscriber)?;
            objects::declare(link, &subscription(&self.shared.names, &self.queue)).await?;
        }
        let name = self.shared.names.queue(&self.queue);
        let what = format!("queue {name} cannot be received from");
        let channel = link.channel().await?;
        // Before the consumer: without it the broker sends everything there is.
        link.ask(&what, channel.basic_qos(self.window, BasicQosOptions::default()))
            .await?;
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(name.as_str().into(), "".into(), options, FieldTable::default());
        let consumer = link.ask(&what, consuming).await?;
        Ok(Subscription { channel, consumer })
    }

    async fn run(self, first: Subscription) {
        let mut subscription = first;
        loop {
            match self.hand_on(&mut subscription).await {
                Ended::Unwanted => return hand_back(&self.shared, subscription).await,
                Ended::Broken(why) => {
                    tracing::warn!(queue.name = %self.queue, "receiving from {} broke off: {why}", self.queue);
                }
            }
            drop(subscription);
            self.shared.receivers_down.fetch_add(1, Ordering::Relaxed);
            let again = self.subscribe_again().await;
            self.shared.receivers_down.fetch_sub(1, Ordering::Relaxed);
            match again {
                Some(new) => subscription = new,
                None => return,
            }
            tracing::info!(queue.name = %self.queue, "receiving from {} again", self.queue);
        }
    }

    async fn hand_on(&self, subscription: &mut Subscription) -> Ended {
        loop {
            let next = tokio::select! {
                biased;
                () = self.deliveries.closed() => return Ended::Unwanted,
                next = subscription.consumer.next() => next,
                () = sleep(QUIET) => match self.is_forgotten(&subscription.channel).await {
                    true => return Ended::Broken("the broker has forgotten the consumer".to_owned()),
                    false => continue,
                },
            };
            let raw = match next {
                Some(Ok(raw)) => raw,
                Some(Err(error)) => return Ended::Broken(error.to_string()),
                None => return Ended::Broken("the broker cancelled the consumer".to_owned()),
            };
            let delivery = RabbitmqDelivery::new(&self.shared, &self.queue, &subscription.channel, raw);
            // There is room, unless deliveries of a lost channel are still in there; then the wait is for the receiver.
            if self.deliveries.send(delivery).await.is_err() {
                return Ended::Unwanted;
            }
        }
    }

    /// Whether the queue has no consumer, or messages that it does not give to one whose hands are free, as one that came
    /// with an earlier queue of the name; or the channel has no answer, since it may wait for ever for a queue that is gone.
    /// To subscribe once more than needed costs a moment.
    async fn is_forgotten(&self, channel: &Channel) -> bool {
        let name = self.shared.names.queue(&self.queue);
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let asking = channel.queue_declare(name.as_str().into(), options, FieldTable::default());
        match timeout(self.shared.settings.request_timeout, asking).await {
            Ok(Ok(found)) => {
                let withheld = found.message_count() > 0 && self.shared.ledger.held(&self.queue) == 0;
                found.consumer_count() == 0 || withheld
            }
            _ => true,
        }
    }

    /// Tries until it works; `None` once the receiver is gone.
    async fn subscribe_again(&self) -> Option<Subscription> {
        let mut failures = 0;
        loop {
            let attempt = async {
                sleep(rest_after(failures)).await;
                self.subscribe().await
            };
            let outcome = tokio::select! {
                () = self.deliveries.closed() => return None,
                outcome = attempt => outcome,
            };
            match outcome {
                Ok(subscription) => return Some(subscription),
                Err(failure) => {
                    tracing::warn!(
                        queue.name = %self.queue, error.code = %failure.code, causes = ?failure.causes,
                        "receiving from {} is tried again: {failure}", self.queue
                    );
                    failures = failures.saturating_add(1);
                }
            }
        }
    }
}

/// Ends the consumer, and gives back what was sent to it and not taken.
async fn hand_back(shared: &Shared, subscription: Subscription) {
    let Subscription { channel, mut consumer } = subscription;
    let giving_back = async {
        channel
            .basic_cancel(consumer.tag(), BasicCancelOptions::default())
            .await?;
        while let Some(raw) = consumer.next().await {
            let options = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            raw?.acker.nack(options).await?;
        }
        Ok::<(), lapin::Error>(())
    };
    if !matches!(timeout(shared.settings.request_timeout, giving_back).await, Ok(Ok(()))) {
        tracing::debug!("what was not taken comes again with the end of the channel");
    }
}
