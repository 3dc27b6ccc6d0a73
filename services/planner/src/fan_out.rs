//! Ticks: a job's batches are published through a window, so that a large job and a small one share the extractors.

use std::sync::Arc;
use std::time::Duration;

use sqlextract_checkpoint::Progress;
use sqlextract_model::{BatchIndex, BatchMessage, Code, Epoch, Failure, Result, TickMessage};
use sqlextract_queue::Message;
use sqlextract_runtime::crash_point;
use sqlextract_storage::JobRecords;

use crate::Planner;
use crate::active::ActiveJob;
use crate::long::queues;

/// A job with a full window is looked at at least this often.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What a tick knows.
#[derive(Debug, Clone)]
struct TickFacts {
    outcome: bool,
    cancelled: bool,
    /// `None` where the checkpoint does not know the job.
    progress: Option<Progress>,
    epoch: Epoch,
    /// Whether anything drives the job: a tick of its round, this one included.
    begun: bool,
    /// The round that this planner drives, and how far it is.
    round: u64,
    reached: u64,
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
    /// The checkpoint does not know the job, or no round of it has begun since it was opened: give the checkpoint
    /// storage's truth, and start over with what is missing.
    Refresh,
    Finish,
    Cancel,
    Wait,
    /// Publish this many batches, then tick again.
    Publish(u64),
    /// Nothing to do: the extractors tick when the last batch is done.
    Rest,
}

