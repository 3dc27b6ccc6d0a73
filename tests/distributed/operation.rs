//! What operators do: drain, cancel, pause, look.

use std::io::{Read, Write};
use std::net::TcpStream;

use sqlextract_system_tests::{Dialect, Fleet, FleetSource, Running, eventually};

use crate::fingerprint::Orders;

const BATCHES: [&str; 4] = ["--table", "public.orders", "--batch-size", "500"];

fn slow(orders: &Orders, rows_per_second: u32) -> Fleet {
    let url = orders.database.url();
    let more = format!("rate_limit = \"rows={rows_per_second}\"");
    let source = FleetSource::shop(&url, &more);
    Fleet::with(&[source], "")
}

#[test]
fn an_extractor_that_is_terminated_drains_and_the_job_goes_on() {
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let fleet = slow(&orders, 8000);
    let _planner = fleet.serve("planner");
    let [first, _second] = [fleet.serve("extractor"), fleet.serve("extractor")];
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 5);
    first.signal("-TERM");
    first.wait().exits(0);
    assert_eq!(fleet.outcome(&job), "completed");
    orders.is_in(&fleet.job(&job));
}

#[test]
fn a_second_signal_leaves_at_once() {
    let orders = Orders::new(Dialect::Postgres, 20_000);
    let fleet = slow(&orders, 500);
    let _planner = fleet.serve("planner");
    let extractor = fleet.serve("extractor");
    let _job = fleet.submit(&["--table", "public.orders", "--batch-size", "10000"]);
    eventually("a batch that is worked at", || {
        metric(&extractor, "sqlextract_inflight{queue=\"batches.shop\"}") >= Some(1.0)
    });
    extractor.signal("-TERM");
    eventually("the drain", || extractor.said().contains("a second one leaves at once"));
    let began = std::time::Instant::now();
    extractor.signal("-TERM");
    extractor.wait();
    assert!(began.elapsed().as_secs() < 8, "{:?}", began.elapsed());
}

#[test]
fn a_cancelled_job_has_the_outcome_cancelled_and_no_other() {
    let orders = Orders::new(Dialect::Postgres, 20_000);
    let fleet = slow(&orders, 2000);
    let _services = fleet.serve_all(1);
    let watch = fleet.watch();
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 2);
    let order = serde_json::json!({"specversion": "1.0", "id": "c-1", "source": "/tests",
        "type": "io.sqlextract.extraction.cancel_requested.v1", "data": {"job": job}});
    for _ in 0..2 {
        crate::clients::publish(&fleet, "requests", &order.to_string());
    }
    assert_eq!(fleet.outcome(&job), "cancelled");
    let told = watch.heard(&job, "extraction.cancelled");
    assert!(told.iter().all(|event| event["id"] == told[0]["id"]));
    assert!(watch.about(&job, "extraction.completed").is_empty());
}

#[test]
fn a_paused_job_stands_still_until_it_is_resumed() {
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let url = orders.database.url();
    let source = FleetSource::shop(&url, "rate_limit = \"rows=5000\"");
    let planner = "[planner]\njob_window = 4\nsweep_interval = \"1s\"\nstall_after = \"6s\"\nlease = \"3s\"\n";
    let fleet = Fleet::with(&[source], planner);
    let _services = fleet.serve_all(1);
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 2);
    fleet.run(&["pause", &job]).exits(0);
    eventually("the pause", || {
        fleet.run(&["status", &job]).exits(0).stdout.contains("paused")
    });
    // What was published is finished; then nothing moves.
    let mut still = 0;
    let mut before = usize::MAX;
    eventually("standstill", || {
        let now = fleet.commits(&job);
        still = if now == before { still + 1 } else { 0 };
        before = now;
        sqlextract_system_tests::pause(std::time::Duration::from_millis(300));
        still >= 5
    });
    assert!(!fleet.has_outcome(&job), "the pause came too late to prove anything");
    fleet.run(&["resume", &job]).exits(0);
    assert_eq!(fleet.outcome(&job), "completed");
    orders.is_in(&fleet.job(&job));
}

