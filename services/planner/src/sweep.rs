//! The sweeper: what stands still is looked at again, what nobody works at is taken up, what was left is removed.

use std::collections::HashMap;
use std::time::Duration;

use sqlextract_checkpoint::Progress;
use sqlextract_model::{Class, Code, EventKind, JobId, JobProgress, Manifest, Result, TickMessage};
use sqlextract_runtime::Shutdown;
use sqlextract_storage::{JobRecords, Stored};
use tokio::time::Instant;

use crate::Planner;
use crate::active::ActiveJob;
use crate::announce::About;
use crate::long::queues;
use crate::requests::is_final;

/// What the sweeper saw of the jobs when it last looked.
type Seen = HashMap<JobId, SeenJob>;

/// A job that was hard to sweep does not keep those that nobody works at waiting.
const LONGEST_BREATH: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
struct SeenJob {
    done: u64,
    /// When `done` was first seen.
    since: Instant,
    /// When it was first seen that all the rest is parked.
    blocked: Option<Instant>,
}

/// Whether a job stands still: nothing was done for long enough, no batch that this process knows of waits, something
/// is owed. What other processes hold is not seen, hence the time.
fn stands_still(standing: Duration, patience: Duration, owed: u64, waiting: u64) -> bool {
    standing >= patience && owed > 0 && waiting == 0
}

/// How long the sweeper rests after a job that took so long: while others work, it is at work for a third of the time.
fn breath(took: Duration, jobs_at_work: usize) -> Duration {
    match jobs_at_work {
        0 => Duration::ZERO,
        _ => (2 * took).min(LONGEST_BREATH),
    }
}

impl Planner {
    pub(crate) async fn sweep_until(&self, shutdown: &Shutdown) -> Result<()> {
        let mut seen = Seen::default();
        // What a planner before this one left is taken up at once.
        let mut rest = match self.settings.adopt {
            true => Duration::ZERO,
            false => self.settings.sweep_interval,
        };
        loop {
            tokio::select! {
                biased;
                () = shutdown.draining().cancelled() => return Ok(()),
                () = tokio::time::sleep(rest) => {}
            }
            rest = self.settings.sweep_interval;
            let open = self.active_jobs();
            seen.retain(|job, _| open.iter().any(|o| o.record.job == *job));
            for job in open {
                if let Err(failure) = self.sweep(&job.record.job, &mut seen).await {
                    tracing::warn!(job.id = %job.record.job, error.code = %failure.code, error = %failure, "the sweep failed and is tried again");
                }
            }
            if self.settings.adopt {
                self.sweep_destinations(shutdown).await;
            }
        }
    }

    async fn sweep(&self, job: &JobId, seen: &mut Seen) -> Result<()> {
        let _turn = self.turns.take(job).await;
        let Some(open) = self.active_job(job) else {
            return Ok(());
        };
        let records = self.records(&open.record.request.destination, job)?;
        if records.cancelled().await? {
            return self.end_cancelled(&records, &open.record).await;
        }
        let Some(progress) = self.ports.checkpoint.progress(job).await? else {
            return self.refresh(&records, &open).await;
        };
        if !open.has_begun() {
            return self.refresh(&records, &open).await;
        }
        if self.snapshot_is_lost(&open).await? {
            let mut tick = TickMessage::look(job.clone(), open.record.request.destination.clone());
            tick.lost = Some(open.epoch);
            return self.publish_tick(&tick).await;
        }
        let now = Instant::now();
        let parked = progress.parked.len() as u64;
        let owed = progress.total.saturating_sub(progress.done + parked);
        let before = seen.get(job).copied();
        let moved = before.is_none_or(|before| before.done != progress.done) || progress.paused;
        let since = before.filter(|_| !moved).map_or(now, |before| before.since);
        let blocked = (parked > 0 && owed == 0).then(|| before.and_then(|b| b.blocked).unwrap_or(now));
        let look = SeenJob {
            done: progress.done,
            since,
            blocked,
        };
        seen.insert(job.clone(), look);
        if before.is_some_and(|before| before.done != progress.done) {
            self.announce_progress(&open, &progress).await?;
        }
        if let (Some(since), Some(limit)) = (blocked, self.settings.max_blocked)
            && now.duration_since(since) >= limit
        {
            let failures = self.parked_failures(&open.record).await?;
            return self.end_failed(&records, &open.record, failures).await;
        }
        let waiting = self.batches_waiting(&open.record.request.source).await?;
        if stands_still(now.duration_since(since), self.settings.stall_after, owed, waiting) {
            tracing::warn!(job.id = %job, batches.owed = owed, "the job stands still; its missing batches are published again");
            seen.remove(job);
            return self.refresh(&records, &open).await;
        }
        // All is done and no look came, or it was lost.
        if progress.done >= progress.total {
            self.finish(&records, &open).await?;
        }
        Ok(())
    }

