//! Batches that turn out longer than a batch may be: read in halves, each of which is kept for itself.
//!
//! What became of a part is a create-only record, halves with their ranges, so that all attempts at a batch see the same
//! parts, whichever version makes them: a half that was read stays read, whoever goes on. When all are read, their chunks together are the batch's commit. It follows from
//! the parts' records alone, so that everybody who writes it writes the same.

use sqlextract_encoding::merge;
use sqlextract_model::{BatchMessage, Code, CommitRecord, Failure, PartPath, PartRecord, Range, Result};
use sqlextract_planning::halves;
use sqlextract_storage::JobRecords;

use crate::Extractor;
use crate::commit::{Ended, own_chunks};
use crate::plans::Planned;

/// What is known of a batch's parts.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Those that were read, in their order, as far as the next one.
    pub(crate) read: Vec<CommitRecord>,
    /// The first that nobody has read or halved; the whole, where nobody has halved it.
    pub(crate) next: Option<(PartPath, Range)>,
    /// Records found: attempts that were not in vain.
    pub(crate) settled: u32,
}

impl Parts {
    /// Of a batch that nobody has tried before.
    pub(crate) fn untried(planned: &Planned) -> Self {
        Self {
            read: Vec::new(),
            next: Some((PartPath::whole(), planned.batch.range.clone())),
            settled: 0,
        }
    }

    pub(crate) async fn of(records: &JobRecords, message: &BatchMessage, planned: &Planned) -> Result<Self> {
        let what = (&message.segment, message.generation, message.batch);
        let mut open = vec![(PartPath::whole(), planned.batch.range.clone())];
        let (mut read, mut settled) = (Vec::new(), 0);
        while let Some((part, range)) = open.pop() {
            match records.part(what, &part).await? {
                Some(PartRecord::Read(commit)) => read.push(*commit),
                Some(PartRecord::Split(halved)) => {
                    let halves = part.halves().ok_or_else(|| too_deep(message))?;
                    open.extend(halves.into_iter().zip(*halved).rev());
                }
                None => {
                    let next = Some((part, range));
                    return Ok(Self { read, next, settled });
                }
            }
            settled += 1;
        }
        let next = None;
        Ok(Self { read, next, settled })
    }
}

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

    /// Keeps a part that was read, unless another attempt was first. The next one is for the message's next delivery, so
    /// that no message is held for longer than one read may take.
    pub(crate) async fn keep_part(
        &self,
        records: &JobRecords,
        message: &BatchMessage,
        part: &PartPath,
        record: CommitRecord,
    ) -> Result<Ended> {
        let own = own_chunks(message, &record);
        let what = (&message.segment, message.generation, message.batch);
        let stored = records
            .create_part(what, part, &PartRecord::Read(Box::new(record)))
            .await?;
        if !stored.ours {
            records.delete_chunks(&own).await?;
        }
        Ok(Ended::Partly)
    }
}

fn too_deep(message: &BatchMessage) -> Failure {
    let text = format!("a part of batch {} is halved more often than any is", message.batch.0);
    Failure::new(Code::ManifestUnreadable, text)
}

/// The commit of a batch whose parts these are, in their order.
pub(crate) fn together(parts: Vec<CommitRecord>, planned: &Planned) -> Option<CommitRecord> {
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
