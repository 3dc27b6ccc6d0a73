//! Reading a range: one thread steps the statement and fills record batches, a channel of one carries them over.
//!
//! SQLite brings a row's values into memory as it steps to the row. A large row is admitted then, before it is copied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sqlextract_model::{Code, Failure, Relation, Result, TableName};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::cell::{Misfit, Remedy};
use super::decode::Cells;
use super::failure::failure;
use super::show::{literal, shown, size};
use super::sql::{Rows, Statement, check_foreign_sql};
use crate::{RECEIVED_AT_ONCE, ReadLimits, ReadRequest, ReadSummary, milliseconds};

/// Steps of SQLite's machine between two looks at the clock and the cancellation: a fraction of a millisecond.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;

/// Copies of a large row beside SQLite's own, by which its admission is larger than the row.
const OTHER_COPIES: usize = 3;

/// What the thread sends.
pub(super) enum Sent {
    /// So many more bytes were read.
    Received(u64),
    Rows(RecordBatch),
    /// A record batch of so many bytes comes next, which ends with a large row.
    Large {
        bytes: usize,
        admitted: oneshot::Sender<()>,
    },
}

/// Rows in the builders.
#[derive(Default)]
struct Held {
    rows: usize,
    bytes: usize,
    /// Not told yet.
    received: u64,
    /// The last of them is large: it waits for no others.
    is_admitted: bool,
}

/// A read as the thread needs it: everything owned.
pub(super) struct Job {
    table: TableName,
    relation: Relation,
    filter: Option<String>,
    statement: Statement,
    blame: Code,
    schema: SchemaRef,
    columns: Vec<Cells>,
    /// Name and place in the select list of the columns that tell a row.
    row_key: Vec<(String, usize)>,
    limits: ReadLimits,
    /// The most that can be admitted.
    admitted_bytes: usize,
    statement_timeout: Duration,
    stop: CancellationToken,
}

impl Job {
    pub(super) fn new(request: &ReadRequest<'_>, statement_timeout: Duration, stop: CancellationToken) -> Result<Self> {
        let rows = Rows::new(request.relation, request.filter);
        let mut list: Vec<String> = request.columns.iter().map(|column| rows.column(&column.name)).collect();
        let mut row_key = Vec::with_capacity(request.row_key.len());
        for key in request.row_key {
            let at = request
                .columns
                .iter()
                .position(|column| column.name == key.name)
                .unwrap_or_else(|| {
                    list.push(rows.column(&key.name));
                    list.len() - 1
                });
            row_key.push((key.name.clone(), at));
        }
        let columns: Result<Vec<_>> = request.columns.iter().map(Cells::new).collect();
        let fields: Vec<_> = request.columns.iter().map(|column| column.field()).collect();
        Ok(Self {
            table: request.table.clone(),
            relation: request.relation.clone(),
            filter: request.filter.map(str::to_owned),
            statement: rows.select(&list.join(", "), request.range, "")?,
            blame: rows.blame(),
            schema: Arc::new(Schema::new(fields)),
            columns: columns.map_err(|failure| failure.table(request.table))?,
            row_key,
            limits: ReadLimits {
                row_bytes: largest_row(request.limits),
                ..request.limits
            },
            admitted_bytes: request.limits.row_bytes,
            statement_timeout,
            stop,
        })
    }

    /// Reads everything into the channel. Ends early when the receiver is gone or the job is stopped.
    pub(super) fn run(mut self, connection: &Connection, batches: &mpsc::Sender<Sent>) -> Result<ReadSummary> {
        check_foreign_sql(connection, &self.relation, self.filter.as_deref())?;
        let (limit, stop) = (self.statement_timeout, self.stop.clone());
        let began = Instant::now();
        let summary = watched(connection, limit, &stop, |clock| self.step(connection, batches, clock));
        let mut summary = summary.map_err(|failure| failure.table(&self.table))?;
        summary.load.add_statement(milliseconds(began.elapsed()));
        Ok(summary)
    }

