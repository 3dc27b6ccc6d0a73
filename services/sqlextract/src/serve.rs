//! `serve`: planner, extractor and scripter as services on a broker, a shared checkpoint store and shared storage.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use sqlextract_checkpoint::Checkpoint;
use sqlextract_extractor::{Encoding, Extractor, ExtractorParts, ExtractorSettings};
use sqlextract_model::{ByteSize, Class, Code, Failure, Result};
use sqlextract_planner::{BatchBound, Pace, Planner, PlannerSettings, RequestPolicy};
use sqlextract_runtime::{
    Gate, HealthServer, Machine, MemoryBudget, MeteredProgress, Metric, Metrics, ProgressSink, RateLimiter,
    RetryPolicy, Sampler, Share, Shutdown, WindowKeeper,
};
use sqlextract_scripter::Scripter;
use sqlextract_storage::Storage;
use tokio_util::sync::CancellationToken;

use crate::allowed;
use crate::extract::CREATED_BY;
use crate::lead::Leadership;
use crate::ports::{self, Shared, UploadMemory};
use crate::replica::{Counting, Reporter};
use crate::resource_args::{Auto, ResourceArgs};
use crate::schedule;
use crate::service_args::{Role, ServeArgs};
use crate::service_settings::{config, duration};
use crate::settings::{ExtractEntry, SettingsFile, SourceEntry};
use crate::standing::Standing;
use crate::tuning::{Tuning, encoding, rate_limit};

const DEFAULT_GRACE: Duration = Duration::from_secs(60);
const DEFAULT_BATCH_DEADLINE: Duration = Duration::from_secs(20 * 60);
/// How long a service waits at its start for a broker or a store that does not answer yet.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// What storage may still do with a request that was sent before a deadline.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) async fn run(args: &ServeArgs, file: &SettingsFile) -> Result<()> {
    let grace = duration("telemetry.grace", file.telemetry.grace.as_deref())?.unwrap_or(DEFAULT_GRACE);
    let shutdown = Shutdown::on_signals(grace)?;
    let metrics = Metrics::new();
    let standing = Arc::new(Standing::new(shutdown.clone()));
    let until = CancellationToken::new();
    let listen = args.listen.as_deref().or(file.telemetry.listen.as_deref());
    if let Some(address) = listen {
        let server = HealthServer::bind(address).await?;
        tracing::info!(address = %server.address(), "health and metrics are served");
        let (health, metrics, until) = (Arc::clone(&standing), metrics.clone(), until.clone());
        tokio::spawn(server.serve(health, metrics, until));
    }
    let service = Service {
        file,
        metrics,
        standing,
        shutdown: shutdown.clone(),
        grace,
        name: holder(),
    };
    let opening = tokio::select! {
        opened = service.open(args.role) => opened.map(Some),
        () = shutdown.draining().cancelled() => Ok(None),
    };
    let outcome = match opening {
        Ok(Some(shared)) => {
            let outcome = shutdown.finish().await;
            shared.broker.close().await;
            outcome
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    until.cancel();
    outcome
}

struct Service<'a> {
    file: &'a SettingsFile,
    metrics: Metrics,
    standing: Arc<Standing>,
    shutdown: Shutdown,
    grace: Duration,
    /// Who this is, for people and leases.
    name: String,
}

