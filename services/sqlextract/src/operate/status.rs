//! `status`: what storage and the checkpoint say of the jobs.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlextract_checkpoint::{Checkpoint, Progress, RedisCheckpoint};
use sqlextract_model::{Code, Failure, JobId, Manifest, Result};
use sqlextract_storage::{JobRecords, Storage};

use super::job_id;
use crate::ports::{self, UploadMemory};
use crate::service_args::StatusArgs;
use crate::settings::SettingsFile;

/// A job as it stands.
struct Job {
    job: JobId,
    destination: String,
    tables: Vec<String>,
    accepted_at: String,
    progress: Option<Progress>,
    manifest: Option<Manifest>,
    cancelled: bool,
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
    Ok(if args.json {
        json!({"jobs": jobs.iter().map(Job::json).collect::<Vec<_>>()}).to_string()
    } else {
        text(&jobs)
    })
}

async fn look(
    destination: &str,
    storage: &Arc<dyn Storage>,
    checkpoint: &dyn Checkpoint,
    job: JobId,
) -> Result<Option<Job>> {
    let records = JobRecords::new(Arc::clone(storage), job.clone());
    let Some(record) = records.job_record().await? else {
        return Ok(None);
    };
    Ok(Some(Job {
        destination: destination.to_owned(),
        tables: record.tables.iter().map(|table| table.name.to_string()).collect(),
        accepted_at: record.accepted_at,
        progress: checkpoint.progress(&job).await?,
        manifest: records.manifest().await?.map(|stored| stored.record),
        cancelled: records.cancelled().await?,
        job,
    }))
}

impl Job {
    fn state(&self) -> &'static str {
        match (&self.manifest, &self.progress) {
            (Some(manifest), _) => match manifest.outcome {
                sqlextract_model::Outcome::Completed => "completed",
                sqlextract_model::Outcome::Failed => "failed",
                sqlextract_model::Outcome::Cancelled => "cancelled",
            },
            (None, _) if self.cancelled => "cancelling",
            (None, None) => "planning",
            (None, Some(progress)) if progress.paused => "paused",
            (None, Some(progress)) => {
                let parked = progress.parked.len() as u64;
                if parked > 0 && progress.done + parked >= progress.total {
                    "blocked"
                } else if progress.done >= progress.total {
                    "finishing"
                } else {
                    "running"
                }
            }
        }
    }

    fn json(&self) -> Value {
        let progress = self.progress.as_ref().map(|progress| {
            let parked = progress.parked.iter().map(|(batch, failure)| {
                json!({"table": batch.table, "generation": batch.generation, "batch": batch.batch, "failure": failure})
            });
            json!({
                "batches": progress.total, "done": progress.done, "rows": progress.rows, "bytes": progress.bytes,
                "parked": parked.collect::<Vec<_>>(),
            })
        });
        json!({
            "job": self.job, "destination": self.destination, "state": self.state(), "tables": self.tables,
            "accepted_at": self.accepted_at, "progress": progress,
            "totals": self.manifest.as_ref().map(|manifest| manifest.totals),
            "failures": self.manifest.as_ref().map(|manifest| &manifest.failures),
        })
    }
}

fn text(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "no job is under way\n".to_owned();
    }
    let mut text = String::new();
    for job in jobs {
        let done = match (&job.manifest, &job.progress) {
            (Some(manifest), _) => format!("{} rows in {} chunks", manifest.totals.rows, manifest.totals.chunks),
            (None, Some(progress)) => {
                format!(
                    "{} of {} batches, {} rows",
                    progress.done, progress.total, progress.rows
                )
            }
            (None, None) => String::new(),
        };
        let _ = writeln!(text, "{}  {}  {}  {done}", job.job, job.destination, job.state());
        for (batch, failure) in job.progress.iter().flat_map(|progress| &progress.parked) {
            let _ = writeln!(
                text,
                "  parked: {} batch {}: {failure} [{}]",
                batch.table, batch.batch, failure.code
            );
        }
        for failure in job.manifest.iter().flat_map(|manifest| &manifest.failures) {
            let _ = writeln!(text, "  {failure} [{}]", failure.code);
        }
    }
    text
}
