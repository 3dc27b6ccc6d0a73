//! `--if-running attach`: shows the job that another process works on, and ends as that job ends.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use sqlextract_checkpoint::{Checkpoint, Progress};
use sqlextract_model::{ByteSize, Code, Failure, Manifest, Outcome, Result};
use sqlextract_storage::JobRecords;

use crate::args::ProgressStyle;
use crate::lock::JobLock;
use crate::view::write_line;

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Plain lines come at most this often.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the job until its process has let go of it; answers with what the job ended with.
pub(crate) async fn watch(
    checkpoint: &dyn Checkpoint,
    lock: &JobLock,
    records: &JobRecords,
    style: ProgressStyle,
) -> Result<Vec<Failure>> {
    let mut shown = Shown::new(records.job().to_string(), style);
    let mut last = None;
    while let Some(holder) = lock.holder().await? {
        if let Some(progress) = checkpoint.progress(records.job()).await? {
            shown.show(&holder, &progress);
        }
        last = Some(holder);
        tokio::time::sleep(LOOK).await;
    }
    shown.close();
    let manifest = records.manifest().await?.map(|stored| stored.record);
    let progress = checkpoint.progress(records.job()).await?.unwrap_or_default();
    let holder = last.unwrap_or_else(|| "the other process".to_owned());
    Ok(outcome(records.job().as_str(), &holder, manifest.as_ref(), &progress))
}

/// The failures that the job's own process ended with, as far as they can be known from outside.
fn outcome(job: &str, holder: &str, manifest: Option<&Manifest>, progress: &Progress) -> Vec<Failure> {
    match manifest {
        Some(manifest) => match manifest.outcome {
            Outcome::Completed => Vec::new(),
            Outcome::Cancelled => vec![Failure::new(Code::JobCancelled, format!("job {job} was cancelled"))],
            Outcome::Failed => manifest.failures.clone(),
        },
        None if !progress.parked.is_empty() => parked(progress),
        None => {
            let text = format!("{holder} stopped before job {job} had its outcome");
            vec![Failure::new(Code::Interrupted, text)]
        }
    }
}

/// The failures of parked batches, and how many there are.
pub(crate) fn parked(progress: &Progress) -> Vec<Failure> {
    let summary = format!(
        "{} of {} batches are parked; {} are committed",
        progress.parked.len(),
        progress.total,
        progress.done
    );
    let mut failures: Vec<Failure> = progress.parked.iter().map(|(_, failure)| failure.clone()).collect();
    failures.push(Failure::new(Code::BatchesParked, summary));
    failures
}

/// What is on standard error meanwhile.
struct Shown {
    job: String,
    style: ProgressStyle,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Option<Instant>,
}

impl Shown {
    fn new(job: String, style: ProgressStyle) -> Self {
        let bars = style == ProgressStyle::Auto && std::io::stderr().is_terminal();
        let bar = bars.then(|| {
            let bar = ProgressBar::new(0);
            let template = "{prefix:>20.bold} {bar:24} {pos}/{len} batches {msg}";
            bar.set_style(BarStyle::with_template(template).unwrap_or_else(|_| BarStyle::default_bar()));
            bar.set_prefix(job.clone());
            bar
        });
        Self {
            job,
            style,
            bar,
            started: Instant::now(),
            last_line: None,
        }
    }

    fn show(&mut self, holder: &str, progress: &Progress) {
        let figures = format!("{} rows {}", progress.rows, ByteSize(progress.bytes));
        if let Some(bar) = &self.bar {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            bar.set_message(format!("{figures}, {holder}"));
            return;
        }
        if self.style == ProgressStyle::None || self.last_line.is_some_and(|last| last.elapsed() < PLAIN_INTERVAL) {
            return;
        }
        self.last_line = Some(Instant::now());
        let elapsed = self.started.elapsed();
        if self.style == ProgressStyle::Json {
            let line = serde_json::json!({
                "event": "attached", "job": self.job, "holder": holder, "elapsed_seconds": elapsed.as_secs_f64(),
                "rows": progress.rows, "bytes": progress.bytes, "batches_done": progress.done,
                "batches": progress.total, "batches_parked": progress.parked.len(),
            });
            return write_line(&line.to_string());
        }
        write_line(&format!(
            "{:02}:{:02} attached to {holder}: job {} {}/{} batches {figures}",
            elapsed.as_secs() / 60,
            elapsed.as_secs() % 60,
            self.job,
            progress.done,
            progress.total
        ));
    }

    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlextract_checkpoint::BatchId;
    use sqlextract_model::{BatchIndex, Generation, TableName, segments};

    use super::*;

    #[test]
    fn a_job_without_an_outcome_ends_as_parked_or_interrupted() {
        let gone = outcome("j", "process 7", None, &Progress::default());
        assert_eq!(gone[0].code, Code::Interrupted);
        assert!(gone[0].message.contains("process 7"), "{}", gone[0]);
        let batch = BatchId {
            table: segments(&[TableName::new("s", "t")]).remove(0),
            generation: Generation::FIRST,
            batch: BatchIndex(3),
        };
        let progress = Progress {
            total: 9,
            done: 8,
            parked: vec![(batch, Failure::new(Code::ValueRefused, "no"))],
            ..Progress::default()
        };
        let codes: Vec<Code> = outcome("j", "process 7", None, &progress)
            .iter()
            .map(|f| f.code)
            .collect();
        assert_eq!(codes, [Code::ValueRefused, Code::BatchesParked]);
    }
}
