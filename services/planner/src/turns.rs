//! One at a time: a job's request, its ticks, orders about it and the sweeper take turns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sqlextract_model::JobId;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Names that nobody waits for are forgotten once there are so many.
const FORGET_ABOVE: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    by_job: Mutex<HashMap<JobId, Weak<Turn<()>>>>,
}

impl Turns {
    /// Waits for the job's turn; it ends when the answer is dropped.
    pub(crate) async fn take(&self, job: &JobId) -> OwnedMutexGuard<()> {
        self.of(job).lock_owned().await
    }

    fn of(&self, job: &JobId) -> Arc<Turn<()>> {
        let mut by_job = self.by_job.lock().unwrap_or_else(PoisonError::into_inner);
        if by_job.len() > FORGET_ABOVE {
            by_job.retain(|_, turn| turn.strong_count() > 0);
        }
        if let Some(turn) = by_job.get(job).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::new(()));
        by_job.insert(job.clone(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn turns_of_a_job_follow_each_other_and_other_jobs_do_not_wait() {
        let turns = Turns::default();
        let [a, b] = ["a", "b"].map(|text| JobId::new(text).unwrap());
        let held = turns.take(&a).await;
        drop(turns.take(&b).await);
        assert!(turns.of(&a).try_lock_owned().is_err(), "a's turn is taken");
        drop(held);
        drop(turns.take(&a).await);
    }
}
