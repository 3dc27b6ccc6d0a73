//! The database refuses a read or one is given up half way, its answers come in pieces, it loses patience, and its rows
//! move, while the services read it.

use std::time::Duration;

use sqlextract_system_tests::{Database, Dialect, Fleet, FleetSource, Way, eventually, pause};

use crate::fingerprint::Orders;
use crate::proof::{completed_once, leave_empty_queues, swept};

const SETTINGS: &str = "[planner]\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"1s\"\nlinger = \"2s\"\n\
                        [extractor]\nworkers = 1\nbuffer_size = \"64MB\"\nbatch_deadline = \"60s\"\n";
/// One connection reads and one asks, so that the next read finds the connection that the last one left.
const SLOW: &str = "rate_limit = \"rows=2000\"\nmax_connections = 2\n";

/// One extractor lives through all of it: what a job leaves behind is what the next one finds.
#[test]
fn a_read_that_is_refused_or_given_up_half_way_leaves_the_next_ones_whole() {
    for dialect in [Dialect::Postgres, Dialect::Mysql] {
        let orders = Orders::alone(dialect, 6000);
        // The answers come in pieces that end in the middle of headers, rows and numbers.
        let (way, url) = Way::to(&orders.database.url());
        way.split_answers(7);
        let table = orders.database.table("orders");
        let tables = orders.database.table("*");
        let source = FleetSource {
            tables: &tables,
            ..FleetSource::shop(&url, SLOW)
        };
        let fleet = Fleet::with(&[source], SETTINGS);
        let services = fleet.serve_all(1);
        let watch = fleet.watch();
        let batches = |size: &str| {
            let of_table = ["--table", &table, "--batch-size", "1000", "--consistency", "batch"];
            fleet.submit(&[&of_table[..], &["--chunk-size", size]].concat())
        };

        // Refused at its start: the table is away, until somebody replays what was parked for that.
        let refused = batches("1MB");
        eventually("the first commit", || fleet.commits(&refused) >= 1);
        orders.database.run("ALTER TABLE orders RENAME TO away;");
        watch.heard(&refused, "batch.parked");
        orders.database.run("ALTER TABLE away RENAME TO orders;");
        eventually("a replay of all that was parked", || {
            fleet.run(&["parked", "replay", "--job", &refused]).exits(0);
            fleet.has_outcome(&refused)
        });
        completed_once(&fleet, &watch, &orders, &refused, "after a refused read");

        // Given up half way: the job is cancelled while rows arrive.
        let cancelled = batches("3MB");
        eventually("a commit before the cancellation", || fleet.commits(&cancelled) >= 1);
        pause(Duration::from_millis(200));
        fleet.run(&["cancel", &cancelled]).exits(0);
        assert_eq!(fleet.outcome(&cancelled), "cancelled", "{dialect:?}");
        assert!(
            fleet.commits(&cancelled) < 6,
            "{dialect:?}: it was cancelled too late to prove anything"
        );
        let whole = batches("4MB");
        completed_once(&fleet, &watch, &orders, &whole, "after a cancelled read");
        swept(&fleet);
        fleet.job(&whole).is_sound();
        leave_empty_queues(&fleet, services);
    }
}

/// What the server tells new sessions of its patience, and what it told before.
struct Patience<'a> {
    database: &'a Database,
    before: String,
}

impl<'a> Patience<'a> {
    fn of_seconds(database: &'a Database, seconds: u32) -> Self {
        let before = database.value("SELECT @@GLOBAL.net_write_timeout");
        database.run(&format!("SET GLOBAL net_write_timeout = {seconds};"));
        Self { database, before }
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        self.database
            .run(&format!("SET GLOBAL net_write_timeout = {};", self.before));
    }
}

