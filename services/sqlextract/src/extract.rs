//! `extract`: planner, extractor and scripter in this process, until the job has its outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlextract_extractor::{Extractor, ExtractorParts, ExtractorSettings};
use sqlextract_model::{
    Code, Event, EventData, EventKind, ExtractionRequest, Failure, JobId, ObjectKey, Outcome, Result,
};
use sqlextract_planner::{Planner, PlannerSettings, RequestPolicy};
use sqlextract_queue::{Message, QueueName, Receiver, Settlement};
use sqlextract_runtime::{
    Gate, Machine, MemoryBudget, Ports, ProgressSink, RateLimiter, RetryPolicy, Sampler, Shutdown, StopCause,
    WindowKeeper,
};
use sqlextract_scripter::{Scripter, write_script};
use sqlextract_storage::{JobRecords, LocalStorage};

use crate::args::{ExtractArgs, IfRunning, ProgressStyle};
use crate::attach;
use crate::opening::{self, Claimed};
use crate::ports::{self, UploadMemory};
use crate::report::Failures;
use crate::request::{self, Placeholders};
use crate::schedule;
use crate::settings::{DestinationChoice, Place, SettingsFile, SourceChoice, choose_destination, choose_source};
use crate::summary::Summary;
use crate::tuning::{Tuning, encoding};
use crate::view::View;

/// What manifests and chunks say about their maker.
pub(crate) const CREATED_BY: &str = concat!("sqlextract ", env!("CARGO_PKG_VERSION"));
/// How long running batches may finish after the first signal.
const GRACE: Duration = Duration::from_secs(10);
/// How often the run looks for batches that only wait to be repaired.
const LOOK: Duration = Duration::from_millis(250);

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) summary: Summary,
    pub(crate) failures: Option<Failures>,
}

/// What the command line and the settings file say, before anything is opened.
struct Chosen {
    source: SourceChoice,
    destination: DestinationChoice,
    checkpoint: PathBuf,
    request: ExtractionRequest,
    tuning: Tuning,
}

fn choose(args: &ExtractArgs, file: &SettingsFile) -> Result<Chosen> {
    let placeholders = Placeholders::at(chrono::Utc::now());
    let variable = |key: &str| std::env::var(key).ok();
    let source = choose_source(
        file,
        args.selection.source.as_deref(),
        args.place.allow_plaintext,
        variable,
    )?;
    let output = args.place.output.as_deref().map(|o| placeholders.fill(o));
    let mut destination = choose_destination(
        file,
        output.as_deref(),
        args.place.allow_plaintext,
        args.place.single_writer,
    )?;
    let request = request::build(
        args,
        &file.extract,
        source.name.clone(),
        destination.name.clone(),
        &placeholders,
    )?;
    for target in &request.targets {
        sqlextract_ingest_sql::check_format(target.platform, request.format)?;
        file.target(target.platform).check(target.platform)?;
    }
    let tuning = Tuning::choose(&args.resources, &file.extract, &source)?;
    destination.upload_bandwidth = tuning.upload_bandwidth.or(destination.upload_bandwidth);
    let checkpoint = ports::checkpoint_path(&destination, variable)?;
    Ok(Chosen {
        source,
        destination,
        checkpoint,
        request,
        tuning,
    })
}

