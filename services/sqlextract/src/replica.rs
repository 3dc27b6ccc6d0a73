//! What an extractor tells of itself, for `status`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlextract_checkpoint::{RedisCheckpoint, Replica};
use sqlextract_extractor::Extractor;
use sqlextract_model::{JobId, Result};
use sqlextract_runtime::{LimiterState, News, ProgressSink, RateLimiter, Shutdown};
use tokio::time::Instant;

/// How often it is told. Redis forgets it after some of these.
const EVERY: Duration = Duration::from_secs(2);

/// What one extractor does at one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Batches that are worked at.
    pub(crate) batches: usize,
    pub(crate) rows_per_second: u64,
    /// What holds it back: `rows`, `bytes`, `queries` or `pause`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held_by: Option<String>,
}

impl Report {
    pub(crate) fn read(replica: &Replica) -> Option<Self> {
        serde_json::from_str(&replica.text).ok()
    }
}

/// Passes the news on, and counts rows.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) sink: Arc<dyn ProgressSink>,
    pub(crate) rows: Arc<AtomicU64>,
}

impl ProgressSink for Counting {
    fn tell(&self, job: &JobId, news: News<'_>) {
        if let News::RowsRead { rows, .. } = news {
            self.rows.fetch_add(rows, Ordering::Relaxed);
        }
        self.sink.tell(job, news);
    }
}

/// One extractor, and where it tells of itself.
pub(crate) struct Reporter {
    pub(crate) checkpoint: RedisCheckpoint,
    pub(crate) source: String,
    pub(crate) name: String,
    pub(crate) extractor: Arc<Extractor>,
    pub(crate) limiter: RateLimiter,
    pub(crate) rows: Arc<AtomicU64>,
}

impl Reporter {
    /// Tells until the process ends what it holds. That Redis is away is told by others.
    pub(crate) async fn run(self, shutdown: Shutdown) -> Result<()> {
        let (mut before, mut then) = (0, Instant::now());
        loop {
            let rows = self.rows.load(Ordering::Relaxed);
            let seconds = then.elapsed().as_secs_f64().max(0.001);
            let report = Report {
                batches: self.extractor.working(),
                rows_per_second: ((rows - before) as f64 / seconds) as u64,
                held_by: match self.limiter.state() {
                    LimiterState::Idle => None,
                    LimiterState::Limited(what) => Some(what.to_owned()),
                    LimiterState::Paused => Some("pause".to_owned()),
                },
            };
            (before, then) = (rows, Instant::now());
            let replica = Replica {
                name: self.name.clone(),
                text: serde_json::to_string(&report).unwrap_or_default(),
            };
            if let Err(failure) = self.checkpoint.report(&self.source, &replica).await {
                tracing::debug!(error = %failure, "what this extractor does is not told");
            }
            tokio::select! {
                () = shutdown.draining().cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}
