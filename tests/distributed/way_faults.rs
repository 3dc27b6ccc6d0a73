//! The way to the broker or to the checkpoint store is slow, falls silent or loses answers; the store forgets.

use std::time::Duration;

use sqlextract_system_tests::{Dialect, Fleet, FleetSource, Store, Way, eventually, variable};

use crate::fingerprint::Orders;
use crate::operation::metric;
use crate::proof::{Committed, completed_once, leave_empty_queues, swept};

const SETTINGS: &str =
    "[planner]\njob_window = 8\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"1s\"\nlinger = \"2s\"\n";
const BATCHES: [&str; 4] = ["--table", "public.orders", "--batch-size", "250"];

fn source(url: &str) -> FleetSource<'_> {
    FleetSource::shop(url, "rate_limit = \"rows=5000\"")
}

struct Begun {
    job: String,
    committed: Committed,
}

/// A job in its middle, which is one of its own by the size of its chunks.
fn begin(fleet: &Fleet, number: u32) -> Begun {
    let size = format!("{number}MB");
    let job = fleet.submit(&[&BATCHES[..], &["--chunk-size", &size]].concat());
    eventually("the first commits", || fleet.commits(&job) >= 3);
    let committed = Committed::of(fleet, &job);
    Begun { job, committed }
}

#[test]
fn confirms_that_are_lost_and_connections_that_fall_silent_cost_time_alone() {
    let orders = Orders::alone(Dialect::Postgres, 10_000);
    let url = orders.database.url();
    let broker = variable("SQLEXTRACT_TEST_RABBITMQ") + "?heartbeat=2";
    let fleet = Fleet::on(
        [broker.clone(), variable("SQLEXTRACT_TEST_REDIS")],
        &[source(&url)],
        SETTINGS,
    );
    let ([of_planner, of_extractor], [first, second]) = {
        let [one, two] = [Way::to(&broker), Way::to(&broker)];
        ([one.0, two.0], [one.1, two.1])
    };
    let planner = fleet.serve_by("planner", ("QUEUE", &first));
    let extractor = fleet.serve_by("extractor", ("QUEUE", &second));
    let scripter = fleet.serve("scripter");
    let watch = fleet.watch();
    let end = |Begun { job, committed }, case: &str| {
        completed_once(&fleet, &watch, &orders, &job, case);
        committed.is_untouched(case);
        swept(&fleet);
        fleet.job(&job).is_sound();
    };

    // What the planner publishes arrives, and it never hears of it.
    let begun = begin(&fleet, 1);
    of_planner.hold_answers();
    end(begun, "confirms that are lost");
    let reconnects = |service| metric(service, "sqlextract_amqp_reconnects_total") >= Some(1.0);
    eventually("a new connection of the planner", || reconnects(&planner));

    // Neither end is told that the other is gone.
    let begun = begin(&fleet, 2);
    of_extractor.fall_silent();
    end(begun, "connections that fell silent");
    eventually("a new connection of the extractor", || reconnects(&extractor));
    leave_empty_queues(&fleet, vec![planner, extractor, scripter]);
}

#[test]
fn a_checkpoint_store_that_is_slow_or_loses_answers_or_forgets_counts_every_batch_once() {
    let orders = Orders::alone(Dialect::Postgres, 10_000);
    let url = orders.database.url();
    let mut store = Store::durable();
    let (way, there) = Way::to(&store.url());
    let fleet = Fleet::on([variable("SQLEXTRACT_TEST_RABBITMQ"), there], &[source(&url)], SETTINGS);
    let services = fleet.serve_all(2);
    let watch = fleet.watch();
    let end = |Begun { job, committed }, case: &str| {
        completed_once(&fleet, &watch, &orders, &job, case);
        committed.is_untouched(case);
        swept(&fleet);
        fleet.job(&job).is_sound();
        let status = fleet.run(&["status", &job, "--json"]).exits(0).json["jobs"][0].clone();
        let progress = &status["progress"];
        assert_eq!(progress["done"], progress["batches"], "{case}: {status}");
        progress["rows"].clone()
    };

    let begun = begin(&fleet, 1);
    way.delay_answers(Duration::from_secs(2));
    let then = fleet.commits(&begun.job);
    eventually("a commit in spite of slow answers", || fleet.commits(&begun.job) > then);
    way.delay_answers(Duration::ZERO);
    assert_eq!(end(begun, "a slow store"), 10_000);

    let begun = begin(&fleet, 2);
    way.lose_answers(12);
    eventually("lost answers", || way.still_to_lose() == 0);
    assert_eq!(end(begun, "answers that were lost"), 10_000);

    let begun = begin(&fleet, 3);
    store.forget_scripts();
    assert_eq!(end(begun, "scripts that were forgotten"), 10_000);

    let begun = begin(&fleet, 4);
    store.kill();
    store.forget_half();
    store.go();
    // The rows of batches that only storage still knows are in the manifest alone.
    end(begun, "a file that was cut");
    leave_empty_queues(&fleet, services);
}
