//! The file's tables and how older files become newer ones.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::Problem;
use super::alive::{LifeFile, beside};

/// Written into the file's header, so that a foreign database is known as such: "sqlx" in ASCII.
const APPLICATION_ID: i64 = 0x7371_6c78;
/// Waits for the transactions of other processes; each takes milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Each step makes the next version; the first makes an empty file version 1. A released step is never changed.
pub(super) const STEPS: &[&str] = &["
    CREATE TABLE job (
        name TEXT PRIMARY KEY,
        paused INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE job_table (
        id INTEGER PRIMARY KEY,
        job TEXT NOT NULL,
        segment TEXT NOT NULL,
        generation INTEGER NOT NULL,
        batches INTEGER NOT NULL,
        done INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        UNIQUE (job, segment)
    ) STRICT;
    -- One bit per batch, 4096 a page; pages without a bit are left out.
    CREATE TABLE done (
        job_table INTEGER NOT NULL,
        page INTEGER NOT NULL,
        bits BLOB NOT NULL,
        PRIMARY KEY (job_table, page)
    ) STRICT, WITHOUT ROWID;
    -- Batches that were tried and are not done.
    CREATE TABLE batch (
        job TEXT NOT NULL,
        segment TEXT NOT NULL,
        generation INTEGER NOT NULL,
        batch INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        failure TEXT,
        PRIMARY KEY (job, segment, generation, batch)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE lease (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        process TEXT NOT NULL,
        expires_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
"];

/// Opens the file and brings it to the version that `steps` lead to. The caller keeps others from opening it.
pub(super) fn open(path: &Path, steps: &[&str], life: &LifeFile) -> Result<Connection, Problem> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let known = steps.len() as i64;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(Problem::Newer { found, known });
    }
    check(&connection, found)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    if found < known {
        migrate(&mut connection, path, (found, steps), life)?;
    }
    Ok(connection)
}

/// Refuses a database that is not ours, or whose pages do not fit together.
fn check(connection: &Connection, version: i64) -> Result<(), Problem> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let empty = version == 0 && tables == 0 && application == 0;
    if !empty && (application != APPLICATION_ID || version < 1) {
        return Err(Problem::Content("it is another program's database".to_owned()));
    }
    let words: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if words == "ok" {
        Ok(())
    } else {
        Err(Problem::Content(words))
    }
}

fn migrate(
    connection: &mut Connection,
    path: &Path,
    (found, steps): (i64, &[&str]),
    life: &LifeFile,
) -> Result<(), Problem> {
    if found > 0 {
        // A process of the older version would go on writing what it knows.
        if life.others().iter().any(|other| life.lives(other)) {
            return Err(Problem::InUse);
        }
        keep_copy(connection, path, found)?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", steps.len() as i64)?;
    transaction.commit()?;
    Ok(())
}

/// Leaves the file as it was beside the migrated one: `checkpoints.db.v1`. An earlier copy of that version stays.
fn keep_copy(connection: &Connection, path: &Path, version: i64) -> Result<(), Problem> {
    let copy = beside(path, &format!(".v{version}"));
    if copy.exists() {
        return Ok(());
    }
    let Some(copy) = copy.to_str() else {
        return Err(Problem::Content(
            "its path is not Unicode, and it cannot be copied before its migration".to_owned(),
        ));
    };
    connection.execute("VACUUM INTO ?1", [copy])?;
    Ok(())
}
