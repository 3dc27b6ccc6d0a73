//! The pipeline of one batch: the source pushes record batches, a thread encodes them, the uploader takes the bytes.
//!
//! Three bounded stages side by side. Each holds at most its part of the worker's share of the memory budget.

use std::sync::PoisonError;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqlextract_encoding::{Aggregator, ChunkEncoder, EncoderSettings, Output};
use sqlextract_model::{
    AttemptId, Batch, BatchMessage, ChunkRecord, Code, ColumnAggregate, Failure, Result, TablePlan,
};
use sqlextract_runtime::{ProgressSink, RateLimiter, Share};
use sqlextract_source::{ReadLimits, ReadRequest, RowSink};
use sqlextract_storage::JobRecords;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::Extractor;
use crate::upload::{ChunkNames, Uploader};

/// What an attempt has put into storage.
#[derive(Debug)]
pub(crate) struct Extracted {
    pub(crate) rows: u64,
    pub(crate) chunks: Vec<ChunkRecord>,
    pub(crate) columns: Vec<ColumnAggregate>,
}

/// How a worker's share of the budget is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// One record batch; three are in flight: being built, waiting, being encoded.
    pub(crate) record_batch: usize,
    pub(crate) encoder: usize,
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
    Shares {
        record_batch: (rest / 8).clamp(64 << 10, 8 * MIB),
        encoder: (rest / 2).max(LEAST_ENCODER),
        // A row passes through several hands: the connection's buffer, the builder, the encoder, the compressed page.
        row: bytes(most) / ROW_COPIES,
    }
}

/// What an open column needs so that its row groups are worth their metadata.
const COLUMN_BYTES: u64 = 96 << 10;
/// Copies of a row that exist at once at most, on its way from the connection to storage.
const ROW_COPIES: usize = 4;

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

/// What reaches the encoder.
enum Fed {
    /// With `done`, the reader waits until the record batch is encoded.
    Rows {
        rows: RecordBatch,
        done: Option<oneshot::Sender<()>>,
    },
    /// The last row is in. A channel that closes without it means that the reader failed.
    End,
}

impl Extractor {
    pub(crate) async fn extract(
        &self,
        records: &JobRecords,
        message: &BatchMessage,
        plan: &TablePlan,
        (batch, attempt): (&Batch, AttemptId),
        stop: &CancellationToken,
    ) -> Result<Extracted> {
        let _pass = self.gate.enter().await;
        let share = self.take_share()?;
        let wanted = wanted_bytes(&share.share, plan.columns.len());
        let _reservation = share.share.reserve(wanted).await?;
        let shares = shares(wanted, share.share.most(), self.settings.upload_bytes);
        self.limiter.admit_query().await;
        self.progress.batch_started(&message.job, &message.table);

        let (feed, fed) = mpsc::channel(1);
        let (encoded_out, encoded) = mpsc::channel(2);
        let encoder = self.encoder(plan, shares)?;
        let columns = plan.columns.clone();
        let encoding =
            tokio::task::spawn_blocking(move || encode(encoder, Aggregator::new(&columns), fed, encoded_out));
        let mut sink = Sink {
            feed,
            wait: !self.settings.parallel_write,
            limiter: &self.limiter,
            progress: self.progress.as_ref(),
            message,
        };
        let mut uploader = Uploader::new(records, chunk_names(message, plan, attempt));
        let done = tokio::time::timeout(self.settings.batch_deadline, async {
            tokio::try_join!(
                self.read(message, plan, batch, shares, (&mut sink, stop)),
                joined(encoding),
                uploader.run(encoded)
            )
        });
        let done = done.await.unwrap_or_else(|_| {
            let text = format!(
                "batch {} took longer than {} s",
                message.batch.0,
                self.settings.batch_deadline.as_secs()
            );
            Err(Failure::new(Code::SourceTimeout, text))
        });
        match done {
            Ok((rows, columns, ())) => Ok(Extracted {
                rows,
                chunks: uploader.finished,
                columns,
            }),
            Err(failure) => {
                if let Err(left) = uploader.discard().await {
                    tracing::warn!(job.id = %message.job, error = %left, "chunks of a failed attempt stay until the job is finished");
                }
                Err(failure)
            }
        }
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
        batch: &Batch,
        shares: Shares,
        (sink, stop): (&mut Sink<'_>, &CancellationToken),
    ) -> Result<u64> {
        let source = self.ports.source(&self.source)?;
        let request = ReadRequest {
            table: &plan.table,
            relation: &plan.relation,
            filter: plan.filter.as_deref(),
            columns: &plan.columns,
            row_key: &plan.row_key,
            range: &batch.range,
            snapshot: message.snapshot.as_ref(),
            limits: ReadLimits {
                record_batch_bytes: shares.record_batch,
                record_batch_rows: 64 << 10,
                row_bytes: shares.row,
            },
            cancel: stop,
        };
        let summary = source.read(request, sink).await?;
        sink.end().await;
        Ok(summary.rows)
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

/// Runs on a thread of its own until the reader has ended or failed.
fn encode(
    mut encoder: ChunkEncoder,
    mut aggregator: Aggregator,
    mut fed: mpsc::Receiver<Fed>,
    encoded: mpsc::Sender<Output>,
) -> Result<Vec<ColumnAggregate>> {
    let mut out = |output| encoded.blocking_send(output).map_err(|_| stopped());
    while let Some(next) = fed.blocking_recv() {
        match next {
            Fed::Rows { rows, done } => {
                aggregator.update(&rows)?;
                encoder.write(&rows, &mut out)?;
                if let Some(done) = done {
                    // The reader may be gone; its own error tells why.
                    let _ = done.send(());
                }
            }
            Fed::End => {
                encoder.finish(&mut out)?;
                return Ok(aggregator.finish());
            }
        }
    }
    Err(stopped())
}

/// Another stage has failed, and its error is the one that is told.
fn stopped() -> Failure {
    Failure::new(Code::Defect, "the pipeline stopped before its end")
}

async fn joined<T>(task: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    match task.await {
        Ok(Err(failure)) if failure == stopped() => std::future::pending().await,
        Ok(result) => result,
        Err(panic) => Err(Failure::new(Code::Defect, "encoding panicked").because(panic)),
    }
}

struct Sink<'a> {
    feed: mpsc::Sender<Fed>,
    wait: bool,
    limiter: &'a RateLimiter,
    progress: &'a dyn ProgressSink,
    message: &'a BatchMessage,
}

impl Sink<'_> {
    async fn end(&mut self) {
        self.send(Fed::End).await;
    }

    async fn send(&mut self, fed: Fed) {
        if self.feed.send(fed).await.is_err() {
            // The encoder has failed; its error ends the attempt, not this end of the channel.
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl RowSink for Sink<'_> {
    async fn push(&mut self, rows: RecordBatch) -> Result<()> {
        let (count, bytes) = (rows.num_rows() as u64, rows.get_array_memory_size() as u64);
        self.limiter.admit(count, bytes).await;
        self.progress
            .rows_read(&self.message.job, &self.message.table, count, bytes);
        let (done, waited) = if self.wait {
            oneshot::channel()
        } else {
            return self.pass(rows).await;
        };
        self.send(Fed::Rows { rows, done: Some(done) }).await;
        if waited.await.is_err() {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

impl Sink<'_> {
    async fn pass(&mut self, rows: RecordBatch) -> Result<()> {
        self.send(Fed::Rows { rows, done: None }).await;
        Ok(())
    }
}
