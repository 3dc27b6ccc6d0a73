//! Ticks: a job's batches are published through a window, so that a large job and a small one share the extractors.

use std::sync::Arc;

use sqlextract_checkpoint::Progress;
use sqlextract_model::{BatchIndex, BatchMessage, Epoch, Result, TickMessage};
use sqlextract_queue::{Message, QueueName};
use sqlextract_runtime::Verdict;
use sqlextract_storage::JobRecords;

use crate::Planner;
use crate::active::ActiveJob;

/// What a tick knows.
#[derive(Debug, Clone)]
struct TickFacts {
    outcome: bool,
    cancelled: bool,
    /// `None` where the checkpoint does not know the job.
    progress: Option<Progress>,
    epoch: Epoch,
    batches: u64,
    window: u64,
}

/// What a tick does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TickDecision {
    /// The outcome is there; it is announced again.
    Announce,
    /// The epoch's snapshot is gone: open the next epoch.
    Reopen,
    /// The checkpoint does not know the job: give it storage's truth, and start over with what is missing.
    Refresh,
    Finish,
    Wait,
    /// Publish this many batches, then tick again.
    Publish(u64),
    /// Everything is published: the extractors tick when the last batch is done.
    Rest,
}

fn decide(tick: &TickMessage, facts: &TickFacts, page: u64) -> TickDecision {
    if facts.outcome {
        return TickDecision::Announce;
    }
    if tick.lost == Some(facts.epoch) {
        return TickDecision::Reopen;
    }
    let Some(progress) = &facts.progress else {
        return TickDecision::Refresh;
    };
    if facts.cancelled || progress.done >= progress.total {
        return TickDecision::Finish;
    }
    if tick.lost.is_some() || tick.position >= facts.batches {
        return TickDecision::Rest;
    }
    let settled = progress.done.saturating_sub(tick.done_before) + progress.parked.len() as u64;
    let outstanding = tick.published.saturating_sub(settled);
    let room = facts.window.saturating_sub(outstanding);
    if progress.paused || room == 0 {
        TickDecision::Wait
    } else {
        TickDecision::Publish(room.min(page))
    }
}

impl Planner {
    pub(crate) async fn tick(&self, tick: &TickMessage) -> Result<Verdict> {
        let records = self.records(&tick.destination, &tick.job)?;
        let outcome = records.manifest().await?;
        let open = match self.active_job(&tick.job) {
            Some(open) => open,
            None if outcome.is_some() => return self.announce_stored(&records).await,
            None => self.reopen(&records).await?,
        };
        let facts = TickFacts {
            outcome: outcome.is_some(),
            cancelled: records.cancelled().await?,
            progress: self.ports.checkpoint.progress(&tick.job).await?,
            epoch: open.epoch,
            batches: open.batches(),
            window: self.settings.job_window,
        };
        match decide(tick, &facts, self.settings.publish_page) {
            TickDecision::Announce => return self.announce_stored(&records).await,
            TickDecision::Reopen => {
                let open = self.reopen(&records).await?;
                self.start_round(&open).await?;
            }
            TickDecision::Refresh => self.refresh(&records, &open).await?,
            TickDecision::Finish => self.finish(&records, &open, facts.cancelled).await?,
            TickDecision::Wait => {
                return Ok(Verdict::Again {
                    after: self.settings.tick_delay,
                });
            }
            TickDecision::Publish(room) => self.publish_batches(tick, &open, room).await?,
            TickDecision::Rest => {}
        }
        Ok(Verdict::Done)
    }

    async fn announce_stored(&self, records: &JobRecords) -> Result<Verdict> {
        if let Some(stored) = records.manifest().await? {
            self.announce_outcome(&stored).await?;
            self.deactivate(records.job());
        }
        Ok(Verdict::Done)
    }

    async fn reopen(&self, records: &JobRecords) -> Result<Arc<ActiveJob>> {
        let record = records.job_record().await?.ok_or_else(|| {
            let message = format!("job {} has no record in its destination", records.job());
            sqlextract_model::Failure::new(sqlextract_model::Code::StorageMissing, message)
        })?;
        let asked = record.request.clone();
        self.open(records, record, &asked).await
    }

