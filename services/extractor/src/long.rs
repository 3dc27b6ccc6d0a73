//! Batches that take longer than a broker waits for a message's settlement.
//!
//! They have a queue of their own and one worker in each process, so that none of the others ever waits for them. The
//! message is settled when the work begins, under a lease that says who works at the batch. When the work ends without
//! a commit, the batch is published again from here; when the process dies, by the planner's sweeper. A lease that is
//! lost costs work that is done twice: which attempt counts is the commit record's business, as ever.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_checkpoint::Lease;
use sqlextract_model::{BatchMessage, Result};
use sqlextract_queue::{Message, QueueName};
use sqlextract_runtime::{Handler, Verdict, serve, settlement_for};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::batch::batch_id;
use crate::{Extractor, unreadable};

/// The longest that a long batch may take.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// How long a batch waits for another extractor when nothing is heard of the one that took it over.
const LEASE: Duration = Duration::from_secs(30);
const RENEW: Duration = Duration::from_secs(10);

/// Leases that this process holds, each with the holder's name that it was taken under.
#[derive(Debug, Default)]
pub(crate) struct TakenOver(Mutex<HashMap<String, String>>);

impl TakenOver {
    fn leases(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one worker for long batches.
struct LongWorker(Arc<Extractor>);

#[async_trait]
impl Handler for LongWorker {
    async fn handle(&self, message: &Message, _redeliveries: u32) -> Verdict {
        match serde_json::from_slice::<BatchMessage>(&message.body) {
            Ok(batch) => self.0.take_over(&batch).await,
            Err(cause) => unreadable(message, cause),
        }
    }

    fn intake(&self) -> Option<watch::Receiver<bool>> {
        self.0.intake()
    }

    async fn carry_on(&self, message: &Message) {
        // What was taken over could be read.
        if let Ok(batch) = serde_json::from_slice::<BatchMessage>(&message.body) {
            self.0.work_long(&batch, message).await;
        }
    }
}

impl Extractor {
    /// Serves long batches, one at a time, until the shutdown; beside [`Extractor::run`], with a share of memory more.
    pub async fn run_long(self: Arc<Self>) -> Result<()> {
        let queue = Arc::clone(&self.ports.queue);
        let (name, retry, shutdown) = (self.long_queue(), self.settings.retry.clone(), self.shutdown.clone());
        serve(queue.as_ref(), &name, 1, Arc::new(LongWorker(self)), &retry, &shutdown)
            .await
            .map(|_| ())
    }

    fn long_queue(&self) -> QueueName {
        QueueName::LongBatches {
            source: self.source.clone(),
        }
    }

    /// Takes a long batch to its queue, which a planner of an earlier version does not know.
    pub(crate) async fn pass_on(&self, message: &Message) -> Verdict {
        match self.ports.queue.publish(&self.long_queue(), message.clone()).await {
            Ok(()) => Verdict::Done,
            Err(failure) => {
                tracing::warn!(message.id, error = %failure, "a long batch could not be brought to its queue");
                settlement_for(&failure, 1, &self.settings.retry)
            }
        }
    }

    /// Takes the batch over, unless somebody works at it: then its message has nothing more to do.
    pub(crate) async fn take_over(&self, message: &BatchMessage) -> Verdict {
        match self.try_take_over(message).await {
            Ok(true) => Verdict::TakeOver,
            Ok(false) => {
                tracing::info!(job.id = %message.job, batch.id = message.batch.0, "a long batch is worked at elsewhere");
                Verdict::Done
            }
            Err(failure) => {
                tracing::warn!(job.id = %message.job, batch.id = message.batch.0, error = %failure, "a long batch could not be taken over");
                // Nothing was tried at the batch itself.
                settlement_for(&failure, 1, &self.settings.retry)
            }
        }
    }

    async fn try_take_over(&self, message: &BatchMessage) -> Result<bool> {
        let name = lease_name(message);
        let holder = self.holder()?;
        let lease = self.ports.checkpoint.lease(&name, &holder, LEASE).await?;
        if lease == Lease::Held {
            self.taken_over.leases().insert(name, holder);
        }
        Ok(lease == Lease::Held)
    }

    /// What ends the work at a batch before its end: the last moment of this process, or for a long one, which would
    /// outlast any grace period, the first.
    pub(crate) fn leaving(&self, message: &BatchMessage) -> &CancellationToken {
        match message.long {
            true => self.shutdown.draining(),
            false => self.shutdown.at_once(),
        }
    }

    pub(crate) fn deadline(&self, message: &BatchMessage) -> Duration {
        match message.long {
            true => LONGEST.max(self.settings.batch_deadline),
            false => self.settings.batch_deadline,
        }
    }

    pub(crate) async fn work_long(&self, batch: &BatchMessage, message: &Message) {
        let name = lease_name(batch);
        let Some(holder) = self.taken_over.leases().get(&name).cloned() else {
            return;
        };
        let verdict = tokio::select! {
            verdict = self.work(batch) => verdict,
            never = self.renew(&name, &holder) => match never {},
        };
        let again = match verdict {
            Verdict::Again { after } => {
                self.rest(batch, after).await;
                true
            }
            Verdict::Done | Verdict::Park(_) | Verdict::TakeOver => false,
        };
        self.taken_over.leases().remove(&name);
        if let Err(failure) = self.hand_back(batch, message, (&name, &holder), again).await {
            tracing::warn!(job.id = %batch.job, batch.id = batch.batch.0, error = %failure, "a long batch waits for the sweeper");
        }
    }

    /// Keeps the lease for as long as it is polled. Without the store nobody else takes it either, or does so in vain.
    async fn renew(&self, name: &str, holder: &str) -> Infallible {
        loop {
            tokio::time::sleep(RENEW).await;
            if let Err(failure) = self.ports.checkpoint.lease(name, holder, LEASE).await {
                tracing::warn!(lease = name, error = %failure, "the lease of a long batch could not be renewed");
            }
        }
    }

    async fn rest(&self, batch: &BatchMessage, time: Duration) {
        tokio::select! {
            () = self.leaving(batch).cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    /// Gives the lease back, and then, since whoever finds it taken lets go of the message, publishes the batch.
    async fn hand_back(
        &self,
        batch: &BatchMessage,
        message: &Message,
        (name, holder): (&str, &str),
        again: bool,
    ) -> Result<()> {
        if again && self.leaving(batch).is_cancelled() {
            // The batch itself has not failed: its tries begin anew elsewhere.
            self.ports.checkpoint.park(&batch.job, &batch_id(batch), None).await?;
        }
        self.ports.checkpoint.lease(name, holder, Duration::ZERO).await?;
        if !again {
            return Ok(());
        }
        let again = Message::new(message.id.clone(), message.body.clone()).job(&batch.job);
        self.ports.queue.publish(&self.long_queue(), again).await
    }

    /// Each take-over has a name of its own, so that a second message of the batch finds it taken in this process too.
    fn holder(&self) -> Result<String> {
        let bits = self.ports.surroundings.random()?;
        Ok(format!("process {}/{bits:016x}", std::process::id()))
    }
}

fn lease_name(message: &BatchMessage) -> String {
    let (job, batch) = (&message.job, message.batch.0);
    format!("{job}/{}/{}/{batch}", message.segment, message.generation)
}
