//! Ports that count: each wraps a port and passes everything on.

mod checkpoint;
mod queue;
mod storage;

use std::time::Duration;

use sqlextract_model::{CommitRecord, JobId, Outcome, Result};

use crate::{Metric, Metrics, News, ProgressSink};

pub use checkpoint::MeteredCheckpoint;
pub use queue::MeteredQueue;
pub use storage::MeteredStorage;

/// `ok`, or the failure's code.
fn result_of<T>(result: &Result<T>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(failure) => failure.code.as_str(),
    }
}

/// Counts the news of the work, for one source or for a role without one.
#[derive(Debug, Clone)]
pub struct MeteredProgress {
    metrics: Metrics,
    source: String,
}

impl MeteredProgress {
    pub fn new(metrics: Metrics, source: impl Into<String>) -> Self {
        let source = source.into();
        Self { metrics, source }
    }

    fn committed(&self, commit: &CommitRecord) {
        let bytes = commit.chunks.iter().map(|chunk| chunk.bytes).sum();
        let source = [("source", self.source.as_str())];
        self.metrics.count(Metric::BytesTotal, &source, bytes);
        let labels = [("source", self.source.as_str()), ("result", "new")];
        self.metrics.count(Metric::BatchesTotal, &labels, 1);
        if let Some(load) = &commit.load {
            let longest = Duration::from_millis(load.statement_ms);
            self.metrics.observe(Metric::SourceStatementSeconds, &source, longest);
            self.metrics.count(Metric::SourceBytesTotal, &source, load.wire_bytes);
            if let Some(connections) = load.connections {
                self.metrics.set(Metric::SourceConnections, &source, connections.into());
            }
        }
    }
}

impl ProgressSink for MeteredProgress {
    fn tell(&self, job: &JobId, news: News<'_>) {
        match news {
            News::RowsRead { rows, .. } => {
                self.metrics.count(Metric::RowsTotal, &[("source", &self.source)], rows);
            }
            News::BatchCommitted { commit, .. } => self.committed(commit),
            News::BatchParked { failure, table } => {
                tracing::error!(job.id = %job, table.name = %table, error.code = %failure.code, "a batch is parked: {failure}");
                let labels = [("source", self.source.as_str()), ("result", "parked")];
                self.metrics.count(Metric::BatchesTotal, &labels, 1);
            }
            News::Finished { outcome } => {
                let outcome = match outcome {
                    Outcome::Completed => "completed",
                    Outcome::Failed => "failed",
                    Outcome::Cancelled => "cancelled",
                };
                tracing::info!(job.id = %job, outcome, "the job has its outcome");
                self.metrics.count(Metric::JobsTotal, &[("outcome", outcome)], 1);
            }
            News::Planned { tables } => {
                let batches: u64 = tables.iter().map(|table| table.batches).sum();
                tracing::info!(job.id = %job, tables = tables.len(), batches, "the job is planned");
            }
            News::Note { text, .. } => tracing::info!(job.id = %job, "{text}"),
            News::ScriptWritten { platform, location } => {
                tracing::info!(job.id = %job, platform = %platform, location, "a script is written");
            }
            News::BatchStarted { .. } => {}
        }
    }
}
