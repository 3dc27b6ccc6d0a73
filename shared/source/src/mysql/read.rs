//! One read: a prepared statement whose rows are decoded by a task of their own.
//!
//! The driver buffers a row before it hands it out. So the server keeps the long values of a large row back and tells
//! their lengths instead; a second statement in the same snapshot then reads such rows, each when it is admitted.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures_util::TryStreamExt;
use sqlextract_model::{Code, ColumnMapping, Failure, Relation, Result, TableName};
use sqlx::Row;
use sqlx::mysql::MySqlRow;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::connection::{Connections, Lease, answered};
use super::decode::{ColumnDecoder, Refusal, printed};
use super::errors::{During, failure};
use super::pending::{Pending, Sent};
use super::select::{Guard, KeyCell, SelectList};
use super::sql::{MARK, Statement, from, matching};
use super::{cell, schema};
use crate::{RECEIVED_AT_ONCE, ReadLimits, ReadRequest, ReadSummary, RowSink};

/// How long a reader may go on after it was told to stop, before its connection is cut.
const GRACE: Duration = Duration::from_secs(2);
/// The token is asked once in so many rows.
const ROWS_BETWEEN_CHECKS: u64 = 64;

/// Copies of a large row beside the driver's own, by which its admission is larger than the row.
const OTHER_COPIES: usize = 3;

pub(super) async fn read(
    connections: &Arc<Connections>,
    request: ReadRequest<'_>,
    sink: &mut dyn RowSink,
) -> Result<ReadSummary> {
    let table = request.table;
    let at_table = |f: Failure| f.table(table);
    if request.snapshot.is_some() {
        return Err(Failure::new(Code::Defect, "MySQL has no snapshot to read from").table(table));
    }
    let reader = Reader::new(&request).map_err(at_table)?;
    let lease = tokio::select! {
        () = request.cancel.cancelled() => return Err(stopped().table(table)),
        lease = connections.lease() => lease.map_err(at_table)?,
    };
    let connection = lease.id();
    let (batches, mut received) = mpsc::channel(1);
    let (acknowledge, acknowledged) = mpsc::channel(1);
    let mut task = AbortOnDropHandle::new(tokio::spawn(reader.run(lease, batches, acknowledged)));
    let limit = connections.settings.statement_timeout;
    loop {
        let next = async {
            match answered(received.recv(), limit, "the rows do not arrive").await? {
                Some(Sent::Received(bytes)) => {
                    sink.received(bytes).await?;
                    return Ok(true);
                }
                Some(Sent::Rows(batch)) => sink.push(batch).await?,
                Some(Sent::Large(bytes)) => sink.admit(bytes).await?,
                None => return Ok(false),
            }
            // A reader that has failed meanwhile takes no word; its failure is found below.
            let _ = acknowledge.send(()).await;
            Ok(true)
        };
        let more: Result<bool> = tokio::select! {
            biased;
            () = request.cancel.cancelled() => {
                received.close();
                if tokio::time::timeout(GRACE, &mut task).await.is_err() {
                    drop(task);
                    connections.kill(connection).await;
                }
                return Err(stopped().table(table));
            }
            more = next => more,
        };
        if !more.map_err(at_table)? {
            break;
        }
    }
    let joined = task
        .await
        .map_err(|e| Failure::new(Code::Defect, "reading panicked").because(e));
    let summary = joined.and_then(|result| result).map_err(at_table)?;
    if summary.rows == 0 {
        prove_empty(connections, &request).await.map_err(at_table)?;
    }
    Ok(summary)
}

fn moved() -> Failure {
    Failure::new(
        Code::RowsUnproven,
        "the table changed while its large rows were read, and its engine has no snapshots",
    )
}

pub(super) fn stopped() -> Failure {
    Failure::new(Code::Interrupted, "the read was stopped")
}

/// Asks on a connection that was never used: an answer that belonged to another statement would look empty as well.
async fn prove_empty(connections: &Arc<Connections>, request: &ReadRequest<'_>) -> Result<()> {
    let mut look = Statement::new(format!("SELECT EXISTS(SELECT 1 FROM {}", from(request.relation)));
    let condition = matching(request.range, request.filter)?;
    look.push(&condition.text);
    look.push(")");
    look.parameters = condition.parameters;
    let mut lease = connections.fresh().await?;
    let rows = lease.rows(&look, "cannot prove that the range is empty").await?;
    lease.release();
    match rows
        .first()
        .map(|row| cell::text(row, 0))
        .transpose()?
        .flatten()
        .as_deref()
    {
        Some("0") => Ok(()),
        _ => Err(Failure::new(
            Code::RowsUnproven,
            "the range answered with no rows, and a second look found some",
        )),
    }
}

