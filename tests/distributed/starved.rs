//! An extractor whose machine has less memory than its settings promise.

use sqlextract_system_tests::{Database, Dialect, Fleet, FleetSource, answers, eventually};

const SETTINGS: &str = "[planner]\nsweep_interval = \"500ms\"\nstall_after = \"3s\"\nlease = \"1s\"\nlinger = \"2s\"\n\
     [extractor]\nworkers = 1\nbuffer_size = \"2GB\"\nmax_attempts = 2\n";
const ROWS: u64 = 2000;
/// Enough for batches of small rows.
const MORE: u64 = 96 << 20;

/// Each try takes a process along; the tries are counted, the batch is parked at last, and alone.
#[test]
fn a_row_that_takes_more_memory_than_there_is_is_parked_and_its_neighbours_are_done() {
    let letters = Database::alone(Dialect::Postgres);
    letters.run(&format!(
        "CREATE TABLE letters (id bigint PRIMARY KEY, body text NOT NULL);
         INSERT INTO letters SELECT i, CASE WHEN i = 700 THEN repeat('x', 200000000) ELSE repeat(md5(i::text), 8) END
             FROM generate_series(1, {ROWS}) AS i;
         ANALYZE letters;"
    ));
    let url = letters.url();
    let fleet = Fleet::with(&[FleetSource::shop(&url, "")], SETTINGS);
    let _others = [fleet.serve("planner"), fleet.serve("scripter")];
    let confined = || {
        let extractor = fleet.serve("extractor");
        extractor.confine(MORE);
        extractor
    };
    let mut extractor = confined();
    let job = fleet.submit(&[
        "--table",
        "public.letters",
        "--batch-size",
        "200",
        "--consistency",
        "batch",
    ]);
    let (mut ended, mut status) = (0, serde_json::Value::Null);
    eventually("a blocked job", || {
        if extractor.ended() {
            ended += 1;
            extractor = confined();
        }
        status = fleet.run(&["status", &job, "--json"]).exits(0).json["jobs"][0].clone();
        status["state"] == "blocked"
    });
    // A try that ends without a word is given twice as many as one that says why.
    assert_eq!(ended, 4);
    assert_eq!(
        fleet.commits(&job) as u64 + 1,
        status["progress"]["batches"],
        "{status}"
    );
    let parked = fleet.run(&["parked", "list", "--json"]).exits(0);
    let told = answers(&parked).iter().map(ToString::to_string).collect::<String>();
    assert!(
        told.contains(&job) && told.contains("begun 4 times and never ended"),
        "{told}"
    );
    drop(extractor);
    let _well = fleet.serve("extractor");
    fleet.run(&["parked", "replay", "--job", &job]).exits(0);
    assert_eq!(fleet.outcome(&job), "completed");
    let rows: u64 = fleet
        .job(&job)
        .entries
        .iter()
        .filter_map(|entry| entry["rows"].as_u64())
        .sum();
    assert_eq!(rows, ROWS);
}
