//! The distributed system: the executable in its roles, on the test servers' broker and checkpoint store and an S3
//! server of its own.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use sqlextract_s3_server::{Faults, Hold, ObjectRule, S3Server, ServerSettings};
use tokio::runtime::Runtime;

use crate::chunks::Job;
use crate::process::{Run, Running, Scenario, eventually, variable};
use crate::secrets::SECRET_KEY;

const BUCKET: &str = "lake";
const PREFIX: &str = "extractions";

/// Services of one test: nothing of them is shared with other tests but the servers.
#[derive(Debug)]
pub struct Fleet {
    scenario: Scenario,
    name: String,
    store: S3Server,
    runtime: Runtime,
    settings: String,
    settings_file: String,
    queue: String,
    checkpoint: String,
    submitted: AtomicU32,
}

/// A source of the fleet: its name, its address, what may be asked for, and further settings.
#[derive(Debug, Clone)]
pub struct FleetSource<'a> {
    pub name: &'a str,
    pub url: &'a str,
    pub tables: &'a str,
    pub more: &'a str,
}

impl<'a> FleetSource<'a> {
    /// A source called `shop`, whose public tables may be asked for.
    pub fn shop(url: &'a str, more: &'a str) -> Self {
        Self {
            name: "shop",
            url,
            tables: "public.*",
            more,
        }
    }
}

impl Fleet {
    /// One source called `shop`, whose public tables may be asked for.
    pub fn of(url: &str) -> Self {
        Self::with(&[FleetSource::shop(url, "")], "")
    }

