//! Finishing a job: orphans are swept, the outcome is written once and told.

use std::time::Duration;

use sqlextract_model::{
    BatchIndex, Failure, JobId, JobRecord, Manifest, ObjectKey, Outcome, Result, SourceCounters, TablePlan,
};
use sqlextract_runtime::crash_point;
use sqlextract_storage::{JobRecords, Stored};

use crate::Planner;
use crate::active::ActiveJob;
use crate::announce::About;
use crate::load::{counters, since_the_beginning};
use crate::manifest::Ending;
use crate::pages::{self, Pages, Written, chunk_sizes};

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
        let (latest, told, ()) = tokio::join!(latest, self.tell_outcome(&about, &stored), self.tidy(records));
        latest.and(told)?;
        crash_point("after_outcome_is_told");
        self.let_go(records.job()).await;
        if !self.settings.linger.is_zero() {
            self.told().insert(records.job().clone());
        } else if self.settings.adopt {
            records.unmark_open().await?;
        }
        self.progress.finished(records.job(), stored.record.outcome);
        Ok(())
    }

    /// Removes what a job leaves that nobody else works at.
    async fn tidy(&self, records: &JobRecords) {
        if self.settings.linger.is_zero() {
            self.end_uploads(records).await;
            self.delete_stray_plan_pages(records).await;
        }
    }

    /// Ends the snapshot of a job that is over.
    async fn let_go(&self, job: &JobId) {
        let open = self.active_job(job);
        self.deactivate(job);
        if let Some(kept) = open.as_ref().and_then(|open| open.snapshot.as_ref()) {
            kept.snapshot.end().await;
        }
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
        // The source is asked while the pages are written, which need nothing of it.
        let (pages, counters) = tokio::join!(
            pages::write(records, record, plans, outcome),
            self.counters_at_the_end(record, outcome)
        );
        let Written { epochs, builder, pages } = match pages? {
            Pages::Written(written) => *written,
            Pages::Missing { table, batch } => return Ok(Collected::Missing { table, batch }),
        };
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
