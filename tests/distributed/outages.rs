//! What is around the services goes away and comes back in the middle of a job.

use sqlextract_system_tests::{Broker, Dialect, Fleet, FleetSource, Job, Running, Scenario, Store, eventually};

use crate::fingerprint::Orders;

const BATCHES: [&str; 4] = ["--table", "public.orders", "--batch-size", "500"];

fn fleet(orders: &Orders, broker: &Broker, store: &Store) -> Fleet {
    let url = orders.database.url();
    let source = FleetSource::shop(&url, "rate_limit = \"rows=8000\"");
    Fleet::on([broker.url(), store.url()], &[source], "")
}

/// The same rows, batch by batch, as one process on its own has them.
#[track_caller]
pub(crate) fn is_as_embedded(job: &Job, orders: &Orders) {
    let scenario = Scenario::new();
    let arguments = ["--table", "public.orders", "--batch-size", "500"];
    let run = scenario.extract(&orders.database.url(), &arguments).exits(0);
    let alone = Job::of(&run);
    let told = |job: &Job| {
        let table = job.table("orders");
        let mut batches: Vec<String> = job
            .entries
            .iter()
            .map(|entry| format!("{} {} {}", entry["batch"], entry["range"], entry["rows"]))
            .collect();
        batches.sort();
        (table["aggregates"].clone(), table["totals"]["rows"].clone(), batches)
    };
    assert_eq!(
        told(job),
        told(&alone),
        "the manifest of the services, and that of one process"
    );
}

#[track_caller]
fn all_leave_with_0(services: Vec<Running>) {
    for service in &services {
        service.signal("-TERM");
    }
    for service in services {
        service.wait().exits(0);
    }
}

#[test]
fn a_job_outlives_a_checkpoint_store_that_forgets_and_a_broker_that_is_killed() {
    let orders = Orders::alone(Dialect::Postgres, 24_000);
    let (mut broker, mut store) = (Broker::start(), Store::start());
    let fleet = fleet(&orders, &broker, &store);
    let services = fleet.serve_all(2);
    let watch = fleet.watch();
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 5);
    store.flush();
    eventually("commits after a flush", || fleet.commits(&job) >= 14);
    store.kill();
    store.go();
    eventually("commits after a restart of Redis", || fleet.commits(&job) >= 23);
    broker.kill();
    broker.go();
    assert_eq!(fleet.outcome(&job), "completed");
    let whole = fleet.job(&job);
    orders.is_in(&whole);
    is_as_embedded(&whole, &orders);
    assert_eq!(whole.table("orders")["generation"], 1, "nothing was planned anew");
    let told = watch.heard(&job, "extraction.completed");
    assert!(told.iter().all(|event| event["id"] == told[0]["id"]), "{told:?}");
    all_leave_with_0(services);
}

#[test]
fn a_store_that_stands_still_costs_time_alone() {
    let orders = Orders::alone(Dialect::Postgres, 12_000);
    let (broker, store) = (Broker::start(), Store::start());
    let fleet = fleet(&orders, &broker, &store);
    let services = fleet.serve_all(1);
    let job = fleet.submit(&BATCHES);
    eventually("the first commits", || fleet.commits(&job) >= 3);
    store.signal("-STOP");
    sqlextract_system_tests::pause(std::time::Duration::from_secs(4));
    assert!(!fleet.has_outcome(&job), "an outcome without the store's word");
    store.signal("-CONT");
    assert_eq!(fleet.outcome(&job), "completed");
    orders.is_in(&fleet.job(&job));
    all_leave_with_0(services);
}
