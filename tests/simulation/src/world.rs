//! A job from request to outcome, among services that die and ports that misbehave, as a seed has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlextract_model::{
    Code, Compression, Consistency, Event, ExtractionRequest, Failure, FileFormat, Format, JobId, ObjectKey, OnLossy,
    OnSnapshotLost, Outcome, ParquetVersion, RequestedTable, Result, Selection,
};
use sqlextract_queue::{InProcessQueue, Message, QueueName, Receiver, Settlement};
use sqlextract_source::Source;
use sqlextract_storage::JobRecords;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, timeout};

use crate::process::{DESTINATION, Process, ROLES, SOURCE, Surviving};
use crate::script::{Script, Strike};
use crate::{Chance, GivenSurroundings, Life, MemoryCheckpoint, MemoryStorage, Trace, Wire};

/// How long a job may take, in the world's own time, which costs nothing while nobody works.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the world looks at its processes and at the job.
const LOOK: Duration = Duration::from_millis(2);
const STALL_AFTER: Duration = Duration::from_millis(150);
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A defect that is put in on purpose: seeds must find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Publishes are taken for confirmed that nobody has confirmed, as `wait_for_confirms` takes them.
    Believing,
    /// Messages are settled before they are handled: the ack comes before the commit record.
    SettlingFirst,
    /// A batch that is committed is settled at once, without repeating what follows its commit.
    Shortcut,
    /// A job that the checkpoint store has lost is begun anew with nothing done, instead of from storage.
    CountingFromZero,
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
    /// Somebody cancelled the job, so that it may have ended so.
    pub cancelled: bool,
}

/// The world of one seed.
#[derive(Debug)]
pub struct World {
    seed: u64,
    planted: Option<Planted>,
    source: Arc<dyn Source>,
    trace: Arc<Trace>,
    /// Within so long after the last batch but one is committed, somebody cancels the job.
    cancelled_within: Option<Duration>,
}

impl World {
    /// Over a database that nobody changes, with a table `orders`.
    pub fn new(seed: u64, source: Arc<dyn Source>, planted: Option<Planted>) -> Self {
        Self {
            seed,
            planted,
            source,
            trace: Arc::default(),
            cancelled_within: None,
        }
    }

    /// Somebody cancels the job just when it is about to be whole, and at no other time: at a moment drawn by lot within so
    /// long after its last batch but one is committed.
    #[must_use]
    pub fn cancelled_within(mut self, time: Duration) -> Self {
        self.cancelled_within = Some(time);
        self
    }

    /// Keeps every event of its trace.
    #[must_use]
    pub fn keeping(mut self) -> Self {
        self.trace = Arc::new(Trace::keeping());
        self
    }

    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Asks for the table in batches of so many rows, and waits for the outcome and the last sweep.
    ///
    /// One thread runs everything on a clock that stands still while somebody works, so that the same seed takes the
    /// same course.
    pub fn run(&self, batch_rows: u64) -> Result<End> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|e| defect("a runtime does not start", e))?;
        runtime.block_on(async {
            let mut course = Course::begin(self);
            course.run(&request(batch_rows)).await
        })
    }
}

/// A world that has begun.
struct Course {
    script: Script,
    surviving: Surviving,
    checkpoint: Arc<MemoryCheckpoint>,
    wire: Wire,
    processes: Vec<Process>,
    cancelled: bool,
    /// Of [`World::cancelled_within`], until the moment is drawn.
    cancel_within: Option<Duration>,
    begun: Instant,
}

impl Course {
    fn begin(world: &World) -> Self {
        let (chance, begun) = (Arc::new(Chance::new(world.seed)), Instant::now());
        let mut script = Script::of(world.seed, &chance);
        if world.cancelled_within.is_some() {
            script.strikes.retain(|(_, strike)| *strike != Strike::Cancel);
            // A last batch that takes long would never come first.
            script.faults.slow = 0;
        }
        let checkpoint = Arc::new(MemoryCheckpoint::with_a_past());
        let surviving = Surviving {
            queue: Arc::new(InProcessQueue::new(4096)),
            checkpoint: Arc::clone(&checkpoint) as _,
            storage: Arc::new(MemoryStorage::default()),
            source: Arc::clone(&world.source),
            surroundings: Arc::new(GivenSurroundings {
                begun,
                chance: Arc::clone(&chance),
            }),
            planted: world.planted,
            stall_after: if script.unswept { NEVER } else { STALL_AFTER },
        };
        let wire = Wire {
            process: "world",
            chance,
            trace: Arc::clone(&world.trace),
            life: Arc::new(Life::endless()),
            faults: script.faults,
        };
        Self {
            script,
            surviving,
            checkpoint,
            wire,
            processes: Vec::new(),
            cancelled: false,
            cancel_within: world.cancelled_within,
            begun,
        }
    }

    /// A role's next life.
    fn begin_process(&mut self, role: usize) -> Process {
        let life = match self.script.deaths[role].pop() {
            Some(last) => Life::until(last),
            None => Life::endless(),
        };
        let wire = Wire {
            process: ROLES[role],
            life: Arc::new(life),
            ..self.wire.clone()
        };
        Process::begin(role, &self.surviving, &wire)
    }

