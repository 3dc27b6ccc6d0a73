//! Services that are killed in the middle, and a job that is whole all the same.

use sqlextract_system_tests::{Dialect, Fleet, eventually};

use crate::fingerprint::Orders;

const SLOW: [&str; 4] = ["--table", "public.orders", "--batch-size", "500"];

fn fleet(orders: &Orders) -> Fleet {
    let url = orders.database.url();
    let source = sqlextract_system_tests::FleetSource::shop(&url, "rate_limit = \"rows=8000\"");
    Fleet::with(&[source], "")
}

#[test]
fn a_killed_extractor_costs_time_and_no_row() {
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let fleet = fleet(&orders);
    let mut services = fleet.serve_all(2);
    let job = fleet.submit(&SLOW);
    eventually("the first commits", || fleet.commits(&job) >= 5);
    assert!(services.pop().expect("there are extractors").kill());
    assert_eq!(fleet.outcome(&job), "completed");
    orders.is_in(&fleet.job(&job));
}

#[test]
fn a_killed_planner_is_followed_by_another_that_takes_its_jobs_up() {
    let orders = Orders::alone(Dialect::Postgres, 20_000);
    let fleet = fleet(&orders);
    let planner = fleet.serve("planner");
    let _others = [fleet.serve("extractor"), fleet.serve("scripter")];
    let watch = fleet.watch();
    let job = fleet.submit(&SLOW);
    eventually("the first commits", || fleet.commits(&job) >= 5);
    assert!(planner.kill());
    let _second = fleet.serve("planner");
    assert_eq!(fleet.outcome(&job), "completed");
    // Nothing has changed in the source, so that its plan holds in the next epoch.
    let whole = fleet.job(&job);
    orders.is_in(&whole);
    assert_eq!(whole.table("orders")["generation"], 1);
    assert_eq!(watch.heard(&job, "extraction.completed").len(), 1);
}

#[test]
fn a_killed_scripter_writes_its_script_later() {
    let orders = Orders::new(Dialect::Postgres, 1000);
    let fleet = fleet(&orders);
    let _services = [fleet.serve("planner"), fleet.serve("extractor")];
    let scripter = fleet.serve("scripter");
    assert!(scripter.kill());
    let watch = fleet.watch();
    let job = fleet.submit(&["--table", "public.orders", "--target", "postgres"]);
    assert_eq!(fleet.outcome(&job), "completed");
    let _scripter = fleet.serve("scripter");
    let script = watch.heard(&job, "ingest.generated").remove(0);
    assert!(
        script["data"]["location"]
            .as_str()
            .is_some_and(|key| key.ends_with("ingest/postgres.sql"))
    );
}

#[test]
fn a_second_planner_stands_by() {
    let orders = Orders::alone(Dialect::Postgres, 10_000);
    let fleet = fleet(&orders);
    let first = fleet.serve("planner");
    eventually("the first planner's lead", || {
        first.said().contains("this planner leads")
    });
    let second = fleet.serve("planner");
    let _extractor = fleet.serve("extractor");
    let job = fleet.submit(&SLOW);
    eventually("the first commits", || fleet.commits(&job) >= 3);
    assert!(!second.said().contains("this planner leads"), "{}", second.said());
    first.signal("-TERM");
    first.wait().exits(0);
    eventually("the second planner's lead", || {
        second.said().contains("this planner leads")
    });
    assert_eq!(fleet.outcome(&job), "completed");
    orders.is_in(&fleet.job(&job));
}
