//! One batch message: read what is known, decide, act.

use std::convert::Infallible;
use std::time::Duration;

use sqlextract_checkpoint::BatchId;
use sqlextract_model::{
    BatchMessage, Class, Code, CommitRecord, Event, EventData, EventKind, Failure, Result, TickMessage,
};
use sqlextract_queue::{Message, QueueName};
use sqlextract_runtime::{Verdict, crash_point, settlement_for};
use sqlextract_storage::JobRecords;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::Extractor;
use crate::cancellations::CANCEL_LOOK;
use crate::commit::Ended;
use crate::parts::Parts;
use crate::plans::Planned;

/// What is known about a batch before any work.
#[derive(Debug)]
struct BatchFacts {
    commit: Option<CommitRecord>,
    cancelled: bool,
}

/// What a message leads to.
#[derive(Debug, PartialEq)]
enum BatchDecision {
    /// Another attempt has won: repeat everything that follows its commit.
    Follow(Box<CommitRecord>),
    /// The job was cancelled: the batch is not read.
    Skip,
    Extract,
}

fn decide(facts: BatchFacts) -> BatchDecision {
    match facts {
        BatchFacts {
            commit: Some(commit), ..
        } => BatchDecision::Follow(Box::new(commit)),
        BatchFacts { cancelled: true, .. } => BatchDecision::Skip,
        BatchFacts { .. } => BatchDecision::Extract,
    }
}

impl Extractor {
    pub(crate) async fn work(&self, message: &BatchMessage) -> Verdict {
        let mut attempts = 0;
        match self.try_work(message, &mut attempts).await {
            Ok(verdict) => verdict,
            Err(failure) => self.settle(message, failure.table(&message.table), attempts).await,
        }
    }

    /// Tries are counted before the work, so that one that ends the process counts.
    async fn try_work(&self, message: &BatchMessage, attempts: &mut u32) -> Result<Verdict> {
        let records = JobRecords::new(self.ports.destination(&message.destination)?, message.job.clone());
        // The plan is read meanwhile; an answer counts only where the batch is to be read.
        let (facts, planned) = tokio::join!(
            self.facts(&records, message, attempts),
            self.plans.batch(&records, message)
        );
        match decide(facts?) {
            BatchDecision::Follow(commit) => self.follow(message, &commit).await.map(|()| Verdict::Done),
            BatchDecision::Skip => Ok(Verdict::Done),
            BatchDecision::Extract => self.try_extract(&records, message, &planned?, attempts).await,
        }
    }

    async fn try_extract(
        &self,
        records: &JobRecords,
        message: &BatchMessage,
        planned: &Planned,
        attempts: &mut u32,
    ) -> Result<Verdict> {
        let parts = match *attempts {
            // Nobody can have found it too long.
            1 => Parts::untried(planned),
            _ => Parts::of(records, message, planned).await?,
        };
        // Those that settled a part were not in vain.
        *attempts = attempts.saturating_sub(parts.settled).max(1);
        refuse_fatal(*attempts, self.settings.retry.max_attempts)?;
        crash_point(format_args!("before_batch_{}", message.batch.0));
        let leaving = self.leaving(message);
        let stop = leaving.child_token();
        let span = tracing::info_span!(
            "batch",
            job.id = %message.job,
            table.name = %message.table,
            batch.id = message.batch.0,
            attempt = *attempts,
        );
        let work = self.extract_and_commit(records, message, planned, parts, &stop);
        let ended = tokio::select! {
            // An attempt that has ended counts, whatever was ordered in the same instant.
            biased;
            ended = work.instrument(span) => ended,
            never = self.stop_when_cancelled(records, &stop) => match never {},
        };
        match ended {
            Ok(Ended::Committed(commit)) => self.follow(message, &commit).await.map(|()| Verdict::Done),
            Ok(Ended::Cancelled) => Ok(Verdict::Done),
            Ok(Ended::Partly) => Ok(Verdict::Again { after: Duration::ZERO }),
            Err(_) if stop.is_cancelled() && !leaving.is_cancelled() => Ok(Verdict::Done),
            Err(failure) => Err(failure),
        }
    }

    async fn facts(&self, records: &JobRecords, message: &BatchMessage, attempts: &mut u32) -> Result<BatchFacts> {
        let id = batch_id(message);
        let counting = self.ports.checkpoint.attempt(&message.job, &id);
        let (counted, commit, cancelled) = tokio::join!(
            counting,
            records.commit(&message.segment, message.generation, message.batch),
            self.cancellations.look(records)
        );
        *attempts = counted?;
        Ok(BatchFacts {
            commit: commit?,
            cancelled: cancelled?,
        })
    }

