//! The commit record: the small object that makes one attempt's chunks the result of a batch.

use serde::{Deserialize, Serialize};

use crate::{AttemptId, BatchIndex, Digest, Epoch, Generation, JobId, ReadLoad, TableName};

/// The winning attempt at a batch. Create-only: the first writer wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    pub version: u32,
    pub job: JobId,
    pub table: TableName,
    pub generation: Generation,
    pub epoch: Epoch,
    pub batch: BatchIndex,
    pub attempt: AttemptId,
    /// The hash of the plan that the batch was read by.
    pub plan_hash: Digest,
    pub rows: u64,
    pub chunks: Vec<ChunkRecord>,
    /// One per column, in the plan's order.
    pub columns: Vec<ColumnAggregate>,
    /// `None` in records of versions that did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<ReadLoad>,
}

/// One file in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRecord {
    /// Relative to the job's prefix.
    pub key: String,
    pub bytes: u64,
    pub rows: u64,
    /// CRC-32C of the object, eight hexadecimal digits.
    pub crc32c: String,
    pub sha256: Digest,
    /// A CSV field of this chunk holds a line that is `\.` alone, which psql 15 takes for the end of its input.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end_of_copy_line: bool,
}

/// Facts about a column's values that Rust and each source's SQL compute exactly equal.
///
/// `sum`, `min` and `max` are decimal text. Integers and decimals: exact sum, min and max. Floats: `nan` and min and max
/// of the rest. Text and bytes: `sum` of octet lengths. Dates: days since 1970; timestamps and times: microseconds.
/// Booleans: `sum` counts true. What a type does not cover is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnAggregate {
    pub name: String,
    /// Values that are not NULL.
    pub count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nan: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
}