    async fn publish_batches(&self, tick: &TickMessage, open: &ActiveJob, room: u64) -> Result<()> {
        let request = &open.record.request;
        let queue = QueueName::Batches {
            source: request.source.clone(),
        };
        let (owed, position) = open.owed(tick.position, room);
        let published = owed.len() as u64;
        let messages = owed.into_iter().map(|(number, batch)| {
            let message = batch_message(open, number, batch);
            let body = serde_json::to_vec(&message).expect("batch messages have string keys and serialise");
            let id = format!("{}-{}-{}-{batch}", message.job, message.segment, message.generation);
            Message::new(id, body).job(&message.job)
        });
        self.ports.queue.publish_all(&queue, messages.collect()).await?;
        let next = TickMessage {
            position,
            published: tick.published + published,
            ..tick.clone()
        };
        self.publish_tick(&next).await
    }
}

fn batch_message(open: &ActiveJob, number: usize, batch: u64) -> BatchMessage {
    let stored = &open.tables[number].plan;
    let plan = &stored.record;
    let page = plan.pages.iter().rposition(|page| page.first.0 <= batch).unwrap_or(0);
    BatchMessage {
        job: plan.job.clone(),
        source: open.record.request.source.clone(),
        destination: open.record.request.destination.clone(),
        table: plan.table.clone(),
        segment: plan.segment.clone(),
        generation: plan.generation,
        epoch: open.epoch,
        snapshot: open.snapshot.as_ref().map(|s| s.token().clone()),
        batch: BatchIndex(batch),
        page: u32::try_from(page).unwrap_or(u32::MAX),
        plan_hash: stored.sha256,
        retry: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlextract_model::JobId;

    fn tick(position: u64, published: u64) -> TickMessage {
        let mut tick = TickMessage::start(JobId::new("j").unwrap(), "d".to_owned(), 10);
        (tick.position, tick.published) = (position, published);
        tick
    }

    fn facts(done: u64) -> TickFacts {
        let progress = Progress {
            total: 100,
            done,
            ..Progress::default()
        };
        let progress = Some(progress);
        TickFacts {
            outcome: false,
            cancelled: false,
            progress,
            epoch: Epoch(2),
            batches: 100,
            window: 20,
        }
    }

    #[test]
    fn a_tick_publishes_what_the_window_leaves() {
        assert_eq!(decide(&tick(0, 0), &facts(10), 64), TickDecision::Publish(20));
        assert_eq!(decide(&tick(30, 20), &facts(15), 64), TickDecision::Publish(5));
        assert_eq!(decide(&tick(30, 20), &facts(15), 3), TickDecision::Publish(3));
        assert_eq!(decide(&tick(30, 20), &facts(10), 64), TickDecision::Wait);
        assert_eq!(decide(&tick(100, 90), &facts(50), 64), TickDecision::Rest);
    }

    #[test]
    fn a_vanished_checkpoint_means_storage_is_looked_at() {
        assert_eq!(
            decide(
                &tick(0, 0),
                &TickFacts {
                    progress: None,
                    ..facts(0)
                },
                64
            ),
            TickDecision::Refresh
        );
    }

    #[test]
    fn only_the_open_epoch_can_be_lost() {
        let lost = |epoch| TickMessage {
            lost: Some(Epoch(epoch)),
            ..tick(0, 0)
        };
        assert_eq!(decide(&lost(2), &facts(10), 64), TickDecision::Reopen);
        assert_eq!(decide(&lost(1), &facts(10), 64), TickDecision::Rest);
    }

    #[test]
    fn the_end_comes_before_everything_else() {
        assert_eq!(decide(&tick(100, 90), &facts(100), 64), TickDecision::Finish);
        assert_eq!(
            decide(
                &tick(0, 0),
                &TickFacts {
                    cancelled: true,
                    ..facts(10)
                },
                64
            ),
            TickDecision::Finish
        );
        assert_eq!(
            decide(
                &tick(0, 0),
                &TickFacts {
                    outcome: true,
                    ..facts(10)
                },
                64
            ),
            TickDecision::Announce
        );
    }
}
