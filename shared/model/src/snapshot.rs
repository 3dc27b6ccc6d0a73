//! Snapshots: the one instant that all readers of a job share.

use serde::{Deserialize, Serialize};

/// How a reader joins a snapshot: PostgreSQL's exported name, or the adapter's own handle in this process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotToken(pub String);

/// What proves, after the snapshot itself is gone, that nothing was changed since it was taken.
///
/// PostgreSQL: `pg_current_snapshot()`, system identifier, timeline and postmaster start. SQLite: change counter, WAL
/// salts and frame count. Opaque outside the adapter; equal evidence of logged tables means equal rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotEvidence(pub String);
