//! The pipeline of one batch: the source pushes record batches, a thread encodes them, the uploader takes the bytes.
//!
//! Three bounded stages side by side. Each holds at most its part of the worker's share of the memory budget. A row that
//! is too large for that passes them alone: it is admitted when the stages are empty and its bytes are reserved.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_encoding::{Aggregator, ChunkEncoder, EncoderSettings, ROW_COPIES};
use sqlextract_model::{
    AttemptId, BatchMessage, ChunkRecord, Code, ColumnAggregate, Failure, Range, ReadLoad, Result, TablePlan,
};
use sqlextract_runtime::{ProgressSink, RateLimiter, Reservation, Share, crash_point};
use sqlextract_source::{ReadLimits, ReadRequest, ReadSummary, RowSink};
use sqlextract_storage::JobRecords;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::Extractor;
use crate::encode::{Encode, Fed};
use crate::upload::{ChunkNames, Uploader};

/// What an attempt has put into storage.
#[derive(Debug)]
pub(crate) struct Extracted {
    pub(crate) rows: u64,
    pub(crate) load: ReadLoad,
    pub(crate) chunks: Vec<ChunkRecord>,
    pub(crate) columns: Vec<ColumnAggregate>,
}

/// How an attempt at reading has ended.
#[derive(Debug)]
pub(crate) enum Reading {
    Whole(Extracted),
    /// Rows came for as long as a batch may take, and were not all.
    TooLong(Failure),
}

/// How a worker's share of the budget is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// One record batch; three are in flight: being built, waiting, being encoded.
    pub(crate) record_batch: usize,
    pub(crate) encoder: usize,
    /// What stays taken while a row passes alone: by uploads, by pieces on their way.
    pub(crate) beside_row: usize,
    /// The largest row that can pass.
    pub(crate) row: usize,
}

const MIB: usize = 1 << 20;
/// What an encoder insists on. A share that is smaller than that and its uploads takes it from the undivided half.
const LEAST_ENCODER: usize = 4 * MIB;

/// A worker's share, or more through the oversize lane where the table is so wide that its open column writers alone
/// would fill the share and leave row groups of a few rows.
fn wanted_bytes(share: &Share, columns: usize) -> u64 {
    let wide = 2 * columns as u64 * COLUMN_BYTES;
    wide.clamp(share.guaranteed(), share.most().max(share.guaranteed()))
}

fn shares(reserved: u64, most: u64, upload: usize) -> Shares {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let rest = bytes(reserved).saturating_sub(upload);
    let beside_row = upload + BESIDE_ROW;
    Shares {
        record_batch: (rest / 8).clamp(64 << 10, 8 * MIB),
        // What the three record batches leave.
        encoder: (rest / 8 * 5).max(LEAST_ENCODER),
        beside_row,
        row: bytes(most).saturating_sub(beside_row) / ROW_COPIES,
    }
}

/// What an open column needs so that its row groups are worth their metadata.
const COLUMN_BYTES: u64 = 96 << 10;
/// Pieces of a row that passes alone: in the connection's buffers and in a compressor's.
const BESIDE_ROW: usize = 2 * MIB;

/// Counts a batch that is worked at.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A share that goes back when the batch has ended.
struct TakenShare<'a> {
    share: Share,
    home: &'a std::sync::Mutex<Vec<Share>>,
}

impl Drop for TakenShare<'_> {
    fn drop(&mut self) {
        self.home
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.share.clone());
    }
}

impl Extractor {
    pub(crate) async fn extract(
        &self,
        records: &JobRecords,
        message: &BatchMessage,
        plan: &TablePlan,
        (range, attempt): (&Range, AttemptId),
        stop: &CancellationToken,
    ) -> Result<Reading> {
        // A long batch has a worker of its own: it would keep others out for hours.
        let _pass = match message.long {
            true => None,
            false => Some(self.gate.enter().await),
        };
        let _connection = self.limiter.connection().await;
        let _counted = Counted::begin(&self.working);
        let share = self.take_share()?;
        let wanted = wanted_bytes(&share.share, plan.columns.len());
        let reservation = share.share.reserve(wanted).await?;
        let shares = shares(wanted, share.share.most(), self.settings.upload_bytes);
        self.limiter.admit_query().await;
        self.progress.batch_started(&message.job, &message.table);

        let (feed, fed) = mpsc::channel(1);
        let (encoded_out, encoded) = mpsc::channel(2);
        let encoding = Encode {
            encoder: self.encoder(plan, shares)?,
            aggregator: Aggregator::new(&plan.columns),
        };
        let mut sink = Sink {
            feed,
            wait: !self.settings.parallel_write,
            share: &share.share,
            reservation,
            beside_row: shares.beside_row,
            admitted: None,
            limiter: &self.limiter,
            job_limiter: self.job_limits.of(message),
            progress: self.progress.as_ref(),
            message,
            rows: 0,
        };
        let mut uploader = Uploader::new(records, chunk_names(message, plan, attempt));
        let done = tokio::time::timeout(self.deadline(message), async {
            // Beside the source's first answers.
            let preparing = async {
                let (table, of) = (&message.segment, message.generation);
                records.prepare_commit(table, of, message.batch).await;
                Ok(())
            };
            tokio::try_join!(
                self.read(message, plan, range, shares, (&mut sink, stop)),
                encoding.run(&self.settings.encoding, fed, encoded_out),
                uploader.run(encoded),
                preparing
            )
        });
        let failure = match done.await {
            Ok(Ok((summary, columns, (), ()))) => {
                return Ok(Reading::Whole(Extracted {
                    rows: summary.rows,
                    load: summary.load,
                    chunks: uploader.finished,
                    columns,
                }));
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => {
                let (batch, seconds) = (message.batch.0, self.deadline(message).as_secs());
                let text = format!("batch {batch} took longer than {seconds} s");
                let failure = Failure::new(Code::SourceTimeout, text);
                // Where nothing came, less would come no faster.
                if sink.rows > 0 { Ok(failure) } else { Err(failure) }
            }
        };
        if let Err(left) = uploader.discard().await {
            tracing::warn!(job.id = %message.job, error = %left, "chunks of a failed attempt stay until the job is finished");
        }
        failure.map(Reading::TooLong)
    }

    fn take_share(&self) -> Result<TakenShare<'_>> {
        let share = self.shares.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let share = share.ok_or_else(|| {
            Failure::new(
                Code::Defect,
                "more batches are worked at than there are shares of memory",
            )
        })?;
        Ok(TakenShare {
            share,
            home: &self.shares,
        })
    }

