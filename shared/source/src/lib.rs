//! The source port: a database that rows are taken out of.

mod decimal_text;
mod decimals;
mod mysql;
mod paced;
mod places;
mod postgres;
mod regrow;
mod resting;
mod sqlite;
mod strain;
#[cfg(feature = "suite")]
pub mod suite;
mod texts;
mod tls;

use std::fmt;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_model::{
    ColumnAggregate, ColumnMapping, Dialect, KeyColumn, KeyRange, KeyValue, Range, ReadLoad, Relation, Result,
    Selection, SnapshotEvidence, SnapshotToken, SourceCounters, SourceFacts, Strain, TableName,
};
use tokio_util::sync::CancellationToken;

pub use mysql::MysqlSource;
pub use postgres::PostgresSource;
#[doc(hidden)]
pub use postgres::fuzzing;
pub use sqlite::SqliteSource;

/// How a source is opened. Its `Debug` never shows the URL.
#[derive(Clone)]
pub struct SourceSettings {
    /// `postgres://…`, `mysql://…`, `sqlite://PATH`.
    pub url: String,
    /// Plain text to a host that is not loopback is allowed by name.
    pub allow_plaintext: bool,
    /// Connections at once, all uses together.
    pub max_connections: u32,
    pub connect_timeout: Duration,
    /// Connections that nobody has used for so long are closed; with SQLite, which has no server to relieve, they stay.
    pub idle_timeout: Duration,
    /// Longest wait for a lock of somebody else.
    pub lock_timeout: Duration,
    /// Longest statement.
    pub statement_timeout: Duration,
}

impl fmt::Debug for SourceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSettings")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// A question that planning asks about a key's values or the optimizer's view. Each is an index look-up or an EXPLAIN,
/// never a scan.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// The smallest and the largest key that is not NULL.
    Bounds { columns: Vec<KeyColumn> },
    /// The smallest key at or above `at_least` and inside `within`.
    NextKey { within: KeyRange, at_least: Vec<KeyValue> },
    /// The optimizer's estimate of the rows in a range; databases without one answer `None`.
    EstimateRows { range: Range },
    /// Whether reading the range would sort or scan more than the range.
    Explain { range: Range },
}

#[derive(Debug, Clone, PartialEq)]
pub enum ProbeAnswer {
    /// `None` for a table without such rows.
    Bounds(Option<(Vec<KeyValue>, Vec<KeyValue>)>),
    NextKey(Option<Vec<KeyValue>>),
    Rows(Option<u64>),
    /// The offending step of the database's plan, in its words, or `None` where all is well or nothing can tell.
    Explain(Option<String>),
}

/// Rows to read: everything that a second attempt must do alike.
#[derive(Debug, Clone)]
pub struct ReadRequest<'a> {
    pub table: &'a TableName,
    pub relation: &'a Relation,
    pub filter: Option<&'a str>,
    pub columns: &'a [ColumnMapping],
    /// Columns that tell which row an error is about, where they can.
    pub row_key: &'a [KeyColumn],
    pub range: &'a Range,
    pub snapshot: Option<&'a SnapshotToken>,
    pub limits: ReadLimits,
    pub cancel: &'a CancellationToken,
}

/// Bounds of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// A record batch is pushed once it holds about this many bytes.
    pub record_batch_bytes: usize,
    /// And at the latest with this many rows.
    pub record_batch_rows: usize,
    /// A larger row is read alone, where the source can tell before it arrives: see [`RowSink::admit`].
    pub alone_bytes: usize,
    /// A larger row is the error `value_too_large`.
    pub row_bytes: usize,
}

/// Bytes that are told to a sink at once, about: at a limit that anybody sets, much less than a second's worth.
const RECEIVED_AT_ONCE: u64 = 128 << 10;

/// A duration as loads tell it: a moment is no zero.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// Takes record batches; waits while memory or the rate limit does not allow more.
#[async_trait]
pub trait RowSink: Send {
    /// Waits until so many more bytes of rows may come off the source; told as they come, before the record batch that they
    /// are in. All of them together are the bytes of the read's load.
    async fn received(&mut self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    async fn push(&mut self, batch: RecordBatch) -> Result<()>;

    /// Waits until a large row may come into memory, and nothing of the rows before it is left there. The record batch
    /// that is pushed next ends with that row and has so many bytes; `push` then returns when nothing of it is in memory
    /// any more.
    ///
    /// A sink that has no budget to keep admits at once.
    async fn admit(&mut self, _bytes: usize) -> Result<()> {
        Ok(())
    }
}

/// What a read did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadSummary {
    pub rows: u64,
    pub load: ReadLoad,
}

