//! How jobs and sources are written, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sqlextract_model::Outcome;

use super::{Job, Source, Status, Table};

impl Status {
    pub(super) fn json(&self) -> Value {
        let jobs: Vec<Value> = self.jobs.iter().map(|job| job.json(self.seconds_left(job))).collect();
        let sources = self.sources.iter().map(|(name, source)| (name.clone(), source.json()));
        json!({"jobs": jobs, "sources": sources.collect::<serde_json::Map<_, _>>()})
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if self.jobs.is_empty() {
            text += "no job is under way\n";
        }
        for job in &self.jobs {
            job.write(&mut text, self.seconds_left(job));
        }
        for (name, source) in &self.sources {
            source.write(&mut text, name);
        }
        text
    }

    /// Until everything that is under way at the job's source is read.
    fn seconds_left(&self, job: &Job) -> Option<u64> {
        let running = job.manifest.is_none() && job.state() == "running";
        let source = self.sources.get(&job.record.request.source).filter(|_| running)?;
        source.seconds_left()
    }
}

impl Job {
    fn state(&self) -> &'static str {
        match (&self.manifest, &self.progress) {
            (Some(manifest), _) => match manifest.outcome {
                Outcome::Completed => "completed",
                Outcome::Failed => "failed",
                Outcome::Cancelled => "cancelled",
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

    fn json(&self, seconds_left: Option<u64>) -> Value {
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
            "job": self.record.job, "destination": self.destination, "state": self.state(),
            "source": self.record.request.source, "accepted_at": self.record.accepted_at,
            "tables": self.tables.iter().map(Table::json).collect::<Vec<_>>(),
            "progress": progress, "seconds_left": seconds_left,
            "totals": self.manifest.as_ref().map(|manifest| manifest.totals),
            "failures": self.manifest.as_ref().map(|manifest| &manifest.failures),
        })
    }

    fn write(&self, text: &mut String, seconds_left: Option<u64>) {
        let done = match (&self.manifest, &self.progress) {
            (Some(manifest), _) => format!("{} rows in {} chunks", manifest.totals.rows, manifest.totals.chunks),
            (None, Some(progress)) => {
                let left = seconds_left.map(|left| format!(", ETA {:02}:{:02}", left / 60, left % 60));
                format!(
                    "{} of {} batches, {} rows{}",
                    progress.done,
                    progress.total,
                    progress.rows,
                    left.unwrap_or_default()
                )
            }
            (None, None) => String::new(),
        };
        let _ = writeln!(
            text,
            "{}  {}  {}  {done}",
            self.record.job,
            self.destination,
            self.state()
        );
        for table in self.tables.iter().filter(|_| self.manifest.is_none()) {
            table.write(text);
        }
        for (batch, failure) in self.progress.iter().flat_map(|progress| &progress.parked) {
            let _ = writeln!(
                text,
                "  parked: {} batch {}: {failure} [{}]",
                batch.table, batch.batch, failure.code
            );
        }
        for failure in self.manifest.iter().flat_map(|manifest| &manifest.failures) {
            let _ = writeln!(text, "  {failure} [{}]", failure.code);
        }
    }
}

impl Table {
    fn json(&self) -> Value {
        let sums = self.sums.as_ref();
        json!({
            "table": self.name, "estimated_rows": self.estimated_rows,
            "batches": sums.map(|sums| sums.batches), "done": sums.map(|sums| sums.done),
            "rows": sums.map(|sums| sums.rows), "bytes": sums.map(|sums| sums.bytes),
        })
    }

    fn write(&self, text: &mut String) {
        let _ = match &self.sums {
            Some(sums) => writeln!(
                text,
                "  {}: {} of {} batches, {} of about {} rows",
                self.name, sums.done, sums.batches, sums.rows, self.estimated_rows
            ),
            None => writeln!(text, "  {}: not planned yet", self.name),
        };
    }
}

impl Source {
    fn json(&self) -> Value {
        let until = self.until.and_then(|until| chrono::DateTime::from_timestamp(until, 0));
        json!({
            "limits": self.limits, "limits_until": until.map(|until| until.to_rfc3339()),
            "rows_per_second": self.rows_per_second(), "extractors": self.replicas,
        })
    }

    fn write(&self, text: &mut String, name: &str) {
        let until = self.until.and_then(|until| chrono::DateTime::from_timestamp(until, 0));
        let until = until.map(|until| until.format(", until %Y-%m-%d %H:%M:%S UTC").to_string());
        let _ = writeln!(text, "source {name}: {}{}", self.limits, until.unwrap_or_default());
        if self.replicas.is_empty() {
            let _ = writeln!(text, "  no extractor tells that it reads it");
        }
        for (replica, report) in &self.replicas {
            let held = report.held_by.as_ref().map(|held| format!(", held by {held}"));
            let _ = writeln!(
                text,
                "  extractor {replica}: {} batches, {} rows/s{}",
                report.batches,
                report.rows_per_second,
                held.unwrap_or_default()
            );
        }
    }
}