pub(crate) async fn run(args: &ExtractArgs, file: &SettingsFile) -> std::result::Result<Ended, Failures> {
    let Chosen {
        source,
        destination,
        checkpoint,
        request,
        mut tuning,
    } = choose(args, file)?;
    let upload = UploadMemory {
        part_bytes: tuning.upload_part_bytes,
        threshold_bytes: tuning.upload_threshold_bytes,
    };
    let if_running = args.if_running.unwrap_or(IfRunning::Fail);
    let style = args.progress.unwrap_or(ProgressStyle::Auto);
    // The source's answers are on their way meanwhile.
    let asking = Box::pin(opening::source(&source, tuning.max_connections, tuning.workers.clone()));
    let places = (&destination, upload, checkpoint.as_path());
    let claiming = Box::pin(opening::claim(places, request, (args.restart, if_running)));
    let (claimed, asked) = opening::beside(claiming, asking).await;
    let Claimed {
        request,
        storage,
        checkpoint,
        lock,
        busy,
    } = claimed?;
    let job = request.job_id();
    let records = JobRecords::new(Arc::clone(&storage), job.clone());
    if let Some(holder) = busy {
        if if_running == IfRunning::Fail {
            return Err(Failure::new(Code::JobBusy, format!("{holder} is working on job {job}")).into());
        }
        let failures = attach::watch(checkpoint.as_ref(), &lock, &records, style).await?;
        return ended(&records, failures, 0, false).await;
    }
    let finished_before = records
        .manifest()
        .await?
        .is_some_and(|stored| stored.record.outcome == Outcome::Completed);
    let (source_port, workers) = asked.await?;
    tuning.workers = workers;
    if !finished_before {
        // The first rows are read as soon as the plan is stored.
        source_port.before_reads();
    }
    let ports = Arc::new(ports::embedded(
        (source.name.clone(), Arc::clone(&source_port)),
        (destination.name.clone(), Arc::clone(&storage)),
        checkpoint,
    ));
    let embedded = Embedded::start(args, file, &tuning, ports, &request, &destination)?;
    let resources = told_resources(&tuning, &destination);
    let mut failures = embedded.until_the_end(&request).await;
    if failures.is_empty() {
        failures = add_scripts(&records, &request, file).await?;
    }
    let (mut ended, ()) = tokio::join!(
        ended(&records, failures, embedded.view.resumed(), finished_before),
        lock.release()
    );
    if let Ok(ended) = &mut ended {
        ended.summary.resources = resources;
        ended.summary.workers = Some((tuning.workers, embedded.gate.course()));
    }
    source_port.leave().await;
    ended
}

/// What was chosen for this machine and its disk, and why. Logged as well.
fn told_resources(tuning: &Tuning, destination: &DestinationChoice) -> Vec<(&'static str, String, String)> {
    let mut resources = tuning.told(destination.upload_bandwidth);
    for (name, value, why) in &resources {
        tracing::info!("{name}: {value}, {why}");
    }
    if let Place::Folder(folder) = &destination.place {
        // Logged when it was opened.
        let (disk, habit) = LocalStorage::disk_of(folder);
        resources.push(("disk", disk.to_owned(), habit.to_owned()));
    }
    resources
}

async fn ended(
    records: &JobRecords,
    failures: Vec<Failure>,
    resumed: u64,
    finished_before: bool,
) -> std::result::Result<Ended, Failures> {
    Ok(Ended {
        summary: Summary::collect(records, records.location(), resumed, finished_before).await?,
        failures: Failures::gather(failures),
    })
}

/// Writes the scripts that this command asks for and the job was not asked for when it began. One that cannot be written
/// holds up no other.
async fn add_scripts(records: &JobRecords, request: &ExtractionRequest, file: &SettingsFile) -> Result<Vec<Failure>> {
    let there = records
        .job_record()
        .await?
        .map(|record| record.request.targets)
        .unwrap_or_default();
    let mut failures = Vec::new();
    for target in request.targets.iter().filter(|target| !there.contains(target)) {
        failures.extend(write_script(records, target, &file.scripter.targets).await.err());
    }
    Ok(failures)
}

/// The services of one process, and what the run listens to.
struct Embedded {
    ports: Arc<Ports>,
    view: Arc<View>,
    gate: Gate,
    scripter: Arc<Scripter>,
    shutdown: Shutdown,
}

