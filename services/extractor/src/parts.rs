//! Batches that turn out longer than a batch may be: read in halves, each of which is kept for itself.
//!
//! What became of a part is a create-only record, halves with their ranges, so that all attempts at a batch see the same
//! parts, whichever version makes them: a half that was read stays read, whoever goes on. When all are read, their chunks together are the batch's commit. It follows from
//! the parts' records alone, so that everybody who writes it writes the same.

use sqlextract_encoding::merge;
use sqlextract_model::{BatchMessage, Code, CommitRecord, Failure, PartPath, PartRecord, Range, Result};
use sqlextract_planning::halves;
use sqlextract_storage::JobRecords;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Extractor;
use crate::batch::refuse_fatal;
use crate::commit::{Ended, Made, own_chunks};
use crate::plans::Planned;

/// The parts of a batch that are still to be looked at, the next one last.
type Open = Vec<(PartPath, Range)>;

impl Extractor {
    /// Notes that a part is read in halves from now on, unless nobody can tell where.
    pub(crate) async fn halve(
        &self,
        records: &JobRecords,
        message: &BatchMessage,
        planned: &Planned,
        (part, range): (&PartPath, &Range),
        too_long: Failure,
    ) -> Result<Ended> {
        let halved = halves(range, planned.plan.source.dialect, &planned.page);
        // Nobody knows a boundary, or it was halved often enough.
        let (Some(halved), Some(_)) = (halved, part.halves()) else {
            return Err(too_long);
        };
        let what = (&message.segment, message.generation, message.batch);
        let split = PartRecord::Split(Box::new(halved));
        records.create_part(what, part, &split).await?;
        tracing::warn!(
            job.id = %message.job, table.name = %message.table, batch.id = message.batch.0, part = %part,
            "{}; from now on it is read in halves", too_long.message
        );
        Ok(Ended::Partly)
    }

    /// Goes on with a batch that is read in halves. Tries are counted since the last part that somebody finished.
    pub(crate) async fn commit_parts(
        &self,
        records: &JobRecords,
        message: &BatchMessage,
        planned: &Planned,
        tries: &mut u32,
        stop: &CancellationToken,
    ) -> Result<Ended> {
        let what = (&message.segment, message.generation, message.batch);
        let begun = Instant::now();
        let mut open: Open = vec![(PartPath::whole(), planned.batch.range.clone())];
        let (mut read, mut known, mut added) = (Vec::new(), 0, false);
        while let Some((part, range)) = open.pop() {
            match records.part(what, &part).await? {
                Some(PartRecord::Read(commit)) => read.push(*commit),
                Some(PartRecord::Split(halved)) => {
                    let halves = part.halves().ok_or_else(|| too_deep(message))?;
                    open.extend(halves.into_iter().zip(*halved).rev());
                }
                // A message must not be held for longer than one whole batch may take.
                None if added && begun.elapsed() > self.deadline(message) / 2 => return Ok(Ended::Partly),
                None => {
                    if !added {
                        *tries = tries.saturating_sub(known).max(1);
                        refuse_fatal(*tries, self.settings.retry.max_attempts)?;
                    }
                    let record = match self.read_part(records, message, planned, &range, stop).await? {
                        Made::Record(record) => record,
                        Made::TooLong(failure) => {
                            return self.halve(records, message, planned, (&part, &range), failure).await;
                        }
                    };
                    let own = own_chunks(message, &record);
                    let stored = records
                        .create_part(what, &part, &PartRecord::Read(Box::new(record)))
                        .await?;
                    if !stored.ours {
                        records.delete_chunks(&own).await?;
                    }
                    added = true;
                    // What is stored counts, whoever wrote it.
                    open.push((part, range));
                    continue;
                }
            }
            known += 1;
        }
        match together(read, planned) {
            Some(record) => self.commit(records, message, record, true).await,
            None => Ok(Ended::Partly),
        }
    }
}

fn too_deep(message: &BatchMessage) -> Failure {
    let text = format!("a part of batch {} is halved more often than any is", message.batch.0);
    Failure::new(Code::ManifestUnreadable, text)
}

/// The commit of a batch whose parts these are, in their order.
fn together(parts: Vec<CommitRecord>, planned: &Planned) -> Option<CommitRecord> {
    let columns = &planned.plan.columns;
    parts.into_iter().reduce(|mut whole, part| {
        whole.rows += part.rows;
        whole.chunks.extend(part.chunks);
        whole.epoch = whole.epoch.max(part.epoch);
        for ((whole, part), column) in whole.columns.iter_mut().zip(&part.columns).zip(columns) {
            *whole = merge(whole, part, &column.chunk);
        }
        whole.load = whole.load.zip(part.load).map(|(whole, part)| whole.and(part));
        whole
    })
}
