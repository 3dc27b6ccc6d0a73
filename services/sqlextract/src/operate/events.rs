//! Following the services' events.

use std::time::Duration;

use sqlextract_model::{Code, Event, EventKind, Failure, JobId, Manifest, Outcome, Result};
use sqlextract_queue::{Queue, QueueName, RabbitmqQueue, Receiver, Settlement};
use sqlextract_runtime::Shutdown;
use sqlextract_storage::JobRecords;

use super::shown::Shown;
use super::{job_id, lot};
use crate::args::ProgressStyle;
use crate::ports::{self, UploadMemory};
use crate::report::Failures;
use crate::service_args::WatchArgs;
use crate::settings::SettingsFile;
use crate::summary::load_text;
use crate::{print_line, view};

/// A subscription of this command alone. What it leaves at the broker expires by policy.
pub(super) struct Events {
    receiver: Box<dyn Receiver>,
}

impl Events {
    pub(super) async fn subscribe(queue: &dyn Queue) -> Result<Self> {
        let subscriber = format!("cli-{}", lot()?);
        let receiver = queue.receiver(&QueueName::Events { subscriber }, 16).await?;
        Ok(Self { receiver })
    }

    pub(super) async fn next(&mut self) -> Result<Event> {
        loop {
            let delivery = self.receiver.receive().await?;
            let event = serde_json::from_slice(&delivery.message().body);
            delivery.settle(Settlement::Done).await?;
            // A kind that this version does not know yet is none of its business.
            if let Ok(event) = event {
                return Ok(event);
            }
        }
    }
}

/// The events of all jobs, or of one until its outcome.
pub(super) async fn watch(args: &WatchArgs, file: &SettingsFile) -> std::result::Result<(), Failures> {
    let job = args.job.as_deref().map(job_id).transpose()?;
    let shutdown = Shutdown::on_signals(Duration::ZERO)?;
    let broker = RabbitmqQueue::connect(ports::broker_settings(file, "sqlextract watch")?).await?;
    let outcome = tokio::select! {
        outcome = follow(&broker, job.as_ref(), args, file) => outcome,
        () = shutdown.draining().cancelled() => Ok(()),
    };
    broker.close().await;
    outcome
}

async fn follow(
    broker: &RabbitmqQueue,
    job: Option<&JobId>,
    args: &WatchArgs,
    file: &SettingsFile,
) -> std::result::Result<(), Failures> {
    let mut events = Events::subscribe(broker).await?;
    // Subscribed first: an outcome is in storage already, or its event will come.
    if let Some(job) = job
        && let Some(manifest) = stored_outcome(job, file).await?
    {
        view::write_line(&format!("job {job} has ended at {}", manifest.finished_at));
        if !args.json {
            write_load(&manifest);
        }
        return match manifest.outcome {
            Outcome::Completed => Ok(()),
            Outcome::Failed => Err(ended(&manifest.failures, Code::Defect, format!("job {job} failed"))),
            Outcome::Cancelled => Err(ended(&[], Code::JobCancelled, format!("job {job} was cancelled"))),
        };
    }
    let mut shown = match job {
        Some(job) if !args.json => Some(Shown::open(job, args.progress.unwrap_or(ProgressStyle::Auto), file).await?),
        _ => None,
    };
    loop {
        let event = match &mut shown {
            Some(shown) => shown.until(events.next()).await?,
            None => events.next().await?,
        };
        if job.is_some_and(|job| *job != event.data.job) {
            continue;
        }
        match &shown {
            // Numbers are in the view already.
            Some(_) if event.kind == EventKind::Progressed => {}
            Some(shown) => shown.say(&sentence(&event)),
            None => told(&event, args.json),
        }
        if job.is_some()
            && let Some(end) = end_of(&event)
        {
            if let Some(shown) = &mut shown {
                shown.end().await;
            }
            if let (Some(job), false) = (job, args.json) {
                tell_load(job, file).await?;
            }
            return end;
        }
    }
}

/// What the job has put on its source, as the summary of `extract` tells it.
async fn tell_load(job: &JobId, file: &SettingsFile) -> Result<()> {
    if let Some(manifest) = stored_outcome(job, file).await? {
        write_load(&manifest);
    }
    Ok(())
}

fn write_load(manifest: &Manifest) {
    if let Some(load) = &manifest.source_load {
        view::write_line(&format!("source: {}", load_text(load)));
    }
}

async fn stored_outcome(job: &JobId, file: &SettingsFile) -> Result<Option<Manifest>> {
    for storage in ports::open_destinations(file, UploadMemory::SMALL).await?.into_values() {
        if let Some(stored) = JobRecords::new(storage, job.clone()).manifest().await? {
            return Ok(Some(stored.record));
        }
    }
    Ok(None)
}

/// What the failures say, or else this.
fn ended(failures: &[Failure], code: Code, text: String) -> Failures {
    let otherwise = Failure::new(code, text);
    Failures::gather(failures.to_vec()).unwrap_or_else(|| otherwise.into())
}

/// Writes an event as JSON to standard output, or as a sentence to standard error.
pub(super) fn told(event: &Event, json: bool) {
    if json {
        print_line(&serde_json::to_string(event).unwrap_or_default());
    } else {
        view::write_line(&sentence(event));
    }
}

fn sentence(event: &Event) -> String {
    let data = &event.data;
    let mut text = format!("{} {} {}", event.time, event.kind.noun_and_verb(), data.job);
    if let Some(progress) = data.progress {
        text += &format!(
            ": {} of {} batches, {} rows, {} parked",
            progress.done, progress.batches, progress.rows, progress.parked
        );
    }
    if let Some(table) = &data.table {
        text += &format!(" {table}");
    }
    if let Some(totals) = data.totals {
        text += &format!(": {} rows in {} chunks", totals.rows, totals.chunks);
    }
    if let Some(location) = &data.location {
        text += &format!(": {location}");
    }
    for failure in &data.failures {
        text += &format!("\n  {failure} [{}]", failure.code);
    }
    text
}

/// How a command that waits for a job ends with this event, if it ends.
pub(super) fn end_of(event: &Event) -> Option<std::result::Result<(), Failures>> {
    let job = &event.data.job;
    let ended = |code, text: String| Some(Err(ended(&event.data.failures, code, text)));
    match event.kind {
        EventKind::Completed => Some(Ok(())),
        EventKind::Rejected => ended(Code::RequestRefused, format!("the request of job {job} was rejected")),
        EventKind::Failed => ended(Code::Defect, format!("job {job} failed without a reason")),
        EventKind::Cancelled => ended(Code::JobCancelled, format!("job {job} was cancelled")),
        EventKind::Accepted
        | EventKind::Planned
        | EventKind::Progressed
        | EventKind::TableCompleted
        | EventKind::BatchParked
        | EventKind::IngestGenerated
        | EventKind::SnapshotLost => None,
    }
}