impl Service<'_> {
    /// Opens what the role needs and starts it.
    async fn open(&self, role: Role) -> Result<Shared> {
        let extracting = match role.extracts() {
            true => self.extracting()?,
            false => Vec::new(),
        };
        let memory = extracting
            .first()
            .map_or(UploadMemory::SMALL, |(_, tuning)| UploadMemory {
                part_bytes: tuning.upload_part_bytes,
                threshold_bytes: tuning.upload_threshold_bytes,
            });
        let name = format!("sqlextract {role}");
        let shared = patiently("the broker or the checkpoint store", || Shared::open(self.file, &name)).await?;
        let destinations = patiently("a destination", || ports::open_destinations(self.file, memory)).await?;
        self.standing.opened(shared.broker.clone());
        for (name, limit) in ports::upload_limits(self.file)? {
            tracing::info!("destination {name}: at most {limit} bytes per second are sent, as its settings say");
            self.metrics
                .set(Metric::UploadLimit, &[("destination", &name)], limit.get() as f64);
        }
        if role.plans() {
            self.start_planner(&shared, &destinations)?;
        }
        if let Some((_, tuning)) = extracting.first() {
            let memory = MemoryBudget::new(tuning.buffer_bytes);
            self.standing.holds(memory.clone());
            let mut shares = memory.shares(workers_of(&extracting));
            let encoding = encoding(self.file.extractor.pin_encoding)?;
            for (source, tuning) in &extracting {
                let own = shares.split_off(shares.len() - tuning.workers.parts().get());
                self.start_extractor((source, tuning), (&memory, own, &encoding), &shared, &destinations)?;
            }
        }
        if role.scripts() {
            self.start_scripter(&shared, &destinations);
        }
        tracing::info!(role = %role, "the service is up");
        Ok(shared)
    }

    fn start_planner(&self, shared: &Shared, destinations: &BTreeMap<String, Arc<dyn Storage>>) -> Result<()> {
        let entry = &self.file.planner;
        let mut sources = BTreeMap::new();
        for (name, source) in &self.file.sources {
            let most = source.max_connections.unwrap_or(PLANNER_CONNECTIONS);
            sources.insert(name.clone(), ports::lazy_source(self.file, name, most)?);
        }
        let ports = Arc::new(shared.ports(sources, destinations, &self.metrics));
        let time = |key: &str, text: &Option<String>, default: Duration| {
            Ok::<_, Failure>(duration(&format!("planner.{key}"), text.as_deref())?.unwrap_or(default))
        };
        let settings = PlannerSettings {
            requests: RequestPolicy::Outside(allowed::requests(self.file)?),
            job_window: entry.job_window.unwrap_or(64).max(1),
            publish_page: entry.publish_page.unwrap_or(64).max(1),
            tick_delay: time("tick_delay", &entry.tick_delay, Duration::from_millis(50))?,
            sweep_interval: time("sweep_interval", &entry.sweep_interval, Duration::from_secs(10))?,
            stall_after: time("stall_after", &entry.stall_after, Duration::from_secs(5 * 60))?,
            retry: patient_retry(),
            created_by: CREATED_BY.to_owned(),
            single_writer: false,
            adopt: true,
            max_blocked: Some(time("max_blocked", &entry.max_blocked, Duration::from_secs(24 * 3600))?),
            linger: time("linger", &entry.linger, self.batch_deadline()? + REQUEST_TIMEOUT)?,
            bounds: self.bounds()?,
            unprobed: self.limited_sources(),
        };
        let leadership = Leadership {
            checkpoint: Arc::new(shared.checkpoint.clone()) as Arc<dyn Checkpoint>,
            holder: self.name.clone(),
            time_to_live: time("lease", &entry.lease, Duration::from_secs(10))?,
            metrics: self.metrics.clone(),
        };
        let (shutdown, grace, standing) = (self.shutdown.clone(), self.grace, Arc::clone(&self.standing));
        let progress: Arc<dyn ProgressSink> = Arc::new(MeteredProgress::new(self.metrics.clone(), "planner"));
        self.shutdown.spawn("planner", async move {
            let role = |own: Shutdown| {
                // A new planner each time: jobs of an earlier lead may have gone on elsewhere.
                let planner = Planner::new(Arc::clone(&ports), settings.clone(), Arc::clone(&progress));
                let planner = Arc::new(planner);
                standing.plans(&planner);
                planner.run(own)
            };
            leadership.lead(shutdown, grace, role).await
        });
        Ok(())
    }

    /// The sources that this process extracts from, each with its share of the machine.
    fn extracting(&self) -> Result<Vec<(String, Tuning)>> {
        let entry = &self.file.extractor;
        let names: Vec<String> = match &entry.sources {
            Some(names) => names.clone(),
            None => self.file.sources.keys().cloned().collect(),
        };
        if names.is_empty() {
            return Err(config("the settings have no `[sources.NAME]` to extract from"));
        }
        let buffer = entry.buffer_size()?;
        let mut extracting = Vec::with_capacity(names.len());
        for name in names.clone() {
            let source = self.file.sources.get(&name);
            let source = source.ok_or_else(|| config(format!("extractor.sources: there is no source `{name}`")))?;
            let choice = ports::source_choice(self.file, &name)?;
            let workers = source.workers.or(entry.workers);
            let args = ResourceArgs {
                workers: workers.map(Auto::Fixed),
                buffer_size: buffer.map(|whole| ByteSize(whole.0 / names.len() as u64)),
                rate_limit: source.rate_limit.clone(),
                ..ResourceArgs::default()
            };
            let mut tuning = Tuning::choose(&args, &ExtractEntry::default(), &choice)?;
            tuning.workers.long = source.allow_long_batches;
            extracting.push((name, tuning));
        }
        // All workers of the process draw on one budget, so that a large row of one source has room beside the others.
        let most = extracting.iter().map(|(_, tuning)| tuning.buffer_bytes).max();
        let whole = buffer.map(|buffer| buffer.0).or(most).unwrap_or_default();
        let workers = workers_of(&extracting);
        let shared = extracting
            .into_iter()
            .map(|(name, tuning)| (name, tuning.among(whole, workers)));
        Ok(shared.collect())
    }

    fn start_extractor(
        &self,
        (source, tuning): (&str, &Tuning),
        (memory, shares, encoding): (&MemoryBudget, Vec<Share>, &Encoding),
        shared: &Shared,
        destinations: &BTreeMap<String, Arc<dyn Storage>>,
    ) -> Result<()> {
        let port = ports::lazy_source(self.file, source, tuning.max_connections)?;
        let ports = shared.ports(BTreeMap::from([(source.to_owned(), port)]), destinations, &self.metrics);
        tracing::info!("{source}: workers: {}, {}", tuning.workers.start, tuning.workers.why);
        for (name, value, why) in tuning.told(None) {
            tracing::info!("{source}: {name}: {value}, {why}");
        }
        let gate = Gate::new(tuning.workers.start);
        if tuning.workers.adapt {
            let (bounds, port) = (tuning.workers.bounds(), ports.source(source)?);
            let sampler = Sampler::new(gate.clone(), bounds, port, Machine::new(), memory.clone());
            self.shutdown
                .spawn(format!("sampler of {source}"), sampler.run(self.shutdown.clone()));
        }
        let schedule = schedule::of(source, self.file, tuning.rate_limit)?;
        let budget = shared.checkpoint.source_budget(source, schedule.otherwise.of_source());
        let limiter = RateLimiter::new(tuning.rate_limit).with_fleet(Arc::new(budget));
        let keeper = WindowKeeper::new(source, schedule, limiter.clone());
        self.shutdown
            .spawn(format!("windows of {source}"), keeper.run(self.shutdown.clone()));
        let retry = RetryPolicy {
            max_attempts: self.file.extractor.max_attempts.unwrap_or(8).max(1),
            initial: Duration::from_secs(1),
            max_delay: Duration::from_secs(5 * 60),
            ..RetryPolicy::default()
        };
        let rows = Arc::default();
        let progress = Counting {
            sink: Arc::new(MeteredProgress::new(self.metrics.clone(), source)),
            rows: Arc::clone(&rows),
        };
        let extractor = Arc::new(Extractor::new(ExtractorParts {
            ports: Arc::new(ports),
            source: source.to_owned(),
            settings: ExtractorSettings {
                workers: tuning.workers.ceiling,
                parallel_write: true,
                encoding: encoding.clone(),
                batch_deadline: self.batch_deadline()?,
                retry,
                created_by: CREATED_BY.to_owned(),
                upload_bytes: tuning.largest_upload_bytes(),
            },
            shares,
            limiter: limiter.clone(),
            gate,
            progress: Arc::new(progress),
            shutdown: self.shutdown.clone(),
        }));
        let reporter = Reporter {
            checkpoint: shared.checkpoint.clone(),
            source: source.to_owned(),
            name: self.name.clone(),
            extractor: Arc::clone(&extractor),
            limiter,
            rows,
        };
        self.shutdown
            .spawn(format!("report of {source}"), reporter.run(self.shutdown.clone()));
        if tuning.workers.long {
            self.shutdown
                .spawn(format!("long batches of {source}"), Arc::clone(&extractor).run_long());
        }
        self.shutdown.spawn(format!("extractor of {source}"), extractor.run());
        Ok(())
    }

    fn start_scripter(&self, shared: &Shared, destinations: &BTreeMap<String, Arc<dyn Storage>>) {
        let ports = Arc::new(shared.ports(BTreeMap::new(), destinations, &self.metrics));
        let progress = Arc::new(MeteredProgress::new(self.metrics.clone(), "scripter"));
        let scripter = Scripter::new(ports, patient_retry(), progress);
        let scripter = Arc::new(scripter.with_targets(self.file.scripter.targets.clone()));
        self.shutdown.spawn("scripter", scripter.run(self.shutdown.clone()));
    }

    /// Sources with limits, which a probe of the planner would pass by.
    fn limited_sources(&self) -> BTreeSet<String> {
        let limited = |entry: &SourceEntry| entry.rate_limit.is_some() || !entry.windows.is_empty();
        let sources = self.file.sources.iter().filter(|(_, entry)| limited(entry));
        sources.map(|(name, _)| name.clone()).collect()
    }

    /// What a batch of each source may last, at the slowest pace that its windows leave.
    fn bounds(&self) -> Result<BTreeMap<String, BatchBound>> {
        let mut bounds = BTreeMap::new();
        for (name, source) in &self.file.sources {
            let base = rate_limit(source.rate_limit.as_deref())?;
            let slowest = schedule::of(name, self.file, base)?.slowest();
            let bound = BatchBound {
                deadline: self.batch_deadline()?,
                allow_long: source.allow_long_batches,
                pace: Pace {
                    rows: slowest.rows.map(NonZeroU64::get),
                    bytes: slowest.bytes.map(NonZeroU64::get),
                },
            };
            bounds.insert(name.clone(), bound);
        }
        Ok(bounds)
    }

    fn batch_deadline(&self) -> Result<Duration> {
        let asked = duration(
            "extractor.batch_deadline",
            self.file.extractor.batch_deadline.as_deref(),
        )?;
        Ok(asked.unwrap_or(DEFAULT_BATCH_DEADLINE))
    }
}

