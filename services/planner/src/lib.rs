//! The planner: a request becomes a job, its tables become plans, and plans become batch messages.
//!
//! Read in this order: `accept` (request to job), `open` (epoch, snapshot and plans), `tables` (one table's plan),
//! `fan_out` (ticks publish batches through a window), `finish` (the one outcome), `sweep` (what repairs a stall).

mod accept;
mod active;
mod announce;
mod epoch;
mod fan_out;
mod finish;
mod manifest;
mod open;
mod report;
mod sweep;
mod tables;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_model::{Code, ExtractionRequest, Failure, JobId, Result, TickMessage};
use sqlextract_queue::{Message, QueueName};
use sqlextract_runtime::{Handler, Ports, ProgressSink, RetryPolicy, Shutdown, Verdict, serve, settlement_for};
use sqlextract_storage::JobRecords;

pub use tables::{PlannedTable, plan_table};

use active::ActiveJob;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct PlannerSettings {
    /// Batches of one job that are published and not done: what keeps a large job from starving a small one.
    pub job_window: u64,
    /// Batches published per tick.
    pub publish_page: u64,
    /// How long a tick waits when the window is full.
    pub tick_delay: Duration,
    /// How often the sweeper looks for jobs that make no progress.
    pub sweep_interval: Duration,
    pub retry: RetryPolicy,
    /// Written into manifests: the program and its version.
    pub created_by: String,
    /// The store ignores create-only writes and one writer was promised.
    pub single_writer: bool,
}

/// The planner service.
#[derive(Debug)]
pub struct Planner {
    ports: Arc<Ports>,
    settings: PlannerSettings,
    progress: Arc<dyn ProgressSink>,
    active: Mutex<HashMap<JobId, Arc<ActiveJob>>>,
}

impl Planner {
    pub fn new(ports: Arc<Ports>, settings: PlannerSettings, progress: Arc<dyn ProgressSink>) -> Self {
        Self {
            ports,
            settings,
            progress,
            active: Mutex::new(HashMap::new()),
        }
    }

    /// Serves requests and ticks until the shutdown, then drains.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) -> Result<()> {
        let requests = Arc::new(Requests(Arc::clone(&self)));
        let ticks = Arc::new(Ticks(Arc::clone(&self)));
        let (queue, retry) = (self.ports.queue.as_ref(), &self.settings.retry);
        tokio::try_join!(
            serve(queue, &QueueName::Requests, 4, requests, retry, &shutdown),
            serve(queue, &QueueName::Ticks, 4, ticks, retry, &shutdown),
            self.sweep_until(&shutdown),
        )?;
        Ok(())
    }

    fn records(&self, destination: &str, job: &JobId) -> Result<JobRecords> {
        Ok(JobRecords::new(self.ports.destination(destination)?, job.clone()))
    }

    fn active_job(&self, job: &JobId) -> Option<Arc<ActiveJob>> {
        self.active
            .lock()
            .expect("no holder of this lock panics")
            .get(job)
            .cloned()
    }

    fn activate(&self, job: ActiveJob) -> Arc<ActiveJob> {
        let job = Arc::new(job);
        let id = job.record.job.clone();
        self.active
            .lock()
            .expect("no holder of this lock panics")
            .insert(id, Arc::clone(&job));
        job
    }

    /// Lets go of the job's snapshot.
    fn deactivate(&self, job: &JobId) {
        self.active.lock().expect("no holder of this lock panics").remove(job);
    }
}

/// Requests that cannot be served are answered with a rejection, once.
#[derive(Debug)]
struct Requests(Arc<Planner>);

#[async_trait]
impl Handler for Requests {
    async fn handle(&self, message: &Message, redeliveries: u32) -> Verdict {
        let request: ExtractionRequest = match parse(message) {
            Ok(request) => request,
            Err(failure) => return Verdict::Park(failure),
        };
        let Err(failure) = self.0.accept(&request).await else {
            return Verdict::Done;
        };
        match settlement_for(&failure, redeliveries + 1, &self.0.settings.retry) {
            Verdict::Again { after } => Verdict::Again { after },
            _ => match self.0.reject(&request.job_id(), failure).await {
                Ok(()) => Verdict::Done,
                Err(failure) => settlement_for(&failure, 1, &self.0.settings.retry),
            },
        }
    }
}

#[derive(Debug)]
struct Ticks(Arc<Planner>);

#[async_trait]
impl Handler for Ticks {
    async fn handle(&self, message: &Message, redeliveries: u32) -> Verdict {
        let tick: TickMessage = match parse(message) {
            Ok(tick) => tick,
            Err(failure) => return Verdict::Park(failure),
        };
        match self.0.tick(&tick).await {
            Ok(verdict) => verdict,
            Err(failure) => match settlement_for(&failure, redeliveries + 1, &self.0.settings.retry) {
                Verdict::Park(failure) => match self.0.reject(&tick.job, failure.clone()).await {
                    Ok(()) => Verdict::Park(failure),
                    Err(failure) => Verdict::Park(failure),
                },
                verdict => verdict,
            },
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(message: &Message) -> Result<T> {
    serde_json::from_slice(&message.body).map_err(|e| {
        Failure::new(
            Code::MessageUnreadable,
            format!("message {} cannot be read", message.id),
        )
        .because(e)
    })
}
