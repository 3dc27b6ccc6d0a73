//! One state for all readers.
//!
//! A reader's state is pinned by a transaction that has read once. In rollback mode the first one holds a SHARED lock
//! and nobody can commit until it ends; in WAL mode each reader keeps to the log's frames of its beginning. That all
//! of them began at the same state is proven by one connection that watches: `data_version` changes when anybody
//! else's commit has become visible, and it is equal before the first reader and after the last.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use rusqlite::Connection;
use sqlextract_model::{Code, Failure, Result, SnapshotEvidence, SnapshotToken};

use super::connection::Opening;
use super::evidence::{self, Evidence};
use super::failure::{failure, unexpected};
use super::pool::{Pinned, Pool};
use super::threads::on_thread;

/// Attempts to pin all readers between two commits of somebody else.
const ATTEMPTS: u32 = 10;

/// Each reader keeps a processor busy, and two or three files open.
const MOST_READERS: usize = 32;

/// A snapshot that ends with its last handle.
#[derive(Debug)]
pub(super) struct SqliteSnapshot(Arc<Pinned>);

#[async_trait]
impl crate::Snapshot for SqliteSnapshot {
    fn token(&self) -> &SnapshotToken {
        &self.0.token
    }

    fn evidence(&self) -> &SnapshotEvidence {
        &self.0.evidence
    }

    async fn check(&self) -> Result<()> {
        match self.0.is_lost() {
            true => Err(Failure::new(
                Code::SnapshotLost,
                "every reader of the snapshot has failed",
            )),
            false => Ok(()),
        }
    }
}

/// Readers in one state, and what proves it later, where something does.
pub(super) struct Pins {
    pub(super) connections: Vec<Connection>,
    pub(super) evidence: Option<Evidence>,
}

/// Takes a snapshot, or another handle of the one that lives where nothing has been changed since. Otherwise it waits
/// until that one has ended: there are no connections for two.
pub(super) async fn take(pool: &Pool, turn: u64) -> Result<SqliteSnapshot> {
    if let Some(living) = pool.pinned()
        && !living.is_lost()
        && still(pool, &living).await?
    {
        return Ok(SqliteSnapshot(living));
    }
    let permits = pool.take_all().await?;
    let opening = pool.opening().clone();
    let readers = (pool.max_connections as usize).min(MOST_READERS);
    let mut pins = on_thread(move || pin(&opening, readers)).await?;
    if let Some(wait) = pins.evidence.as_ref().and_then(|e| e.unsettled(SystemTime::now())) {
        tokio::time::sleep(wait).await;
        pins.evidence = pins.evidence.filter(|e| e.unsettled(SystemTime::now()).is_none());
    }
    let evidence = pins
        .evidence
        .as_ref()
        .map_or_else(|| evidence::unproven(SystemTime::now()), Evidence::text);
    let nanoseconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    let token = SnapshotToken(format!("sqlite-{}-{nanoseconds}-{turn}", std::process::id()));
    tracing::debug!(
        snapshot.token = token.0,
        snapshot.readers = pins.connections.len(),
        "pinned a snapshot"
    );
    Ok(SqliteSnapshot(pool.pin(token, evidence, pins, permits)))
}

/// Whether the database is still in the living snapshot's state, by its files: all connections are with the snapshot.
async fn still(pool: &Pool, living: &Pinned) -> Result<bool> {
    let Some(state) = living.state.clone() else {
        return Ok(false);
    };
    let path = pool.opening().path.clone();
    on_thread(move || state.still_holds(&path)).await
}

/// All readers in one state after a few attempts, else a single one, which is in one state by itself.
fn pin(opening: &Opening, readers: usize) -> Result<Pins> {
    for _ in 0..ATTEMPTS {
        if let Some(pins) = try_pin(opening, readers)? {
            return Ok(pins);
        }
    }
    tracing::warn!("others commit so often that readers cannot begin at one state: all share one connection");
    if let Some(pins) = try_pin(opening, 1)? {
        return Ok(pins);
    }
    let connection = opening.connect()?;
    begin(&connection)?;
    Ok(Pins {
        connections: vec![connection],
        evidence: None,
    })
}

fn try_pin(opening: &Opening, readers: usize) -> Result<Option<Pins>> {
    let watcher = opening.connect()?;
    let before = data_version(&watcher)?;
    let mut connections = Vec::with_capacity(readers);
    for _ in 1..readers {
        let connection = opening.connect()?;
        begin(&connection)?;
        connections.push(connection);
    }
    let published = published_frames(&watcher)?;
    let evidence = Evidence::read(&watcher, &opening.path, published)?;
    begin(&watcher)?;
    if data_version(&watcher)? != before || !evidence.agrees(published) {
        return Ok(None);
    }
    // Outside WAL mode the file could still change between the look at it and the lock that now holds.
    if published.is_none() && Evidence::read(&watcher, &opening.path, None)? != evidence {
        return Ok(None);
    }
    connections.push(watcher);
    Ok(Some(Pins {
        connections,
        evidence: Some(evidence),
    }))
}

/// Begins and reads: only the read pins the state.
fn begin(connection: &Connection) -> Result<()> {
    connection
        .execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1;")
        .map_err(|error| failure(&error, Code::SourceProtocol, "begin a read transaction"))
}

fn data_version(connection: &Connection) -> Result<i64> {
    connection
        .query_row("PRAGMA main.data_version", [], |row| row.get(0))
        .map_err(|error| unexpected(&error, "tell `data_version`"))
}

/// The frames that the shared index of the log tells, `None` outside WAL mode. The mode of the checkpoint does nothing.
fn published_frames(connection: &Connection) -> Result<Option<u64>> {
    let mode: String = connection
        .query_row("PRAGMA main.journal_mode", [], |row| row.get(0))
        .map_err(|error| unexpected(&error, "tell `journal_mode`"))?;
    if mode != "wal" {
        return Ok(None);
    }
    let frames: i64 = connection
        .query_row("PRAGMA main.wal_checkpoint(NOOP)", [], |row| row.get(1))
        .map_err(|error| unexpected(&error, "tell the frames of the write-ahead log"))?;
    Ok(Some(u64::try_from(frames).unwrap_or(0)))
}
