//! Two do the same work at the same time, or one wakes up when the other is long done: one result, and nothing else.

use std::collections::BTreeSet;

use sqlextract_system_tests::{Dialect, Dice, Fleet, FleetSource, Running, all_files, eventually, variable};

use crate::fingerprint::Orders;
use crate::proof::{Committed, completed_once, leave_empty_queues, one_id, swept};

const SETTINGS: &str = "[planner]\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"1s\"\nlinger = \"2s\"\n\
     [extractor]\nworkers = 1\nbuffer_size = \"64MB\"\n";
const BATCHES: [&str; 4] = ["--table", "public.orders", "--batch-size", "500"];

/// Services whose broker takes them for gone after two seconds of silence, twice.
fn fleet(orders: &Orders) -> Fleet {
    let url = orders.database.url();
    let source = FleetSource::shop(&url, "");
    let broker = format!("{}?heartbeat=2", variable("SQLEXTRACT_TEST_RABBITMQ"));
    Fleet::on([broker, variable("SQLEXTRACT_TEST_REDIS")], &[source], SETTINGS)
}

fn wakes(frozen: &Running) {
    // Whatever it does then comes too late; at the same point it would stand still again.
    frozen.signal("-CONT");
}

/// An extractor stands still at a point, another does its work, and then the first goes on.
fn wakes_up_too_late(point: &str) {
    let orders = Orders::alone(Dialect::Postgres, 2000);
    let fleet = fleet(&orders);
    let mut services = vec![fleet.serve("planner"), fleet.serve("scripter")];
    let watch = fleet.watch();
    let late = fleet.serve_until_frozen("extractor", point);
    let job = fleet.submit(&BATCHES);
    eventually("an extractor that stands still", || late.is_frozen());
    services.push(fleet.serve("extractor"));
    completed_once(&fleet, &watch, &orders, &job, point);
    let committed = Committed::of(&fleet, &job);
    wakes(&late);
    // It has seen that its work was in vain, or done already, once it serves the next job.
    services.push(late);
    let next = fleet.submit(&[&BATCHES[..], &["--chunk-size", "1MB"]].concat());
    eventually("the outcome of the next job", || {
        wakes(&services[3]);
        fleet.has_outcome(&next)
    });
    completed_once(&fleet, &watch, &orders, &next, point);
    wakes(&services[3]);
    swept(&fleet);
    committed.is_untouched(point);
    for job in [&job, &next] {
        // What the attempt that came second had read is not counted.
        fleet.job(job).is_sound().accounts_for_its_source();
    }
    leave_empty_queues(&fleet, services);
}

#[test]
fn an_extractor_that_wakes_up_before_its_commit_record_finds_the_winners() {
    wakes_up_too_late("before_commit_record");
}

#[test]
fn an_extractor_that_wakes_up_after_the_outcome_changes_nothing() {
    wakes_up_too_late("after_commit_record");
}

#[test]
fn two_planners_that_plan_the_same_job_use_one_plan() {
    let orders = Orders::alone(Dialect::Postgres, 2000);
    let fleet = fleet(&orders);
    let mut services = vec![fleet.serve("extractor"), fleet.serve("scripter")];
    let first = fleet.serve_until_frozen("planner", "after_plan_page");
    let job = fleet.submit(&BATCHES);
    eventually("a planner that stands still", || first.is_frozen());
    services.push(fleet.serve("planner"));
    let watch = fleet.watch();
    let plans = || {
        let files = all_files(&fleet.folder().join(&job).join("plan"));
        files.into_iter().filter(|file| file.ends_with("g0001.json")).count()
    };
    eventually("the second one's plan", || plans() == 1);
    wakes(&first);
    completed_once(&fleet, &watch, &orders, &job, "two planners");
    let whole = fleet.job(&job);
    assert_eq!(whole.table("orders")["generation"], 1);
    assert_eq!(plans(), 1, "one plan is used");
    services.push(first);
    let pages_of = || {
        let files = all_files(&fleet.folder().join(&job).join("plan"));
        let pages = files
            .iter()
            .filter(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
        let plans: BTreeSet<_> = pages.filter_map(|page| page.parent()).collect();
        plans.len()
    };
    assert_eq!(pages_of(), 2, "the first one's pages are still there");
    swept(&fleet);
    assert_eq!(pages_of(), 1, "no plan names them");
    whole.is_sound();
    leave_empty_queues(&fleet, services);
}

#[test]
fn a_cancellation_and_a_completion_at_the_same_moment_leave_one_outcome() {
    let orders = Orders::alone(Dialect::Postgres, 1000);
    let fleet = fleet(&orders);
    let services = fleet.serve_all(1);
    let watch = fleet.watch();
    let mut dice = Dice::new(7);
    let mut jobs = Vec::new();
    for number in 1..=10 {
        let size = format!("{number}MB");
        let job = fleet.submit(&[&BATCHES[..], &["--chunk-size", &size]].concat());
        let moment = dice.below(3) as usize;
        eventually("the moment", || {
            fleet.commits(&job) >= moment || fleet.has_outcome(&job)
        });
        fleet.run(&["cancel", &job]);
        jobs.push(job);
    }
    for job in &jobs {
        let outcome = fleet.outcome(job);
        assert!(
            ["completed", "cancelled"].contains(&outcome.as_str()),
            "{job}: {outcome}"
        );
        let other = if outcome == "completed" {
            "cancelled"
        } else {
            "completed"
        };
        one_id(&watch.heard(job, &format!("extraction.{outcome}")), job);
        assert!(
            watch.about(job, &format!("extraction.{other}")).is_empty(),
            "{job}: both were told"
        );
    }
    swept(&fleet);
    for job in &jobs {
        let whole = fleet.job(job);
        if whole.manifest["outcome"] == "completed" {
            orders.is_in(&whole);
        }
    }
    leave_empty_queues(&fleet, services);
}
