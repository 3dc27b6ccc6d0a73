//! Services as processes, and a job from request to outcome among them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlextract_extractor::{Extractor, ExtractorParts, ExtractorSettings};
use sqlextract_model::{
    Code, Compression, Consistency, Event, ExtractionRequest, Failure, FileFormat, Format, JobId, ObjectKey, OnLossy,
    OnSnapshotLost, Outcome, RequestedTable, Result, Selection,
};
use sqlextract_planner::{Planner, PlannerSettings, RequestPolicy};
use sqlextract_queue::{InProcessQueue, Message, Queue, QueueName, Settlement};
use sqlextract_runtime::{Gate, MemoryBudget, NoProgress, Ports, RateLimit, RateLimiter, RetryPolicy, Shutdown};
use sqlextract_scripter::Scripter;
use sqlextract_source::{Source, SourceSettings, SqliteSource};
use sqlextract_storage::{JobRecords, LocalStorage, Storage};
use tokio::runtime::{Builder, Runtime};

use crate::{Chance, FaultyCheckpoint, FaultyQueue, FaultyStorage};

const SOURCE: &str = "shop";
const DESTINATION: &str = "lake";
const PATIENCE: Duration = Duration::from_secs(60);
/// With a planted defect a job may never end.
const PLANTED_PATIENCE: Duration = Duration::from_secs(4);

/// A defect that is put in on purpose: seeds must find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Publishes are taken for confirmed that nobody has confirmed.
    Believing,
    /// Messages are settled before they are handled.
    SettlingFirst,
}

/// How a job ended.
#[derive(Debug)]
pub struct End {
    pub outcome: Outcome,
    pub rows: u64,
    pub batches: usize,
    /// Ids of the events that told the outcome.
    pub told: BTreeSet<String>,
    /// Chunks that are there and named by nothing, and those that are named and not there.
    pub astray: Vec<String>,
}

/// What outlives the processes, and the processes.
#[derive(Debug)]
pub struct World {
    chance: Arc<Chance>,
    planted: Option<Planted>,
    queue: Arc<dyn Queue>,
    checkpoint: Arc<FaultyCheckpoint>,
    storage: Arc<dyn Storage>,
    database: std::path::PathBuf,
    observer: Runtime,
    processes: Vec<Runtime>,
}

fn defect(what: &str, cause: impl ToString) -> Failure {
    Failure::new(Code::Defect, what).because(cause.to_string())
}

fn quick() -> RetryPolicy {
    RetryPolicy {
        max_attempts: 1000,
        initial: Duration::from_millis(1),
        max_delay: Duration::from_millis(10),
        ..RetryPolicy::default()
    }
}

impl World {
    /// Planner, two extractors and scripter on a folder that is theirs, and a database that nobody changes.
    pub fn begin(
        (seed, failing): (u64, u64),
        folder: &Path,
        database: &Path,
        planted: Option<Planted>,
    ) -> Result<Self> {
        let chance = Arc::new(Chance::new(seed, failing));
        let observer = Builder::new_current_thread().enable_all().build();
        let observer = observer.map_err(|e| defect("a runtime does not start", e))?;
        let lake = folder.join(DESTINATION);
        let mut world = Self {
            queue: Arc::new(InProcessQueue::new(4096)),
            checkpoint: Arc::new(FaultyCheckpoint::open(folder.to_owned(), Arc::clone(&chance))?),
            storage: Arc::new(observer.block_on(LocalStorage::open(&lake))?),
            database: database.to_owned(),
            observer,
            processes: Vec::new(),
            chance,
            planted,
        };
        for role in 0..4 {
            let process = world.process(role)?;
            world.processes.push(process);
        }
        Ok(world)
    }