/// All that the task needs, owned by it.
struct Reader {
    table: TableName,
    relation: Relation,
    filter: Option<String>,
    columns: Vec<ColumnMapping>,
    schema: SchemaRef,
    rows: Selected,
    /// The rows whose long values the guard of the others keeps back.
    large: Option<Selected>,
    limits: ReadLimits,
    cancel: CancellationToken,
}

/// A statement, and where things stand in its rows.
struct Selected {
    statement: Statement,
    key: Vec<KeyCell>,
    guard: Option<Guard>,
}

/// What the guard kept back.
#[derive(Default)]
struct LeftOut {
    rows: u64,
    /// Bytes of the largest row.
    largest: usize,
}

/// What a row of the first statement is.
enum Size {
    Bytes(usize),
    LeftOut(usize),
}

impl Selected {
    fn new(request: &ReadRequest<'_>, most: usize, further: Option<&str>) -> Result<Self> {
        let list = SelectList::new(request.columns, request.row_key, most)?;
        let mut statement = Statement::new(format!("SELECT {MARK} {} FROM {}", list.text, from(request.relation)));
        let condition = matching(request.range, request.filter)?;
        let joined = if condition.text.is_empty() { "WHERE" } else { "AND" };
        statement.push(&condition.text);
        statement.parameters = condition.parameters;
        if let Some(further) = further {
            statement.push(&format!(" {joined} {further}"));
        }
        Ok(Self {
            statement,
            key: list.key,
            guard: list.guard,
        })
    }

    /// The row by its key's values, or by its position in this read where there is no key.
    fn row_name(&self, row: &MySqlRow, position: u64) -> String {
        let parts = self.key.iter().map(|key| {
            let value = cell::raw(row, key.index).map_or_else(|| "NULL".to_owned(), |raw| printed(&key.wire, raw));
            format!("{}={value}", key.name)
        });
        let parts: Vec<_> = parts.collect();
        if parts.is_empty() {
            format!("{} of the read", position + 1)
        } else {
            parts.join(", ")
        }
    }
}

impl Reader {
    fn new(request: &ReadRequest<'_>) -> Result<Self> {
        let row_bytes = request.limits.row_bytes / (OTHER_COPIES + 1) * OTHER_COPIES;
        let alone_bytes = request.limits.alone_bytes.min(row_bytes);
        let rows = Selected::new(request, alone_bytes, None)?;
        let large = match &rows.guard {
            Some(guard) => {
                let is_large = format!("{0} > {alone_bytes} AND {0} <= {row_bytes}", guard.total);
                Some(Selected::new(request, row_bytes, Some(&is_large))?)
            }
            None => None,
        };
        let fields: Vec<_> = request.columns.iter().map(ColumnMapping::field).collect();
        Ok(Self {
            table: request.table.clone(),
            relation: request.relation.clone(),
            filter: request.filter.map(str::to_owned),
            columns: request.columns.to_vec(),
            schema: Arc::new(Schema::new(fields)),
            rows,
            large,
            limits: ReadLimits {
                alone_bytes,
                row_bytes,
                ..request.limits
            },
            cancel: request.cancel.clone(),
        })
    }

    /// Reads to the clean end and gives the connection back; on any other way out the connection is closed.
    async fn run(
        self,
        mut lease: Lease,
        batches: mpsc::Sender<Sent>,
        mut acknowledged: mpsc::Receiver<()>,
    ) -> Result<ReadSummary> {
        let exists = schema::check_declared(&mut lease, &self.relation, &self.columns).await?;
        if let Some(filter) = &self.filter {
            // One like `a) OR (b` would leave its brackets, and with them the range; alone it is no condition.
            let alone = Statement::new(format!("SELECT 1 FROM {} WHERE\n{filter}\n", from(&self.relation)));
            let prepared = lease.prepare(&alone, "the server does not accept the filter").await;
            prepared.map_err(|failure| match failure.code {
                // What the table does not have is the filter's fault.
                Code::SourceObjectMissing if exists => Failure {
                    code: Code::SourceQueryInvalid,
                    ..failure
                },
                _ => failure,
            })?;
        }
        let in_snapshot = self.large.is_some();
        if in_snapshot {
            // Both statements are to see one state.
            lease
                .run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                .await?;
        }
        let mut pending = self.pending()?;
        let mut summary = ReadSummary::default();
        let left_out = self
            .read_rows(&mut lease, &mut pending, &mut summary, (&batches, &mut acknowledged))
            .await?;
        if pending.rows > 0 {
            self.flush(&mut pending, &batches, &mut acknowledged).await?;
        }
        if let Some(large) = self.large.as_ref().filter(|_| left_out.rows > 0) {
            self.read_large(
                large,
                &left_out,
                &mut lease,
                &mut summary,
                (&batches, &mut acknowledged),
            )
            .await?;
        }
        if in_snapshot {
            lease.run("COMMIT").await?;
        }
        match summary.rows {
            // The proof needs a connection of its own, and there may be no more than one.
            0 => lease.close().await,
            _ => lease.release(),
        }
        Ok(summary)
    }