    async fn run(&mut self, request: &ExtractionRequest) -> Result<End> {
        let job = request.job_id();
        let body = serde_json::to_vec(request).map_err(|e| defect("a request is no JSON", e))?;
        let queue = Arc::clone(&self.surviving.queue);
        let subscriber = QueueName::Events {
            subscriber: "world".to_owned(),
        };
        let mut events = queue.receiver(&subscriber, 64).await?;
        for role in 0..ROLES.len() {
            let process = self.begin_process(role);
            self.processes.push(process);
        }
        let message = Message::new("request-1", body);
        queue.publish(&QueueName::Requests, message).await?;
        let records = JobRecords::new(Arc::clone(&self.surviving.storage), job.clone());
        loop {
            self.bury();
            self.draw_the_cancellation(&records).await?;
            self.strike(&records).await?;
            let marked = JobRecords::open_jobs(self.surviving.storage.as_ref()).await?;
            if self.script.strikes.is_empty()
                && self.cancel_within.is_none()
                && marked.is_empty()
                && records.manifest().await?.is_some()
            {
                break;
            }
            if self.begun.elapsed() > PATIENCE {
                return Err(defect("the job has not ended in every respect", format!("{marked:?}")));
            }
            sleep(LOOK).await;
        }
        let told = told(events.as_mut()).await?;
        self.end(&records, &job, told).await
    }

    /// Those who died are dropped, and come back.
    fn bury(&mut self) {
        for (role, name) in ROLES.into_iter().enumerate() {
            if self.processes[role].life.dead.is_cancelled() {
                self.wire.trace.reached("a process died");
                self.wire.trace.note(format_args!("{name} dies"));
                let next = self.begin_process(role);
                std::mem::replace(&mut self.processes[role], next).end();
            }
        }
    }

    async fn strike(&mut self, records: &JobRecords) -> Result<()> {
        while let Some((when, strike)) = self.script.strikes.first().copied() {
            if self.begun.elapsed() < when {
                break;
            }
            // What was not accepted yet cannot be cancelled.
            if strike == Strike::Cancel && records.job_record().await?.is_none() {
                break;
            }
            self.script.strikes.remove(0);
            self.wire.trace.note(format_args!("{strike:?}"));
            match strike {
                Strike::Forget => self.checkpoint.forget(),
                Strike::ForgetTheLastSecond => self.checkpoint.forget_the_last_second(),
                Strike::LoseMessages => self.lose_messages().await?,
                Strike::Cancel => {
                    self.cancelled = true;
                    records.cancel().await?;
                }
            }
        }
        Ok(())
    }

    /// Once all batches but one are committed.
    async fn draw_the_cancellation(&mut self, records: &JobRecords) -> Result<()> {
        let (Some(within), Some(job)) = (self.cancel_within, records.job_record().await?) else {
            return Ok(());
        };
        let Some(plan) = records.latest_plan(&job.tables[0].segment).await? else {
            return Ok(());
        };
        let plan = plan.record;
        let committed = records.committed(&plan.segment, plan.generation).await?;
        if committed.len() as u64 + 1 >= plan.batches {
            let micros = self.wire.chance.below(within.as_micros() as u64);
            let when = self.begun.elapsed() + Duration::from_micros(micros);
            self.cancel_within = None;
            self.script.strikes.push((when, Strike::Cancel));
            self.script.strikes.sort_by_key(|(when, _)| *when);
        }
        Ok(())
    }

    async fn lose_messages(&self) -> Result<()> {
        let batches = QueueName::Batches {
            source: SOURCE.to_owned(),
        };
        for queue in [QueueName::Ticks, batches] {
            let mut receiver = self.surviving.queue.receiver(&queue, 1).await?;
            while let Ok(delivery) = timeout(Duration::ZERO, receiver.receive()).await {
                self.wire.trace.reached("a message was lost");
                delivery?.settle(Settlement::Done).await?;
            }
        }
        Ok(())
    }

    async fn end(&self, records: &JobRecords, job: &JobId, told: BTreeSet<String>) -> Result<End> {
        let manifest = records
            .manifest()
            .await?
            .ok_or_else(|| defect("the outcome is gone", job))?
            .record;
        let (mut rows, mut entries, mut batches, mut named) = (0, 0, BTreeSet::new(), BTreeSet::new());
        for page in &manifest.pages {
            for entry in records.manifest_page(&manifest, page.number).await? {
                entries += 1;
                rows += entry.rows;
                batches.insert(entry.batch.0);
                let prefix = ObjectKey::job_prefix(job);
                let chunks = entry.chunks.into_iter();
                named.extend(chunks.map(|chunk| format!("{prefix}{}", chunk.key)));
            }
        }
        let there: BTreeSet<String> = records.chunks().await?.into_iter().map(|object| object.key).collect();
        let mut astray: Vec<String> = there.symmetric_difference(&named).cloned().collect();
        if entries != batches.len() {
            astray.push(format!("{entries} entries of {} batches", batches.len()));
        }
        if manifest.outcome == Outcome::Cancelled {
            self.wire.trace.reached("a job ended as cancelled");
        } else if self.cancelled {
            self.wire.trace.reached("a job was whole before it was cancelled");
        }
        Ok(End {
            outcome: manifest.outcome,
            rows,
            batches: batches.len(),
            told,
            astray,
            cancelled: self.cancelled,
        })
    }
}

/// Ids of the events that tell a job's outcome.
async fn told(events: &mut dyn Receiver) -> Result<BTreeSet<String>> {
    let mut told = BTreeSet::new();
    while let Ok(delivery) = timeout(Duration::from_millis(100), events.receive()).await {
        let delivery = delivery?;
        let event = serde_json::from_slice::<Event>(&delivery.message().body);
        let event = event.map_err(|e| defect("an event cannot be read", e))?;
        if event.data.outcome.is_some() && event.data.table.is_none() {
            told.insert(event.id.clone());
        }
        delivery.settle(Settlement::Done).await?;
    }
    Ok(told)
}

fn defect(what: &str, cause: impl ToString) -> Failure {
    Failure::new(Code::Defect, what).because(cause.to_string())
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
            parquet_version: ParquetVersion::default(),
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