    /// Ticks do not count: one that finds its window full comes again and again, even if the batches in it are lost.
    async fn batches_waiting(&self, source: &str) -> Result<u64> {
        let [batches, long] = queues(source);
        let waiting = self.ports.queue.depth(&batches).await?;
        match self.takes_long(source) {
            true => Ok(waiting + self.ports.queue.depth(&long).await?),
            false => Ok(waiting),
        }
    }

    async fn snapshot_is_lost(&self, open: &ActiveJob) -> Result<bool> {
        match &open.snapshot {
            None => Ok(false),
            Some(kept) => match kept.snapshot.check().await {
                Ok(()) => Ok(false),
                Err(failure) if failure.code == Code::SnapshotLost => Ok(true),
                Err(failure) if failure.class() == Class::Permanent => Err(failure),
                // The source is away; a lost snapshot shows once it is back.
                Err(_) => Ok(false),
            },
        }
    }

    async fn announce_progress(&self, open: &ActiveJob, progress: &Progress) -> Result<()> {
        let about = About::record(&open.record);
        let mut data = about.data();
        data.progress = Some(JobProgress {
            batches: progress.total,
            done: progress.done,
            parked: progress.parked.len() as u64,
            rows: progress.rows,
            bytes: progress.bytes,
            paused: progress.paused,
        });
        let what = format!("epoch-{}/done-{}", open.epoch.0, progress.done);
        self.announce(EventKind::Progressed, &about, &what, data).await
    }

    /// Every job that is marked as open in a destination has a planner, or an outcome that is being told.
    async fn sweep_destinations(&self, shutdown: &Shutdown) {
        for (name, storage) in &self.ports.destinations {
            let marked = match JobRecords::open_jobs(storage.as_ref()).await {
                Ok(marked) => marked,
                Err(failure) => {
                    tracing::warn!(destination.name = %name, error.code = %failure.code, error = %failure, "open jobs could not be listed");
                    continue;
                }
            };
            for job in marked {
                if self.active_job(&job).is_some() {
                    continue;
                }
                let begun = Instant::now();
                if let Err(failure) = self.take_up(name, &job).await {
                    tracing::warn!(job.id = %job, error.code = %failure.code, error = %failure, causes = ?failure.causes, "an open job could not be taken up and is tried again");
                }
                // What stores and brokers are asked here waits for those who are at work.
                let rest = breath(begun.elapsed(), self.active_jobs().len());
                tokio::select! {
                    () = shutdown.draining().cancelled() => return,
                    () = tokio::time::sleep(rest) => {}
                }
            }
        }
    }

    async fn take_up(&self, destination: &str, job: &JobId) -> Result<()> {
        let _turn = self.turns.take(job).await;
        if self.active_job(job).is_some() {
            return Ok(());
        }
        let records = self.records(destination, job)?;
        if let Some(manifest) = records.manifest().await? {
            return self.see_off(&records, &manifest).await;
        }
        // Without a record its request was not accepted yet, and comes again.
        let Some(record) = records.job_record().await? else {
            return Ok(());
        };
        if records.cancelled().await? {
            return self.end_cancelled(&records, &record).await;
        }
        tracing::info!(job.id = %job, "an open job that nobody works at is taken up");
        match self.reopen(&records).await {
            Ok(open) => self.start_first_round(&open).await,
            Err(failure) if self.settings.max_blocked.is_some() && is_final(&failure) => {
                self.end_failed(&records, &record, vec![failure]).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// Tells an outcome until it is told, and once nothing can be under way any more removes what was left.
    async fn see_off(&self, records: &JobRecords, stored: &Stored<Manifest>) -> Result<()> {
        let job = records.job();
        if !self.told().contains(job) {
            self.announce_outcome(records, stored).await?;
            self.told().insert(job.clone());
        }
        let age = self.ports.surroundings.seconds_since(&stored.record.finished_at);
        if age.is_none_or(|age| age >= self.settings.linger.as_secs_f64()) {
            let removed = self.sweep_orphans(records, &stored.record).await?;
            if removed > 0 {
                tracing::info!(job.id = %job, chunks = removed, "chunks of attempts that came too late are removed");
            }
            records.unmark_open().await?;
            self.told().remove(job);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sweeper_rests_while_jobs_are_at_work() {
        let [short, long] = [Duration::from_millis(30), Duration::from_secs(60)];
        assert_eq!(breath(long, 0), Duration::ZERO);
        assert_eq!(breath(short, 1), 2 * short);
        assert_eq!(breath(long, 3), LONGEST_BREATH);
    }

    #[test]
    fn only_an_idle_job_that_owes_batches_is_published_again() {
        let [short, long] = [Duration::from_secs(1), Duration::from_secs(9)];
        assert!(stands_still(long, short, 3, 0));
        assert!(!stands_still(short, long, 3, 0), "it may only be slow");
        assert!(!stands_still(long, short, 0, 0), "nothing is owed");
        assert!(!stands_still(long, short, 3, 1), "something waits");
    }
}
