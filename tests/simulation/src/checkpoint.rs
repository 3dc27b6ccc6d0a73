//! A checkpoint store that is late and loses answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_checkpoint::{BatchId, Checkpoint, Completion, Lease, Progress, TableState};
use sqlextract_model::{Code, Failure, JobId, Result};

use crate::Wire;

const AWAY: Code = Code::CheckpointUnavailable;

#[derive(Debug)]
pub struct FaultyCheckpoint {
    pub inner: Arc<dyn Checkpoint>,
    pub wire: Wire,
}

#[async_trait]
impl Checkpoint for FaultyCheckpoint {
    async fn begin(&self, job: &JobId, tables: &[TableState]) -> Result<()> {
        let done: usize = tables.iter().map(|table| table.done.len()).sum();
        let what = format!("begin {job} with {done}");
        self.wire.call(what, AWAY, self.inner.begin(job, tables)).await
    }

    async fn complete(&self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Result<Completion> {
        let completing = async {
            let completion = self.inner.complete(job, batch, rows, bytes).await?;
            if completion == Completion::Unknown {
                self.wire.trace.reached("a job was not known any more");
            }
            Ok(completion)
        };
        let what = format!("complete {batch:?}");
        self.wire.call(what, AWAY, completing).await
    }

    async fn attempt(&self, job: &JobId, batch: &BatchId) -> Result<u32> {
        let what = format!("attempt {batch:?}");
        self.wire.call(what, AWAY, self.inner.attempt(job, batch)).await
    }

    async fn park(&self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) -> Result<()> {
        let what = format!("park {batch:?} {}", failure.is_some());
        self.wire.call(what, AWAY, self.inner.park(job, batch, failure)).await
    }

    async fn pause(&self, job: &JobId, paused: bool) -> Result<bool> {
        let what = format!("pause {job} {paused}");
        self.wire.call(what, AWAY, self.inner.pause(job, paused)).await
    }

    async fn progress(&self, job: &JobId) -> Result<Option<Progress>> {
        let what = format!("progress {job}");
        self.wire.call(what, AWAY, self.inner.progress(job)).await
    }

    async fn lease(&self, name: &str, holder: &str, time_to_live: Duration) -> Result<Lease> {
        let what = format!("lease {name} {holder}");
        let leasing = self.inner.lease(name, holder, time_to_live);
        self.wire.call(what, AWAY, leasing).await
    }
}

/// Planted: a job that the store has forgotten is begun anew, with nothing done.
#[derive(Debug)]
pub(crate) struct CountsFromZero {
    inner: Arc<dyn Checkpoint>,
    begun: Mutex<BTreeMap<JobId, Vec<TableState>>>,
}

impl CountsFromZero {
    pub(crate) fn new(inner: Arc<dyn Checkpoint>) -> Self {
        Self {
            inner,
            begun: Mutex::default(),
        }
    }

    /// Begins what is not known, if it was known once.
    async fn begin_again(&self, job: &JobId) -> Result<bool> {
        let before = self
            .begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(job)
            .cloned();
        let Some(mut tables) = before else { return Ok(false) };
        tables.iter_mut().for_each(|table| table.done.clear());
        self.inner.begin(job, &tables).await?;
        Ok(true)
    }
}

#[async_trait]
impl Checkpoint for CountsFromZero {
    async fn begin(&self, job: &JobId, tables: &[TableState]) -> Result<()> {
        self.begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(job.clone(), tables.to_vec());
        self.inner.begin(job, tables).await
    }

    async fn complete(&self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Result<Completion> {
        let completion = self.inner.complete(job, batch, rows, bytes).await?;
        if completion == Completion::Unknown && self.begin_again(job).await? {
            return self.inner.complete(job, batch, rows, bytes).await;
        }
        Ok(completion)
    }

    async fn attempt(&self, job: &JobId, batch: &BatchId) -> Result<u32> {
        self.inner.attempt(job, batch).await
    }

    async fn park(&self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) -> Result<()> {
        self.inner.park(job, batch, failure).await
    }

    async fn pause(&self, job: &JobId, paused: bool) -> Result<bool> {
        self.inner.pause(job, paused).await
    }

    async fn progress(&self, job: &JobId) -> Result<Option<Progress>> {
        match self.inner.progress(job).await? {
            None if self.begin_again(job).await? => self.inner.progress(job).await,
            progress => Ok(progress),
        }
    }

    async fn lease(&self, name: &str, holder: &str, time_to_live: Duration) -> Result<Lease> {
        self.inner.lease(name, holder, time_to_live).await
    }
}
