//! The commit: upload, commit record, checkpoint, publish. The order is the guarantee.

use sqlextract_checkpoint::Completion;
use sqlextract_model::{AttemptId, Batch, BatchMessage, CommitRecord, ObjectKey, Result, TablePlan, TickMessage};
use sqlextract_runtime::crash_point;
use sqlextract_storage::JobRecords;
use tokio_util::sync::CancellationToken;

use crate::Extractor;
use crate::batch::batch_id;

impl Extractor {
    /// Reads the batch into chunks and makes them count, unless another attempt was first. Answers with the record
    /// that counts, or with none where the job was cancelled meanwhile.
    pub(crate) async fn extract_and_commit(
        &self,
        records: &JobRecords,
        message: &BatchMessage,
        plan: &TablePlan,
        batch: &Batch,
        stop: &CancellationToken,
    ) -> Result<Option<CommitRecord>> {
        let attempt = AttemptId(self.ports.surroundings.random()?);
        let extracted = self.extract(records, message, plan, (batch, attempt), stop).await?;
        let record = CommitRecord {
            version: 1,
            job: message.job.clone(),
            table: message.table.clone(),
            generation: message.generation,
            epoch: message.epoch,
            batch: message.batch,
            attempt,
            plan_hash: message.plan_hash,
            rows: extracted.rows,
            chunks: extracted.chunks,
            columns: extracted.columns,
            load: Some(extracted.load),
        };
        let own: Vec<ObjectKey> = record.chunks.iter().filter_map(|c| full_key(message, &c.key)).collect();
        // The outcome of a cancelled job may be there already, and it names nothing that comes later.
        if records.cancelled().await? {
            records.delete_chunks(&own).await?;
            return Ok(None);
        }
        crash_point("before_commit_record");
        let stored = records.create_commit(&message.segment, &record).await?;
        crash_point("after_commit_record");
        if !stored.ours {
            tracing::info!(job.id = %message.job, batch.id = message.batch.0, "another attempt was first; its chunks count");
            records.delete_chunks(&own).await?;
        }
        Ok(Some(stored.record))
    }

    /// What follows a commit, whoever made it: a duplicate delivery repeats all of it and never cuts it short.
    pub(crate) async fn follow(&self, message: &BatchMessage, commit: &CommitRecord) -> Result<()> {
        let bytes = commit.chunks.iter().map(|c| c.bytes).sum();
        let id = batch_id(message);
        match self
            .ports
            .checkpoint
            .complete(&message.job, &id, commit.rows, bytes)
            .await?
        {
            Completion::Recorded { new, remaining } => {
                crash_point("after_checkpoint");
                if new {
                    self.progress.batch_committed(&message.job, &message.table, commit);
                }
                if remaining == 0 {
                    crash_point("after_last_checkpoint");
                    self.publish_tick(&look(message)).await?;
                }
            }
            // The planner gives the checkpoint storage's truth, in which this batch is done.
            Completion::Unknown => self.publish_tick(&look(message)).await?,
            Completion::Stale => {}
        }
        Ok(())
    }
}

fn look(message: &BatchMessage) -> TickMessage {
    TickMessage::look(message.job.clone(), message.destination.clone())
}

fn full_key(message: &BatchMessage, relative: &str) -> Option<ObjectKey> {
    ObjectKey::parse(&format!("{}{relative}", ObjectKey::job_prefix(&message.job)))
}
