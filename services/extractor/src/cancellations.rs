//! Whether jobs were cancelled, as storage said within the last second: one look for all batches of a job.

use std::time::Duration;

use sqlextract_model::{JobId, Result};
use sqlextract_storage::JobRecords;
use tokio::time::Instant;

use crate::remembered::Remembered;

/// How often a job that is worked at is looked at, and how old an answer may be. What is at stake is work in vain: before
/// its commit record each batch asks storage itself.
pub(crate) const CANCEL_LOOK: Duration = Duration::from_secs(1);
/// Jobs remembered at once.
const REMEMBERED: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Cancellations {
    /// When a job was found not to be cancelled.
    going_on: Remembered<JobId, Instant, REMEMBERED>,
}

impl Cancellations {
    pub(crate) async fn look(&self, records: &JobRecords) -> Result<bool> {
        let asked = Instant::now();
        let known = self.going_on.get(records.job());
        if known.is_some_and(|known| asked.duration_since(known) < CANCEL_LOOK) {
            return Ok(false);
        }
        let cancelled = records.cancelled().await?;
        if !cancelled {
            self.going_on.insert(records.job().clone(), asked);
        }
        Ok(cancelled)
    }
}
