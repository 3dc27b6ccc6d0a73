//! `cancel`: asks for the end of a job. Whoever works on it stops its batches and writes the outcome.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlextract_model::{Code, Failure, JobId, Manifest, Outcome, Result};
use sqlextract_storage::{JobRecords, Storage};

use crate::args::CancelArgs;
use crate::ports::{self, UploadMemory};
use crate::settings::{SettingsFile, choose_destination};

/// How a job stands after the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The wish is stored; the outcome follows.
    Requested,
    /// The outcome was there already.
    Cancelled,
}

/// What the command leaves.
#[derive(Debug)]
pub(crate) struct Cancelled {
    job: JobId,
    location: String,
    state: State,
}

pub(crate) async fn run(args: &CancelArgs, file: &SettingsFile) -> Result<Cancelled> {
    let place = &args.place;
    let destination = choose_destination(
        file,
        place.output.as_deref(),
        place.allow_plaintext,
        place.single_writer,
    )?;
    let job = JobId::new(args.job())
        .ok_or_else(|| Failure::new(Code::UsageInvalid, format!("`{}` is no job name", args.job())))?;
    let storage: Arc<dyn Storage> = ports::open_storage(&destination, UploadMemory::SMALL).await?;
    let records = JobRecords::new(storage, job.clone());
    let location = records.location().to_owned();
    let outcome = records.manifest().await?.map(|stored| stored.record);
    let state = match outcome {
        Some(manifest) => already(&manifest)?,
        None if records.job_record().await?.is_none() => return Err(unknown(&job, &location)),
        None => {
            records.cancel().await?;
            State::Requested
        }
    };
    Ok(Cancelled { job, location, state })
}

fn already(manifest: &Manifest) -> Result<State> {
    let (job, at) = (&manifest.job, &manifest.finished_at);
    let ended = match manifest.outcome {
        Outcome::Cancelled => return Ok(State::Cancelled),
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
    };
    Err(
        Failure::new(Code::UsageInvalid, format!("job {job} has {ended} already, at {at}"))
            .remedy("An outcome stays; `--restart` of its `extract` command makes a new job."),
    )
}

fn unknown(job: &JobId, location: &str) -> Failure {
    Failure::new(Code::StorageMissing, format!("there is no job {job} in {location}"))
        .remedy("Say which with `--job`, and where with `--output`, as its `extract` command had them.")
}

impl Cancelled {
    pub(crate) fn json(&self) -> Value {
        let state = match self.state {
            State::Requested => "cancel_requested",
            State::Cancelled => "cancelled",
        };
        json!({"job": self.job, "output": self.location, "state": state})
    }

    pub(crate) fn text(&self) -> String {
        let (job, location) = (&self.job, &self.location);
        match self.state {
            State::Cancelled => format!("job {job} in {location} is cancelled already"),
            State::Requested => format!(
                "job {job} in {location} is to be cancelled: who works on it stops its batches and writes the outcome; \
                 if nobody does, its `extract` command writes it"
            ),
        }
    }
}
