//! Finishing a job: storage is compared with the plan, orphans are swept, the outcome is written once and told.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use sqlextract_model::{
    BatchIndex, Code, CommitRecord, Failure, JobRecord, Manifest, ManifestEntry, ManifestPage, ObjectKey, Outcome,
    Range, Result, SourceCounters, TablePlan,
};
use sqlextract_runtime::crash_point;
use sqlextract_storage::{JobRecords, Stored};

use crate::Planner;
use crate::active::ActiveJob;
use crate::announce::About;
use crate::load::{counters, since_the_beginning};
use crate::manifest::{Ending, ManifestBuilder};

/// Entries of a manifest page.
const PAGE_ENTRIES: usize = 1000;
/// Commit records read at once.
const READS_AT_ONCE: usize = 16;

impl Planner {
    /// Ends a job whose batches are all done. Idempotent: whoever comes second finds the outcome of the first and tells
    /// it again.
    pub(crate) async fn finish(&self, records: &JobRecords, open: &ActiveJob) -> Result<()> {
        let plans: Vec<&Stored<TablePlan>> = open.tables.iter().map(|table| &table.plan).collect();
        let ends = (Outcome::Completed, open.snapshot_age());
        match self.collect(records, &open.record, &plans, ends).await? {
            Collected::Whole(manifest) => self.conclude(records, &open.record, &manifest).await,
            Collected::Missing { table, batch } => {
                tracing::warn!(job.id = %records.job(), table.name = %table, batch = batch.0, "a committed batch is missing in storage; reading again");
                self.refresh(records, open).await
            }
        }
    }

    pub(crate) async fn end_cancelled(&self, records: &JobRecords, record: &JobRecord) -> Result<()> {
        self.end(records, record, Outcome::Cancelled, Vec::new()).await
    }

    pub(crate) async fn end_failed(
        &self,
        records: &JobRecords,
        record: &JobRecord,
        failures: Vec<Failure>,
    ) -> Result<()> {
        self.end(records, record, Outcome::Failed, failures).await
    }

    /// Ends a job with what is committed so far; unlike `finish` it needs no snapshot and no plan.
    async fn end(
        &self,
        records: &JobRecords,
        record: &JobRecord,
        outcome: Outcome,
        failures: Vec<Failure>,
    ) -> Result<()> {
        let mut plans = Vec::new();
        for table in &record.tables {
            plans.extend(records.latest_plan(&table.segment).await?);
        }
        let plans: Vec<&Stored<TablePlan>> = plans.iter().collect();
        if let Collected::Whole(mut manifest) = self.collect(records, record, &plans, (outcome, None)).await? {
            manifest.failures = failures;
            self.conclude(records, record, &manifest).await?;
        }
        Ok(())
    }

    /// The outcome is the only success: it is told only after it reads back.
    async fn conclude(&self, records: &JobRecords, record: &JobRecord, built: &Manifest) -> Result<()> {
        crash_point("before_outcome");
        let stored = records.create_manifest(built).await?;
        crash_point("before_outcome_is_told");
        let stored = records.manifest().await?.unwrap_or(stored);
        let about = About::record(record);
        let latest = async {
            match stored.record.outcome {
                Outcome::Completed => records.set_latest().await,
                Outcome::Failed | Outcome::Cancelled => Ok(()),
            }
        };
        let (latest, told) = tokio::join!(latest, self.tell_outcome(&about, &stored));
        latest.and(told)?;
        crash_point("after_outcome_is_told");
        self.deactivate(records.job());
        if self.settings.linger.is_zero() {
            self.end_uploads(records).await;
            self.delete_stray_plan_pages(records).await;
            records.unmark_open().await?;
        } else {
            self.told().insert(records.job().clone());
        }
        self.progress.finished(records.job(), stored.record.outcome);
        Ok(())
    }

    /// Removes chunks that no manifest names: of attempts that were still under way when the job was ended.
    pub(crate) async fn sweep_orphans(&self, records: &JobRecords, manifest: &Manifest) -> Result<u64> {
        let mut sizes = chunk_sizes(records).await?;
        for page in &manifest.pages {
            for entry in records.manifest_page(manifest, page.number).await? {
                entry.chunks.iter().for_each(|chunk| drop(sizes.remove(&chunk.key)));
            }
        }
        let orphans: Vec<ObjectKey> = sizes.into_values().map(|chunk| chunk.key).collect();
        records.delete_chunks(&orphans).await?;
        self.end_uploads(records).await;
        self.delete_stray_plan_pages(records).await;
        Ok(orphans.len() as u64)
    }

    /// Of planners that died or came second. They cost room and nothing else.
    async fn delete_stray_plan_pages(&self, records: &JobRecords) {
        match records.delete_stray_plan_pages().await {
            Ok(0) => {}
            Ok(pages) => tracing::info!(job.id = %records.job(), pages, "pages that no plan names are removed"),
            Err(failure) => {
                tracing::warn!(job.id = %records.job(), error.code = %failure.code, error = %failure, "pages that no plan names stay")
            }
        }
    }

    /// Ends uploads of attempts that died in the middle. They cost room and nothing else, so that a store that does not
    /// let us holds nothing up.
    async fn end_uploads(&self, records: &JobRecords) {
        match records.end_uploads().await {
            Ok(0) => {}
            Ok(ended) => {
                tracing::info!(job.id = %records.job(), uploads = ended, "uploads that nobody completed are aborted")
            }
            Err(failure) => {
                tracing::warn!(job.id = %records.job(), error.code = %failure.code, error = %failure, "open uploads could not be aborted; a lifecycle rule of the bucket ends them")
            }
        }
    }

    async fn collect(
        &self,
        records: &JobRecords,
        record: &JobRecord,
        plans: &[&Stored<TablePlan>],
        (outcome, snapshot_age): (Outcome, Option<Duration>),
    ) -> Result<Collected> {
        let (epochs, sizes, counters) = tokio::join!(
            records.epochs(),
            chunk_sizes(records),
            self.counters_at_the_end(record, outcome)
        );
        let (epochs, mut sizes) = (epochs?, sizes?);
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
                            return Ok(Collected::Missing {
                                table: plan.table.to_string(),
                                batch,
                            });
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
        // What no commit record claimed was left by attempts that lost or died.
        let orphans: Vec<ObjectKey> = sizes.into_values().map(|chunk| chunk.key).collect();
        records.delete_chunks(&orphans).await?;
        let ending = Ending {
            outcome,
            finished_at: self.ports.surroundings.utc_now(),
            created_by: self.settings.created_by.clone(),
            single_writer: self.settings.single_writer,
            snapshot_age,
            counters: since_the_beginning(&epochs, counters),
        };
        Ok(Collected::Whole(Box::new(builder.finish(pages, ending))))
    }

    /// Of a job that failed the source may be the reason; it is not asked again.
    async fn counters_at_the_end(&self, record: &JobRecord, outcome: Outcome) -> Option<SourceCounters> {
        if outcome != Outcome::Completed {
            return None;
        }
        counters(self.ports.source(&record.request.source).ok()?.as_ref(), record).await
    }
}

enum Collected {
    Whole(Box<Manifest>),
    Missing { table: String, batch: BatchIndex },
}

struct Chunk {
    key: ObjectKey,
    bytes: u64,
}

/// Every object under `data/`, by its key relative to the job; refuses what is not ours.
async fn chunk_sizes(records: &JobRecords) -> Result<BTreeMap<String, Chunk>> {
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
