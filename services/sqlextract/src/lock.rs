//! One process at a time works on a job.

use std::sync::Arc;
use std::time::Duration;

use sqlextract_checkpoint::{Checkpoint, Lease};
use sqlextract_model::{JobId, Result};

/// Longer than any job; a holder that dies frees its lease at once.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The lease of a job.
#[derive(Debug)]
pub(crate) struct JobLock {
    checkpoint: Arc<dyn Checkpoint>,
    name: String,
    holder: String,
}

impl JobLock {
    pub(crate) fn new(checkpoint: Arc<dyn Checkpoint>, job: &JobId) -> Self {
        Self {
            checkpoint,
            name: format!("job/{job}"),
            holder: format!("process {}", std::process::id()),
        }
    }

    /// Takes the lease, or answers with who has it.
    pub(crate) async fn take(&self) -> Result<Option<String>> {
        self.ask(FOREVER).await
    }

    /// Who has the lease, if anybody does. Nothing is taken.
    pub(crate) async fn holder(&self) -> Result<Option<String>> {
        self.ask(Duration::ZERO).await
    }

    pub(crate) async fn release(self) {
        if let Err(failure) = self.ask(Duration::ZERO).await {
            tracing::warn!(error = %failure, "the job's lease stays until this process ends");
        }
    }

    async fn ask(&self, time_to_live: Duration) -> Result<Option<String>> {
        let answer = self.checkpoint.lease(&self.name, &self.holder, time_to_live).await?;
        Ok(match answer {
            Lease::Held => None,
            Lease::Busy { holder } => Some(holder),
        })
    }
}
