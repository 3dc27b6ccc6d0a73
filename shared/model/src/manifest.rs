//! The manifest: a job's outcome, every chunk, and the proof.
//!
//! `manifest.json` is the head and is written last, create-only: completed, failed and cancelled compete for it. The
//! batches are in pages of JSON lines beside it, so that neither writing nor reading grows with the job.

use serde::{Deserialize, Serialize};

use crate::{
    ChunkRecord, ColumnAggregate, ColumnMapping, CommitRecord, Consistency, Digest, Epoch, Failure, FileFormat,
    Generation, JobId, Range, Rung, SourceIdentity, SourceLoad, TableName, TableSegment,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Completed,
    Failed,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this format; readers take 1.
    pub version: u32,
    /// The program and its version.
    pub created_by: String,
    pub job: JobId,
    pub outcome: Outcome,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub finished_at: String,
    pub source: SourceIdentity,
    /// The level achieved for the job: `snapshot`, `snapshot per table` or `batch`.
    pub consistency: String,
    pub format: FileFormat,
    /// The store ignores create-only writes and one writer was promised.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_writer: bool,
    pub tables: Vec<ManifestTable>,
    pub pages: Vec<ManifestPage>,
    pub totals: Totals,
    /// `None` in manifests of versions that did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_load: Option<SourceLoad>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestTable {
    pub table: TableName,
    pub segment: TableSegment,
    pub generation: Generation,
    pub plan_hash: Digest,
    pub rung: Rung,
    pub consistency: Consistency,
    /// The row filter or the query, as given.
    pub filter: Option<String>,
    pub query: Option<String>,
    pub columns: Vec<ColumnMapping>,
    /// Over all batches, one per column.
    pub aggregates: Vec<ColumnAggregate>,
    pub totals: Totals,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Totals {
    pub rows: u64,
    pub batches: u64,
    pub chunks: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPage {
    pub number: u32,
    pub entries: u64,
    pub sha256: Digest,
}

/// A line of a manifest page: one batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestEntry {
    pub table: TableName,
    pub generation: Generation,
    pub batch: crate::BatchIndex,
    pub epoch: Epoch,
    pub range: Range,
    pub rows: u64,
    pub chunks: Vec<ChunkRecord>,
    pub columns: Vec<ColumnAggregate>,
}

impl ManifestEntry {
    pub fn new(commit: CommitRecord, range: Range) -> Self {
        Self {
            table: commit.table,
            generation: commit.generation,
            batch: commit.batch,
            epoch: commit.epoch,
            range,
            rows: commit.rows,
            chunks: commit.chunks,
            columns: commit.columns,
        }
    }
}

impl Totals {
    pub fn add_batch(&mut self, rows: u64, chunks: &[ChunkRecord]) {
        self.rows += rows;
        self.batches += 1;
        self.chunks += chunks.len() as u64;
        self.bytes += chunks.iter().map(|c| c.bytes).sum::<u64>();
    }

    pub fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.batches += other.batches;
        self.chunks += other.chunks;
        self.bytes += other.bytes;
    }
}