fn decide(tick: &TickMessage, facts: &TickFacts, page: u64) -> TickDecision {
    if facts.outcome {
        return TickDecision::Announce;
    }
    if facts.cancelled {
        return TickDecision::Cancel;
    }
    if tick.lost == Some(facts.epoch) {
        return TickDecision::Reopen;
    }
    let Some(progress) = &facts.progress else {
        return TickDecision::Refresh;
    };
    if progress.done >= progress.total {
        return TickDecision::Finish;
    }
    // What opened the job failed before it began a round, and only came again.
    if !facts.begun {
        return TickDecision::Refresh;
    }
    // A look drives nothing, and neither does a tick of another round or one that was worked off already.
    if tick.round != facts.round || tick.position < facts.reached || tick.position >= facts.batches {
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

/// A window that stays full is looked at less and less often, up to once a second or the delay itself.
fn waiting_time(delay: Duration, waits: u32) -> Duration {
    let longest = LONGEST_WAIT.max(delay);
    delay.saturating_mul(1 << waits.min(16)).min(longest)
}

impl Planner {
    pub(crate) async fn tick(&self, tick: &TickMessage) -> Result<()> {
        if self.work_off(tick).await? == TickDecision::Wait {
            // Its turn is over while it waits; the tick itself is held until its successor is.
            tokio::time::sleep(waiting_time(self.settings.tick_delay, tick.waits)).await;
            let next = TickMessage {
                waits: tick.waits.saturating_add(1),
                ..tick.clone()
            };
            self.publish_tick(&next).await?;
        }
        Ok(())
    }

    async fn work_off(&self, tick: &TickMessage) -> Result<TickDecision> {
        let _turn = self.turns.take(&tick.job).await;
        let records = self.records(&tick.destination, &tick.job)?;
        let Some(open) = self.active_job(&tick.job) else {
            return self.work_off_unknown(&records).await;
        };
        if tick.round == open.round {
            // It is here, whatever was answered when it was published.
            open.begin();
        }
        // Only this planner ends a job that it holds; others' orders are found by the sweeper.
        let facts = TickFacts {
            outcome: false,
            cancelled: tick.round == 0 && records.cancelled().await?,
            progress: self.ports.checkpoint.progress(&tick.job).await?,
            epoch: open.epoch,
            begun: open.has_begun(),
            round: open.round,
            reached: open.reached(),
            batches: open.batches(),
            window: self.settings.job_window,
        };
        let decision = decide(tick, &facts, self.settings.publish_page);
        match decision {
            TickDecision::Announce | TickDecision::Wait | TickDecision::Rest => {}
            TickDecision::Reopen => {
                let open = self.reopen(&records).await?;
                self.start_first_round(&open).await?;
            }
            TickDecision::Refresh => self.refresh(&records, &open).await?,
            TickDecision::Finish => self.finish(&records, &open).await?,
            TickDecision::Cancel => self.end_cancelled(&records, &open.record).await?,
            TickDecision::Publish(room) => self.publish_batches(tick, &open, room).await?,
        }
        Ok(decision)
    }

    /// A job that another planner opened, or that this one has finished: told again, or opened anew. Ticks of another
    /// planner's round are of no use here.
    async fn work_off_unknown(&self, records: &JobRecords) -> Result<TickDecision> {
        if let Some(stored) = records.manifest().await? {
            if !self.told().contains(records.job()) {
                self.announce_outcome(records, &stored).await?;
            }
            return Ok(TickDecision::Announce);
        }
        let open = self.reopen(records).await?;
        self.start_first_round(&open).await?;
        Ok(TickDecision::Reopen)
    }

    pub(crate) async fn reopen(&self, records: &JobRecords) -> Result<Arc<ActiveJob>> {
        let record = records.job_record().await?.ok_or_else(|| {
            let message = format!("job {} has no record in its destination", records.job());
            Failure::new(Code::StorageMissing, message)
        })?;
        let asked = record.request.clone();
        self.open(records, record, &asked, false).await
    }

    async fn publish_batches(&self, tick: &TickMessage, open: &ActiveJob, room: u64) -> Result<()> {
        let request = &open.record.request;
        let (owed, position) = open.owed(tick.position, room);
        let published = owed.len() as u64;
        let plans = open.tables.iter().map(|table| &table.plan.record);
        let long: Vec<bool> = plans.map(|plan| self.is_long(request, plan)).collect();
        let [mut usual, mut for_long] = [Vec::new(), Vec::new()];
        for (number, batch) in owed {
            let message = BatchMessage {
                long: long[number],
                ..batch_message(open, number, batch)
            };
            let body = serde_json::to_vec(&message).expect("batch messages have string keys and serialise");
            let id = format!("{}-{}-{}-{batch}", message.job, message.segment, message.generation);
            let queue = if message.long { &mut for_long } else { &mut usual };
            queue.push(Message::new(id, body).job(&message.job));
        }
        for (queue, messages) in queues(&request.source).iter().zip([usual, for_long]) {
            self.ports.queue.publish_all(queue, messages).await?;
        }
        crash_point("before_next_tick");
        let next = TickMessage {
            position,
            published: tick.published + published,
            waits: 0,
            ..tick.clone()
        };
        self.publish_tick(&next).await?;
        crash_point("after_next_tick");
        open.reach(position);
        Ok(())
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
        snapshot: open.snapshot.as_ref().map(|kept| kept.snapshot.token().clone()),
        batch: BatchIndex(batch),
        page: u32::try_from(page).unwrap_or(u32::MAX),
        plan_hash: stored.sha256,
        retry: 0,
        limits: open.record.request.origin.as_ref().map(|origin| origin.limits),
        long: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlextract_model::JobId;

    fn tick(position: u64, published: u64) -> TickMessage {
        let mut tick = TickMessage::start(JobId::new("j").unwrap(), "d".to_owned(), 7, 10);
        (tick.position, tick.published) = (position, published);
        tick
    }

    fn look(lost: Option<u32>) -> TickMessage {
        let look = TickMessage::look(JobId::new("j").unwrap(), "d".to_owned());
        TickMessage {
            lost: lost.map(Epoch),
            ..look
        }
    }

    fn facts(done: u64) -> TickFacts {
        let progress = Progress {
            total: 100,
            done,
            ..Progress::default()
        };
        TickFacts {
            outcome: false,
            cancelled: false,
            progress: Some(progress),
            epoch: Epoch(2),
            begun: true,
            round: 7,
            reached: 0,
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
    fn a_window_that_stays_full_is_looked_at_less_often() {
        let delay = Duration::from_millis(50);
        let times = [0, 1, 2, 9, u32::MAX].map(|waits| waiting_time(delay, waits).as_millis());
        assert_eq!(times, [50, 100, 200, 1000, 1000]);
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
    fn a_job_whose_round_never_began_is_begun_by_whatever_comes_again() {
        let idle = TickFacts {
            begun: false,
            ..facts(10)
        };
        assert_eq!(decide(&look(None), &idle, 64), TickDecision::Refresh);
        assert_eq!(decide(&look(Some(1)), &idle, 64), TickDecision::Refresh);
    }

    #[test]
    fn only_the_open_epoch_can_be_lost() {
        assert_eq!(decide(&look(Some(2)), &facts(10), 64), TickDecision::Reopen);
        assert_eq!(decide(&look(Some(1)), &facts(10), 64), TickDecision::Rest);
    }

    #[test]
    fn a_tick_drives_its_own_round_once() {
        let other = TickFacts { round: 8, ..facts(10) };
        assert_eq!(decide(&tick(0, 0), &other, 64), TickDecision::Rest);
        let further = TickFacts {
            reached: 30,
            ..facts(10)
        };
        assert_eq!(decide(&tick(0, 0), &further, 64), TickDecision::Rest);
        assert_eq!(decide(&tick(30, 20), &further, 64), TickDecision::Wait);
        assert_eq!(decide(&look(None), &facts(10), 64), TickDecision::Rest);
    }

    #[test]
    fn the_end_comes_before_everything_else() {
        assert_eq!(decide(&tick(100, 90), &facts(100), 64), TickDecision::Finish);
        assert_eq!(decide(&look(None), &facts(100), 64), TickDecision::Finish);
        let cancelled = TickFacts {
            cancelled: true,
            ..facts(10)
        };
        assert_eq!(decide(&tick(0, 0), &cancelled, 64), TickDecision::Cancel);
        let ended = TickFacts {
            outcome: true,
            ..facts(10)
        };
        assert_eq!(decide(&tick(0, 0), &ended, 64), TickDecision::Announce);
    }
}