    /// Reads all rows but the large ones.
    async fn read_rows(
        &self,
        lease: &mut Lease,
        pending: &mut Pending,
        summary: &mut ReadSummary,
        (batches, acknowledged): (&mpsc::Sender<Sent>, &mut mpsc::Receiver<()>),
    ) -> Result<LeftOut> {
        let prepared = lease.prepare(&self.rows.statement, "cannot read the rows").await?;
        schema::check_types(sqlx::Statement::columns(&prepared), &self.columns)?;
        let mut left_out = LeftOut::default();
        let mut rows = self.rows.statement.query()?.fetch(lease.connection());
        let failed = |e: sqlx::Error| failure(&e, During::Statement, "reading the rows failed");
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            if summary.rows == 0 {
                // The definition may have changed between the two.
                schema::check_types(row.columns(), &self.columns)?;
            }
            if summary.rows.is_multiple_of(ROWS_BETWEEN_CHECKS) && self.cancel.is_cancelled() {
                return Err(stopped());
            }
            // Rows whose types keep them small need no look before they are decoded.
            if self.rows.guard.is_some() {
                let size = match self.size(&self.rows, &row, pending, summary.rows)? {
                    Size::Bytes(size) => size,
                    Size::LeftOut(bytes) => {
                        left_out.rows += 1;
                        left_out.largest = left_out.largest.max(bytes);
                        continue;
                    }
                };
                if pending.rows > 0 && pending.bytes + size > self.limits.record_batch_bytes {
                    self.flush(pending, batches, acknowledged).await?;
                }
            }
            let received = self.decode(&self.rows, &row, pending, summary.rows)?;
            summary.bytes += received;
            pending.received += received;
            if pending.received >= RECEIVED_AT_ONCE {
                pending.tell(batches).await?;
            }
            summary.rows += 1;
            if pending.bytes >= self.limits.record_batch_bytes || pending.rows >= self.limits.record_batch_rows {
                self.flush(pending, batches, acknowledged).await?;
            }
        }
        Ok(left_out)
    }

    /// Reads the large rows one by one. Which comes next is not known, so each is admitted as the largest.
    async fn read_large(
        &self,
        large: &Selected,
        left_out: &LeftOut,
        lease: &mut Lease,
        summary: &mut ReadSummary,
        (batches, acknowledged): (&mpsc::Sender<Sent>, &mut mpsc::Receiver<()>),
    ) -> Result<()> {
        let failed = |e: sqlx::Error| failure(&e, During::Statement, "reading the large rows failed");
        let bytes = left_out.largest + left_out.largest / OTHER_COPIES;
        let mut pending = self.pending()?;
        // The statement is sent when the first row is asked for.
        let mut rows = large.statement.query()?.fetch(lease.connection());
        for _ in 0..left_out.rows {
            batches.send(Sent::Large(bytes)).await.map_err(|_| stopped())?;
            acknowledged.recv().await.ok_or_else(stopped)?;
            if self.cancel.is_cancelled() {
                return Err(stopped());
            }
            let Some(row) = rows.try_next().await.map_err(failed)? else {
                return Err(moved());
            };
            if let Size::LeftOut(bytes) = self.size(large, &row, &pending, summary.rows)? {
                return Err(self.too_large(large, &row, 0, bytes as u64, summary.rows));
            }
            pending.received = self.decode(large, &row, &mut pending, summary.rows)?;
            summary.bytes += pending.received;
            summary.rows += 1;
            drop(row);
            self.flush(&mut pending, batches, acknowledged).await?;
        }
        // The clean end of the answer.
        match rows.try_next().await.map_err(failed)? {
            Some(_) => Err(moved()),
            None => Ok(()),
        }
    }

    fn pending(&self) -> Result<Pending> {
        let decoders = self
            .columns
            .iter()
            .map(ColumnDecoder::new)
            .collect::<Result<Vec<_>>>()?;
        let fixed_bytes = decoders.iter().map(ColumnDecoder::fixed_bytes).sum();
        let variable = decoders
            .iter()
            .enumerate()
            .filter(|(_, d)| d.is_variable())
            .map(|(i, _)| i)
            .collect();
        Ok(Pending {
            decoders,
            rows: 0,
            bytes: 0,
            received: 0,
            fixed_bytes,
            variable,
        })
    }

    /// Pushes the rows and waits until they are taken, so that a read never holds more than one record batch.
    async fn flush(
        &self,
        pending: &mut Pending,
        batches: &mpsc::Sender<Sent>,
        acknowledged: &mut mpsc::Receiver<()>,
    ) -> Result<()> {
        let arrays = pending.decoders.iter_mut().map(ColumnDecoder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(pending.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        let batch = batch.map_err(|e| Failure::new(Code::Defect, "the columns make no record batch").because(e))?;
        pending.rows = 0;
        pending.bytes = 0;
        pending.tell(batches).await?;
        batches.send(Sent::Rows(batch)).await.map_err(|_| stopped())?;
        acknowledged.recv().await.ok_or_else(stopped)
    }

    /// Decodes a row's cells and counts its bytes on the wire: with a byte of length each, and the packet's header.
    fn decode(&self, selected: &Selected, row: &MySqlRow, pending: &mut Pending, position: u64) -> Result<u64> {
        let (mut bytes, mut variable_bytes) = (0, 0);
        for (i, decoder) in pending.decoders.iter_mut().enumerate() {
            let raw = cell::raw(row, i);
            let length = raw.map_or(0, <[u8]>::len);
            bytes += length;
            if decoder.is_variable() {
                variable_bytes += length;
            }
            decoder
                .push(raw)
                .map_err(|refusal| self.refused(selected, row, i, position, refusal))?;
        }
        let in_arrays = pending.fixed_bytes + variable_bytes;
        if in_arrays > self.limits.row_bytes {
            self.size(selected, row, pending, position)?;
        }
        pending.rows += 1;
        pending.bytes += in_arrays;
        Ok((5 + pending.decoders.len() + bytes) as u64)
    }

    /// Bytes that the row takes in arrays, unless its long values were kept back. A row that is too large is refused,
    /// here or by the guard before it was sent.
    fn size(&self, selected: &Selected, row: &MySqlRow, pending: &Pending, position: u64) -> Result<Size> {
        if let Some(guard) = &selected.guard
            && let Some(lengths) = cell::text(row, guard.index)?
        {
            let lengths: Vec<u64> = lengths.split(',').map(|l| l.parse().unwrap_or(0)).collect();
            let total: u64 = lengths.iter().sum();
            if total <= self.limits.row_bytes as u64 {
                return Ok(Size::LeftOut(usize::try_from(total).unwrap_or(usize::MAX)));
            }
            let largest = guard.columns.iter().zip(lengths).max_by_key(|(_, length)| *length);
            let (column, length) = largest.map_or((0, 0), |(column, length)| (*column, length));
            return Err(self.too_large(selected, row, column, length, position));
        }
        let mut bytes = pending.fixed_bytes;
        let mut largest = (0, 0);
        for i in &pending.variable {
            let length = cell::raw(row, *i).map_or(0, <[u8]>::len);
            bytes += length;
            largest = largest.max((length, *i));
        }
        if bytes > self.limits.row_bytes {
            return Err(self.too_large(selected, row, largest.1, largest.0 as u64, position));
        }
        Ok(Size::Bytes(bytes))
    }

    fn too_large(&self, selected: &Selected, row: &MySqlRow, column: usize, length: u64, position: u64) -> Failure {
        let limit = self.limits.row_bytes;
        let reason = format!("the value has {length} bytes, and a row may have {limit} in memory");
        self.refused(
            selected,
            row,
            column,
            position,
            Refusal {
                code: Code::ValueTooLarge,
                reason,
            },
        )
    }

    fn refused(&self, selected: &Selected, row: &MySqlRow, column: usize, position: u64, refusal: Refusal) -> Failure {
        let name = &self.columns[column].name;
        let row = selected.row_name(row, position);
        let message = format!("`{}`, column `{name}`, row {row}: {}", self.table, refusal.reason);
        Failure::new(refusal.code, message)
            .table(&self.table)
            .column(name)
            .row(row)
    }
}