    fn ports(&self, source: Arc<dyn Source>) -> Ports {
        let storage: Arc<dyn Storage> = Arc::new(FaultyStorage {
            inner: Arc::clone(&self.storage),
            chance: Arc::clone(&self.chance),
        });
        Ports {
            queue: Arc::new(FaultyQueue {
                inner: Arc::clone(&self.queue),
                chance: Arc::clone(&self.chance),
                settles_at_once: self.planted == Some(Planted::SettlingFirst),
                believes: self.planted == Some(Planted::Believing),
            }),
            checkpoint: Arc::clone(&self.checkpoint) as _,
            sources: BTreeMap::from([(SOURCE.to_owned(), source)]),
            destinations: BTreeMap::from([(DESTINATION.to_owned(), storage)]),
        }
    }

    /// A process: a runtime of its own, whose end ends every task at its await.
    fn process(&self, role: usize) -> Result<Runtime> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|e| defect("a runtime does not start", e))?;
        let settings = SourceSettings {
            url: format!("sqlite://{}", self.database.display()),
            allow_plaintext: false,
            max_connections: 4,
            connect_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(60),
        };
        let source: Arc<dyn Source> = Arc::new(runtime.block_on(SqliteSource::open(settings))?);
        let ports = Arc::new(self.ports(source));
        let shutdown = Shutdown::new(Duration::ZERO);
        match role {
            0 => {
                let planner = Arc::new(Planner::new(ports, planner_settings(), Arc::new(NoProgress)));
                runtime.spawn(planner.run(shutdown));
            }
            1 => {
                let scripter = Arc::new(Scripter::new(ports, quick(), Arc::new(NoProgress)));
                runtime.spawn(scripter.run(shutdown));
            }
            _ => {
                runtime.spawn(Arc::new(extractor(ports, shutdown)).run());
            }
        }
        Ok(runtime)
    }

    /// Ends a process drawn by lot, or lets the checkpoint store forget; the process comes back.
    pub fn strike(&mut self) -> Result<()> {
        let drawn = self.chance.below(5) as usize;
        if drawn == 4 {
            return self.checkpoint.forget();
        }
        let next = self.process(drawn)?;
        std::mem::replace(&mut self.processes[drawn], next).shutdown_background();
        Ok(())
    }

    fn rest(&self, time: Duration) {
        self.observer.block_on(async { tokio::time::sleep(time).await });
    }

    /// Asks, strikes so many times, and waits for the outcome and the last sweep.
    pub fn run(&mut self, batch_rows: u64, strikes: u32) -> Result<End> {
        let request = request(batch_rows);
        let job = request.job_id();
        let body = serde_json::to_vec(&request).map_err(|e| defect("a request is no JSON", e))?;
        let queue = Arc::clone(&self.queue);
        let subscriber = QueueName::Events {
            subscriber: "world".to_owned(),
        };
        let mut events = self.observer.block_on(queue.receiver(&subscriber, 64))?;
        let asking = queue.publish(&QueueName::Requests, Message::new("request-1", body));
        self.observer.block_on(asking)?;
        for _ in 0..strikes {
            let rest = Duration::from_micros(500 + self.chance.below(20_000));
            self.rest(rest);
            self.strike()?;
        }
        let records = JobRecords::new(Arc::clone(&self.storage), job.clone());
        let begun = Instant::now();
        loop {
            let marked = self.observer.block_on(JobRecords::open_jobs(self.storage.as_ref()))?;
            if marked.is_empty() && self.observer.block_on(records.manifest())?.is_some() {
                break;
            }
            let patience = self.planted.map_or(PATIENCE, |_| PLANTED_PATIENCE);
            if begun.elapsed() > patience {
                return Err(defect("the job has not ended in every respect", format!("{marked:?}")));
            }
            self.rest(Duration::from_millis(3));
        }
        let told = self.observer.block_on(async {
            let mut told = BTreeSet::new();
            let soon = Duration::from_millis(20);
            while let Ok(delivery) = tokio::time::timeout(soon, events.receive()).await {
                let delivery = delivery?;
                let event = serde_json::from_slice::<Event>(&delivery.message().body);
                let event = event.map_err(|e| defect("an event cannot be read", e))?;
                if event.data.outcome.is_some() && event.data.table.is_none() {
                    told.insert(event.id.clone());
                }
                delivery.settle(Settlement::Done).await?;
            }
            Ok::<_, Failure>(told)
        })?;
        self.observer.block_on(end(&records, &job, told))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for process in self.processes.drain(..) {
            process.shutdown_background();
        }
    }
}

