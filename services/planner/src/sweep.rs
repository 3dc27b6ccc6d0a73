//! The sweeper: a job that makes no progress although nothing of it waits in a queue is looked at again.

use std::collections::HashMap;
use std::sync::Arc;

use sqlextract_model::{JobId, Result};
use sqlextract_queue::QueueName;
use sqlextract_runtime::Shutdown;

use crate::Planner;
use crate::active::ActiveJob;

/// What the sweeper saw of a job when it last looked.
type Seen = HashMap<JobId, u64>;

/// Whether a job stands still: nothing was done since the last look, nothing waits, something is owed.
fn stands_still(before: Option<u64>, done: u64, owed: u64, waiting: u64) -> bool {
    before == Some(done) && owed > 0 && waiting == 0
}

impl Planner {
    pub(crate) async fn sweep_until(&self, shutdown: &Shutdown) -> Result<()> {
        let mut seen = Seen::new();
        loop {
            tokio::select! {
                () = shutdown.draining().cancelled() => return Ok(()),
                () = tokio::time::sleep(self.settings.sweep_interval) => {}
            }
            let open: Vec<Arc<ActiveJob>> = self
                .active
                .lock()
                .expect("no holder of this lock panics")
                .values()
                .cloned()
                .collect();
            for job in open {
                if let Err(failure) = self.sweep(&job, &mut seen).await {
                    tracing::warn!(job.id = %job.record.job, error = %failure, "the sweep failed and is tried again");
                }
            }
        }
    }

    async fn sweep(&self, open: &ActiveJob, seen: &mut Seen) -> Result<()> {
        let job = &open.record.job;
        let records = self.records(&open.record.request.destination, job)?;
        if records.cancelled().await? {
            // With all its batches published, no tick is on its way that would see it.
            return self.start_round(open).await;
        }
        let Some(progress) = self.ports.checkpoint.progress(job).await? else {
            return Ok(());
        };
        let source = open.record.request.source.clone();
        let waiting = self.ports.queue.depth(&QueueName::Batches { source }).await?
            + self.ports.queue.depth(&QueueName::Ticks).await?;
        let owed = progress
            .total
            .saturating_sub(progress.done + progress.parked.len() as u64);
        let before = seen.insert(job.clone(), progress.done);
        if stands_still(before, progress.done, owed, waiting) {
            tracing::warn!(job.id = %job, batches.owed = owed, "the job stands still; its missing batches are published again");
            self.refresh(&records, open).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::stands_still;

    #[test]
    fn only_an_idle_job_that_owes_batches_is_published_again() {
        assert!(stands_still(Some(5), 5, 3, 0));
        assert!(!stands_still(None, 5, 3, 0), "the first look only remembers");
        assert!(!stands_still(Some(4), 5, 3, 0), "it moves");
        assert!(!stands_still(Some(5), 5, 0, 0), "nothing is owed");
        assert!(!stands_still(Some(5), 5, 3, 1), "something waits");
    }
}
