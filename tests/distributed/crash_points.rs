//! A service ends between two of its steps, each in turn: what follows is as if it had not.
//!
//! The store holds a write, before it is done or after, and whoever asked for it is killed at that moment.

use sqlextract_system_tests::{Dialect, Faults, Fleet, FleetSource, Running, Watch, eventually};

use crate::fingerprint::Orders;

/// A step by a key that it writes, and whether the write is done when the service ends.
type Point = (&'static str, bool);

struct Stage {
    orders: Orders,
    fleet: Fleet,
    watch: Watch,
    _others: Vec<Running>,
    victim: Option<Running>,
    role: &'static str,
    jobs: u32,
}

impl Stage {
    fn of(role: &'static str) -> Self {
        let orders = Orders::alone(Dialect::Postgres, 3000);
        let url = orders.database.url();
        let source = FleetSource::shop(&url, "");
        let quick = "[planner]\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"1s\"\nlinger = \"2s\"\n";
        let fleet = Fleet::with(&[source], quick);
        let others = ["planner", "extractor", "scripter"]
            .into_iter()
            .filter(|other| *other != role);
        let others = others.map(|role| fleet.serve(role)).collect();
        let victim = Some(fleet.serve(role));
        let watch = fleet.watch();
        Self {
            orders,
            fleet,
            watch,
            _others: others,
            victim,
            role,
            jobs: 0,
        }
    }

    fn dies_at(&mut self, (key, applied): Point) {
        let fleet = &self.fleet;
        self.jobs += 1;
        // Each is a job of its own by the size of its chunks.
        let size = format!("{}MB", self.jobs);
        fleet.hold(key, applied);
        let submit = fleet.start(&[
            "submit",
            "--source",
            "shop",
            "--destination",
            "lake",
            "--table",
            "public.orders",
            "--batch-size",
            "500",
            "--chunk-size",
            &size,
            "--target",
            "postgres",
        ]);
        eventually(&format!("a write of {key}"), || fleet.is_held());
        let victim = self.victim.take().expect("a service of the role is up");
        assert!(victim.kill(), "the {} had ended by itself", self.role);
        fleet.set_faults(Faults::default());
        self.victim = Some(fleet.serve(self.role));
        let job = submit.wait().exits(0).stdout.trim().to_owned();
        assert_eq!(fleet.outcome(&job), "completed", "{key} {applied}");
        self.orders.is_in(&fleet.job(&job));
        let told = self.watch.heard(&job, "extraction.completed");
        assert!(told.iter().all(|event| event["id"] == told[0]["id"]), "{key}: {told:?}");
        let scripts = self.watch.heard(&job, "ingest.generated");
        assert!(
            scripts.iter().all(|event| event["id"] == scripts[0]["id"]),
            "{key}: {scripts:?}"
        );
        assert_eq!(
            fleet.job(&job).table("orders")["generation"],
            1,
            "{key}: nothing is planned anew"
        );
    }
}

#[test]
fn a_planner_that_dies_while_it_accepts_and_plans_loses_no_request() {
    let mut stage = Stage::of("planner");
    let points = [
        ("/_sqlextract/requests/", false),
        ("/_sqlextract/requests/", true),
        ("/request.json", false),
        ("/request.json", true),
        ("/epochs/", true),
        ("/page-00000.jsonl", true),
        ("/g0001.json", false),
        ("/g0001.json", true),
    ];
    points.into_iter().for_each(|point| stage.dies_at(point));
}

#[test]
fn a_planner_that_dies_while_it_finishes_writes_one_outcome_and_tells_it() {
    let mut stage = Stage::of("planner");
    let points = [
        ("/manifest/page-", true),
        ("/manifest.json", false),
        ("/manifest.json", true),
        ("/latest.json", true),
    ];
    points.into_iter().for_each(|point| stage.dies_at(point));
}

#[test]
fn an_extractor_that_dies_at_a_step_leaves_no_row_out_and_none_twice() {
    let mut stage = Stage::of("extractor");
    let points = [
        ("/data/", false),
        ("/data/", true),
        ("/commits/", false),
        ("/commits/", true),
    ];
    points.into_iter().for_each(|point| stage.dies_at(point));
}

#[test]
fn a_scripter_that_dies_at_a_step_writes_the_same_script_again() {
    let mut stage = Stage::of("scripter");
    let points = [("/ingest/", false), ("/ingest/", true)];
    points.into_iter().for_each(|point| stage.dies_at(point));
}