    async fn read(
        &self,
        message: &BatchMessage,
        plan: &TablePlan,
        range: &Range,
        shares: Shares,
        (sink, stop): (&mut Sink<'_>, &CancellationToken),
    ) -> Result<ReadSummary> {
        let source = self.ports.source(&self.source)?;
        let request = ReadRequest {
            table: &plan.table,
            relation: &plan.relation,
            filter: plan.filter.as_deref(),
            columns: &plan.columns,
            row_key: &plan.row_key,
            range,
            snapshot: message.snapshot.as_ref(),
            limits: ReadLimits {
                record_batch_bytes: shares.record_batch,
                record_batch_rows: 64 << 10,
                // One more such row than a batch should have is what three batches in flight can bear.
                alone_bytes: shares.record_batch,
                row_bytes: shares.row,
            },
            cancel: stop,
        };
        let summary = source.read(request, sink).await?;
        sink.end().await;
        Ok(summary)
    }

    fn encoder(&self, plan: &TablePlan, shares: Shares) -> Result<ChunkEncoder> {
        ChunkEncoder::new(EncoderSettings {
            format: plan.format,
            columns: plan.columns.clone(),
            chunk_bytes: plan.chunk_bytes,
            memory_bytes: shares.encoder,
            created_by: self.settings.created_by.clone(),
        })
    }
}

fn chunk_names(message: &BatchMessage, plan: &TablePlan, attempt: AttemptId) -> ChunkNames {
    ChunkNames {
        job: message.job.clone(),
        table: message.segment.clone(),
        generation: message.generation,
        batch: message.batch,
        attempt,
        extension: plan.format.extension(),
    }
}

struct Sink<'a> {
    feed: mpsc::Sender<Fed>,
    wait: bool,
    share: &'a Share,
    reservation: Reservation,
    beside_row: usize,
    /// Bytes that were reserved for the row that comes next, alone.
    admitted: Option<u64>,
    limiter: &'a RateLimiter,
    job_limiter: Option<RateLimiter>,
    progress: &'a dyn ProgressSink,
    message: &'a BatchMessage,
    rows: u64,
}

impl Sink<'_> {
    /// Waits as the limits of the request and of the source say.
    async fn keep_limits(&self, rows: u64, bytes: u64) {
        for limiter in self.job_limiter.iter().chain([self.limiter]) {
            limiter.admit(rows, bytes).await;
        }
    }

    async fn end(&mut self) {
        self.send(Fed::End).await;
    }

    async fn send(&mut self, fed: Fed) {
        if self.feed.send(fed).await.is_err() {
            // The encoder has failed; its error ends the attempt, not this end of the channel.
            std::future::pending::<()>().await;
        }
    }

    /// Sends, and waits for the word that it was worked off.
    async fn send_and_wait(&mut self, fed: impl FnOnce(oneshot::Sender<()>) -> Fed) {
        let (done, waited) = oneshot::channel();
        self.send(fed(done)).await;
        if waited.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl RowSink for Sink<'_> {
    async fn received(&mut self, bytes: u64) -> Result<()> {
        self.keep_limits(0, bytes).await;
        Ok(())
    }

    async fn push(&mut self, rows: RecordBatch) -> Result<()> {
        crash_point("while_reading");
        let (count, bytes) = (rows.num_rows() as u64, rows.get_array_memory_size() as u64);
        self.keep_limits(count, 0).await;
        self.rows += count;
        self.progress
            .rows_read(&self.message.job, &self.message.table, count, bytes);
        if let Some(reserved) = self.admitted.take() {
            self.send_and_wait(|done| Fed::Alone { row: rows, done }).await;
            self.reservation.shrink(reserved);
        } else if self.wait {
            let rows = |done| Fed::Rows { rows, done: Some(done) };
            self.send_and_wait(rows).await;
        } else {
            self.send(Fed::Rows { rows, done: None }).await;
        }
        Ok(())
    }

    /// Empties the stages, so that what was reserved for the batch is free for the row, and reserves what it needs
    /// beyond that.
    async fn admit(&mut self, bytes: usize) -> Result<()> {
        self.send_and_wait(|done| Fed::Drain { done }).await;
        let needed = (bytes.saturating_mul(ROW_COPIES)).saturating_add(self.beside_row) as u64;
        let missing = needed.saturating_sub(self.reservation.bytes());
        if missing > 0 {
            self.share.grow(&mut self.reservation, missing).await?;
        }
        self.admitted = Some(missing);
        Ok(())
    }
}
