//! The checkpoint port: what is done already, quickly.
//!
//! Storage holds the facts. A checkpoint that is lost, behind or deleted costs a look at storage and nothing else.

mod budget;
mod redis;
mod sqlite;
#[cfg(feature = "suite")]
pub mod suite;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_model::{BatchIndex, Failure, Generation, JobId, Result, TableSegment};

pub use self::redis::{FencedLease, RedisBudget, RedisCheckpoint, RedisFacts, RedisSettings, Replica, TableSums};
pub use budget::{BudgetState, ConnectionPermit, Grant, SourceBudget, SourceLimits, Unit};
pub use sqlite::SqliteCheckpoint;

/// A batch within its job: table, generation and index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchId {
    pub table: TableSegment,
    pub generation: Generation,
    pub batch: BatchIndex,
}

/// A table of a job as the checkpoint holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    pub table: TableSegment,
    pub generation: Generation,
    pub batches: u64,
    /// Batches that are committed, in order.
    pub done: Vec<BatchIndex>,
}

/// The answer to [`Checkpoint::complete`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// Recorded now (`new`) or before; `remaining` batches of the job are not.
    Recorded { new: bool, remaining: u64 },
    /// A newer generation of the table is open: this batch no longer counts.
    Stale,
    /// The job is not known here: rebuild it from storage, then repeat. Never taken as "nothing is done".
    Unknown,
}

/// A job's progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub total: u64,
    pub done: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Batches that are parked, with why.
    pub parked: Vec<(BatchId, Failure)>,
    pub paused: bool,
}

/// Who works at something now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// Ours until the time to live has passed since the call began.
    Held,
    /// Somebody else's.
    Busy { holder: String },
}

/// What is done already.
///
/// # Contract
///
/// - Every method may be repeated: twice is as good as once. An answer that was lost is asked for again.
/// - `begin` makes the job's state what storage says, whether or not it was known; a generation lower than the known
///   one changes nothing for its table.
/// - `begin` takes away tables that it does not name, and what was parked or tried of a batch that it says is done.
///   `rows` and `bytes` of a table are what `complete` recorded since its generation was begun.
/// - `complete` never makes a job or a table: what is not known, a newer generation included, answers `Unknown`.
/// - `done` bits of one generation never become undone except by `begin`.
/// - A batch that is done, or whose generation is not the known one, is never among the parked ones.
/// - `pause` never makes a job. A job that is begun for the first time, or again after a loss, is running; `begin` of a
///   known job leaves it as it is.
/// - `attempt` counts tries at a batch, before the work, so that a try that killed its process is counted.
/// - `lease` answers who holds the name; a holder that died frees it when its time to live has passed at the latest.
///   A lease saves double work. It protects nothing: the create-only commit record does.
#[async_trait]
pub trait Checkpoint: Send + Sync + fmt::Debug {
    async fn begin(&self, job: &JobId, tables: &[TableState]) -> Result<()>;

    /// Records a committed batch with its rows and bytes, and un-parks it.
    async fn complete(&self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Result<Completion>;

    /// Counts a try and returns how many there were, this one included.
    async fn attempt(&self, job: &JobId, batch: &BatchId) -> Result<u32>;

    /// Parks a batch with its failure, or (with `None`) clears parking and attempts, so that it is tried again.
    async fn park(&self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) -> Result<()>;

    /// Holds the job's fan-out, or lets it go on; `false` where the job is not known.
    async fn pause(&self, job: &JobId, paused: bool) -> Result<bool>;

    /// `None` where the job is not known.
    async fn progress(&self, job: &JobId) -> Result<Option<Progress>>;

    /// Takes or renews the lease of `name` for `holder`; a time to live of zero gives it back.
    async fn lease(&self, name: &str, holder: &str, time_to_live: Duration) -> Result<Lease>;
}
