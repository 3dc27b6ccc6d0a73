//! The progress of a job that others work at, in the view that `extract` has of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use sqlextract_checkpoint::{RedisCheckpoint, TableSums};
use sqlextract_model::{Generation, JobId, Result, TableName, TableSegment};
use sqlextract_runtime::TableProgress;
use sqlextract_storage::JobRecords;

use crate::args::ProgressStyle;
use crate::ports::{self, UploadMemory};
use crate::settings::SettingsFile;
use crate::view::View;

/// How often the checkpoint is asked.
const LOOK: Duration = Duration::from_millis(500);

pub(super) struct Shown {
    view: View,
    checkpoint: RedisCheckpoint,
    /// The job in each destination: which one has it shows once it is accepted.
    places: Vec<JobRecords>,
    job: JobId,
    tables: BTreeMap<TableSegment, Seen>,
}

/// A table whose plan was shown.
struct Seen {
    name: TableName,
    generation: Generation,
}

impl Shown {
    pub(super) async fn open(job: &JobId, style: ProgressStyle, file: &SettingsFile) -> Result<Self> {
        let destinations = ports::open_destinations(file, UploadMemory::SMALL).await?;
        let places = destinations.into_values();
        Ok(Self {
            view: View::of_others(style),
            checkpoint: RedisCheckpoint::open(ports::checkpoint_settings(file)?).await?,
            places: places.map(|storage| JobRecords::new(storage, job.clone())).collect(),
            job: job.clone(),
            tables: BTreeMap::new(),
        })
    }

    /// Keeps the view up to date until something else has happened.
    pub(super) async fn until<T>(&mut self, other: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::pin!(other);
        loop {
            if let Err(failure) = self.look().await {
                // What is shown is behind; the events tell how the job ends.
                tracing::debug!(error = %failure, "the job's progress is not known");
            }
            tokio::select! {
                happened = &mut other => return happened,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    pub(super) fn say(&self, text: &str) {
        self.view.line(text);
    }

    /// The last numbers stay to be seen.
    pub(super) async fn end(&mut self) {
        if let Err(failure) = self.look().await {
            tracing::debug!(error = %failure, "the job's last progress is not known");
        }
        self.view.finish();
    }

    async fn look(&mut self) -> Result<()> {
        let sums = self.checkpoint.tables(&self.job).await?;
        let known = |sums: &TableSums| self.tables.get(&sums.table).map(|seen| seen.generation);
        if sums.iter().any(|sums| known(sums) != Some(sums.generation)) {
            self.learn(&sums).await?;
        }
        for sums in &sums {
            if let Some(seen) = self.tables.get(&sums.table) {
                self.view.stands(&seen.name, sums.done, sums.rows, sums.bytes);
            }
        }
        Ok(())
    }

    /// Reads what the tables are called and what their plans estimate.
    async fn learn(&mut self, sums: &[TableSums]) -> Result<()> {
        for records in &self.places {
            let Some(record) = records.job_record().await? else {
                continue;
            };
            let mut planned = Vec::with_capacity(sums.len());
            for sums in sums {
                let Some(table) = record.tables.iter().find(|table| table.segment == sums.table) else {
                    continue;
                };
                let plan = records.latest_plan(&table.segment).await?;
                planned.push(TableProgress {
                    table: table.name.clone(),
                    batches: sums.batches,
                    done: sums.done,
                    estimated_rows: plan.map_or(0, |plan| plan.record.estimated_rows),
                });
                let seen = Seen {
                    name: table.name.clone(),
                    generation: sums.generation,
                };
                self.tables.insert(sums.table.clone(), seen);
            }
            self.view.begin(&planned);
        }
        Ok(())
    }
}
