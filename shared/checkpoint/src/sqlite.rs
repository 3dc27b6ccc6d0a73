//! The checkpoint in one SQLite file, for processes on one machine.

mod alive;
mod jobs;
mod leases;
mod schema;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use sqlextract_model::{Code, Failure, JobId, Result};

use self::alive::LifeFile;
use crate::{BatchId, Checkpoint, Completion, Lease, Progress, TableState};

/// A checkpoint in a file. Clones share the connection.
///
/// One connection writes, calls wait for each other off the async threads, and the file's own locks keep other
/// processes apart. A commit may be lost with the machine's power, never with the process: storage has the truth.
///
/// Beside the file stands one small file per process that uses it, locked as long as the process lives, so that the
/// leases of a killed process are free at once.
#[derive(Clone)]
pub struct SqliteCheckpoint {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    connection: Mutex<Connection>,
    life: LifeFile,
}

impl SqliteCheckpoint {
    /// Opens the file, and makes it with its folder where there is none. Several processes may do so at once.
    ///
    /// A file that is no checkpoint or is damaged is `checkpoint_corrupt`, that of a newer version is
    /// `checkpoint_newer`; an older one is copied and then brought up to date. Blocks: to be called at the start.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, schema::STEPS)
    }

    fn open_with(path: &Path, steps: &[&str]) -> Result<Self> {
        let beside = |error: std::io::Error| {
            let text = format!("the checkpoint {} cannot be opened", path.display());
            Failure::new(Code::CheckpointUnavailable, text).because(error)
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(beside)?;
        }
        // One process at a time gets past this line, so that nobody sees a file that is half made or half migrated.
        let opening = alive::lock_opening(path).map_err(beside)?;
        let life = LifeFile::create(path).map_err(beside)?;
        let connection = schema::open(path, steps, &life).map_err(|problem| problem.into_failure(path))?;
        life.bury_the_dead();
        drop(opening);
        let inner = Inner {
            path: path.to_owned(),
            connection: Mutex::new(connection),
            life,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs one transaction on a thread that may block. It is committed or has not happened, also when the caller has
    /// gone away.
    async fn transact<T, F>(&self, body: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &LifeFile) -> std::result::Result<T, Problem> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let ran = tokio::task::spawn_blocking(move || {
            // After a panic the transaction was rolled back: the connection is sound.
            let mut connection = inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = body(&transaction, &inner.life)?;
            transaction.commit()?;
            Ok(value)
        });
        match ran.await {
            Ok(outcome) => outcome.map_err(|problem: Problem| problem.into_failure(&self.inner.path)),
            Err(error) => Err(Failure::new(Code::Defect, "the checkpoint panicked").because(error)),
        }
    }
}

impl fmt::Debug for SqliteCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteCheckpoint")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Checkpoint for SqliteCheckpoint {
    async fn begin(&self, job: &JobId, tables: &[TableState]) -> Result<()> {
        let (job, tables) = (job.clone(), tables.to_vec());
        self.transact(move |transaction, _| jobs::begin(transaction, &job, &tables))
            .await
    }

    async fn complete(&self, job: &JobId, batch: &BatchId, rows: u64, bytes: u64) -> Result<Completion> {
        let (job, batch) = (job.clone(), batch.clone());
        self.transact(move |transaction, _| jobs::complete(transaction, &job, &batch, (rows, bytes)))
            .await
    }

    async fn attempt(&self, job: &JobId, batch: &BatchId) -> Result<u32> {
        let (job, batch) = (job.clone(), batch.clone());
        self.transact(move |transaction, _| jobs::attempt(transaction, &job, &batch))
            .await
    }

    async fn park(&self, job: &JobId, batch: &BatchId, failure: Option<&Failure>) -> Result<()> {
        let (job, batch, failure) = (job.clone(), batch.clone(), failure.cloned());
        self.transact(move |transaction, _| jobs::park(transaction, &job, &batch, failure.as_ref()))
            .await
    }

    async fn pause(&self, job: &JobId, paused: bool) -> Result<bool> {
        let job = job.clone();
        self.transact(move |transaction, _| jobs::pause(transaction, &job, paused))
            .await
    }

    async fn progress(&self, job: &JobId) -> Result<Option<Progress>> {
        let job = job.clone();
        self.transact(move |transaction, _| jobs::progress(transaction, &job))
            .await
    }

    async fn lease(&self, name: &str, holder: &str, time_to_live: Duration) -> Result<Lease> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        let now = alive::now_milliseconds();
        self.transact(move |transaction, life| {
            leases::lease(
                transaction,
                life,
                leases::Wish {
                    name,
                    holder,
                    time_to_live,
                    now,
                },
            )
        })
        .await
    }
}

/// What can go wrong below a method.
#[derive(Debug)]
enum Problem {
    Sqlite(rusqlite::Error),
    /// Readable, and not as this version writes it.
    Content(String),
    Newer {
        found: i64,
        known: i64,
    },
    /// A file of an older version is in use by a process of that version.
    InUse,
    Failure(Failure),
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Problem {
    fn into_failure(self, path: &Path) -> Failure {
        let path = path.display();
        let corrupt = |words: String| {
            Failure::new(
                Code::CheckpointCorrupt,
                format!("the checkpoint {path} cannot be read: {words}"),
            )
            .remedy(format!("Delete {path}: it is rebuilt from the output."))
        };
        match self {
            Self::Failure(failure) => failure,
            Self::Content(words) => corrupt(words),
            Self::Newer { found, known } => {
                let text = format!("the checkpoint {path} has version {found}, and this program knows {known}");
                Failure::new(Code::CheckpointNewer, text)
            }
            Self::InUse => {
                let text = format!("the checkpoint {path} is of an older version and in use by another process");
                Failure::new(Code::JobBusy, text)
                    .remedy("Wait until that process has ended, then run the command again.")
            }
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => corrupt(error.to_string()),
                Some(ErrorCode::DiskFull) => Failure::new(
                    Code::StorageFull,
                    format!("there is no space left for the checkpoint {path}"),
                )
                .because(error),
                // A column of another type, or a statement that the file's tables do not allow.
                None => corrupt(error.to_string()),
                Some(ErrorCode::Unknown) => corrupt(error.to_string()),
                Some(ErrorCode::CannotOpen) => {
                    let text = format!("the checkpoint {path} cannot be opened");
                    // SQLite does not say what stood in its way.
                    let remedy =
                        "See that its folder can be written to, and raise the limit of open files (`ulimit -n`).";
                    Failure::new(Code::CheckpointUnavailable, text)
                        .because(error)
                        .remedy(remedy)
                }
                Some(_) => {
                    let text = format!("the checkpoint {path} does not answer");
                    Failure::new(Code::CheckpointUnavailable, text).because(error)
                }
            },
        }
    }
}
