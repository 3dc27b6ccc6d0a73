//! A process ends itself exactly between two of its steps, each in turn: what follows is as if it had not.
//!
//! A debug build aborts at the crash point that a variable names. Each point is one line of the services, at the place
//! that it names.

use sqlextract_system_tests::{Database, Dialect, Fleet, FleetSource, Running, Watch, eventually};

use crate::fingerprint::Orders;
use crate::operation::metric;
use crate::proof::{Committed, completed_once, leave_empty_queues, one_id, swept};

const ROWS: u64 = 2000;
const SETTINGS: &str = "[planner]\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"1s\"\nlinger = \"2s\"\n\
     [extractor]\nworkers = 1\nbuffer_size = \"64MB\"\nmax_attempts = 2\n";
const BATCHES: [&str; 6] = [
    "--table",
    "public.orders",
    "--batch-size",
    "500",
    "--target",
    "postgres",
];

struct Stage {
    orders: Orders,
    fleet: Fleet,
    watch: Watch,
    others: Vec<Running>,
    role: &'static str,
    service: Option<Running>,
    jobs: Vec<String>,
}

impl Stage {
    fn of(role: &'static str) -> Self {
        let orders = Orders::alone(Dialect::Postgres, ROWS);
        let url = orders.database.url();
        let source = FleetSource::shop(&url, "");
        let fleet = Fleet::with(&[source], SETTINGS);
        let roles = ["planner", "extractor", "scripter"].into_iter();
        let others = roles.filter(|other| *other != role).map(|other| fleet.serve(other));
        let others = others.collect();
        let service = Some(fleet.serve(role));
        let watch = fleet.watch();
        Self {
            orders,
            fleet,
            watch,
            others,
            role,
            service,
            jobs: Vec::new(),
        }
    }

    /// Another service of the role takes over, and the one before it leaves.
    fn replace(&mut self, next: Running) {
        if let Some(before) = self.service.replace(next) {
            before.signal("-TERM");
            before.wait().exits(0);
        }
    }

    fn dies_at(&mut self, point: &str) {
        self.replace(self.fleet.serve_until(self.role, point));
        let victim = self.service.take().expect("it was started just now");
        // Each is a job of its own by the size of its chunks.
        let size = format!("{}MB", self.jobs.len() + 1);
        let mut submit = vec!["submit", "--source", "shop", "--destination", "lake"];
        submit.extend(BATCHES);
        submit.extend(["--chunk-size", &size]);
        let submit = self.fleet.start(&submit);
        let mut committed = None;
        let job = match self.role {
            // Whoever asks may have to wait for the second one's answer.
            "planner" => {
                victim.crashes();
                self.service = Some(self.fleet.serve(self.role));
                submit.wait().exits(0).stdout
            }
            _ => {
                let job = submit.wait().exits(0).stdout;
                victim.crashes();
                committed = Some(Committed::of(&self.fleet, job.trim()));
                self.service = Some(self.fleet.serve(self.role));
                job
            }
        };
        let job = job.trim().to_owned();
        completed_once(&self.fleet, &self.watch, &self.orders, &job, point);
        one_id(&self.watch.heard(&job, "ingest.generated"), point);
        let generation = self.fleet.job(&job).table("orders")["generation"].clone();
        assert_eq!(generation, 1, "{point}: nothing is planned anew");
        if let Some(committed) = committed {
            committed.is_untouched(point);
            self.reads_only_the_rest(committed.rows, point);
        }
        self.jobs.push(job);
    }

    /// What was committed is adopted and not read again.
    fn reads_only_the_rest(&self, committed: u64, point: &str) {
        if let (Some(extractor), "extractor") = (&self.service, self.role) {
            let read = metric(extractor, "sqlextract_rows_total").unwrap_or_default();
            assert_eq!(
                read,
                (ROWS - committed) as f64,
                "{point}: rows read, {committed} were committed"
            );
        }
    }

    fn ends_well(mut self) {
        swept(&self.fleet);
        for job in &self.jobs {
            self.fleet.job(job).is_sound();
        }
        self.others.extend(self.service);
        leave_empty_queues(&self.fleet, self.others);
    }
}

