//! What `docker-compose.yml` starts, with its settings, variables and commands, as processes on servers of this machine:
//! all of it but the images and their network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sqlextract_s3_server::{S3Server, ServerSettings};
use sqlextract_system_tests::{Broker, Database, Dialect, Job, Run, Running, Scenario, Store, eventually};
use tokio::runtime::Runtime;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// The variables that every container of ours has.
fn environment(compose: &str) -> BTreeMap<String, String> {
    let block = compose
        .lines()
        .skip_while(|line| *line != "  environment: &environment")
        .skip(1);
    let block = block.take_while(|line| line.starts_with("    "));
    let pairs = block.filter_map(|line| line.trim().split_once(": "));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The command of a service of ours.
fn command_of(compose: &str, service: &str) -> Vec<String> {
    let start = compose
        .find(&format!("\n  {service}:"))
        .unwrap_or_else(|| panic!("there is no service {service}"));
    let (_, rest) = compose[start..]
        .split_once("command: ")
        .expect("the service has a command");
    let end = rest.find(']').expect("the command is a list");
    serde_json::from_str(&rest[..=end]).expect("a list in flow style is JSON")
}

/// What the README says to type for the service that is there for commands.
fn commands_of_readme() -> Vec<Vec<String>> {
    let readme = read("README.md");
    let lines = readme
        .lines()
        .filter_map(|line| line.strip_prefix("docker compose run --rm operate "));
    lines.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

struct Stack {
    scenario: Scenario,
    environment: BTreeMap<String, String>,
    database: Database,
    _servers: (Broker, Store, S3Server, Runtime),
}

impl Stack {
    fn up(compose: &str) -> Self {
        let scenario = Scenario::new();
        let mut environment = environment(compose);
        let database = Database::new(Dialect::Postgres);
        database.run(&read("deploy/compose/sample.sql"));
        let (broker, store) = (Broker::start(), Store::start());
        let policies = root().join("deploy/rabbitmq/definitions.json");
        broker.control(&["import_definitions", policies.to_str().expect("the path is text")]);
        let runtime = Runtime::new().expect("threads can be started");
        let objects = scenario.path("store");
        std::fs::create_dir_all(&objects).expect("the temporary folder takes folders");
        let s3 = runtime.block_on(S3Server::start(ServerSettings {
            root: &objects,
            address: "127.0.0.1:0",
            access_key: &environment["AWS_ACCESS_KEY_ID"],
            secret_key: &environment["AWS_SECRET_ACCESS_KEY"],
            buckets: &["lake"],
        }));
        let s3 = s3.expect("the S3 server starts");
        // What is mounted into each container, and the names that its network gives.
        let mounted = "./deploy/compose/sqlextract.toml:/etc/sqlextract/sqlextract.toml:ro";
        assert!(compose.contains(mounted));
        let settings = root().join("deploy/compose/sqlextract.toml").display().to_string();
        for (name, there, here) in [
            ("SQLEXTRACT_CONFIG", "/etc/sqlextract/sqlextract.toml", settings),
            (
                "SQLEXTRACT_QUEUE_URL",
                "amqp://sample:sample@rabbitmq:5672/%2f",
                broker.url(),
            ),
            ("SQLEXTRACT_CHECKPOINT_URL", "redis://redis:6379/0", store.url()),
            (
                "SHOP_URL",
                "postgres://postgres:sample@postgres:5432/shop",
                database.url(),
            ),
            ("AWS_ENDPOINT_URL", "http://storage:9000", s3.url()),
        ] {
            let was = environment.insert(name.to_owned(), here);
            assert_eq!(was.as_deref(), Some(there));
        }
        Self {
            scenario,
            environment,
            database,
            _servers: (broker, store, s3, runtime),
        }
    }

    fn start(&self, arguments: &[String], more: &[&str]) -> Running {
        let arguments: Vec<&str> = arguments
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        let mut command = self.scenario.command(&arguments);
        command.envs(&self.environment);
        self.scenario.start(command)
    }

    fn run(&self, arguments: &[String]) -> Run {
        self.start(arguments, &[]).wait()
    }
}

#[test]
fn the_commands_of_the_readme_lead_from_what_compose_starts_to_files_and_a_script() {
    let compose = read("docker-compose.yml");
    let stack = Stack::up(&compose);
    stack.run(&command_of(&compose, "setup")).exits(0);
    let services: Vec<Running> = [
        "planner",
        "scripter",
        "extractor",
        "extractor",
        "extractor",
        "extractor",
    ]
    .iter()
    // Each container has an address of its own.
    .map(|service| stack.start(&command_of(&compose, service), &["--listen", "127.0.0.1:0"]))
    .collect();
    for service in &services {
        eventually("the start of a service", || {
            service.said().contains("the service is up")
        });
    }
    let commands = commands_of_readme();
    let [submit, status] = commands.as_slice() else {
        panic!("the README has other commands: {commands:?}")
    };
    let comment = compose
        .lines()
        .filter_map(|line| line.strip_prefix("#   docker compose run --rm operate "));
    assert_eq!(comment.collect::<Vec<_>>(), [submit.join(" "), status.join(" ")]);
    assert_eq!((submit[0].as_str(), status[0].as_str()), ("submit", "status"));
    let submitted = stack.run(submit).exits(0);
    let told = format!("{}{}", submitted.stdout, submitted.stderr);
    assert!(
        told.contains("extraction.completed") && told.contains("ingest.generated"),
        "{told}"
    );
    let done = stack.run(status).exits(0).stdout;
    assert!(done.contains("orders-"), "{done}");
    let jobs = stack.scenario.path("store/lake/extractions");
    let job = std::fs::read_dir(&jobs).expect("the bucket has jobs").flatten();
    let job = job
        .map(|entry| entry.path())
        .find(|path| path.join("manifest.json").exists());
    let job = Job::at(&job.expect("one job has an outcome"));
    job.is_sound();
    let sums = "SELECT CAST(count(*) AS varchar), CAST(sum(id) AS varchar), CAST(sum(total) AS varchar) FROM";
    assert_eq!(
        job.query("orders", &format!("{sums} chunks")),
        stack.database.rows(&format!("{sums} orders;"))
    );
    for service in services {
        service.signal("-TERM");
        service.wait().exits(0);
    }
}