    /// Ends the reading of a batch whose job is cancelled meanwhile.
    async fn stop_when_cancelled(&self, records: &JobRecords, stop: &CancellationToken) -> Infallible {
        loop {
            tokio::time::sleep(CANCEL_LOOK).await;
            // A store that does not answer here fails the batch's own requests too.
            if matches!(self.cancellations.look(records).await, Ok(true)) {
                stop.cancel();
            }
        }
    }

    /// Turns a failed attempt into what becomes of the message.
    async fn settle(&self, message: &BatchMessage, failure: Failure, attempts: u32) -> Verdict {
        match self.try_settle(message, &failure, attempts).await {
            Ok(verdict) => verdict,
            // The checkpoint or the queue is away as well: the message itself waits.
            Err(second) => {
                tracing::warn!(job.id = %message.job, batch.id = message.batch.0, error = %second, "a failed batch could not be recorded");
                if second.class() == Class::Permanent {
                    // Nothing will be recorded any more: to go on would repeat the same work without end.
                    self.shutdown.spawn("settlement", async move { Err(second) });
                }
                Verdict::Again {
                    after: self.settings.retry.initial,
                }
            }
        }
    }

    async fn try_settle(&self, message: &BatchMessage, failure: &Failure, counted: u32) -> Result<Verdict> {
        if self.leaving(message).is_cancelled() {
            return Ok(Verdict::Again { after: Duration::ZERO });
        }
        if failure.code == Code::SnapshotLost {
            // The planner opens the next epoch and publishes what is missing under it.
            let mut tick = TickMessage::look(message.job.clone(), message.destination.clone());
            tick.lost = Some(message.epoch);
            self.publish_tick(&tick).await?;
            // The batch itself has not failed: its tries begin anew in the next epoch.
            let id = batch_id(message);
            self.ports.checkpoint.park(&message.job, &id, None).await?;
            return Ok(Verdict::Done);
        }
        let id = batch_id(message);
        let attempts = match counted {
            0 => self.ports.checkpoint.attempt(&message.job, &id).await?,
            counted => counted,
        };
        let verdict = settlement_for(failure, attempts, &self.settings.retry);
        tracing::warn!(
            job.id = %message.job, table.name = %message.table, batch.id = message.batch.0, attempt = attempts,
            error.code = %failure.code, error = %failure, causes = ?failure.causes, "a batch failed"
        );
        if matches!(verdict, Verdict::Park(_)) {
            self.ports.checkpoint.park(&message.job, &id, Some(failure)).await?;
            self.progress.batch_parked(&message.job, &message.table, failure);
            self.announce_parked(message, failure).await?;
        }
        Ok(verdict)
    }

    async fn announce_parked(&self, message: &BatchMessage, failure: &Failure) -> Result<()> {
        let mut data = EventData::of(message.job.clone());
        data.destination = Some(message.destination.clone());
        data.table = Some(message.table.clone());
        data.batch = Some(message.batch);
        data.failures.push(failure.clone());
        let about = format!("{}/{}/{}", message.segment, message.generation, message.batch.0);
        let event = Event::new(EventKind::BatchParked, &about, self.ports.surroundings.utc_now(), data);
        let body = serde_json::to_vec(&event).expect("events have string keys and serialise without failing");
        let source: String = message
            .source
            .chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .take(80)
            .collect();
        let routing_key = format!("{}.{source}.{}", EventKind::BatchParked.noun_and_verb(), message.job);
        let message = Message::new(event.id, body).job(&message.job);
        self.ports.queue.announce(&routing_key, message).await
    }

    pub(crate) async fn publish_tick(&self, tick: &TickMessage) -> Result<()> {
        let body = serde_json::to_vec(tick).expect("ticks have string keys and serialise without failing");
        let id = format!("{}-look-{}", tick.job, tick.lost.map_or(0, |epoch| epoch.0));
        let message = Message::new(id, body).job(&tick.job);
        self.ports.queue.publish(&QueueName::Ticks, message).await
    }
}

/// A batch whose tries end without a word, again and again, ends the processes that work at it.
fn refuse_fatal(attempts: u32, max_attempts: u32) -> Result<()> {
    if attempts <= max_attempts.saturating_mul(2) {
        return Ok(());
    }
    let text = format!(
        "the batch was begun {} times and never ended, not even with an error",
        attempts - 1
    );
    Err(Failure::new(Code::Defect, text))
}

pub(crate) fn batch_id(message: &BatchMessage) -> BatchId {
    BatchId {
        table: message.segment.clone(),
        generation: message.generation,
        batch: message.batch,
    }
}
