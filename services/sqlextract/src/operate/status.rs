//! `status`: what storage and the checkpoint say of the jobs, and their extractors of themselves.

mod shown;

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlextract_checkpoint::{Progress, RedisCheckpoint, TableSums};
use sqlextract_model::{Code, Failure, JobId, JobRecord, Manifest, Result};
use sqlextract_storage::{JobRecords, Storage};

use super::job_id;
use crate::ports::{self, UploadMemory};
use crate::replica::Report;
use crate::schedule;
use crate::service_args::StatusArgs;
use crate::settings::SettingsFile;
use crate::tuning::rate_limit;

/// A job as it stands.
struct Job {
    record: JobRecord,
    destination: String,
    tables: Vec<Table>,
    progress: Option<Progress>,
    manifest: Option<Manifest>,
    cancelled: bool,
}

/// A table of a job, as far as it is planned.
struct Table {
    name: String,
    estimated_rows: u64,
    sums: Option<TableSums>,
}

impl Table {
    /// Rows that are still to be read, by the plan's estimate.
    fn rows_left(&self) -> u64 {
        let Some(sums) = &self.sums else {
            return self.estimated_rows;
        };
        let left = sums.batches.saturating_sub(sums.done) as f64 / sums.batches.max(1) as f64;
        (self.estimated_rows as f64 * left) as u64
    }
}

/// A source as it stands: its limits now, and who reads it.
struct Source {
    limits: String,
    /// Seconds since 1970; `None` where the limits never change.
    until: Option<i64>,
    replicas: BTreeMap<String, Report>,
    /// Of all jobs that are shown and under way.
    rows_left: u64,
}

impl Source {
    fn rows_per_second(&self) -> u64 {
        self.replicas.values().map(|replica| replica.rows_per_second).sum()
    }

    /// Seconds until all its jobs are read at the present pace.
    fn seconds_left(&self) -> Option<u64> {
        self.rows_left.checked_div(self.rows_per_second())
    }
}

/// What is looked at.
struct Status {
    jobs: Vec<Job>,
    sources: BTreeMap<String, Source>,
}

pub(super) async fn run(args: &StatusArgs, file: &SettingsFile) -> Result<String> {
    let checkpoint = RedisCheckpoint::open(ports::checkpoint_settings(file)?).await?;
    let asked = args.job.as_deref().map(job_id).transpose()?;
    let destinations = ports::open_destinations(file, UploadMemory::SMALL).await?;
    let mut jobs = Vec::new();
    for (name, storage) in &destinations {
        if args.destination.as_ref().is_some_and(|asked| asked != name) {
            continue;
        }
        let names = match &asked {
            Some(job) => vec![job.clone()],
            None => JobRecords::open_jobs(storage.as_ref()).await?,
        };
        for job in names {
            jobs.extend(look(name, storage, &checkpoint, job).await?);
        }
    }
    if let Some(job) = asked.filter(|_| jobs.is_empty()) {
        return Err(Failure::new(Code::UsageInvalid, format!("there is no job {job}"))
            .remedy("`sqlextract status` lists the jobs that are not finished."));
    }
    let sources = sources(&jobs, &checkpoint, file).await?;
    let status = Status { jobs, sources };
    Ok(if args.json {
        status.json().to_string()
    } else {
        status.text()
    })
}

async fn look(
    destination: &str,
    storage: &Arc<dyn Storage>,
    checkpoint: &RedisCheckpoint,
    job: JobId,
) -> Result<Option<Job>> {
    use sqlextract_checkpoint::Checkpoint as _;

    let records = JobRecords::new(Arc::clone(storage), job.clone());
    let Some(record) = records.job_record().await? else {
        return Ok(None);
    };
    let mut sums = checkpoint.tables(&job).await?;
    let mut tables = Vec::with_capacity(record.tables.len());
    for table in &record.tables {
        let plan = records.latest_plan(&table.segment).await?;
        let known = sums.iter().position(|sums| sums.table == table.segment);
        tables.push(Table {
            name: table.name.to_string(),
            estimated_rows: plan.map_or(0, |plan| plan.record.estimated_rows),
            sums: known.map(|known| sums.swap_remove(known)),
        });
    }
    Ok(Some(Job {
        destination: destination.to_owned(),
        tables,
        progress: checkpoint.progress(&job).await?,
        manifest: records.manifest().await?.map(|stored| stored.record),
        cancelled: records.cancelled().await?,
        record,
    }))
}

/// The sources of the settings that a shown job reads, or all where none is shown.
async fn sources(jobs: &[Job], checkpoint: &RedisCheckpoint, file: &SettingsFile) -> Result<BTreeMap<String, Source>> {
    let mut sources = BTreeMap::new();
    for (name, entry) in &file.sources {
        let mine = jobs.iter().filter(|job| job.record.request.source == *name);
        let under_way: Vec<&Job> = mine.filter(|job| job.manifest.is_none()).collect();
        if under_way.is_empty() && !jobs.is_empty() {
            continue;
        }
        let schedule = schedule::of(name, file, rate_limit(entry.rate_limit.as_deref())?)?;
        let now = schedule.at(chrono::Utc::now().timestamp());
        let replicas = checkpoint.replicas(name).await?;
        let replicas = replicas
            .into_iter()
            .filter_map(|replica| Some((replica.name.clone(), Report::read(&replica)?)));
        let source = Source {
            limits: now.to_string(),
            until: now.until,
            replicas: replicas.collect(),
            rows_left: under_way.iter().flat_map(|job| &job.tables).map(Table::rows_left).sum(),
        };
        sources.insert(name.clone(), source);
    }
    Ok(sources)
}
