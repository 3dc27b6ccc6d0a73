//! Connections: read-only, pinned, small.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use sqlextract_model::{Code, Result};

use super::failure::failure;

/// All page caches together. A scan gains nothing from more: it meets every leaf once and the few pages above it stay.
const CACHES_KIB: u32 = 16 * 1024;
const LARGEST_CACHE_KIB: u32 = 4 * 1024;
const SMALLEST_CACHE_KIB: u32 = 256;

/// How a connection is opened.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub(super) path: PathBuf,
    pub(super) lock_timeout: Duration,
    pub(super) cache_kib: u32,
}

impl Opening {
    pub(super) fn new(path: PathBuf, lock_timeout: Duration, max_connections: u32) -> Self {
        let cache_kib = (CACHES_KIB / max_connections.max(1)).clamp(SMALLEST_CACHE_KIB, LARGEST_CACHE_KIB);
        Self {
            path,
            lock_timeout,
            cache_kib,
        }
    }

    /// Opens a connection that can write nothing, runs no code of the file's, and does not read it through a memory
    /// map, since the mapped pages would count as this process's memory.
    ///
    /// A handle serves one thread at a time, so SQLite's own mutexes are off.
    pub(super) fn connect(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let pinned = Connection::open_with_flags(&self.path, flags).and_then(|connection| {
            connection.busy_timeout(self.lock_timeout)?;
            for (setting, value) in [
                (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
                (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
                (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
            ] {
                connection.set_db_config(setting, value)?;
            }
            connection.execute_batch(&format!(
                "PRAGMA query_only = ON; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; PRAGMA cache_size = -{};",
                self.cache_kib
            ))?;
            // The first read: a file that is no database says so here and not in the middle of something.
            connection.query_row("SELECT count(*) FROM sqlite_schema LIMIT 1", [], |_| Ok(()))?;
            Ok(connection)
        });
        pinned.map_err(|error| {
            failure(
                &error,
                Code::SourceCorrupt,
                &format!("open {:?}", self.path.display().to_string()),
            )
        })
    }
}
