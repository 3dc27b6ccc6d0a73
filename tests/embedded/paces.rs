//! Plans follow the pace at which a source gives its rows, as a probe has found it.

use std::time::Duration;

use sqlextract_system_tests::{Database, Dialect, Scenario, Way, all_files, eventually};

/// Batches of the plan that an extraction of a large table has stored; it is not waited for.
fn batches(url: &str) -> u64 {
    let scenario = Scenario::new();
    let mut running = scenario.start_extract(url, &["--table", "large", "-v"]);
    let mut plan = None;
    eventually("the plan is stored", || {
        assert!(!running.ended() || plan.is_some(), "{}", running.said());
        let output = scenario.output();
        let files = all_files(&output);
        let file = files.iter().find(|file| file.ends_with("g0001.json"));
        plan = file.and_then(|file| std::fs::read(output.join(file)).ok());
        plan.is_some()
    });
    let said = running.said();
    running.kill();
    assert!(
        said.contains("bytes per second of one reader"),
        "a probe is told: {said}"
    );
    let plan: serde_json::Value = serde_json::from_slice(&plan.unwrap_or_default()).expect("a plan is JSON");
    let reason = plan["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("; a probe read ") && reason.ends_with(" per second"),
        "{reason}"
    );
    plan["batches"]
        .as_u64()
        .unwrap_or_else(|| panic!("no batches in {plan}"))
}

#[test]
fn a_source_on_a_slow_way_has_smaller_batches() {
    let database = Database::new(Dialect::Postgres);
    database.run(
        "CREATE UNLOGGED TABLE large (id integer NOT NULL, text text NOT NULL);
         INSERT INTO large SELECT i, repeat('x', 1000) FROM generate_series(1, 290000) AS g(i);
         ALTER TABLE large SET LOGGED; ANALYZE large;",
    );
    let near = batches(&database.url());
    let (way, there) = Way::to(&database.url());
    // A piece of up to 64 KiB each time: about three megabytes a second.
    way.delay_answers(Duration::from_millis(20));
    let far = batches(&there);
    assert!(far >= 3 * near, "{far} batches on the slow way, {near} on the other");
}
