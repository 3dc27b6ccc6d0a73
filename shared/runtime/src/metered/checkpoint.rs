//! A checkpoint that counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlextract_checkpoint::{BatchId, Checkpoint, Completion, Lease, Progress, TableState};
use sqlextract_model::{Failure, JobId, Result};

use crate::{Metric, Metrics};

/// Counts the calls of a checkpoint.
#[derive(Debug)]
pub struct MeteredCheckpoint {
    inner: Arc<dyn Checkpoint>,
    metrics: Metrics,
}

impl MeteredCheckpoint {
    pub fn new(inner: Arc<dyn Checkpoint>, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    fn called<T>(&self, op: &'static str, began: Instant, result: Result<T>) -> Result<T> {
        self.metrics
            .observe(Metric::CheckpointSeconds, &[("op", op)], began.elapsed());
        if let Err(failure) = &result {
            let kind = [("kind", failure.code.as_str())];
            self.metrics.count(Metric::CheckpointErrorsTotal, &kind, 1);
        }
        result
    }
}

#[async_trait]
impl Checkpoint for MeteredCheckpoint {
    async fn begin(&self, job: &JobId, tables: &[TableState]) -> Result<()> {
        self.metrics.count(Metric::RebuildsTotal, &[], 1);
        let began = Instant::now();
        self.called("begin", began, self.inner.begin(job, tables).await)
    }

    async fn complete(&self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Result<Completion> {
        let began = Instant::now();
        self.called("complete", began, self.inner.complete(job, batch, rows, bytes).await)
    }

    async fn attempt(&self, job: &JobId, batch: &BatchId) -> Result<u32> {
        let began = Instant::now();
        self.called("attempt", began, self.inner.attempt(job, batch).await)
    }

    async fn park(&self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) -> Result<()> {
        let began = Instant::now();
        self.called("park", began, self.inner.park(job, batch, failure).await)
    }

    async fn progress(&self, job: &JobId) -> Result<Option<Progress>> {
        let began = Instant::now();
        self.called("progress", began, self.inner.progress(job).await)
    }

    async fn pause(&self, job: &JobId, paused: bool) -> Result<bool> {
        let began = Instant::now();
        self.called("pause", began, self.inner.pause(job, paused).await)
    }

    async fn lease(&self, name: &str, holder: &str, time_to_live: Duration) -> Result<Lease> {
        let began = Instant::now();
        self.called("lease", began, self.inner.lease(name, holder, time_to_live).await)
    }
}
