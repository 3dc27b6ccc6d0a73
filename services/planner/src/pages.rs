//! The manifest's pages: storage is compared with the plan, and what every batch has left is written down.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use sqlextract_model::{
    BatchIndex, Code, CommitRecord, EpochRecord, Failure, JobRecord, ManifestEntry, ManifestPage, ObjectKey, Outcome,
    Range, Result, TablePlan,
};
use sqlextract_storage::{JobRecords, Stored};

use crate::manifest::ManifestBuilder;

/// Entries of a manifest page.
const PAGE_ENTRIES: usize = 1000;
/// Commit records read at once.
const READS_AT_ONCE: usize = 16;

/// What became of the pages.
pub(crate) enum Pages<'a> {
    Written(Box<Written<'a>>),
    Missing { table: String, batch: BatchIndex },
}

/// The pages of a manifest, with what its head is made of.
pub(crate) struct Written<'a> {
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) builder: ManifestBuilder<'a>,
    pub(crate) pages: Vec<ManifestPage>,
}

/// Stores the entries of all batches, page by page, as the commit records tell them. Chunks that none of them names are
/// removed: attempts that lost or died have left them.
pub(crate) async fn write<'a>(
    records: &JobRecords,
    record: &'a JobRecord,
    plans: &[&Stored<TablePlan>],
    outcome: Outcome,
) -> Result<Pages<'a>> {
    let (epochs, mut sizes) = tokio::try_join!(records.epochs(), chunk_sizes(records))?;
    let mut builder = ManifestBuilder::new(record, &epochs);
    let mut pages: Vec<ManifestPage> = Vec::new();
    let mut page: Vec<ManifestEntry> = Vec::new();
    for stored in plans {
        let plan = &stored.record;
        builder.table(plan, stored.sha256);
        for number in 0..plan.pages.len() {
            let batches = records
                .plan_page(plan, u32::try_from(number).unwrap_or(u32::MAX))
                .await?;
            let ranges = batches.into_iter().map(|batch| (batch.index, batch.range));
            let mut commits = stream::iter(ranges)
                .map(|(batch, range)| read_commit(records, plan, batch, range))
                .buffered(READS_AT_ONCE);
            while let Some((batch, range, commit)) = commits.try_next().await? {
                let Some(commit) = commit else {
                    if outcome == Outcome::Completed {
                        let table = plan.table.to_string();
                        return Ok(Pages::Missing { table, batch });
                    }
                    continue;
                };
                claim_chunks(records, &mut sizes, &commit).await?;
                builder.batch(&commit);
                page.push(ManifestEntry::new(commit, range));
                if page.len() == PAGE_ENTRIES {
                    pages.push(store_page(records, pages.len(), &mut page).await?);
                }
            }
        }
    }
    if !page.is_empty() {
        pages.push(store_page(records, pages.len(), &mut page).await?);
    }
    let orphans: Vec<ObjectKey> = sizes.into_values().map(|chunk| chunk.key).collect();
    records.delete_chunks(&orphans).await?;
    Ok(Pages::Written(Box::new(Written { epochs, builder, pages })))
}

pub(crate) struct Chunk {
    pub(crate) key: ObjectKey,
    bytes: u64,
}

/// Every object under `data/`, by its key relative to the job; refuses what is not ours.
pub(crate) async fn chunk_sizes(records: &JobRecords) -> Result<BTreeMap<String, Chunk>> {
    let listed = records.chunks().await?;
    let mut sizes = BTreeMap::new();
    for object in listed {
        match ObjectKey::parse(&object.key) {
            Some(key @ ObjectKey::Chunk { .. }) => {
                sizes.insert(
                    key.relative(),
                    Chunk {
                        key,
                        bytes: object.bytes,
                    },
                );
            }
            _ => {
                let message = format!(
                    "{} is among the job's chunks and was not written by this job",
                    object.key
                );
                return Err(Failure::new(Code::StorageForeign, message));
            }
        }
    }
    Ok(sizes)
}

/// Takes the record's chunks out of the listing; fails where one is not there as recorded.
async fn claim_chunks(records: &JobRecords, sizes: &mut BTreeMap<String, Chunk>, commit: &CommitRecord) -> Result<()> {
    for chunk in &commit.chunks {
        match sizes.remove(&chunk.key) {
            Some(found) if found.bytes == chunk.bytes => {}
            Some(found) => {
                let message = format!(
                    "chunk {} has {} bytes where its record says {}",
                    chunk.key, found.bytes, chunk.bytes
                );
                return Err(Failure::new(Code::StorageCorrupt, message).table(&commit.table));
            }
            // A listing may lag behind; asked for by its name, an object is there or not.
            None if records.has_chunk(chunk).await? => {}
            None => {
                let message = format!("chunk {} of a committed batch is gone", chunk.key);
                return Err(Failure::new(Code::StorageMissing, message).table(&commit.table));
            }
        }
    }
    Ok(())
}

async fn read_commit(
    records: &JobRecords,
    plan: &TablePlan,
    batch: BatchIndex,
    range: Range,
) -> Result<(BatchIndex, Range, Option<CommitRecord>)> {
    let commit = records.commit(&plan.segment, plan.generation, batch).await?;
    Ok((batch, range, commit))
}

async fn store_page(records: &JobRecords, number: usize, page: &mut Vec<ManifestEntry>) -> Result<ManifestPage> {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    let sha256 = records.create_manifest_page(number, page).await?;
    let entries = page.len() as u64;
    page.clear();
    Ok(ManifestPage {
        number,
        entries,
        sha256,
    })
}
