//! The planner: a request becomes a job, its tables become plans, and plans become batch messages.
//!
//! Read in this order: `policy` (who may ask for what), `requests` (a message to a verdict), `accept` (request to job),
//! `open` (epoch, snapshot and plans), `tables` (one table's plan), `long` (batches beyond their deadline), `fan_out` (ticks publish batches through a window),
//! `finish` (the one outcome), `orders` (cancel, pause, resume), `sweep` (what repairs a stall).
//!
//! One planner at a time should serve a queue. Two that do, by accident, cost time and never data: plans, commit records
//! and the outcome are create-only.

mod accept;
mod active;
mod announce;
mod epoch;
mod fan_out;
mod finish;
mod load;
mod long;
mod manifest;
mod open;
mod orders;
mod pages;
mod policy;
mod report;
mod requests;
mod sweep;
mod tables;
mod timed;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlextract_model::{JobId, Result};
use sqlextract_queue::QueueName;
use sqlextract_runtime::{Ports, ProgressSink, RetryPolicy, Shutdown, serve};
use sqlextract_storage::JobRecords;
use tokio::sync::Semaphore;

pub use long::BatchBound;
pub use policy::{AllowedRequests, RequestPolicy, SourceRules, TablePattern};
pub use sqlextract_planning::Pace;
pub use tables::{PlannedTable, plan_table};

use active::ActiveJob;
use requests::{Requests, Ticks};
use turns::Turns;

/// Requests that are looked up and planned at once.
const REQUESTS_AT_ONCE: u16 = 8;
/// Jobs that are looked at at once; one that waits for its window holds its place that long.
const TICKS_AT_ONCE: u16 = 64;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct PlannerSettings {
    pub requests: RequestPolicy,
    /// Batches of one job that are published and not done: what keeps a large job from starving a small one.
    pub job_window: u64,
    /// Batches published per tick.
    pub publish_page: u64,
    /// How long a tick waits when the window is full.
    pub tick_delay: Duration,
    /// How often the sweeper looks for jobs that make no progress.
    pub sweep_interval: Duration,
    /// How long nothing of a job was done before its missing batches are published again.
    pub stall_after: Duration,
    pub retry: RetryPolicy,
    /// Written into manifests: the program and its version.
    pub created_by: String,
    /// The store ignores create-only writes and one writer was promised.
    pub single_writer: bool,
    /// Take up jobs of the destinations that no planner works at.
    pub adopt: bool,
    /// How long a job whose rest is parked waits for somebody to repair it before it is ended as failed. `None` leaves
    /// it, and every other job that cannot go on, without an outcome: the same request tries again.
    pub max_blocked: Option<Duration>,
    /// How long after its outcome a job may still have attempts under way, whose chunks are then removed.
    pub linger: Duration,
    /// How long batches may take, by source. Without a bound nothing is refused.
    pub bounds: BTreeMap<String, BatchBound>,
    /// Sources that no timed probe reads before a plan: it would pass by their limits.
    pub unprobed: BTreeSet<String>,
}

/// The planner service.
#[derive(Debug)]
pub struct Planner {
    ports: Arc<Ports>,
    settings: PlannerSettings,
    progress: Arc<dyn ProgressSink>,
    active: Mutex<BTreeMap<JobId, Arc<ActiveJob>>>,
    turns: Turns,
    /// Finished jobs whose outcome was told by this process and that may have attempts under way.
    told: Mutex<HashSet<JobId>>,
    /// Openings at once: each may hold a connection for its snapshot while it needs others for its questions.
    openings: Semaphore,
}

impl Planner {
    pub fn new(ports: Arc<Ports>, settings: PlannerSettings, progress: Arc<dyn ProgressSink>) -> Self {
        Self {
            ports,
            settings,
            progress,
            active: Mutex::default(),
            turns: Turns::default(),
            told: Mutex::default(),
            openings: Semaphore::new(usize::from(REQUESTS_AT_ONCE)),
        }
    }

    /// Serves requests and ticks until the shutdown, then drains.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<()> {
        let requests = Arc::new(Requests(Arc::clone(&self)));
        let ticks = Arc::new(Ticks(Arc::clone(&self)));
        let (queue, retry) = (self.ports.queue.as_ref(), &self.settings.retry);
        tokio::try_join!(
            serve(
                queue,
                &QueueName::Requests,
                REQUESTS_AT_ONCE,
                requests,
                retry,
                &shutdown
            ),
            serve(queue, &QueueName::Ticks, TICKS_AT_ONCE, ticks, retry, &shutdown),
            self.sweep_until(&shutdown),
        )?;
        Ok(())
    }

    /// How many jobs this planner holds open.
    pub fn jobs(&self) -> usize {
        self.active.lock().expect("no holder of this lock panics").len()
    }

    /// The age of the oldest snapshot that this planner keeps.
    pub fn oldest_snapshot(&self) -> Option<Duration> {
        let active = self.active.lock().expect("no holder of this lock panics");
        active.values().filter_map(|job| job.snapshot_age()).max()
    }

    fn records(&self, destination: &str, job: &JobId) -> Result<JobRecords> {
        Ok(JobRecords::new(self.ports.destination(destination)?, job.clone()))
    }

    fn active_job(&self, job: &JobId) -> Option<Arc<ActiveJob>> {
        let active = self.active.lock().expect("no holder of this lock panics");
        active.get(job).cloned()
    }

    fn active_jobs(&self) -> Vec<Arc<ActiveJob>> {
        let active = self.active.lock().expect("no holder of this lock panics");
        active.values().cloned().collect()
    }

    fn activate(&self, job: ActiveJob) -> Arc<ActiveJob> {
        let job = Arc::new(job);
        let id = job.record.job.clone();
        let mut active = self.active.lock().expect("no holder of this lock panics");
        active.insert(id, Arc::clone(&job));
        job
    }

    fn told(&self) -> std::sync::MutexGuard<'_, HashSet<JobId>> {
        self.told.lock().expect("no holder of this lock panics")
    }

    /// Lets go of the job's snapshot.
    fn deactivate(&self, job: &JobId) {
        self.active.lock().expect("no holder of this lock panics").remove(job);
    }
}
