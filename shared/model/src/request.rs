//! A request, in its canonical form: what a job's identity is made of.

use serde::{Deserialize, Serialize};

use crate::{FileFormat, Platform, TableName, TableSegment};

/// What makes a job the job that it is. Workers, batch size and limits are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRequest {
    pub version: u32,
    /// The source's name in the settings; never its URL.
    pub source: String,
    /// The destination's name in the settings; never its URL.
    pub destination: String,
    pub tables: Vec<TableRequest>,
    pub format: FileFormat,
    pub chunk_bytes: u64,
    /// `None` takes the best level that the source offers.
    pub consistency: Option<Consistency>,
    pub on_lossy: OnLossy,
    pub on_snapshot_lost: OnSnapshotLost,
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Rows of a batch; `None` lets planning choose. Not part of the identity.
    #[serde(default)]
    pub batch_rows: Option<u64>,
}

/// A table, view or query of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRequest {
    pub name: TableName,
    pub segment: TableSegment,
    pub relation: Relation,
    /// `None` takes all columns.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    #[serde(default)]
    pub exclude_columns: Vec<String>,
    #[serde(default)]
    pub filter: Option<String>,
    #[serde(default)]
    pub overrides: Vec<ColumnOverride>,
    /// A unique column of a query, to split it by.
    #[serde(default)]
    pub key: Option<String>,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    Table(TableName),
    /// Free SQL, wrapped as a derived table, never rewritten.
    Query(String),
}

/// `--column-type T.C=TYPE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnOverride {
    pub column: String,
    pub target: OverrideType,
}

/// A type that a column can be given by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideType {
    Text,
    Boolean,
    Int16,
    Int32,
    Int64,
    Float64,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Date,
    Time,
    Timestamp,
    TimestampUtc,
    Binary,
    Json,
    /// The type by the table, with NULL for values that have no counterpart.
    NullUnrepresentable,
}

/// Whether the rows of a job are of one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    Snapshot,
    Batch,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLossy {
    #[default]
    Fail,
    Text,
    Round,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSnapshotLost {
    /// Go on where the database proves that nothing was changed, else plan the unfinished tables again.
    #[default]
    Auto,
    Replan,
    Continue,
    Fail,
}

/// A script that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    pub platform: Platform,
    /// The name of the target's table, where it is not the source's.
    #[serde(default)]
    pub table: Option<String>,
}