/// A snapshot that lives as long as this value.
#[async_trait]
pub trait Snapshot: Send + Sync + fmt::Debug {
    fn token(&self) -> &SnapshotToken;

    fn evidence(&self) -> &SnapshotEvidence;

    /// Fails with `snapshot_lost` when the snapshot is gone.
    async fn check(&self) -> Result<()>;

    /// Ends what is kept open at a server for the snapshot, before this value goes. Nobody joins it from now on, and who has
    /// joined it keeps it.
    async fn end(&self) {}
}

/// A database, read-only.
///
/// # Contract
///
/// - Nothing is ever written, and sessions are pinned: UTC, ISO dates, hexadecimal bytes, UTF-8, full float digits,
///   read-only, with the timeouts of the settings. A value's bytes never depend on the server's defaults.
/// - Names and values from outside are quoted or bound; a filter and a query are wrapped, never rewritten.
/// - `inspect` finds the tables or fails naming those that it cannot find or read. It reads catalogues and statistics
///   only. A table has its columns in declared order, generated and hidden ones as the dialect's `SELECT *` would.
/// - `probe` answers in the order of the questions, through the snapshot where one is given.
/// - `snapshot` opens one instant that every `read` with its token sees, or answers `None` where the database has no
///   such thing. A pooler that would break it is detected and is the failure `source_pooler`.
/// - `read` pushes record batches of exactly the request's columns, with the Arrow types of their chunk types, in any
///   row order, and returns after the last. It decodes only as the mapping says and fails on a value that does not
///   fit, naming table, column and row. A range that yields no rows is proven so on a second connection. Once `cancel`
///   is set it stops within seconds. A connection whose read did not reach its clean end is closed, never reused.
/// - A row larger than `alone_bytes` is asked for with `admit` before its bytes are taken over, where the database can
///   tell its size; nothing is kept of a row that is larger than `row_bytes`.
/// - `aggregate` computes what `ColumnAggregate` documents over a whole relation, in SQL, in one instant per table.
/// - `strain` tells what others feel of the load on the database: sessions of others at work, their waits for locks, the
///   lag of replicas; the strongest against what is tolerated. Sessions of this product are never counted, whichever
///   process has them: who slows down because of its own reads stays slow on an idle server. What this user may not see
///   is left out, and where nothing can be seen the answer is `None`. It is cheap enough to be asked every second, and
///   may be dropped while it waits for a connection or an answer.
/// - `counters` tells what the server has counted so far about the reading of these relations, by itself and others; what
///   it does not count, or not for this user, is `None`. What `read` did before it returned is counted.
/// - `before_reads` and `leave` are hints that reads will come soon, and that the process is about to end. They may do
///   nothing, and have no error.
/// - No more than `max_connections` are open at once; a call waits for a free one.
/// - Errors are classed by SQLSTATE or error number, never by words, and name no credential.
#[async_trait]
pub trait Source: Send + Sync + fmt::Debug {
    async fn inspect(&self, selections: &[Selection]) -> Result<SourceFacts>;

    async fn probe(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        probes: &[Probe],
        snapshot: Option<&SnapshotToken>,
    ) -> Result<Vec<ProbeAnswer>>;

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>>;

    async fn read(&self, request: ReadRequest<'_>, sink: &mut dyn RowSink) -> Result<ReadSummary>;

    async fn aggregate(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        columns: &[ColumnMapping],
    ) -> Result<(u64, Vec<ColumnAggregate>)>;

    async fn strain(&self) -> Result<Option<Strain>>;

    async fn counters(&self, relations: &[Relation]) -> Result<SourceCounters>;

    /// Opens a connection for them, and does not wait for it.
    fn before_reads(&self) {}

    /// Lets the server have no reason to take connections at rest for broken ones when the process ends.
    async fn leave(&self) {}

    fn dialect(&self) -> Dialect;
}