#[test]
fn a_planner_that_aborts_while_it_accepts_plans_and_publishes_is_followed_by_one_that_goes_on() {
    let mut stage = Stage::of("planner");
    for point in [
        "before_job_record",
        "after_plan_page",
        "before_first_tick",
        "after_first_tick",
        "before_next_tick",
        "after_next_tick",
    ] {
        stage.dies_at(point);
    }
    stage.ends_well();
}

#[test]
fn a_planner_that_aborts_while_it_finishes_writes_one_outcome_and_tells_it_under_one_id() {
    let mut stage = Stage::of("planner");
    for point in ["before_outcome", "before_outcome_is_told", "after_outcome_is_told"] {
        stage.dies_at(point);
    }
    stage.ends_well();
}

#[test]
fn an_extractor_that_aborts_at_any_step_is_followed_by_one_that_adopts_what_is_committed() {
    let mut stage = Stage::of("extractor");
    for point in [
        "before_batch_1",
        "while_reading",
        "before_chunk_end",
        "before_commit_record",
        "after_commit_record",
        "after_checkpoint",
        "after_last_checkpoint",
        "before_ack",
    ] {
        stage.dies_at(point);
    }
    stage.ends_well();
}

#[test]
fn a_scripter_that_aborts_before_or_after_it_tells_of_a_script_tells_the_same_again() {
    let mut stage = Stage::of("scripter");
    for point in ["before_script_is_told", "after_script_is_told"] {
        stage.dies_at(point);
    }
    stage.ends_well();
}

/// Tries are counted before the work, so that a batch that ends every process is parked at last, and alone.
#[test]
fn a_batch_that_ends_every_process_is_parked_and_its_neighbours_are_done() {
    let mut stage = Stage::of("extractor");
    let mut poisoned = stage.fleet.serve_until("extractor", "before_batch_1");
    stage.replace(stage.fleet.serve_until("extractor", "before_batch_1"));
    let job = stage.fleet.submit(&BATCHES);
    let parked = || {
        let status = stage.fleet.run(&["status", &job, "--json"]).exits(0);
        status.json["jobs"][0]["state"] == "blocked"
    };
    eventually("a blocked job", || {
        if poisoned.ended() {
            poisoned = stage.fleet.serve_until("extractor", "before_batch_1");
        }
        parked()
    });
    let batches = stage.fleet.run(&["status", &job, "--json"]).json["jobs"][0].clone();
    assert_eq!(
        stage.fleet.commits(&job) as u64 + 1,
        batches["progress"]["batches"],
        "{batches}"
    );
    stage.service = Some(stage.fleet.serve("extractor"));
    drop(poisoned);
    stage.fleet.run(&["parked", "replay", "--job", &job]).exits(0);
    completed_once(&stage.fleet, &stage.watch, &stage.orders, &job, "after a replay");
    stage.jobs.push(job);
    stage.ends_well();
}

#[test]
fn a_multipart_upload_that_nobody_completes_is_aborted_by_the_last_sweep() {
    let letters = Database::alone(Dialect::Postgres);
    letters.run(
        "CREATE TABLE letters (id bigint PRIMARY KEY, body text NOT NULL);
         INSERT INTO letters SELECT i, repeat(md5(i::text), 16) FROM generate_series(1, 40000) AS i;
         ANALYZE letters;",
    );
    let url = letters.url();
    let source = FleetSource::shop(&url, "");
    let fleet = Fleet::with(&[source], SETTINGS);
    let mut services = vec![fleet.serve("planner"), fleet.serve("scripter")];
    let victim = fleet.serve_until("extractor", "before_chunk_end");
    let request = ["--table", "public.letters", "--format", "csv", "--batch-size", "40000"];
    let job = fleet.submit(&request);
    victim.crashes();
    assert!(fleet.open_uploads() > 0, "the process ended before the parts");
    services.push(fleet.serve("extractor"));
    assert_eq!(fleet.outcome(&job), "completed");
    swept(&fleet);
    assert_eq!(fleet.open_uploads(), 0, "an upload stays open");
    let whole = fleet.job(&job);
    let found = whole
        .is_sound()
        .query("letters", "SELECT count(*), count(DISTINCT id) FROM chunks");
    assert_eq!(found, letters.rows("SELECT count(*), count(DISTINCT id) FROM letters;"));
    leave_empty_queues(&fleet, services);
}
