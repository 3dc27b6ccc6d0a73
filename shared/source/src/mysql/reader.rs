//! The task that reads and decodes the rows of one range.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use sqlextract_model::{Code, ColumnMapping, Failure, Relation, Result, TableName};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::Lease;
use super::decode::ColumnDecoder;
use super::errors::{DatabaseError, During, failure};
use super::pending::{Pending, Sent};
use super::read::{moved, stopped};
use super::schema;
use super::selected::Selected;
use super::sizes::Size;
use super::sql::{Statement, from};
use super::wire::{self, Strip};
use crate::{RECEIVED_AT_ONCE, ReadLimits, ReadRequest, ReadSummary, milliseconds};

/// Copies of a large row beside its packet, by which its admission is larger than the row.
const OTHER_COPIES: usize = 3;
/// A row whose types keep it small has at most half of this.
const SMALL_ROW_BYTES: usize = 128 << 10;

/// All that the task needs, owned by it.
pub(super) struct Reader {
    pub(super) table: TableName,
    relation: Relation,
    filter: Option<String>,
    pub(super) columns: Vec<ColumnMapping>,
    schema: SchemaRef,
    pub(super) rows: Selected,
    /// The rows whose long values the guard of the others keeps back.
    large: Option<Selected>,
    pub(super) limits: ReadLimits,
    cancel: CancellationToken,
}

/// What the guard kept back.
#[derive(Default)]
struct LeftOut {
    rows: u64,
    /// Bytes of the largest row.
    largest: usize,
}