    fn step(&mut self, connection: &Connection, batches: &mpsc::Sender<Sent>, clock: &Clock) -> Result<ReadSummary> {
        let blame = self.blame;
        let refused = |error: rusqlite::Error| failure(&error, blame, "read the rows");
        let mut prepared = connection.prepare(&self.statement.sql).map_err(refused)?;
        let mut rows = prepared
            .query(self.statement.parameters().as_slice())
            .map_err(refused)?;
        let mut summary = ReadSummary::default();
        let mut held = Held::default();
        while let Some(row) = rows.next().map_err(refused)? {
            let row_bytes = self.take(row, summary.rows, &mut held, &|bytes| admit(batches, clock, bytes))?;
            summary.rows += 1;
            summary.load.wire_bytes += row_bytes as u64;
            held.rows += 1;
            held.bytes += row_bytes;
            held.received += row_bytes as u64;
            if held.received >= RECEIVED_AT_ONCE {
                tell(batches, clock, std::mem::take(&mut held.received))?;
            }
            let is_full = held.bytes >= self.limits.record_batch_bytes || held.rows >= self.limits.record_batch_rows;
            if is_full || held.is_admitted {
                self.send(batches, clock, &held)?;
                held = Held::default();
            }
        }
        if held.rows > 0 {
            self.send(batches, clock, &held)?;
        }
        Ok(summary)
    }

    /// One row into the builders. A cell's weight is known before it is copied.
    fn take(
        &mut self,
        row: &Row<'_>,
        number: u64,
        held: &mut Held,
        admit: &dyn Fn(usize) -> Result<()>,
    ) -> Result<usize> {
        let mut row_bytes = 0;
        let mut most = self.limits.alone_bytes.min(self.limits.row_bytes);
        for at in 0..self.columns.len() {
            let cell = cell(row, at)?;
            row_bytes += self.columns[at].weight(cell);
            if row_bytes > most {
                let whole = self.weight(row, number)?;
                admit((held.bytes + whole + whole / OTHER_COPIES).min(self.admitted_bytes))?;
                held.is_admitted = true;
                most = usize::MAX;
            }
            if let Err(misfit) = self.columns[at].append(cell) {
                return Err(self.refusal(row, number, at, misfit));
            }
        }
        Ok(row_bytes)
    }

    /// The weight of a whole row, unless it is too large.
    fn weight(&self, row: &Row<'_>, number: u64) -> Result<usize> {
        let mut bytes = 0;
        for (at, cells) in self.columns.iter().enumerate() {
            bytes += cells.weight(cell(row, at)?);
            if bytes > self.limits.row_bytes {
                let misfit = Misfit {
                    wanted: "a row within the memory budget",
                    remedy: Remedy::TooLarge,
                };
                return Err(self.refusal(row, number, at, misfit));
            }
        }
        Ok(bytes)
    }

    fn refusal(&self, row: &Row<'_>, number: u64, at: usize, misfit: Misfit) -> Failure {
        let column = self.schema.field(at).name();
        let cell = row.get_ref(at).unwrap_or(ValueRef::Null);
        let place = self.place(row, number);
        let name = TableName::new(&self.table.name, column);
        let failure = match misfit.remedy {
            Remedy::TooLarge => {
                let message = format!(
                    "column {column:?} of {} in the row {place} brings the row to more than {} bytes: it holds {}",
                    self.table,
                    self.limits.row_bytes,
                    size(cell),
                );
                Failure::new(Code::ValueTooLarge, message)
            }
            form => {
                let form = if form == Remedy::Binary { "binary" } else { "text" };
                let message = format!(
                    "column {column:?} of {} takes {}, and the row {place} holds {}",
                    self.table,
                    misfit.wanted,
                    shown(cell),
                );
                Failure::new(Code::ValueRefused, message).remedy(format!(
                    "Take every value as it is with `--column-type {name}={form}`, or correct the row."
                ))
            }
        };
        failure.table(&self.table).column(column).row(place)
    }

    fn place(&self, row: &Row<'_>, number: u64) -> String {
        if self.row_key.is_empty() {
            return format!("number {} of its range", number + 1);
        }
        let value = |at: &usize| row.get_ref(*at).map_or_else(|_| "?".to_owned(), literal);
        let parts: Vec<_> = self
            .row_key
            .iter()
            .map(|(name, at)| format!("{name}={}", value(at)))
            .collect();
        parts.join(", ")
    }

