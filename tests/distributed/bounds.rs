//! Batches that are longer than their deadline, and limits that the hour decides.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sqlextract_system_tests::{Broker, Dialect, Fleet, FleetSource, Running, Store, answers, eventually, pause};

use crate::fingerprint::Orders;
use crate::operation::metric;
use crate::proof::leave_empty_queues;

fn fleet(orders: &Orders, source: &str, more: &str) -> Fleet {
    let url = orders.database.url();
    let source = FleetSource::shop(&url, source);
    Fleet::with(&[source], more)
}

fn extractors_of(seconds: u32) -> String {
    format!("[extractor]\nworkers = 2\nbuffer_size = \"64MB\"\nbatch_deadline = \"{seconds}s\"\n")
}

/// A table in one batch.
const ONE_BATCH: [&str; 6] = [
    "--table",
    "public.orders",
    "--batch-size",
    "1000000",
    "--consistency",
    "batch",
];

#[test]
fn a_plan_whose_one_batch_is_longer_than_the_deadline_is_refused_with_its_remedy() {
    let orders = Orders::new(Dialect::Postgres, 20_000);
    orders.database.run("CREATE VIEW visits AS SELECT * FROM orders;");
    let fleet = fleet(&orders, "rate_limit = \"rows=2000\"", &extractors_of(5));
    let _services = fleet.serve_all(1);
    let refused = fleet.extract(&["--table", "public.visits"]);
    assert_ne!(refused.exit, 0, "{}", refused.stdout);
    let told = answers(&refused);
    let failed = told
        .iter()
        .find(|event| event["type"] == "io.sqlextract.extraction.failed.v1");
    let failure = &failed.unwrap_or_else(|| panic!("{told:?}"))["data"]["failures"][0];
    assert_eq!(failure["code"], "plan_refused", "{failure}");
    assert!(
        failure["table"] == "public.visits" && failure["message"].to_string().contains("may take 5 s"),
        "{failure}"
    );
    let remedy = failure["remedy"].to_string();
    assert!(
        remedy.contains("`allow_long_batches = true` in [sources.shop]"),
        "{remedy}"
    );
    // The same rows in smaller batches are taken.
    let done = fleet
        .extract(&["--table", "public.orders", "--batch-size", "2000"])
        .exits(0);
    let job = answers(&done)[0]["data"]["job"].as_str().unwrap_or_default().to_owned();
    orders.is_in(&fleet.job(&job));
}

#[test]
fn a_long_batch_holds_no_message_and_outlives_a_drain_and_a_kill() {
    let orders = Orders::new(Dialect::Postgres, 20_000);
    let fleet = fleet(
        &orders,
        "rate_limit = \"rows=2500\"\nallow_long_batches = true",
        &extractors_of(2),
    );
    let _planner = fleet.serve("planner");
    let taken = |extractor: &Running| {
        eventually("a batch whose message is settled", || {
            let done = metric(
                extractor,
                "sqlextract_messages_total{queue=\"long-batches.shop\",verdict=\"done\"}",
            );
            let under_way = metric(extractor, "sqlextract_inflight{queue=\"long-batches.shop\"}");
            done >= Some(1.0) && under_way == Some(0.0)
        });
    };
    let drained = fleet.serve("extractor");
    let job = fleet.submit(&ONE_BATCH);
    taken(&drained);
    assert_eq!(fleet.commits(&job), 0, "the batch is under way");
    // The batch would outlast the grace period: it is handed back at once.
    drained.signal("-TERM");
    drained.wait().exits(0);
    let killed = fleet.serve("extractor");
    taken(&killed);
    killed.signal("-KILL");
    killed.wait();
    assert_eq!(fleet.commits(&job), 0);
    // Nobody holds its message: the sweeper publishes it again, until the lease of the dead has ended.
    let _last = fleet.serve("extractor");
    assert_eq!(fleet.outcome(&job), "completed");
    orders.is_in(&fleet.job(&job));
    assert_eq!(fleet.commits(&job), 1);
}