impl Reader {
    pub(super) fn new(request: &ReadRequest<'_>) -> Result<Self> {
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
    pub(super) async fn run(
        self,
        mut lease: Lease<wire::Connection>,
        batches: mpsc::Sender<Sent>,
        mut acknowledged: mpsc::Receiver<()>,
    ) -> Result<ReadSummary> {
        let exists = schema::check_declared(&mut lease, &self.relation, &self.columns).await?;
        if let Some(filter) = &self.filter {
            // One like `a) OR (b` would leave its brackets, and with them the range; alone it is no condition.
            let alone = Statement::new(format!("SELECT 1 FROM {} WHERE\n{filter}\n", from(&self.relation)));
            let prepared = lease.prepare(&alone, "the server does not accept the filter").await;
            let prepared = prepared.map_err(|failure| match failure.code {
                // What the table does not have is the filter's fault.
                Code::SourceObjectMissing if exists => Failure {
                    code: Code::SourceQueryInvalid,
                    ..failure
                },
                _ => failure,
            })?;
            lease.forget(prepared).await?;
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
        let began = Instant::now();
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
        summary.load.transaction_ms = milliseconds(began.elapsed());
        summary.load.connections = Some(lease.open_now());
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
        lease: &mut Lease<wire::Connection>,
        pending: &mut Pending,
        summary: &mut ReadSummary,
        (batches, acknowledged): (&mpsc::Sender<Sent>, &mut mpsc::Receiver<()>),
    ) -> Result<LeftOut> {
        let statement = &self.rows.statement;
        let prepared = lease.prepare(statement, "cannot read the rows").await?;
        schema::check_types(&prepared.columns, &self.columns)?;
        let mut left_out = LeftOut::default();
        let failed = |e: DatabaseError| failure(e, During::Statement, "reading the rows failed");
        let began = Instant::now();
        let rows = lease.connection().execute(&prepared, &statement.parameters).await;
        let mut rows = rows.map_err(failed)?;
        // The definition may have changed between the two.
        schema::check_types(&rows.columns, &self.columns)?;
        loop {
            if self.cancel.is_cancelled() {
                return Err(stopped());
            }
            let most_rows = self.limits.record_batch_rows.saturating_sub(pending.rows);
            let most_bytes = self.limits.record_batch_bytes.saturating_sub(pending.bytes);
            let strip = rows.next(most_rows, most_bytes).await.map_err(failed)?;
            if strip.rows() == 0 {
                break;
            }
            // Rows whose types keep them small need no look before they are decoded.
            match self.rows.guard.is_some() || self.limits.row_bytes < SMALL_ROW_BYTES {
                true => {
                    self.decode_each(&strip, pending, summary, &mut left_out, (batches, acknowledged))
                        .await?;
                }
                false => self.decode_strip(&strip, pending, summary)?,
            }
            summary.load.wire_bytes += strip.wire_bytes();
            pending.received += strip.wire_bytes();
            if pending.received >= RECEIVED_AT_ONCE {
                pending.tell(batches).await?;
            }
            if pending.bytes >= self.limits.record_batch_bytes || pending.rows >= self.limits.record_batch_rows {
                self.flush(pending, batches, acknowledged).await?;
            }
        }
        summary.load.statement_ms = milliseconds(began.elapsed());
        lease.forget(prepared).await?;
        Ok(left_out)
    }

    /// Decodes rows one by one. Those that are left out are not among the pending ones.
    async fn decode_each(
        &self,
        strip: &Strip<'_>,
        pending: &mut Pending,
        summary: &mut ReadSummary,
        left_out: &mut LeftOut,
        (batches, acknowledged): (&mpsc::Sender<Sent>, &mut mpsc::Receiver<()>),
    ) -> Result<()> {
        for i in 0..strip.rows() {
            let row = strip.row(i);
            match self.size(&self.rows, &row, pending, summary.rows)? {
                Size::LeftOut(bytes) => {
                    left_out.rows += 1;
                    left_out.largest = left_out.largest.max(bytes);
                    continue;
                }
                Size::Bytes(size) if pending.rows > 0 && pending.bytes + size > self.limits.record_batch_bytes => {
                    self.flush(pending, batches, acknowledged).await?;
                }
                Size::Bytes(_) => {}
            }
            self.decode(&self.rows, &row, pending, summary.rows)?;
            summary.rows += 1;
        }
        Ok(())
    }

    /// Reads the large rows one by one. Which comes next is not known, so each is admitted as the largest.
    async fn read_large(
        &self,
        large: &Selected,
        left_out: &LeftOut,
        lease: &mut Lease<wire::Connection>,
        summary: &mut ReadSummary,
        (batches, acknowledged): (&mpsc::Sender<Sent>, &mut mpsc::Receiver<()>),
    ) -> Result<()> {
        let failed = |e: DatabaseError| failure(e, During::Statement, "reading the large rows failed");
        let bytes = left_out.largest + left_out.largest / OTHER_COPIES;
        let mut pending = self.pending()?;
        let prepared = lease.prepare(&large.statement, "cannot read the large rows").await?;
        send_and_wait(Sent::Large(bytes), batches, acknowledged).await?;
        let began = Instant::now();
        let rows = lease.connection().execute(&prepared, &large.statement.parameters).await;
        let mut rows = rows.map_err(failed)?;
        for nth in 0..left_out.rows {
            if nth > 0 {
                send_and_wait(Sent::Large(bytes), batches, acknowledged).await?;
            }
            if self.cancel.is_cancelled() {
                return Err(stopped());
            }
            let strip = rows.next(1, 0).await.map_err(failed)?;
            if strip.rows() == 0 {
                return Err(moved());
            }
            let row = strip.row(0);
            if let Size::LeftOut(bytes) = self.size(large, &row, &pending, summary.rows)? {
                return Err(self.too_large(large, &row, 0, bytes as u64, summary.rows));
            }
            self.decode(large, &row, &mut pending, summary.rows)?;
            pending.received = strip.wire_bytes();
            summary.load.wire_bytes += pending.received;
            summary.rows += 1;
            self.flush(&mut pending, batches, acknowledged).await?;
        }
        // The clean end of the answer.
        let after = rows.next(1, 0).await.map_err(failed)?.rows();
        summary.load.statement_ms = summary.load.statement_ms.max(milliseconds(began.elapsed()));
        match after {
            0 => lease.forget(prepared).await,
            _ => Err(moved()),
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
        send_and_wait(Sent::Rows(batch), batches, acknowledged).await
    }
}

/// Sends, and waits for the word that it was taken.
async fn send_and_wait(sent: Sent, batches: &mpsc::Sender<Sent>, acknowledged: &mut mpsc::Receiver<()>) -> Result<()> {
    batches.send(sent).await.map_err(|_| stopped())?;
    acknowledged.recv().await.ok_or_else(stopped)
}