    fn send(&mut self, batches: &mpsc::Sender<Sent>, clock: &Clock, held: &Held) -> Result<()> {
        tell(batches, clock, held.received)?;
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(Cells::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(held.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| Failure::new(Code::Defect, "the columns of a record batch differ").because(error))?;
        pass(batches, clock, Sent::Rows(batch))
    }
}

/// What a row may have so that it can be admitted with SQLite's own copy and the smaller rows before it.
fn largest_row(limits: ReadLimits) -> usize {
    let others = limits.record_batch_bytes.min(limits.row_bytes / 8);
    (limits.row_bytes - others) / (OTHER_COPIES + 1) * OTHER_COPIES
}

fn cell<'a>(row: &'a Row<'_>, at: usize) -> Result<ValueRef<'a>> {
    row.get_ref(at)
        .map_err(|error| failure(&error, Code::Defect, "give a cell"))
}

/// Tells what was read.
fn tell(batches: &mpsc::Sender<Sent>, clock: &Clock, received: u64) -> Result<()> {
    pass(batches, clock, Sent::Received(received))
}

/// Sends; the wait for the receiver is not the statement's time.
fn pass(batches: &mpsc::Sender<Sent>, clock: &Clock, sent: Sent) -> Result<()> {
    let began = Instant::now();
    let taken = batches.blocking_send(sent);
    clock.pause(began.elapsed());
    taken.map_err(|_| stopped())
}

/// Waits until a record batch with a large row is admitted.
fn admit(batches: &mpsc::Sender<Sent>, clock: &Clock, bytes: usize) -> Result<()> {
    let began = Instant::now();
    let (admitted, waited) = oneshot::channel();
    let asked = batches.blocking_send(Sent::Large { bytes, admitted });
    let answered = asked.is_ok() && waited.blocking_recv().is_ok();
    clock.pause(began.elapsed());
    if answered { Ok(()) } else { Err(stopped()) }
}

pub(super) fn stopped() -> Failure {
    Failure::new(Code::Interrupted, "the read was stopped")
}

/// The time that a statement has left, not counting what it waits for its receiver.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    began: Instant,
    limit: Duration,
    paused_micros: Arc<AtomicU64>,
}

impl Clock {
    fn start(limit: Duration) -> Self {
        Self {
            began: Instant::now(),
            limit,
            paused_micros: Arc::default(),
        }
    }

    fn pause(&self, time: Duration) {
        self.paused_micros
            .fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        let paused = Duration::from_micros(self.paused_micros.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(paused) > self.limit
    }
}

/// Runs `work` so that it ends when `stop` is set or `limit` is over.
pub(super) fn watched<T>(
    connection: &Connection,
    limit: Duration,
    stop: &CancellationToken,
    work: impl FnOnce(&Clock) -> Result<T>,
) -> Result<T> {
    let clock = Clock::start(limit);
    let handler = {
        let (clock, stop) = (clock.clone(), stop.clone());
        move || stop.is_cancelled() || clock.is_over()
    };
    let defect = |error: rusqlite::Error| failure(&error, Code::Defect, "watch a statement");
    connection
        .progress_handler(STEPS_BETWEEN_LOOKS, Some(handler))
        .map_err(defect)?;
    let done = work(&clock);
    connection.progress_handler(0, None::<fn() -> bool>).map_err(defect)?;
    match done {
        Err(failure) if failure.code == Code::Interrupted && stop.is_cancelled() => Err(stopped()),
        Err(failure) if failure.code == Code::Interrupted && clock.is_over() => Err(Failure::new(
            Code::SourceTimeout,
            format!("a statement ran longer than {limit:?}"),
        )),
        done => done,
    }
}

/// What a second look at a range without rows asks.
pub(super) struct EmptyRange {
    statement: Statement,
    blame: Code,
}

impl EmptyRange {
    pub(super) fn new(request: &ReadRequest<'_>) -> Result<Self> {
        let rows = Rows::new(request.relation, request.filter);
        let statement = rows.select("1", request.range, " LIMIT 1")?;
        Ok(Self {
            statement,
            blame: rows.blame(),
        })
    }

    pub(super) fn prove(&self, connection: &Connection) -> Result<()> {
        let refused = |error: rusqlite::Error| failure(&error, self.blame, "look at a range again");
        let mut prepared = connection.prepare(&self.statement.sql).map_err(refused)?;
        if prepared
            .exists(self.statement.parameters().as_slice())
            .map_err(refused)?
        {
            let message = "a range answered with no rows, and a second look found some";
            return Err(Failure::new(Code::RowsUnproven, message));
        }
        Ok(())
    }
}