#[test]
fn a_long_batch_keeps_no_other_waiting() {
    let orders = Orders::new(Dialect::Postgres, 20_000);
    orders.database.run(
        "CREATE TABLE few AS SELECT * FROM orders WHERE id <= 20; ALTER TABLE few ADD PRIMARY KEY (id); ANALYZE few;",
    );
    let one_worker = extractors_of(2).replace("workers = 2", "workers = 1");
    let fleet = fleet(
        &orders,
        "rate_limit = \"rows=2500\"\nallow_long_batches = true",
        &one_worker,
    );
    let services = fleet.serve_all(1);
    let long = fleet.submit(&ONE_BATCH);
    eventually("the long batch under way", || {
        metric(
            &services[2],
            "sqlextract_messages_total{queue=\"long-batches.shop\",verdict=\"done\"}",
        ) >= Some(1.0)
    });
    let few = fleet.submit(&["--table", "public.few", "--batch-size", "10", "--consistency", "batch"]);
    assert_eq!(fleet.outcome(&few), "completed");
    assert!(
        !fleet.has_outcome(&long),
        "the long batch ended too early to prove anything"
    );
    assert_eq!(fleet.outcome(&long), "completed");
    orders.is_in(&fleet.job(&long));
    leave_empty_queues(&fleet, services);
}

/// The time of day so many seconds from now, in UTC.
fn clock(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let of_day = (now.as_secs() + seconds) % 86_400;
    format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[test]
fn limits_of_the_hour_are_in_force_while_a_job_runs() {
    let orders = Orders::new(Dialect::Postgres, 20_000);
    // Slow for a while, then a pause, then as fast as it goes.
    let [slow, paused, fast] = [clock(0), clock(25), clock(33)];
    let windows = format!(
        "rate_limit = \"rows=500000\"\n\
         [[sources.shop.windows]]\nfrom = \"{slow}\"\nto = \"{paused}\"\nrate_limit = \"rows=500\"\n\
         [[sources.shop.windows]]\nfrom = \"{paused}\"\nto = \"{fast}\"\npause = true\n"
    );
    let begun = Instant::now();
    let fleet = fleet(&orders, &windows, "");
    let services = fleet.serve_all(1);
    let extractor = &services[2];
    let job = fleet.submit(&["--table", "public.orders", "--batch-size", "500"]);
    assert_eq!(fleet.outcome(&job), "completed");
    let took = begun.elapsed();
    orders.is_in(&fleet.job(&job));
    assert!(
        took >= Duration::from_secs(31),
        "40 batches took {took:?}, a pause included"
    );
    let said = extractor.said();
    let told = |what: &str| said.find(what).unwrap_or_else(|| panic!("{what} is not told: {said}"));
    let [first, second, third] = [
        told("limits in force: 500 rows/s (window mon-sun"),
        told("limits in force: pause: no batch is begun (window mon-sun"),
        told("limits in force: 500000 rows/s\""),
    ];
    assert!(first < second && second < third, "{said}");
}

/// Rows per second.
const LIMIT: f64 = 4000.0;
/// Long enough that a batch more or less is a hundredth.
const MEASURED: Duration = Duration::from_secs(6);

fn rows(extractors: &[Running]) -> f64 {
    let of = |extractor| metric(extractor, "sqlextract_rows_total{source=\"shop\"}").unwrap_or(0.0);
    extractors.iter().map(of).sum()
}

#[track_caller]
fn read_at_the_limit(when: &str, extractors: &[Running]) {
    let (begun, before) = (Instant::now(), rows(extractors));
    pause(MEASURED);
    let rate = (rows(extractors) - before) / begun.elapsed().as_secs_f64();
    assert!(
        (LIMIT * 0.9..=LIMIT * 1.1).contains(&rate),
        "{when}, the extractors read {rate:.0} rows/s where {LIMIT} are allowed"
    );
}

#[test]
fn one_two_and_four_extractors_read_at_the_limit_of_their_source_together() {
    let orders = Orders::alone(Dialect::Postgres, 240_000);
    let (broker, mut store) = (Broker::start(), Store::durable());
    let url = orders.database.url();
    let limit = format!("rate_limit = \"rows={LIMIT}\"");
    let source = FleetSource::shop(&url, &limit);
    let fleet = Fleet::on([broker.url(), store.url()], &[source], "");
    fleet.scenario().hush();
    let _planner = fleet.serve("planner");
    let job = fleet.submit(&["--table", "public.orders", "--batch-size", "200"]);
    let mut extractors = Vec::new();
    for members in [1, 2, 4] {
        while extractors.len() < members {
            extractors.push(fleet.serve("extractor"));
        }
        eventually("work for all", || {
            extractors.iter().all(|one| rows(std::slice::from_ref(one)) > 0.0)
        });
        read_at_the_limit(&format!("{members} of them"), &extractors);
    }
    store.kill();
    store.go();
    let before = fleet.commits(&job);
    eventually("commits after a restart of Redis", || fleet.commits(&job) > before + 20);
    read_at_the_limit("after a restart of Redis", &extractors);
    assert!(!fleet.has_outcome(&job), "the job ended before the last measurement");
}
