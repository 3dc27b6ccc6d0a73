//! A checkpoint store that loses answers, and now and then everything that it knew.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_checkpoint::{BatchId, Checkpoint, Completion, Lease, Progress, SqliteCheckpoint, TableState};
use sqlextract_model::{Code, Failure, JobId, Result};

use crate::Chance;

#[derive(Debug)]
pub struct FaultyCheckpoint {
    folder: PathBuf,
    inner: RwLock<Arc<dyn Checkpoint>>,
    chance: Arc<Chance>,
    lives: AtomicU32,
}

impl FaultyCheckpoint {
    /// Keeps its files in this folder.
    pub fn open(folder: PathBuf, chance: Arc<Chance>) -> Result<Self> {
        Ok(Self {
            inner: RwLock::new(Arc::new(SqliteCheckpoint::open(&folder.join("checkpoint-0.db"))?)),
            folder,
            chance,
            lives: AtomicU32::new(0),
        })
    }

    /// Forgets everything.
    pub fn forget(&self) -> Result<()> {
        let life = self.lives.fetch_add(1, Ordering::Relaxed) + 1;
        let anew = SqliteCheckpoint::open(&self.folder.join(format!("checkpoint-{life}.db")))?;
        *self.inner.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(anew);
        Ok(())
    }

    fn now(&self) -> Arc<dyn Checkpoint> {
        Arc::clone(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Checkpoint for FaultyCheckpoint {
    async fn begin(&self, job: &JobId, tables: &[TableState]) -> Result<()> {
        let now = self.now();
        self.chance
            .around(Code::CheckpointUnavailable, now.begin(job, tables))
            .await
    }

    async fn complete(&self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Result<Completion> {
        let now = self.now();
        let completing = now.complete(job, batch, rows, bytes);
        self.chance.around(Code::CheckpointUnavailable, completing).await
    }

    async fn attempt(&self, job: &JobId, batch: &BatchId) -> Result<u32> {
        let now = self.now();
        self.chance
            .around(Code::CheckpointUnavailable, now.attempt(job, batch))
            .await
    }

    async fn park(&self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) -> Result<()> {
        let now = self.now();
        self.chance
            .around(Code::CheckpointUnavailable, now.park(job, batch, failure))
            .await
    }

    async fn pause(&self, job: &JobId, paused: bool) -> Result<bool> {
        let now = self.now();
        self.chance
            .around(Code::CheckpointUnavailable, now.pause(job, paused))
            .await
    }

    async fn progress(&self, job: &JobId) -> Result<Option<Progress>> {
        let now = self.now();
        self.chance.around(Code::CheckpointUnavailable, now.progress(job)).await
    }

    async fn lease(&self, name: &str, holder: &str, time_to_live: Duration) -> Result<Lease> {
        self.now().lease(name, holder, time_to_live).await
    }
}