/// A number of `/metrics`, where the process told where it listens.
pub(crate) fn metric(running: &Running, name: &str) -> Option<f64> {
    let told = running.said();
    let line = told
        .lines()
        .find(|line| line.contains("health and metrics are served"))?;
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = get(line["address"].as_str()?, "/metrics");
    // The scenario looks for passwords there at its end.
    running.keep("metrics", &text);
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the process listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request can be sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer comes");
    text
}

#[test]
fn health_and_numbers_are_served_and_logs_name_job_and_trace() {
    let orders = Orders::new(Dialect::Postgres, 1000);
    let url = orders.database.url();
    let shop = FleetSource::shop(&url, "");
    let beside = "[destinations.beside]\nlocation = \"beside\"\nupload_bandwidth = \"3MB\"\n";
    let fleet = Fleet::with(&[shop], beside);
    let all = fleet.serve("all");
    let told = all.said();
    let line = told
        .lines()
        .find(|line| line.contains("health and metrics"))
        .unwrap_or_default();
    let line: serde_json::Value = serde_json::from_str(line).expect("logs are JSON");
    let address = line["address"].as_str().expect("the address is told").to_owned();
    assert!(get(&address, "/healthz").starts_with("HTTP/1.1 200"));
    eventually("readiness", || get(&address, "/readyz").starts_with("HTTP/1.1 200"));
    let run = fleet.extract(&["--table", "public.orders"]).exits(0);
    let job = sqlextract_system_tests::answers(&run)[0]["data"]["job"].to_string();
    assert_eq!(metric(&all, "sqlextract_rows_total"), Some(1000.0));
    assert_eq!(metric(&all, "sqlextract_jobs_total{outcome=\"completed\"}"), Some(1.0));
    let reads = metric(&all, "sqlextract_source_statement_seconds_count{source=\"shop\"}");
    assert_eq!(
        reads,
        metric(&all, "sqlextract_batches_total{source=\"shop\",result=\"new\"}")
    );
    assert!(metric(&all, "sqlextract_source_bytes_total{source=\"shop\"}") > Some(1000.0 * 34.0));
    assert!(metric(&all, "sqlextract_source_connections{source=\"shop\"}") >= Some(1.0));
    assert_eq!(metric(&all, "sqlextract_snapshot_age_seconds"), Some(0.0));
    let limit = metric(&all, "sqlextract_upload_limit_bytes_per_second{destination=\"beside\"}");
    assert_eq!(limit, Some(3_000_000.0));
    let told = all.said();
    let about = told.lines().filter(|line| line.contains(&job));
    let lines: Vec<serde_json::Value> = about
        .map(|line| serde_json::from_str(line).expect("logs are JSON"))
        .collect();
    let traced = lines
        .iter()
        .filter(|line| line["span"]["trace.id"].as_str().is_some_and(|id| id.len() == 32));
    assert!(traced.count() > 0, "{lines:?}");
}

#[test]
fn services_refuse_settings_that_cannot_serve() {
    let orders = Orders::new(Dialect::Sqlite, 10);
    let fleet = Fleet::of(&orders.database.url());
    let refused = |settings: &str, code: i32| {
        std::fs::write(fleet.scenario().path("other.toml"), settings).unwrap();
        let file = fleet.scenario().path("other.toml");
        let mut command = fleet
            .scenario()
            .command(&["--config", file.to_str().unwrap(), "serve", "planner"]);
        command.envs(fleet.variables());
        fleet.scenario().start(command).wait().exits(code)
    };
    refused("", 3).says(&["[queue]", "distributed.toml"]);
    refused("[queue]\nurl = \"memory://\"", 3).says(&["amqp://"]);
    refused(
        &fleet
            .settings()
            .replace("\"env:QUEUE\"", "\"amqp://u:hunter2@192.0.2.1/%2f\""),
        3,
    )
    .says(&["would not be encrypted", "amqps://"]);
    let single = fleet
        .settings()
        .replace("[destinations.lake]", "[destinations.lake]\nsingle_writer = true");
    refused(&single, 3).says(&["single_writer"]);
    let prefix = fleet
        .settings()
        .replace(&format!("prefix = \"{}\"", fleet.name()), "prefix = \"nothing-there\"");
    refused(&prefix, 6).says(&["topology apply"]);
}

