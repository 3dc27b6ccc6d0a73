//! Messages between services, and events for everybody else.

use serde::{Deserialize, Serialize};

use crate::{
    BatchIndex, Digest, Epoch, Failure, Generation, JobId, JobLimits, Outcome, SnapshotToken, TableName, Totals,
};

/// `batch.v1`: permission to work at one batch. A reference into the plan, never the plan itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchMessage {
    pub job: JobId,
    /// Names in the settings.
    pub source: String,
    pub destination: String,
    pub table: TableName,
    pub segment: crate::TableSegment,
    pub generation: Generation,
    pub epoch: Epoch,
    pub snapshot: Option<SnapshotToken>,
    pub batch: BatchIndex,
    /// The number of the plan page that holds the batch.
    pub page: u32,
    pub plan_hash: Digest,
    /// Tries before this one that failed.
    pub retry: u32,
    /// What the request allows the job to take per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<JobLimits>,
    /// Takes longer than a broker waits for a message: it is settled when the work begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub long: bool,
}

/// `tick.v1`: look at a job: publish what its window allows, or finish it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickMessage {
    pub job: JobId,
    pub destination: String,
    /// Batches looked at so far in this round of the fan-out, over the job's tables in order.
    pub position: u64,
    /// Batches published in this round.
    pub published: u64,
    /// Batches that were done when the round began.
    pub done_before: u64,
    /// The round of the fan-out that this tick drives; 0 for a look that drives none.
    #[serde(default)]
    pub round: u64,
    /// How often it found no room in a row.
    #[serde(default)]
    pub waits: u32,
    /// Somebody found the snapshot of this epoch gone.
    #[serde(default)]
    pub lost: Option<Epoch>,
}

impl TickMessage {
    /// The first tick of a round.
    pub fn start(job: JobId, destination: String, round: u64, done_before: u64) -> Self {
        Self {
            job,
            destination,
            position: 0,
            published: 0,
            done_before,
            round,
            waits: 0,
            lost: None,
        }
    }

    /// Asks the planner to look at the job: something of it has ended.
    pub fn look(job: JobId, destination: String) -> Self {
        Self::start(job, destination, 0, 0)
    }
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EventKind {
    #[serde(rename = "io.sqlextract.extraction.accepted.v1")]
    Accepted,
    #[serde(rename = "io.sqlextract.extraction.rejected.v1")]
    Rejected,
    #[serde(rename = "io.sqlextract.extraction.planned.v1")]
    Planned,
    #[serde(rename = "io.sqlextract.extraction.progressed.v1")]
    Progressed,
    #[serde(rename = "io.sqlextract.extraction.completed.v1")]
    Completed,
    #[serde(rename = "io.sqlextract.extraction.failed.v1")]
    Failed,
    #[serde(rename = "io.sqlextract.extraction.cancelled.v1")]
    Cancelled,
    #[serde(rename = "io.sqlextract.table.completed.v1")]
    TableCompleted,
    #[serde(rename = "io.sqlextract.batch.parked.v1")]
    BatchParked,
    #[serde(rename = "io.sqlextract.ingest.generated.v1")]
    IngestGenerated,
    #[serde(rename = "io.sqlextract.snapshot.lost.v1")]
    SnapshotLost,
}

impl EventKind {
    /// `extraction.completed` and the like: the head of the routing key.
    pub fn noun_and_verb(self) -> &'static str {
        match self {
            Self::Accepted => "extraction.accepted",
            Self::Rejected => "extraction.rejected",
            Self::Planned => "extraction.planned",
            Self::Progressed => "extraction.progressed",
            Self::Completed => "extraction.completed",
            Self::Failed => "extraction.failed",
            Self::Cancelled => "extraction.cancelled",
            Self::TableCompleted => "table.completed",
            Self::BatchParked => "batch.parked",
            Self::IngestGenerated => "ingest.generated",
            Self::SnapshotLost => "snapshot.lost",
        }
    }
}

/// A CloudEvent 1.0 in structured mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    pub specversion: String,
    /// Fixed for what it tells, so that an event announced twice is one.
    pub id: String,
    pub source: String,
    #[serde(rename = "type")]
    pub kind: EventKind,
    pub subject: String,
    /// RFC 3339, UTC.
    pub time: String,
    pub datacontenttype: String,
    pub data: EventData,
}

impl Event {
    /// The id is made of job, kind and `about`, so that telling it again repeats the id.
    pub fn new(kind: EventKind, about: &str, time: String, data: EventData) -> Self {
        let hash = crate::canonical_hash(&(data.job.as_str(), kind, about));
        Self {
            specversion: "1.0".to_owned(),
            id: hash.to_string()[..32].to_owned(),
            source: "/sqlextract".to_owned(),
            kind,
            subject: if about.is_empty() {
                data.job.to_string()
            } else {
                format!("{}/{about}", data.job)
            },
            time,
            datacontenttype: "application/json".to_owned(),
            data,
        }
    }
}

/// What an event tells; a field is there where its kind has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventData {
    pub job: JobId,
    /// The id under which the job was asked for, where it was asked for by a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The destination's name in the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchIndex>,
    /// The manifest's key, relative to the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<crate::Platform>,
    /// The script's key, relative to the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// The script itself, up to 32 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// How far a job is; only what is committed counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobProgress {
    pub batches: u64,
    pub done: u64,
    pub parked: u64,
    pub rows: u64,
    pub bytes: u64,
    pub paused: bool,
}

impl EventData {
    pub fn of(job: JobId) -> Self {
        Self {
            job,
            request: None,
            destination: None,
            outcome: None,
            table: None,
            batch: None,
            manifest: None,
            manifest_sha256: None,
            totals: None,
            progress: None,
            target: None,
            location: None,
            sha256: None,
            script: None,
            failures: Vec::new(),
        }
    }
}
