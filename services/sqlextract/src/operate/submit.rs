//! `submit`: a request as any upstream system would send it, and the services' answer.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Duration;

use sqlextract_model::{
    Code, EventKind, Failure, JobId, JobLimits, LONGEST_REQUEST_BYTES, OnLossy, OnSnapshotLost, RequestData, Result,
    TableRequest,
};
use sqlextract_queue::{Message, Queue, QueueName, RabbitmqQueue};
use sqlextract_runtime::trace::TraceContext;
use tokio::time::Instant;

use super::events::{Events, end_of, told};
use super::{cloud_event, lot};
use crate::args::parse_target;
use crate::ports;
use crate::report::Failures;
use crate::service_args::SubmitArgs;
use crate::settings::SettingsFile;
use crate::{print_line, view};

/// A planner that is up answers within moments.
const ANSWER: Duration = Duration::from_secs(60);
/// A scripter that is up writes a script within moments. Without one the extraction is complete all the same.
const SCRIPTS: Duration = Duration::from_secs(60);

pub(super) async fn run(args: &SubmitArgs, file: &SettingsFile) -> std::result::Result<(), Failures> {
    let id = match &args.id {
        Some(id) => id.clone(),
        None => lot()?,
    };
    let data = match &args.file {
        Some(path) => read_data(path)?,
        None => serde_json::to_value(from_flags(args)?)
            .map_err(|e| Failure::new(Code::Defect, "the request is no JSON").because(e))?,
    };
    // The trace that the caller is in goes on, as usual between programs.
    let traceparent = std::env::var("TRACEPARENT").ok();
    let traceparent = traceparent.filter(|text| TraceContext::parse(text).is_some());
    let message = cloud_event(&id, "io.sqlextract.extraction.requested.v1", &data)?.traceparent(traceparent);
    let broker = RabbitmqQueue::connect(ports::broker_settings(file, "sqlextract submit")?).await?;
    let targets = data["targets"].as_array().map_or(0, Vec::len);
    let outcome = submit(&broker, message, (&id, targets), args).await;
    broker.close().await;
    outcome
}

async fn submit(
    broker: &RabbitmqQueue,
    message: Message,
    (id, targets): (&str, usize),
    args: &SubmitArgs,
) -> std::result::Result<(), Failures> {
    // Subscribed before it is sent: no answer can be missed.
    let mut events = Events::subscribe(broker).await?;
    broker.publish(&QueueName::Requests, message).await?;
    let mut until = Instant::now() + ANSWER;
    loop {
        let event = match tokio::time::timeout_at(until, events.next()).await {
            Ok(event) => event?,
            Err(_) => return Err(unanswered(id).into()),
        };
        if event.data.request.as_deref() != Some(id) {
            continue;
        }
        if args.wait || args.json {
            told(&event, args.json);
        }
        if let Some(end) = end_of(&event) {
            end?;
            return scripts(&mut events, &event.data.job, targets, args.json).await;
        }
        if event.kind == EventKind::Accepted {
            if !args.json {
                print_line(event.data.job.as_str());
            }
            if !args.wait {
                return Ok(());
            }
            // From here on it takes as long as it takes.
            until = Instant::now() + Duration::from_secs(365 * 24 * 3600);
        }
    }
}

/// Tells the scripts of a job that is complete.
async fn scripts(events: &mut Events, job: &JobId, targets: usize, json: bool) -> std::result::Result<(), Failures> {
    let until = Instant::now() + SCRIPTS;
    // One that is told twice has the same id.
    let mut written = BTreeSet::new();
    while written.len() < targets {
        let Ok(event) = tokio::time::timeout_at(until, events.next()).await else {
            view::write_line(&format!(
                "{} of {targets} scripts of job {job} are told of: check that a scripter is up, or see `sqlextract generate-ingest`",
                written.len()
            ));
            break;
        };
        let event = event?;
        if event.kind == EventKind::IngestGenerated && event.data.job == *job {
            told(&event, json);
            written.insert(event.id);
        }
    }
    Ok(())
}

fn unanswered(id: &str) -> Failure {
    let text = format!(
        "request {id} is sent, and nobody has answered within {} s",
        ANSWER.as_secs()
    );
    Failure::new(Code::QueueUnavailable, text).remedy("Check that a planner is up; sending the same id again is safe.")
}

fn read_data(path: &std::path::Path) -> Result<serde_json::Value> {
    let unreadable = |cause: std::io::Error| {
        Failure::new(Code::UsageInvalid, format!("{} cannot be read", path.display())).because(cause)
    };
    let mut text = Vec::new();
    let limit = LONGEST_REQUEST_BYTES as u64;
    if path.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut text)
            .map_err(unreadable)?;
    } else {
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(limit).read_to_end(&mut text).map_err(unreadable)?;
    }
    serde_json::from_slice(&text)
        .map_err(|e| Failure::new(Code::UsageInvalid, format!("{} is no JSON", path.display())).because(e))
}

fn from_flags(args: &SubmitArgs) -> Result<RequestData> {
    let target =
        |text: &String| parse_target(text).map_err(|e| Failure::new(Code::UsageInvalid, format!("--target: {e}")));
    let table = |name: &String| TableRequest {
        name: name.clone(),
        columns: None,
        exclude_columns: Vec::new(),
        filter: None,
    };
    Ok(RequestData {
        source: args.source.clone().unwrap_or_default(),
        destination: args.destination.clone().unwrap_or_default(),
        tables: args.table.iter().map(table).collect(),
        format: args.format,
        compression: args.compression,
        compression_level: None,
        parquet_version: args.parquet_version,
        batch_rows: args.batch_size,
        chunk_bytes: args.chunk_size.map(|size| size.0),
        consistency: args.consistency,
        on_lossy: OnLossy::default(),
        on_snapshot_lost: OnSnapshotLost::default(),
        targets: args.target.iter().map(target).collect::<Result<_>>()?,
        limits: JobLimits::default(),
        labels: std::collections::BTreeMap::new(),
    })
}
