//! The plan of a table: immutable, complete before its first batch is published.

use serde::{Deserialize, Serialize};

use crate::{
    BatchIndex, ColumnMapping, Consistency, Digest, Epoch, FileFormat, Generation, JobId, KeyColumn, KeyRange, PlanId,
    Relation, SnapshotEvidence, SourceIdentity, TableName, TableSegment,
};

/// How a table is split, from the best to the last resort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Ranges of physical blocks (PostgreSQL, under one shared snapshot).
    Blocks,
    /// Ranges of an integer key.
    IntegerKey,
    /// Ranges between values found by probing the index of a text, UUID, binary or composite key.
    ProbedKey,
    /// The whole table, view or query at once.
    Single,
}

/// Rows that one batch reads. The ranges of a plan are disjoint and their union is every row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    All,
    /// Block ranges of one or more leaves, read one after the other.
    Blocks(Vec<BlockRange>),
    Keys(KeyRange),
    /// The rows whose key column is NULL.
    KeyIsNull(KeyColumn),
}

/// Blocks `from` to before `to` of a leaf; an open end takes whatever lies behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRange {
    pub oid: u32,
    pub name: TableName,
    pub from: u64,
    pub to: Option<u64>,
}

/// One batch of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    pub index: BatchIndex,
    pub range: Range,
    pub estimated_rows: u64,
}

/// The head of a table's plan in one generation: everything that a batch needs but its range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TablePlan {
    /// Of this format; readers take 1.
    pub version: u32,
    pub job: JobId,
    pub table: TableName,
    pub segment: TableSegment,
    pub generation: Generation,
    /// The epoch in which this generation was planned.
    pub epoch: Epoch,
    pub plan_id: PlanId,
    pub source: SourceIdentity,
    pub relation: Relation,
    /// A row filter in the source's SQL, as given.
    pub filter: Option<String>,
    pub columns: Vec<ColumnMapping>,
    /// The columns that tell which row an error is about; may be empty.
    pub row_key: Vec<KeyColumn>,
    pub rung: Rung,
    /// Why this rung: a sentence for `--dry-run`.
    pub reason: String,
    pub batches: u64,
    pub estimated_rows: u64,
    pub estimated_bytes: u64,
    pub pages: Vec<PlanPage>,
    pub format: FileFormat,
    pub chunk_bytes: u64,
    /// The level that this table's rows have: `snapshot` only while every reader shares one.
    pub consistency: Consistency,
    pub evidence: Option<SnapshotEvidence>,
    /// Rows survive a crash of the server, so that equal evidence proves equal rows.
    pub logged: bool,
}

impl TablePlan {
    /// What a change of the table's columns would change.
    pub fn schema_fingerprint(&self) -> Digest {
        crate::canonical_hash(&self.columns)
    }
}

/// A page of batches, stored as JSON lines under the plan's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanPage {
    pub first: BatchIndex,
    pub batches: u64,
    pub sha256: Digest,
}