impl Embedded {
    fn start(
        args: &ExtractArgs,
        file: &SettingsFile,
        tuning: &Tuning,
        ports: Arc<Ports>,
        request: &ExtractionRequest,
        destination: &DestinationChoice,
    ) -> Result<Self> {
        let shutdown = Shutdown::on_signals(GRACE)?;
        let budget = MemoryBudget::new(tuning.buffer_bytes);
        let limiter = RateLimiter::new(tuning.rate_limit);
        let schedule = schedule::of(&request.source, file, tuning.rate_limit)?;
        let windows = !schedule.windows.is_empty();
        let style = args.progress.unwrap_or(ProgressStyle::Auto);
        let shown_limiter = (windows || tuning.rate_limited()).then(|| limiter.clone());
        let gate = Gate::new(tuning.workers.start);
        let view = Arc::new(View::new(style, budget.clone(), shown_limiter, gate.clone()));
        let progress: Arc<dyn ProgressSink> = Arc::clone(&view) as Arc<dyn ProgressSink>;
        let retry = RetryPolicy::default();
        let limited = windows || tuning.rate_limited();
        let limited = limited.then(|| request.source.clone()).into_iter().collect();
        let planner = Arc::new(Planner::new(
            Arc::clone(&ports),
            planner_settings(&retry, destination.single_writer, limited),
            Arc::clone(&progress),
        ));
        if windows {
            let keeper = WindowKeeper::new(&request.source, schedule, limiter.clone());
            shutdown.spawn("windows", keeper.run(shutdown.clone()));
        }
        let extractor = Arc::new(Extractor::new(ExtractorParts {
            ports: Arc::clone(&ports),
            source: request.source.clone(),
            settings: ExtractorSettings {
                workers: tuning.workers.ceiling,
                parallel_write: !args.resources.no_parallel_write,
                encoding: encoding(tuning.pin_encoding)?,
                batch_deadline: Duration::from_secs(24 * 3600),
                retry: retry.clone(),
                created_by: CREATED_BY.to_owned(),
                upload_bytes: tuning.upload_bytes(&destination.place),
            },
            shares: budget.shares(tuning.workers.parts()),
            limiter,
            gate: gate.clone(),
            progress: Arc::clone(&progress),
            shutdown: shutdown.clone(),
        }));
        let scripter = Scripter::new(Arc::clone(&ports), retry, progress);
        let scripter = Arc::new(scripter.with_targets(file.scripter.targets.clone()));
        if tuning.workers.adapt {
            let (bounds, source) = (tuning.workers.bounds(), ports.source(&request.source)?);
            let sampler = Sampler::new(gate.clone(), bounds, source, Machine::new(), budget);
            shutdown.spawn("sampler", sampler.run(shutdown.clone()));
        }
        shutdown.spawn("planner", planner.run(shutdown.clone()));
        shutdown.spawn("extractor", extractor.run());
        shutdown.spawn("scripter", Arc::clone(&scripter).run(shutdown.clone()));
        Ok(Self {
            ports,
            view,
            gate,
            scripter,
            shutdown,
        })
    }

    /// Publishes the request as an outside client would, and follows its events.
    async fn until_the_end(&self, request: &ExtractionRequest) -> Vec<Failure> {
        let mut failures = match self.follow(request).await {
            Ok(failures) => failures,
            Err(failure) => vec![failure],
        };
        self.shutdown.begin(StopCause::Requested);
        if let Err(failure) = self.shutdown.finish().await {
            failures.push(failure);
        }
        self.view.close();
        failures
    }

    async fn follow(&self, request: &ExtractionRequest) -> Result<Vec<Failure>> {
        let queue = &self.ports.queue;
        let subscriber = QueueName::Events {
            subscriber: "command".to_owned(),
        };
        let mut events = queue.receiver(&subscriber, 1).await?;
        let job = request.job_id();
        let body = serde_json::to_vec(request).expect("requests have string keys and serialise without failing");
        let message = Message::new(format!("{job}-request"), body).job(&job);
        queue.publish(&QueueName::Requests, message).await?;
        let mut accepted = false;
        // How many scripts are still to come; known once the job is complete.
        let mut scripts = None;
        loop {
            let event = tokio::select! {
                () = self.shutdown.draining().cancelled() => return Ok(self.stopped()),
                event = next_event(events.as_mut()) => event?,
                () = tokio::time::sleep(LOOK) => {
                    // What is parked before is of an earlier run.
                    if accepted && let Some(failures) = self.parked(&job).await? {
                        return Ok(failures);
                    }
                    if let Some(failures) = self.stuck(&job, scripts.is_some()).await? {
                        return Ok(failures);
                    }
                    continue;
                }
            };
            match event.kind {
                EventKind::Rejected | EventKind::Failed => return Ok(event.data.failures),
                EventKind::Cancelled => {
                    return Ok(vec![Failure::new(
                        Code::JobCancelled,
                        format!("job {job} was cancelled"),
                    )]);
                }
                EventKind::Accepted => accepted = true,
                EventKind::Completed => scripts = Some(self.scripts_to_come(&event).await?),
                EventKind::IngestGenerated => scripts = scripts.map(|n: usize| n.saturating_sub(1)),
                _ => {}
            }
            if scripts == Some(0) {
                return Ok(Vec::new());
            }
        }
    }