    /// `more` are further lines of settings, by section; the topology is applied.
    pub fn with(sources: &[FleetSource<'_>], more: &str) -> Self {
        let addresses = ["SQLEXTRACT_TEST_RABBITMQ", "SQLEXTRACT_TEST_REDIS"].map(variable);
        Self::on(addresses, sources, more)
    }

    /// The same on a broker and a checkpoint store of the test's own.
    pub fn on(addresses: [String; 2], sources: &[FleetSource<'_>], more: &str) -> Self {
        Self::called("test-", addresses, sources, more)
    }

    /// The same on the test servers, whose broker holds no more than nine messages in each of its queues.
    pub fn narrow(sources: &[FleetSource<'_>], more: &str) -> Self {
        let addresses = ["SQLEXTRACT_TEST_RABBITMQ", "SQLEXTRACT_TEST_REDIS"].map(variable);
        Self::called("test-10-", addresses, sources, more)
    }

    fn called(prefix: &str, [queue, checkpoint]: [String; 2], sources: &[FleetSource<'_>], more: &str) -> Self {
        let scenario = Scenario::new();
        let name = format!("{prefix}{:016x}", RandomState::new().hash_one(scenario.path("x")));
        let runtime = Runtime::new().expect("threads can be started");
        let root = scenario.path("store");
        std::fs::create_dir_all(&root).expect("the temporary folder takes folders");
        let store = runtime
            .block_on(S3Server::start(ServerSettings {
                root: &root,
                address: "127.0.0.1:0",
                access_key: "test",
                secret_key: SECRET_KEY,
                buckets: &[BUCKET],
            }))
            .expect("the S3 server starts");
        let mut settings = format!(
            "[queue]\nurl = \"env:QUEUE\"\nprefix = \"{name}\"\n[checkpoint]\nurl = \"env:CHECKPOINT\"\nprefix = \"{name}\"\n\
             [destinations.lake]\nlocation = \"s3://{BUCKET}/{PREFIX}\"\n"
        );
        for source in sources {
            let FleetSource {
                name,
                url,
                tables,
                more,
            } = source;
            let _ = writeln!(
                settings,
                "[sources.{name}]\nurl = \"{url}\"\ntables = [\"{tables}\"]\n{more}"
            );
        }
        if !more.contains("[planner]") {
            settings += "[planner]\nsweep_interval = \"1s\"\nstall_after = \"6s\"\nlease = \"3s\"\n";
        }
        if !more.contains("[extractor]") {
            settings += "[extractor]\nworkers = 2\nbuffer_size = \"64MB\"\nbatch_deadline = \"60s\"\n";
        }
        if !more.contains("[telemetry]") {
            settings += "[telemetry]\ngrace = \"10s\"\n";
        }
        settings += more;
        let settings_file = scenario.path("fleet.toml");
        std::fs::write(&settings_file, &settings).expect("the temporary folder takes files");
        let fleet = Self {
            scenario,
            name,
            store,
            runtime,
            settings,
            settings_file: settings_file.to_str().expect("temporary paths are text").to_owned(),
            queue,
            checkpoint,
            submitted: AtomicU32::new(0),
        };
        fleet.run(&["topology", "apply"]).exits(0);
        fleet
    }

    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The prefix of the fleet's exchanges, queues and keys.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The broker's URL.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    pub fn settings(&self) -> &str {
        &self.settings
    }

    pub fn set_faults(&self, faults: Faults) {
        let _entered = self.runtime.enter();
        self.store.set_faults(faults);
    }

    /// Holds the next write of a key that contains this, before it is done or after.
    pub fn hold(&self, key: &str, applied: bool) {
        self.set_faults(Faults {
            hold: Some(Hold {
                key: key.to_owned(),
                applied,
                taken: false,
            }),
            ..Faults::default()
        });
    }

    /// Whether the write is held by now.
    pub fn is_held(&self) -> bool {
        self.store.faults().hold.is_some_and(|hold| hold.taken)
    }

    /// Variables that the executable, and clients that read the store, need.
    pub fn variables(&self) -> [(&'static str, String); 6] {
        [
            ("QUEUE", self.queue.clone()),
            ("CHECKPOINT", self.checkpoint.clone()),
            ("AWS_ENDPOINT_URL", self.store.url()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.scenario.command(&self.configured(arguments));
        command.envs(self.variables());
        command
    }

    fn configured<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let mut all = vec!["--config", self.settings_file.as_str()];
        all.extend(arguments);
        all
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.scenario.start(self.command(arguments)).wait()
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        self.scenario.start(self.command(arguments))
    }

    /// A service in its role, up and ready.
    pub fn serve(&self, role: &str) -> Running {
        self.up(role, self.command(&serving(role)))
    }

    /// The same with the broker or the checkpoint store at another address: `QUEUE` or `CHECKPOINT`.
    pub fn serve_by(&self, role: &str, way: (&str, &str)) -> Running {
        let mut command = self.command(&serving(role));
        command.env(way.0, way.1);
        self.up(role, command)
    }

    /// The same of another executable.
    pub fn serve_of(&self, binary: &str, role: &str) -> Running {
        let mut command = self.scenario.command_of(binary, &self.configured(&serving(role)));
        command.envs(self.variables());
        self.up(role, command)
    }

    /// The same, of a debug build that ends itself when it comes to a crash point.
    pub fn serve_until(&self, role: &str, point: &str) -> Running {
        self.up(role, self.debug(role, ("SQLEXTRACT_CRASH_AT", point)))
    }

    /// The same, of a debug build that freezes itself when it comes to a crash point.
    pub fn serve_until_frozen(&self, role: &str, point: &str) -> Running {
        self.up(role, self.debug(role, ("SQLEXTRACT_FREEZE_AT", point)))
    }

    fn debug(&self, role: &str, point: (&str, &str)) -> Command {
        let mut command = self.scenario.debug_command(&self.configured(&serving(role)));
        command.envs(self.variables()).env(point.0, point.1);
        command
    }

    fn up(&self, role: &str, command: Command) -> Running {
        let running = self.scenario.start(command);
        let up = |running: &Running| running.said().contains("the service is up");
        eventually(&format!("the start of {role}: {}", running.said()), || up(&running));
        running
    }

    /// Planner, scripter and so many extractors.
    pub fn serve_all(&self, extractors: usize) -> Vec<Running> {
        let mut services = vec![self.serve("planner"), self.serve("scripter")];
        services.extend((0..extractors).map(|_| self.serve("extractor")));
        services
    }

    /// Everything that is announced from now on.
    pub fn watch(&self) -> Watch {
        let running = self.start(&["watch", "--json"]);
        // Its own subscription is there once it hears of a request that only it asks for.
        let watch = Watch { running };
        eventually("the subscription of `watch`", || {
            let id = format!("probe-{}", self.submitted.fetch_add(1, Ordering::Relaxed));
            self.publish_nonsense(&id);
            let heard = |watch: &Watch| {
                watch
                    .events()
                    .iter()
                    .any(|event| event["type"] == "io.sqlextract.extraction.rejected.v1")
            };
            crate::process::pause(std::time::Duration::from_millis(300));
            heard(&watch)
        });
        watch
    }

    /// A request of a source that there is not: it is rejected, and changes nothing.
    fn publish_nonsense(&self, id: &str) {
        let mut submit = self.start(&[
            "submit",
            "--source",
            "none",
            "--destination",
            "lake",
            "--table",
            "t",
            "--id",
            id,
        ]);
        eventually("the end of a probe", || submit.ended());
    }

    /// Asks for tables of `shop` and waits for the outcome. The events that answer come as JSON lines.
    pub fn extract(&self, arguments: &[&str]) -> Run {
        let mut all = vec![
            "submit",
            "--source",
            "shop",
            "--destination",
            "lake",
            "--wait",
            "--json",
        ];
        all.extend(arguments);
        self.run(&all)
    }

    /// Asks for tables of `shop` and returns the job's name once the request is accepted.
    pub fn submit(&self, arguments: &[&str]) -> String {
        let mut all = vec!["submit", "--source", "shop", "--destination", "lake"];
        all.extend(arguments);
        self.run(&all).exits(0).stdout.trim().to_owned()
    }

    /// The job as it lies in the store.
    pub fn job(&self, job: &str) -> Job {
        Job::at(&self.folder().join(job))
    }

    /// Puts an object into the destination, past the services.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let key = format!("{PREFIX}/{key}");
        self.store.put(BUCKET, &key, bytes).expect("the store takes objects");
    }

    /// Takes an object out of the destination, past the services, and returns what was in it.
    pub fn take_out(&self, key: &str) -> Vec<u8> {
        let bytes = std::fs::read(self.folder().join(key)).expect("the object is there");
        let key = format!("{PREFIX}/{key}");
        self.store.remove(BUCKET, &key).expect("the store removes objects");
        bytes
    }

    /// Gives the destination's bucket lifecycle rules: for each a prefix, days of uploads, days of objects.
    pub fn set_rules(&self, rules: &[(&str, Option<i32>, Option<i32>)]) {
        let rules = rules
            .iter()
            .enumerate()
            .map(|(number, (prefix, uploads, objects))| ObjectRule {
                id: format!("rule-{number}"),
                prefix: (*prefix).to_owned(),
                uploads_end_after_days: *uploads,
                expires_after_days: *objects,
            });
        self.store.set_rules(BUCKET, rules.collect());
    }

    /// Uploads in parts that are neither complete nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.store.open_uploads(BUCKET)
    }

    /// Where the destination's objects are files.
    pub fn folder(&self) -> std::path::PathBuf {
        self.scenario.path("store").join(BUCKET).join(PREFIX)
    }

    /// Commit records of a job so far.
    pub fn commits(&self, job: &str) -> usize {
        crate::all_files(&self.folder().join(job).join("commits")).len()
    }

    /// Jobs that the planner still has to look at: to work at, to tell of, or to sweep a last time.
    pub fn open_jobs(&self) -> usize {
        crate::all_files(&self.folder().join("_sqlextract/open")).len()
    }

    pub fn has_outcome(&self, job: &str) -> bool {
        self.folder().join(job).join("manifest.json").exists()
    }

    /// Waits for the job's outcome and returns it.
    pub fn outcome(&self, job: &str) -> String {
        eventually(&format!("the outcome of {job}"), || self.has_outcome(job));
        self.job(job).manifest["outcome"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

fn serving(role: &str) -> [&str; 6] {
    ["--log-format", "json", "serve", role, "--listen", "127.0.0.1:0"]
}

/// Somebody who listens to every event.
#[derive(Debug)]
pub struct Watch {
    running: Running,
}

impl Watch {
    pub fn events(&self) -> Vec<Value> {
        // The last line may be half written.
        let said = self.running.printed();
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        whole
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Events of a kind about a job, by the middle of the type: `extraction.completed`.
    pub fn about(&self, job: &str, kind: &str) -> Vec<Value> {
        let kind = format!("io.sqlextract.{kind}.v1");
        let mine = |event: &Value| event["type"] == kind && event["data"]["job"] == job;
        self.events().into_iter().filter(mine).collect()
    }

    /// Waits for at least one, and returns all that came.
    pub fn heard(&self, job: &str, kind: &str) -> Vec<Value> {
        eventually(&format!("{kind} of {job}"), || !self.about(job, kind).is_empty());
        self.about(job, kind)
    }
}

/// What `submit --wait --json` said, event by event.
pub fn answers(run: &Run) -> Vec<Value> {
    run.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect()
}