#[test]
fn a_store_slower_than_the_sources_patience_gets_every_row() {
    let database = Database::new(Dialect::Mysql);
    // Far more than lies in sockets and between reader and store.
    database.run(
        "CREATE TABLE texts (id bigint NOT NULL PRIMARY KEY, text varchar(2100) NOT NULL);
         INSERT INTO texts SELECT seq, concat(seq, repeat(md5(seq), 60)) FROM seq_1_to_60000;
         ANALYZE TABLE texts;",
    );
    let url = database.url();
    let tables = database.table("*");
    let source = FleetSource {
        tables: &tables,
        ..FleetSource::shop(&url, "")
    };
    let settings = SETTINGS.replace("64MB", "20MB");
    let fleet = Fleet::with(&[source], &settings);
    let patience = Patience::of_seconds(&database, 5);
    let services = fleet.serve_all(1);
    let watch = fleet.watch();
    // The first write of rows has no answer, until the attempt is given up.
    fleet.hold("/data/", false);
    let table = database.table("texts");
    let of_table = ["--table", &table, "--batch-size", "100000", "--consistency", "batch"];
    let job = fleet.submit(&[&of_table[..], &["--chunk-size", "8MB", "--compression", "none"]].concat());
    let waited = "SELECT COALESCE(MAX(TIME), 0) FROM information_schema.PROCESSLIST \
                  WHERE STATE LIKE '%net%' AND INFO LIKE '%texts%' AND ID <> CONNECTION_ID()";
    eventually("a server that waits for longer than its patience", || {
        database.value(waited).parse::<u32>().expect("a number of seconds") >= 7
    });
    assert!(fleet.is_held() && fleet.commits(&job) == 0);
    assert_eq!(fleet.outcome(&job), "completed");
    drop(patience);
    assert_eq!(watch.heard(&job, "extraction.completed").len(), 1);
    let whole = fleet.job(&job);
    whole.is_sound();
    let sums = whole.query("texts", "SELECT count(*), sum(id), sum(length(text)) FROM chunks");
    let there = database.rows("SELECT count(*), cast(sum(id) AS char), cast(sum(length(text)) AS char) FROM texts;");
    assert_eq!(sums, there);
    assert!(
        !services[2].said().contains("a batch failed"),
        "the read outlasted the wait at the first try: {}",
        services[2].said()
    );
    leave_empty_queues(&fleet, services);
}

/// Some rows get other values, and with `keys` others get other keys.
fn change(orders: &Orders, round: u32, keys: bool) {
    let step = round % 5;
    let values = format!("UPDATE orders SET note = 'round {round}', cents = cents + 1 WHERE id % 5 = {step};");
    let moved = format!(
        "UPDATE orders SET id = id + 1000000 WHERE id % 11 = {step} AND id < 1000000;
         UPDATE orders SET id = id - 1000000 WHERE id % 13 = {step} AND id > 1000000;"
    );
    orders.database.run(&values);
    if keys {
        orders.database.run(&moved);
    }
}

/// Changes rows for as long as the job runs, and says how often.
fn change_throughout(fleet: &Fleet, orders: &Orders, job: &str, keys: bool) -> u32 {
    eventually("the first commit", || fleet.commits(job) >= 1);
    let mut rounds = 0;
    while !fleet.has_outcome(job) {
        change(orders, rounds, keys);
        rounds += 1;
    }
    rounds
}

#[test]
fn rows_that_change_meanwhile_keep_the_promise_of_the_consistency_level() {
    let orders = Orders::alone(Dialect::Postgres, 8000);
    let url = orders.database.url();
    let fleet = Fleet::with(&[FleetSource::shop(&url, SLOW)], SETTINGS);
    let services = fleet.serve_all(2);
    let command = ["--table", "public.orders", "--batch-size", "500"];

    // One instant of the whole table, whatever moves.
    let start = orders.in_database();
    let job = fleet.submit(&[&command[..], &["--consistency", "snapshot"]].concat());
    let rounds = change_throughout(&fleet, &orders, &job, true);
    assert!(rounds >= 5, "the table changed {rounds} times");
    assert_eq!(fleet.outcome(&job), "completed");
    assert_ne!(start, orders.in_database());
    let whole = fleet.job(&job);
    whole.is_sound();
    assert_eq!(Orders::in_chunks(&whole), start, "the state at the start");

    // Each batch an instant of its own: each key at most once, and those that stay in place exactly once.
    let keys = |text: &str| orders.database.value(&format!("SELECT {text} FROM orders"));
    let before = [keys("count(*)"), keys("sum(id)")];
    let job = fleet.submit(&[&command[..], &["--consistency", "batch"]].concat());
    let rounds = change_throughout(&fleet, &orders, &job, false);
    assert!(rounds >= 5, "the table changed {rounds} times");
    assert_eq!(fleet.outcome(&job), "completed");
    let whole = fleet.job(&job);
    whole.is_sound();
    let counted = whole.query("orders", "SELECT count(*), count(DISTINCT id), sum(id) FROM chunks");
    let [count, sum] = before;
    assert_eq!(counted, [[Some(count.clone()), Some(count), Some(sum)]]);
    leave_empty_queues(&fleet, services);
}
