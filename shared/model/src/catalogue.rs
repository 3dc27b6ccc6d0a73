//! Facts about a source, as its catalogue tells them. Planning decides from these alone.

use serde::{Deserialize, Serialize};

use crate::{Dialect, KeyColumn, SourceColumn, TableName};

/// Which database this is, without any credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    pub dialect: Dialect,
    /// As the server reports it: `15.18`, `10.11.6-MariaDB`, `3.50.4`.
    pub version: String,
    /// Host, port and database, or the file's path.
    pub location: String,
    /// What stays equal as long as it is the same database: system identifier, server uuid; empty where none exists.
    pub system: String,
}

/// A source and the tables that were asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceFacts {
    pub identity: SourceIdentity,
    /// Connections that this user could still open; `None` where the source has no such limit.
    pub free_connections: Option<u32>,
    /// The pooler that was detected between us and the database, by its behaviour.
    pub pooler: Option<String>,
    pub tables: Vec<TableFacts>,
}

/// What planning needs to know about a table, a view or a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableFacts {
    pub name: TableName,
    pub kind: TableKind,
    pub columns: Vec<SourceColumn>,
    /// From statistics, never from counting; 0 is taken as unknown where `estimated_bytes` is not 0.
    pub estimated_rows: u64,
    /// Of the rows in the database, indexes left out.
    pub estimated_bytes: u64,
    /// Keys with an index that serves a range scan, best first: the primary key, unique ones, then others.
    pub keys: Vec<KeyFacts>,
    /// PostgreSQL: the relations that hold the rows (the table itself, or the leaves of a partitioned or inherited
    /// parent); empty where rows have no block address.
    pub leaves: Vec<BlockLeaf>,
    /// Rows survive a crash of the server (PostgreSQL: not UNLOGGED or TEMPORARY).
    pub logged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    Table,
    /// A parent whose rows are in its leaves.
    Partitioned,
    View,
    /// Rows of another server.
    Foreign,
    Query,
    /// SQLite's table without a rowid.
    WithoutRowid,
    /// SQLite's virtual table.
    Virtual,
}

/// An index that can serve ranges: whole (no predicate), valid, on plain columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// The index's name, or `rowid`.
    pub name: String,
    pub columns: Vec<KeyColumn>,
    pub unique: bool,
    pub primary: bool,
}

/// A PostgreSQL relation whose rows are addressed by block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockLeaf {
    pub oid: u32,
    pub name: TableName,
    /// Blocks at the time of inspection, from the file's size.
    pub blocks: u64,
    pub estimated_rows: u64,
    /// Rows have block addresses (a heap, not a foreign table).
    pub heap: bool,
}
