//! The encoding stage: record batches become chunks, on a thread or within the batch's task.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use sqlextract_encoding::{Aggregator, ChunkEncoder};
use sqlextract_model::{Code, ColumnAggregate, Failure, Result};
use tokio::sync::{mpsc, oneshot};

use crate::threads::EncodingThreads;
use crate::upload::Encoded;

/// Where encoding runs.
#[derive(Debug, Clone)]
pub enum Encoding {
    /// On a thread of its own, beside reading and uploading.
    Thread(Arc<EncodingThreads>),
    /// Within the batch's task, so that the same events always take the same course. What one record batch yields is
    /// held until the uploader has taken it.
    Task,
}

/// What reaches the encoder.
pub(crate) enum Fed {
    /// With `done`, the reader waits until the record batch is encoded.
    Rows {
        rows: RecordBatch,
        done: Option<oneshot::Sender<()>>,
    },
    /// What the encoder holds is to be encoded, and said when nothing of it is left.
    Drain { done: oneshot::Sender<()> },
    /// A large row, likewise.
    Alone {
        row: RecordBatch,
        done: oneshot::Sender<()>,
    },
    /// The last row is in. A channel that closes without it means that the reader failed.
    End,
}

pub(crate) struct Encode {
    pub(crate) encoder: ChunkEncoder,
    pub(crate) aggregator: Aggregator,
}

type Pass<'a> = dyn FnMut(Encoded) -> Result<()> + 'a;

impl Encode {
    /// Runs until the last row is in. Where another stage has failed it never ends: that error is the one to tell.
    pub(crate) async fn run(
        self,
        on: &Encoding,
        fed: mpsc::Receiver<Fed>,
        encoded: mpsc::Sender<Encoded>,
    ) -> Result<Vec<ColumnAggregate>> {
        let ended = match on {
            Encoding::Thread(threads) => threads.run(move || self.on_thread(fed, &encoded)).await,
            Encoding::Task => self.within_task(fed, encoded).await,
        };
        match ended {
            Err(failure) if failure == stopped() => std::future::pending().await,
            ended => ended,
        }
    }

    fn on_thread(
        mut self,
        mut fed: mpsc::Receiver<Fed>,
        encoded: &mpsc::Sender<Encoded>,
    ) -> Result<Vec<ColumnAggregate>> {
        let mut pass = |now| encoded.blocking_send(now).map_err(|_| stopped());
        while let Some(next) = fed.blocking_recv() {
            if matches!(next, Fed::End) {
                return self.end(&mut pass);
            }
            self.step(next, &mut pass)?;
        }
        Err(stopped())
    }

    async fn within_task(
        mut self,
        mut fed: mpsc::Receiver<Fed>,
        encoded: mpsc::Sender<Encoded>,
    ) -> Result<Vec<ColumnAggregate>> {
        while let Some(next) = fed.recv().await {
            let mut yielded = Vec::new();
            let mut pass = |now| {
                yielded.push(now);
                Ok(())
            };
            if matches!(next, Fed::End) {
                let aggregates = self.end(&mut pass)?;
                send_all(yielded, &encoded).await?;
                return Ok(aggregates);
            }
            self.step(next, &mut pass)?;
            send_all(yielded, &encoded).await?;
        }
        Err(stopped())
    }

    fn step(&mut self, next: Fed, pass: &mut Pass<'_>) -> Result<()> {
        match next {
            Fed::Rows { rows, done } => {
                self.aggregator.update(&rows)?;
                self.encoder.write(&rows, &mut |output| pass(Encoded::Output(output)))?;
                if let Some(done) = done {
                    // The reader may be gone; its own error tells why.
                    let _ = done.send(());
                }
            }
            Fed::Drain { done } => {
                self.encoder.flush(&mut |output| pass(Encoded::Output(output)))?;
                pass(Encoded::Drained(done))?;
            }
            Fed::Alone { row, done } => {
                self.aggregator.update(&row)?;
                self.encoder
                    .write_alone(row, &mut |output| pass(Encoded::Output(output)))?;
                pass(Encoded::Drained(done))?;
            }
            // It ends the stage: see `end`.
            Fed::End => {}
        }
        Ok(())
    }

    fn end(self, pass: &mut Pass<'_>) -> Result<Vec<ColumnAggregate>> {
        self.encoder.finish(&mut |output| pass(Encoded::Output(output)))?;
        Ok(self.aggregator.finish())
    }
}

async fn send_all(yielded: Vec<Encoded>, encoded: &mpsc::Sender<Encoded>) -> Result<()> {
    for now in yielded {
        encoded.send(now).await.map_err(|_| stopped())?;
    }
    Ok(())
}

/// Another stage has failed, and its error is the one that is told.
fn stopped() -> Failure {
    Failure::new(Code::Defect, "the pipeline stopped before its end")
}
