//! A service as a process: it begins, and at a chosen await it is dropped with everything that it holds.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use sqlextract_checkpoint::Checkpoint;
use sqlextract_extractor::{Encoding, Extractor, ExtractorParts, ExtractorSettings};
use sqlextract_planner::{Planner, PlannerSettings, RequestPolicy};
use sqlextract_queue::Queue;
use sqlextract_runtime::{
    Gate, MemoryBudget, NoProgress, Ports, Randomness, RateLimit, RateLimiter, RetryPolicy, Shutdown, Surroundings,
};
use sqlextract_scripter::Scripter;
use sqlextract_source::Source;
use sqlextract_storage::Storage;
use tokio::task::AbortHandle;

use crate::checkpoint::CountsFromZero;
use crate::{Faults, FaultyCheckpoint, FaultyQueue, FaultySource, FaultyStorage, Life, Planted, Wire};

pub(crate) const SOURCE: &str = "shop";
pub(crate) const DESTINATION: &str = "lake";
/// Processes, by their roles.
pub(crate) const ROLES: [&str; 4] = ["planner", "scripter", "extractor-1", "extractor-2"];

/// What outlives every process.
#[derive(Debug)]
pub(crate) struct Surviving {
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) checkpoint: Arc<dyn Checkpoint>,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    pub(crate) planted: Option<Planted>,
    /// How long a job stands still before the sweeper repairs it.
    pub(crate) stall_after: Duration,
}

impl Surviving {
    fn ports(&self, wire: &Wire) -> Ports {
        let storage: Arc<dyn Storage> = Arc::new(FaultyStorage {
            inner: Arc::clone(&self.storage),
            wire: wire.clone(),
        });
        let source: Arc<dyn Source> = Arc::new(FaultySource {
            inner: Arc::clone(&self.source),
            wire: wire.clone(),
        });
        let mut checkpoint = Arc::clone(&self.checkpoint);
        if self.planted == Some(Planted::CountingFromZero) {
            checkpoint = Arc::new(CountsFromZero::new(checkpoint));
        }
        Ports {
            queue: Arc::new(FaultyQueue {
                inner: Arc::clone(&self.queue),
                wire: wire.clone(),
                planted: self.planted,
                storage: Arc::clone(&self.storage),
            }),
            checkpoint: Arc::new(FaultyCheckpoint {
                inner: checkpoint,
                wire: wire.clone(),
            }),
            sources: BTreeMap::from([(SOURCE.to_owned(), source)]),
            destinations: BTreeMap::from([(DESTINATION.to_owned(), storage)]),
            surroundings: Arc::clone(&self.surroundings),
        }
    }
}

/// One life of a service.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) life: Arc<Life>,
    task: AbortHandle,
}

impl Process {
    pub(crate) fn begin(role: usize, surviving: &Surviving, wire: &Wire) -> Self {
        let ports = Arc::new(surviving.ports(wire));
        let shutdown = Shutdown::new(Duration::ZERO);
        let retry = quick(wire);
        let task = match role {
            0 => {
                let settings = planner_settings(retry, surviving.stall_after, linger(wire.faults));
                let planner = Arc::new(Planner::new(ports, settings, Arc::new(NoProgress)));
                tokio::spawn(planner.run(shutdown))
            }
            1 => {
                let scripter = Arc::new(Scripter::new(ports, retry, Arc::new(NoProgress)));
                tokio::spawn(scripter.run(shutdown))
            }
            _ => tokio::spawn(Arc::new(extractor(ports, retry, deadline(wire.faults), shutdown)).run()),
        };
        Self {
            life: Arc::clone(&wire.life),
            task: task.abort_handle(),
        }
    }

    /// Drops its future, and with it every task, delivery and upload that it holds. It is dead before: none of them
    /// reaches a port any more.
    pub(crate) fn end(self) {
        self.life.dead.cancel();
        self.task.abort();
    }
}

/// Of a batch, where reads are slow on purpose.
pub(crate) const SHORT_DEADLINE: Duration = Duration::from_millis(150);

fn quick(wire: &Wire) -> RetryPolicy {
    RetryPolicy {
        max_attempts: 1000,
        initial: Duration::from_millis(1),
        max_delay: Duration::from_millis(10),
        randomness: Randomness::seeded(wire.chance.bits()),
        ..RetryPolicy::default()
    }
}

/// What a batch may take: where reads are not slow on purpose, more than any takes.
fn deadline(faults: Faults) -> Duration {
    match faults.slow {
        0 => Duration::from_secs(30),
        _ => SHORT_DEADLINE,
    }
}

/// Longer than an attempt that outlived its process's lease on the batch may still be on its way.
fn linger(faults: Faults) -> Duration {
    match faults.slow {
        0 => Duration::from_millis(400),
        _ => 10 * SHORT_DEADLINE,
    }
}

fn planner_settings(retry: RetryPolicy, stall_after: Duration, linger: Duration) -> PlannerSettings {
    PlannerSettings {
        requests: RequestPolicy::Own,
        job_window: 4,
        publish_page: 3,
        tick_delay: Duration::from_millis(1),
        sweep_interval: Duration::from_millis(10),
        stall_after,
        retry,
        created_by: "simulation".to_owned(),
        single_writer: false,
        adopt: true,
        max_blocked: Some(Duration::from_secs(3600)),
        bounds: BTreeMap::new(),
        unprobed: Default::default(),
        linger,
    }
}

fn extractor(ports: Arc<Ports>, retry: RetryPolicy, batch_deadline: Duration, shutdown: Shutdown) -> Extractor {
    let budget = MemoryBudget::new(64 << 20);
    Extractor::new(ExtractorParts {
        ports,
        source: SOURCE.to_owned(),
        settings: ExtractorSettings {
            workers: 2,
            parallel_write: true,
            encoding: Encoding::Task,
            batch_deadline,
            retry,
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
