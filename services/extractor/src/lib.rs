//! The extractor: a batch message becomes rows, chunks, a commit record and a checkpoint.
//!
//! Read in this order: `batch` (what a message leads to), `pipeline` (rows to chunks), `commit` (the record that makes
//! them count, and what follows from it, on the duplicate path too), `parts` (batches that turn out too long), `long` (what
//! takes longer than a message waits).

mod batch;
mod cancellations;
mod commit;
mod encode;
mod limits;
mod long;
mod parts;
mod pipeline;
mod plans;
mod remembered;
mod threads;
mod upload;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_model::{BatchMessage, Code, Failure, Result};
use sqlextract_queue::{Message, QueueName};
use sqlextract_runtime::{
    Gate, Handler, Ports, ProgressSink, RateLimiter, RetryPolicy, Share, Shutdown, Verdict, serve,
};

use cancellations::Cancellations;
pub use encode::Encoding;
use limits::JobLimiters;
use long::TakenOver;
use plans::PlanCache;
pub use threads::EncodingThreads;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct ExtractorSettings {
    /// Batches worked at once at most; the gate may hold it lower while running.
    pub workers: u16,
    /// Encode and upload beside reading, instead of one after the other.
    pub parallel_write: bool,
    pub encoding: Encoding,
    /// Longest time of one batch, reading to commit.
    pub batch_deadline: Duration,
    pub retry: RetryPolicy,
    /// Written into chunks: the program and its version.
    pub created_by: String,
    /// Bytes that one upload may hold in memory.
    pub upload_bytes: usize,
}

/// The extractor service, for one source.
#[derive(Debug)]
pub struct Extractor {
    ports: Arc<Ports>,
    source: String,
    settings: ExtractorSettings,
    /// One share of the memory budget for each batch that is worked at.
    shares: std::sync::Mutex<Vec<Share>>,
    limiter: RateLimiter,
    /// Limits that requests brought along, for this process alone.
    job_limits: JobLimiters,
    gate: Gate,
    progress: Arc<dyn ProgressSink>,
    plans: PlanCache,
    cancellations: Cancellations,
    taken_over: TakenOver,
    working: AtomicUsize,
    shutdown: Shutdown,
}

/// What an extractor is made of.
#[derive(Debug)]
pub struct ExtractorParts {
    pub ports: Arc<Ports>,
    /// The source's name: its queue of batches is served.
    pub source: String,
    pub settings: ExtractorSettings,
    /// One share of the memory budget for each worker.
    pub shares: Vec<Share>,
    pub limiter: RateLimiter,
    pub gate: Gate,
    pub progress: Arc<dyn ProgressSink>,
    pub shutdown: Shutdown,
}

impl Extractor {
    pub fn new(parts: ExtractorParts) -> Self {
        let ExtractorParts {
            ports,
            source,
            settings,
            shares,
            limiter,
            gate,
            progress,
            shutdown,
        } = parts;
        Self {
            ports,
            source,
            settings,
            shares: std::sync::Mutex::new(shares),
            limiter,
            job_limits: JobLimiters::default(),
            gate,
            progress,
            plans: PlanCache::default(),
            cancellations: Cancellations::default(),
            taken_over: TakenOver::default(),
            working: AtomicUsize::new(0),
            shutdown,
        }
    }

    /// Batches that are worked at now.
    pub fn working(&self) -> usize {
        self.working.load(Ordering::Relaxed)
    }

    /// Serves batches until the shutdown, then drains.
    pub async fn run(self: Arc<Self>) -> Result<()> {
        let name = QueueName::Batches {
            source: self.source.clone(),
        };
        let queue = Arc::clone(&self.ports.queue);
        let shutdown = self.shutdown.clone();
        let window = self.settings.workers;
        let retry = self.settings.retry.clone();
        serve(queue.as_ref(), &name, window, self, &retry, &shutdown)
            .await
            .map(|_| ())
    }
}

#[async_trait]
impl Handler for Extractor {
    async fn handle(&self, message: &Message, _redeliveries: u32) -> Verdict {
        match serde_json::from_slice::<BatchMessage>(&message.body) {
            Ok(batch) if batch.long => self.pass_on(message).await,
            Ok(batch) => self.work(&batch).await,
            Err(cause) => unreadable(message, cause),
        }
    }

    fn intake(&self) -> Option<tokio::sync::watch::Receiver<bool>> {
        Some(self.limiter.intake())
    }
}

fn unreadable(message: &Message, cause: serde_json::Error) -> Verdict {
    let text = format!("batch message {} cannot be read", message.id);
    Verdict::Park(Failure::new(Code::MessageUnreadable, text).because(cause))
}