fn workers_of(extracting: &[(String, Tuning)]) -> NonZeroUsize {
    let workers = extracting.iter().map(|(_, tuning)| tuning.workers.parts().get()).sum();
    NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN)
}

/// A planner's own questions, and one keeper for each job's snapshot.
const PLANNER_CONNECTIONS: u32 = 16;

/// Requests and ticks wait for the infrastructure as long as it takes: nobody else would bring them back.
fn patient_retry() -> RetryPolicy {
    RetryPolicy {
        max_attempts: u32::MAX,
        initial: Duration::from_secs(1),
        max_delay: Duration::from_secs(60),
        ..RetryPolicy::default()
    }
}

/// Tries until it works, somebody has to change something, or the patience is over.
async fn patiently<T, F: Future<Output = Result<T>>>(what: &str, open: impl Fn() -> F) -> Result<T> {
    let began = tokio::time::Instant::now();
    let policy = RetryPolicy::default();
    for attempt in 1.. {
        match open().await {
            // What nobody has declared yet is told at once: waiting would hide it.
            Err(failure)
                if failure.class() != Class::Permanent
                    && failure.code != Code::QueueMissing
                    && began.elapsed() < START_PATIENCE =>
            {
                tracing::warn!(error.code = %failure.code, "{what} does not answer yet: {failure}");
                tokio::time::sleep(policy.delay(attempt).min(Duration::from_secs(3))).await;
            }
            outcome => return outcome,
        }
    }
    Err(Failure::new(Code::Defect, "there are no more numbers"))
}

/// Who holds a lease, for people: host, process, and what tells two processes of one number apart.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut bytes = [0; 4];
    let lot = match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => 0,
    };
    format!("{}/{}/{lot:08x}", host.trim(), std::process::id())
}
