//! SQLite, read on threads of its own.
//!
//! Rows go from SQLite's cells straight into Arrow's builders, on one blocking thread per read, and come over in record
//! batches. The database file is opened by SQLite alone, never by this process beside it: closing such a second
//! descriptor would silently drop the locks that make a snapshot one state.

mod affinity;
mod aggregate;
mod cell;
mod connection;
mod decode;
mod evidence;
mod failure;
mod inspect;
mod keys;
mod location;
mod pool;
mod probe;
mod read;
mod show;
mod snapshot;
mod sql;
mod statistics;
mod threads;
mod value;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use sqlextract_model::{
    Code, ColumnAggregate, ColumnMapping, Dialect, Failure, Relation, Result, SnapshotToken, SourceCounters,
    SourceFacts, SourceIdentity, Strain,
};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{Probe, ProbeAnswer, ReadRequest, ReadSummary, RowSink, Selection, Snapshot, Source, SourceSettings};
use connection::Opening;
use pool::{Lease, Pool};
use read::{EmptyRange, Job, Sent, stopped};
use threads::on_thread;

/// A SQLite database file.
pub struct SqliteSource {
    path: PathBuf,
    pool: Pool,
    statement_timeout: Duration,
    /// One snapshot is taken at a time; counts those taken.
    snapshots: Mutex<AtomicU64>,
}

impl fmt::Debug for SqliteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSource")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SqliteSource {
    /// Opens `sqlite://PATH` read-only.
    ///
    /// # Errors
    /// `source_object_missing` where there is no such file, `source_corrupt` where it is no database,
    /// `source_permission` where it may not be read, `config_invalid` for another URL.
    pub async fn open(settings: SourceSettings) -> Result<Self> {
        if settings.max_connections == 0 {
            return Err(Failure::new(
                Code::ConfigInvalid,
                "a source needs at least one connection",
            ));
        }
        let url = settings.url.clone();
        let path = on_thread(move || location::locate(&url)).await?;
        let opening = Opening::new(path.clone(), settings.lock_timeout, settings.max_connections);
        let source = Self {
            path,
            pool: Pool::new(opening, settings.max_connections),
            statement_timeout: settings.statement_timeout,
            snapshots: Mutex::default(),
        };
        source.with_connection(None, |_| Ok(())).await?;
        Ok(source)
    }

    /// Lends a connection to `work` on a blocking thread. Dropping the future interrupts the statement.
    async fn with_connection<T: Send + 'static>(
        &self,
        token: Option<&SnapshotToken>,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut lease = self.pool.lease(token).await?;
        let stop = CancellationToken::new();
        let _stop_on_drop = stop.clone().drop_guard();
        let limit = self.statement_timeout;
        on_thread(move || {
            let connection = lease.connection()?;
            let done = read::watched(connection, limit, &stop, |_| work(connection));
            settle(lease, done)
        })
        .await
    }

    async fn prove_empty(&self, request: &ReadRequest<'_>) -> Result<()> {
        let range = EmptyRange::new(request)?;
        self.with_connection(request.snapshot, move |connection| range.prove(connection))
            .await
    }
}

/// Decides what becomes of a connection after its use.
fn settle<T>(lease: Lease, done: Result<T>) -> Result<T> {
    match &done {
        Ok(_) => lease.give_back(),
        Err(failure) if failure::breaks_connection(failure) => lease.discard(),
        Err(_) => drop(lease),
    }
    done
}

#[async_trait]
impl Source for SqliteSource {
    async fn inspect(&self, selections: &[Selection]) -> Result<SourceFacts> {
        let selections = selections.to_vec();
        let tables = self
            .with_connection(None, move |connection| inspect::tables(connection, &selections))
            .await?;
        Ok(SourceFacts {
            identity: SourceIdentity {
                dialect: Dialect::Sqlite,
                version: rusqlite::version().to_owned(),
                location: self.path.display().to_string(),
                system: String::new(),
            },
            free_connections: None,
            pooler: None,
            tables,
        })
    }

    async fn probe(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        probes: &[Probe],
        snapshot: Option<&SnapshotToken>,
    ) -> Result<Vec<ProbeAnswer>> {
        let (relation, filter, probes) = (relation.clone(), filter.map(str::to_owned), probes.to_vec());
        self.with_connection(snapshot, move |connection| {
            probe::answers(connection, &relation, filter.as_deref(), &probes)
        })
        .await
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        let turns = self.snapshots.lock().await;
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Box::new(snapshot::take(&self.pool, turn).await?)))
    }

    async fn read(&self, request: ReadRequest<'_>, sink: &mut dyn RowSink) -> Result<ReadSummary> {
        let stop = request.cancel.child_token();
        let _stop_on_drop = stop.clone().drop_guard();
        let work = async {
            let mut lease = self.pool.lease(request.snapshot).await?;
            let job = Job::new(&request, self.statement_timeout, stop)?;
            let (sender, mut batches) = mpsc::channel(1);
            let reading = tokio::spawn(on_thread(move || {
                let connection = lease.connection()?;
                let done = job.run(connection, &sender);
                drop(sender);
                settle(lease, done)
            }));
            while let Some(sent) = batches.recv().await {
                match sent {
                    Sent::Received(bytes) => sink.received(bytes).await?,
                    Sent::Rows(batch) => sink.push(batch).await?,
                    Sent::Large { bytes, admitted } => {
                        sink.admit(bytes).await?;
                        // A thread that has failed meanwhile waits no more; its failure is found below.
                        let _ = admitted.send(());
                    }
                }
            }
            let ended = reading.await;
            let summary = ended.map_err(|error| Failure::new(Code::Defect, "a read panicked").because(error))??;
            if summary.rows == 0 {
                self.prove_empty(&request).await?;
            }
            Ok(summary)
        };
        tokio::select! {
            biased;
            () = request.cancel.cancelled() => Err(stopped()),
            done = work => done,
        }
        .map_err(|failure: Failure| failure.table(request.table))
    }

    async fn aggregate(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        columns: &[ColumnMapping],
    ) -> Result<(u64, Vec<ColumnAggregate>)> {
        let (relation, filter, columns) = (relation.clone(), filter.map(str::to_owned), columns.to_vec());
        self.with_connection(None, move |connection| {
            in_one_state(connection, || {
                aggregate::compute(connection, &relation, filter.as_deref(), &columns)
            })
        })
        .await
    }

    /// A file tells nothing about those who use it beside us.
    async fn strain(&self) -> Result<Option<Strain>> {
        Ok(None)
    }

    /// Nobody counts.
    async fn counters(&self, _relations: &[Relation]) -> Result<SourceCounters> {
        Ok(SourceCounters::default())
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }
}

/// In the snapshot's transaction where the connection has one, else in one of its own.
fn in_one_state<T>(connection: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if !connection.is_autocommit() {
        return work();
    }
    let transaction = connection
        .unchecked_transaction()
        .map_err(|error| failure::unexpected(&error, "begin a read transaction"))?;
    let done = work();
    transaction
        .rollback()
        .map_err(|error| failure::unexpected(&error, "end a read transaction"))?;
    done
}