#[test]
fn the_doctor_finds_everything_well_and_names_what_is_not() {
    let orders = Orders::new(Dialect::Postgres, 10);
    let fleet = Fleet::of(&orders.database.url());
    let well = fleet.run(&["doctor"]).exits(0);
    for part in ["broker", "checkpoint store", "destination lake", "source shop"] {
        assert!(well.stdout.contains(&format!("ok       {part}")), "{}", well.stdout);
    }
    let file = fleet.scenario().path("fleet.toml");
    std::fs::write(&file, fleet.settings().replace("s3://lake/", "s3://nowhere/")).unwrap();
    let ill = fleet.run(&["doctor"]).exits(5);
    assert!(ill.stdout.contains("problem  destination lake"), "{}", ill.stdout);
}

#[test]
fn the_doctor_tries_uploads_in_parts_and_names_rules_that_remove_chunks() {
    let orders = Orders::new(Dialect::Postgres, 10);
    let fleet = Fleet::of(&orders.database.url());
    let before = sqlextract_system_tests::all_files(&fleet.folder());
    let none = fleet.run(&["doctor"]).exits(0).stdout;
    assert!(none.contains("uploads in parts are completed and aborted"), "{none}");
    assert!(none.contains("warning: no lifecycle rule ends uploads"), "{none}");
    fleet.set_rules(&[
        ("", Some(3), None),
        ("other/", None, Some(1)),
        ("extractions/", None, Some(90)),
    ]);
    let kept = fleet.run(&["doctor"]).exits(0).stdout;
    assert!(kept.contains("nobody completes are ended after 3 days"), "{kept}");
    assert!(
        kept.contains("warning: lifecycle rule `rule-2` removes objects below s3://lake/extractions"),
        "{kept}"
    );
    assert!(!kept.contains("rule-1"), "{kept}");
    fleet.set_rules(&[("extr", None, Some(2))]);
    let lost = fleet.run(&["doctor"]).exits(3);
    assert!(
        lost.stdout.contains("problem  destination lake") && lost.stdout.contains("after 2 days"),
        "{}",
        lost.stdout
    );
    assert_eq!(fleet.open_uploads(), 0, "the probes' uploads are ended");
    assert_eq!(
        sqlextract_system_tests::all_files(&fleet.folder()),
        before,
        "the probes are removed"
    );
}

#[test]
fn the_doctor_names_tables_that_may_be_asked_for_and_cannot_be_read() {
    let orders = Orders::new(Dialect::Postgres, 10);
    let database = &orders.database;
    let user = format!("reader_{}", std::process::id());
    database.run(&format!(
        "CREATE TABLE secrets (id int PRIMARY KEY); CREATE ROLE {user} LOGIN PASSWORD 'x'; GRANT SELECT ON orders TO {user};"
    ));
    let (scheme, place) = (database.url(), database.url());
    let place = place.rsplit_once('@').expect("the address has a user").1;
    let scheme = scheme.split_once("://").expect("the address is a URL").0;
    let url = format!("{scheme}://{user}:x@{place}");
    let doctor = |tables: &str| {
        let source = FleetSource {
            name: "shop",
            url: &url,
            tables,
            more: "",
        };
        Fleet::with(&[source], "").run(&["doctor"])
    };
    let well = doctor("public.orders").exits(0).stdout;
    assert!(
        well.contains("1 tables of public.orders may be asked for, and can be read"),
        "{well}"
    );
    let nothing = doctor("public.visits").exits(4).stdout;
    assert!(nothing.contains("source_object_missing"), "{nothing}");
    let ill = doctor("public.*").exits(4);
    database.run(&format!("DROP OWNED BY {user}; DROP ROLE {user};"));
    assert!(
        ill.stdout.contains("problem  source shop") && ill.stdout.contains("source_permission"),
        "{}",
        ill.stdout
    );
}
