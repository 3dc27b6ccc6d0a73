//! The uploading end of the pipeline: encoded bytes become chunks in storage.

use sqlextract_encoding::Output;
use sqlextract_model::{AttemptId, BatchIndex, ChunkRecord, Generation, JobId, ObjectKey, Result, TableSegment};
use sqlextract_runtime::crash_point;
use sqlextract_storage::JobRecords;
use tokio::sync::{mpsc, oneshot};

/// Names the chunks of one attempt.
#[derive(Debug, Clone)]
pub(crate) struct ChunkNames {
    pub(crate) job: JobId,
    pub(crate) table: TableSegment,
    pub(crate) generation: Generation,
    pub(crate) batch: BatchIndex,
    pub(crate) attempt: AttemptId,
    pub(crate) extension: &'static str,
}

impl ChunkNames {
    pub(crate) fn key(&self, part: usize) -> ObjectKey {
        ObjectKey::Chunk {
            job: self.job.clone(),
            table: self.table.clone(),
            generation: self.generation,
            batch: self.batch,
            attempt: self.attempt,
            part: u32::try_from(part).unwrap_or(u32::MAX),
            extension: self.extension,
        }
    }
}

/// What reaches the uploader.
#[derive(Debug)]
pub(crate) enum Encoded {
    Output(Output),
    /// Said when all that came before has left memory, but for what an upload may hold.
    Drained(oneshot::Sender<()>),
}

/// Uploads one chunk after the other. `finished` survives a failure, so that the caller can delete what an attempt
/// that failed has left.
#[derive(Debug)]
pub(crate) struct Uploader<'a> {
    records: &'a JobRecords,
    names: ChunkNames,
    pub(crate) finished: Vec<ChunkRecord>,
}

impl<'a> Uploader<'a> {
    pub(crate) fn new(records: &'a JobRecords, names: ChunkNames) -> Self {
        Self {
            records,
            names,
            finished: Vec::new(),
        }
    }

    /// Runs until the encoder has closed its side.
    pub(crate) async fn run(&mut self, mut encoded: mpsc::Receiver<Encoded>) -> Result<()> {
        // Begun before the first bytes are there, since beginning takes a while.
        let mut upload = Some(self.records.upload_chunk(&self.names.key(0)).await?);
        while let Some(encoded) = encoded.recv().await {
            let output = match encoded {
                Encoded::Output(output) => output,
                Encoded::Drained(done) => {
                    // The reader may be gone; its own error tells why.
                    let _ = done.send(());
                    continue;
                }
            };
            let mut current = match upload.take() {
                Some(current) => current,
                None => self.records.upload_chunk(&self.names.key(self.finished.len())).await?,
            };
            match output {
                Output::Bytes(bytes) => {
                    current.write(bytes).await?;
                    upload = Some(current);
                }
                Output::End(end) => {
                    crash_point("before_chunk_end");
                    let uploaded = current.finish().await?;
                    self.finished.push(ChunkRecord {
                        key: self.names.key(self.finished.len()).relative(),
                        bytes: uploaded.bytes,
                        rows: end.rows,
                        crc32c: format!("{:08x}", uploaded.crc32c),
                        sha256: uploaded.sha256,
                        end_of_copy_line: end.end_of_copy_line,
                    });
                }
            }
        }
        match upload {
            // The encoder stopped in the middle of a chunk: its own error tells why.
            Some(open) => open.abort().await,
            None => Ok(()),
        }
    }

    pub(crate) async fn discard(&self) -> Result<()> {
        let keys: Vec<ObjectKey> = (0..self.finished.len()).map(|part| self.names.key(part)).collect();
        self.records.delete_chunks(&keys).await
    }
}