    /// The scripter writes what the job was first asked for; what this command adds is written by `add_scripts`.
    async fn scripts_to_come(&self, completed: &Event) -> Result<usize> {
        let mut destinations = self.ports.destinations.values();
        let Some(storage) = destinations.next() else {
            return Ok(0);
        };
        let record = JobRecords::new(Arc::clone(storage), completed.data.job.clone())
            .job_record()
            .await?;
        Ok(record.map_or(0, |record| record.request.targets.len()))
    }

    fn stopped(&self) -> Vec<Failure> {
        self.shutdown.cause().and_then(StopCause::failure).into_iter().collect()
    }

    /// The failures of a job that waits for nothing but repair: all that is left is parked.
    async fn parked(&self, job: &JobId) -> Result<Option<Vec<Failure>>> {
        let progress = self.ports.checkpoint.progress(job).await?;
        Ok(progress
            .filter(|progress| {
                let parked = progress.parked.len() as u64;
                parked > 0 && progress.done + parked >= progress.total
            })
            .map(|progress| attach::parked(&progress)))
    }

    /// Why a message that is no batch was parked. Once the job is complete that is the scripter's, and what stands in the
    /// way of its scripts is asked for by name.
    async fn stuck(&self, job: &JobId, completed: bool) -> Result<Option<Vec<Failure>>> {
        let parked = self.ports.checkpoint.progress(job).await?.map_or(0, |p| p.parked.len());
        if self.ports.queue.depth(&QueueName::Parked).await? > 0 && parked == 0 {
            let refusals = match completed {
                true => self.scripter.refusals(&EventData::of(job.clone())).await?,
                false => Vec::new(),
            };
            if !refusals.is_empty() {
                return Ok(Some(refusals));
            }
            let mut dead = self.ports.queue.receiver(&QueueName::Parked, 1).await?;
            let delivery = dead.receive().await?;
            let reason = delivery.reason().unwrap_or_default().to_owned();
            return Ok(Some(vec![
                Failure::new(Code::Defect, "a message could not be worked off").because(reason),
            ]));
        }
        Ok(None)
    }
}

fn planner_settings(retry: &RetryPolicy, single_writer: bool, unprobed: BTreeSet<String>) -> PlannerSettings {
    PlannerSettings {
        requests: RequestPolicy::Own,
        job_window: 512,
        publish_page: 64,
        tick_delay: Duration::from_millis(50),
        sweep_interval: Duration::from_secs(5),
        stall_after: Duration::from_secs(5),
        retry: retry.clone(),
        created_by: CREATED_BY.to_owned(),
        single_writer,
        adopt: false,
        max_blocked: None,
        linger: Duration::ZERO,
        bounds: BTreeMap::new(),
        unprobed,
    }
}

async fn next_event(events: &mut dyn Receiver) -> Result<Event> {
    let delivery = events.receive().await?;
    let event = serde_json::from_slice(&delivery.message().body)
        .map_err(|e| Failure::new(Code::MessageUnreadable, "an event cannot be read").because(e));
    delivery.settle(Settlement::Done).await?;
    event
}

/// Where the manifest of a job is, below the destination.
pub(crate) fn manifest_location(location: &str, job: &JobId) -> String {
    format!(
        "{}/{}",
        location.trim_end_matches('/'),
        ObjectKey::Manifest { job: job.clone() }
    )
}
