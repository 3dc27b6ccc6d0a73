//! The commit: upload, commit record, checkpoint, publish. The order is the guarantee.

use sqlextract_checkpoint::Completion;
use sqlextract_model::{
    AttemptId, BatchMessage, ChunkRecord, Code, CommitRecord, Failure, ObjectKey, PartPath, Result, TickMessage,
};
use sqlextract_runtime::crash_point;
use sqlextract_storage::JobRecords;
use tokio_util::sync::CancellationToken;

use crate::Extractor;
use crate::batch::batch_id;
use crate::parts::{Parts, together};
use crate::pipeline::Reading;
use crate::plans::Planned;

/// How the work at a batch has ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With the record that counts, whoever wrote it.
    Committed(Box<CommitRecord>),
    /// Its job was cancelled meanwhile.
    Cancelled,
    /// More of it is known than before, and the rest is for the message's next delivery.
    Partly,
}

impl Extractor {
    /// Reads the next part, which is the whole of a batch that nobody found too long, or puts those together that were
    /// read.
    pub(crate) async fn extract_and_commit(
        &self,
        records: &JobRecords,
        message: &BatchMessage,
        planned: &Planned,
        parts: Parts,
        stop: &CancellationToken,
    ) -> Result<Ended> {
        let Some((part, range)) = parts.next else {
            let whole = together(parts.read, planned).ok_or_else(|| no_parts(message))?;
            return self.commit(records, message, whole, true).await;
        };
        let attempt = AttemptId(self.ports.surroundings.random()?);
        let reading = self.extract(records, message, &planned.plan, (&range, attempt), stop);
        let extracted = match reading.await? {
            Reading::Whole(extracted) => extracted,
            Reading::TooLong(failure) => {
                return self.halve(records, message, planned, (&part, &range), failure).await;
            }
        };
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
        match part == PartPath::whole() {
            true => self.commit(records, message, record, false).await,
            false => self.keep_part(records, message, &part, record).await,
        }
    }

    /// Makes a record count, unless another was first. Chunks that are `shared` may be those of another attempt's
    /// record as well.
    async fn commit(
        &self,
        records: &JobRecords,
        message: &BatchMessage,
        record: CommitRecord,
        shared: bool,
    ) -> Result<Ended> {
        let own = own_chunks(message, &record);
        // The outcome of a cancelled job may be there already, and it names nothing that comes later.
        if records.cancelled().await? {
            // The last sweep removes shared ones, if the outcome names them not.
            if !shared {
                records.delete_chunks(&own).await?;
            }
            return Ok(Ended::Cancelled);
        }
        crash_point("before_commit_record");
        let stored = records.create_commit(&message.segment, &record).await?;
        crash_point("after_commit_record");
        if !stored.ours {
            tracing::info!(job.id = %message.job, batch.id = message.batch.0, "another attempt was first; its chunks count");
            let counting = own_chunks(message, &stored.record);
            let own: Vec<_> = own.into_iter().filter(|key| !counting.contains(key)).collect();
            records.delete_chunks(&own).await?;
        }
        Ok(Ended::Committed(Box::new(stored.record)))
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

fn no_parts(message: &BatchMessage) -> Failure {
    let text = format!("batch {} is read in halves, and has none", message.batch.0);
    Failure::new(Code::Defect, text)
}

fn look(message: &BatchMessage) -> TickMessage {
    TickMessage::look(message.job.clone(), message.destination.clone())
}

/// The keys of a record's chunks.
pub(crate) fn own_chunks(message: &BatchMessage, record: &CommitRecord) -> Vec<ObjectKey> {
    let prefix = ObjectKey::job_prefix(&message.job);
    let full = |chunk: &ChunkRecord| ObjectKey::parse(&format!("{prefix}{}", chunk.key));
    record.chunks.iter().filter_map(full).collect()
}