async fn end(records: &JobRecords, job: &JobId, told: BTreeSet<String>) -> Result<End> {
    let manifest = records
        .manifest()
        .await?
        .ok_or_else(|| defect("the outcome is gone", job))?
        .record;
    let (mut rows, mut batches, mut named) = (0, BTreeSet::new(), BTreeSet::new());
    let mut entries = 0;
    for page in &manifest.pages {
        for entry in records.manifest_page(&manifest, page.number).await? {
            entries += 1;
            rows += entry.rows;
            batches.insert(entry.batch.0);
            named.extend(
                entry
                    .chunks
                    .into_iter()
                    .map(|chunk| format!("{}{}", ObjectKey::job_prefix(job), chunk.key)),
            );
        }
    }
    let there: BTreeSet<String> = records.chunks().await?.into_iter().map(|object| object.key).collect();
    let mut astray: Vec<String> = there.symmetric_difference(&named).cloned().collect();
    if entries != batches.len() {
        astray.push(format!("{entries} entries of {} batches", batches.len()));
    }
    Ok(End {
        outcome: manifest.outcome,
        rows,
        batches: batches.len(),
        told,
        astray,
    })
}

fn planner_settings() -> PlannerSettings {
    PlannerSettings {
        requests: RequestPolicy::Own,
        job_window: 4,
        publish_page: 3,
        tick_delay: Duration::from_millis(1),
        sweep_interval: Duration::from_millis(10),
        stall_after: Duration::from_millis(150),
        retry: quick(),
        created_by: "simulation".to_owned(),
        single_writer: false,
        adopt: true,
        max_blocked: Some(Duration::from_secs(3600)),
        // Longer than a process that was ended may still work on a thread.
        linger: Duration::from_millis(400),
    }
}

fn extractor(ports: Arc<Ports>, shutdown: Shutdown) -> Extractor {
    let budget = MemoryBudget::new(64 << 20);
    Extractor::new(ExtractorParts {
        ports,
        source: SOURCE.to_owned(),
        settings: ExtractorSettings {
            workers: 2,
            parallel_write: true,
            batch_deadline: Duration::from_secs(30),
            retry: quick(),
            created_by: "simulation".to_owned(),
            upload_bytes: 0,
        },
        shares: budget.shares(NonZeroUsize::new(2).expect("two is not zero")),
        limiter: RateLimiter::new(RateLimit::default()),
        gate: Gate::new(2),
        progress: Arc::new(NoProgress),
        shutdown,
    })
}

fn request(batch_rows: u64) -> ExtractionRequest {
    let table = RequestedTable {
        selection: Selection::Table {
            schema: None,
            name: "orders".to_owned(),
        },
        columns: None,
        exclude_columns: Vec::new(),
        filter: None,
        condition: None,
        overrides: Vec::new(),
    };
    ExtractionRequest {
        version: 1,
        source: SOURCE.to_owned(),
        destination: DESTINATION.to_owned(),
        tables: vec![table],
        format: FileFormat {
            format: Format::Csv,
            compression: Compression::None,
            level: None,
        },
        consistency: Some(Consistency::Batch),
        on_lossy: OnLossy::Fail,
        chunk_bytes: 64_000_000,
        on_snapshot_lost: OnSnapshotLost::Auto,
        targets: Vec::new(),
        batch_rows: Some(batch_rows),
        name: None,
        run: 1,
        origin: None,
    }
}
