//! What was made, where, and what to do next.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use sqlextract_model::{ByteSize, Manifest, Outcome, Platform, Result, SourceLoad};
use sqlextract_runtime::Course;
use sqlextract_storage::JobRecords;

use crate::extract::manifest_location;
use crate::workers::Workers;

/// A run's result, as standard output shows it.
#[derive(Debug)]
pub(crate) struct Summary {
    job: String,
    location: String,
    manifest_location: String,
    manifest: Option<Manifest>,
    already_complete: bool,
    resumed_batches: u64,
    scripts: Vec<(Platform, String)>,
    pub(crate) elapsed: Duration,
    /// What was chosen, and how the number went.
    pub(crate) workers: Option<(Workers, Course)>,
    /// What was chosen beside that: name, value, reason.
    pub(crate) resources: Vec<(&'static str, String, String)>,
}

impl Summary {
    pub(crate) async fn collect(
        records: &JobRecords,
        location: &str,
        resumed_batches: u64,
        already_complete: bool,
    ) -> Result<Self> {
        let manifest = records.manifest().await?.map(|stored| stored.record);
        let mut scripts = Vec::new();
        for (platform, key) in records.scripts().await? {
            scripts.push((platform, format!("{}/{key}", location.trim_end_matches('/'))));
        }
        Ok(Self {
            job: records.job().to_string(),
            location: location.to_owned(),
            manifest_location: manifest_location(location, records.job()),
            manifest,
            already_complete,
            resumed_batches,
            scripts,
            elapsed: Duration::ZERO,
            workers: None,
            resources: Vec::new(),
        })
    }

    fn outcome(&self) -> &'static str {
        match self.manifest.as_ref().map(|m| m.outcome) {
            _ if self.already_complete => "already_complete",
            Some(Outcome::Completed) => "completed",
            Some(Outcome::Failed) => "failed",
            Some(Outcome::Cancelled) => "cancelled",
            None => "unfinished",
        }
    }

    pub(crate) fn json(&self, error: Option<Value>) -> Value {
        let tables: Vec<Value> = self
            .manifest
            .iter()
            .flat_map(|m| &m.tables)
            .map(|t| {
                json!({
                    "table": t.table.to_string(), "rows": t.totals.rows, "batches": t.totals.batches,
                    "chunks": t.totals.chunks, "bytes": t.totals.bytes, "rung": t.rung, "consistency": t.consistency,
                })
            })
            .collect();
        let scripts: serde_json::Map<String, Value> = self
            .scripts
            .iter()
            .map(|(p, at)| (p.to_string(), Value::from(at.clone())))
            .collect();
        let mut summary = json!({
            "job": self.job,
            "outcome": self.outcome(),
            "manifest": self.manifest.is_some().then_some(&self.manifest_location),
            "resumed_batches": self.resumed_batches,
            "elapsed_seconds": (self.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
            "consistency": self.manifest.as_ref().map(|m| &m.consistency),
            "tables": tables,
            "scripts": scripts,
            "source_load": self.manifest.as_ref().and_then(|m| m.source_load),
        });
        if let Some((chosen, course)) = &self.workers {
            summary["workers"] = json!({
                "chosen": chosen.start, "why": chosen.why, "ceiling": chosen.ceiling, "lowest": course.lowest,
                "highest": course.highest, "last": course.now, "changes": course.changes, "last_reason": course.reason,
            });
        }
        for (name, value, why) in &self.resources {
            summary["resources"][name] = json!({"value": value, "why": why});
        }
        if let Some(error) = error {
            summary["error"] = error;
        }
        summary
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let Some(manifest) = &self.manifest else {
            let _ = writeln!(text, "job {} is unfinished; the same command resumes it", self.job);
            return text;
        };
        if self.already_complete {
            let _ = writeln!(
                text,
                "job {} is complete already, since {}",
                self.job, manifest.finished_at
            );
            let _ = writeln!(
                text,
                "  to extract again: --restart, or a name with {{date}} or {{run}} in --job or --output"
            );
        } else {
            let seconds = self.elapsed.as_secs_f64();
            let _ = writeln!(
                text,
                "job {} completed in {seconds:.1} s, consistency: {}",
                self.job, manifest.consistency
            );
        }
        if self.resumed_batches > 0 && !self.already_complete {
            let _ = writeln!(text, "  resumed: {} batches were there already", self.resumed_batches);
        }
        for table in &manifest.tables {
            let totals = &table.totals;
            let _ = writeln!(
                text,
                "  {}: {} rows in {} batches, {} chunks, {}",
                table.table,
                totals.rows,
                totals.batches,
                totals.chunks,
                ByteSize(totals.bytes)
            );
        }
        if let Some((chosen, course)) = self.workers.as_ref().filter(|_| !self.already_complete) {
            let _ = writeln!(text, "  workers: {}", workers_text(chosen, course));
        }
        for (name, value, why) in self.resources.iter().filter(|_| !self.already_complete) {
            let _ = writeln!(text, "  {name}: {value} ({why})");
        }
        if let Some(load) = manifest.source_load.filter(|_| !self.already_complete) {
            let _ = writeln!(text, "  source: {}", load_text(&load));
        }
        let _ = writeln!(text, "  manifest: {}", self.manifest_location);
        for (platform, location) in &self.scripts {
            let _ = writeln!(text, "  script for {platform}: {location}");
        }
        let _ = writeln!(
            text,
            "next: sqlextract verify --output {0} --job {1}",
            self.location, self.job
        );
        if self.scripts.is_empty() {
            let _ = writeln!(
                text,
                "      sqlextract generate-ingest --target postgres --output {0} --job {1}",
                self.location, self.job
            );
        }
        text
    }
}

/// What is known of it.
pub(crate) fn load_text(load: &SourceLoad) -> String {
    let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1000.0);
    let counted = load.counters.blocks_read.zip(load.counters.table_blocks);
    let parts = [
        load.longest_statement_ms
            .map(|ms| format!("longest statement {}", seconds(ms))),
        load.longest_transaction_ms
            .map(|ms| format!("transaction {}", seconds(ms))),
        load.snapshot_age_ms.map(|ms| format!("snapshot {}", seconds(ms))),
        counted
            .filter(|(_, all)| *all > 0)
            .map(|(read, all)| format!("blocks read {:.2} x", read as f64 / all as f64)),
        load.counters
            .temporary_bytes
            .map(|bytes| format!("temporary {}", ByteSize(bytes))),
        load.peak_connections.map(|count| format!("{count} connections")),
        load.wire_bytes.map(|bytes| format!("{} off the wire", ByteSize(bytes))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn workers_text(chosen: &Workers, course: &Course) -> String {
    let mut text = format!("{} ({})", chosen.start, chosen.why);
    if let Some(reason) = &course.reason {
        let _ = write!(
            text,
            ", between {} and {} in {} changes, the last to {}: {reason}",
            course.lowest, course.highest, course.changes, course.now
        );
    }
    text
}
