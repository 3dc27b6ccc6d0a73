//! What an extraction put on its source, as the manifest and the summary tell it.

use sqlextract_system_tests::{Dialect, Job, Run, Scenario};

use crate::fingerprint::Orders;

const ROWS: u64 = 30_000;

fn extracted(orders: &Orders) -> (Job, Run) {
    let arguments = ["--table", "orders", "--batch-size", "5000", "--workers", "2"];
    let scenario = Scenario::new();
    let run = scenario.extract(&orders.database.url(), &arguments);
    let run = run.exits(0).outcome("completed");
    (Job::of(&run), run)
}

#[test]
fn a_job_on_postgresql_tells_what_it_put_on_the_server() {
    let orders = Orders::new(Dialect::Postgres, ROWS);
    let (job, run) = extracted(&orders);
    let load = &job.manifest["source_load"];
    let number = |name: &str| load[name].as_u64().unwrap_or_else(|| panic!("no {name} in {load}"));
    assert_eq!(run.json["source_load"], *load);
    // As the binary COPY has them: at least two bytes a row and four a value.
    assert!(number("wire_bytes") > ROWS * (2 + 4 * 4 + 16), "{load}");
    assert!(
        number("longest_statement_ms") <= number("longest_transaction_ms"),
        "{load}"
    );
    assert!(number("snapshot_age_ms") >= number("longest_transaction_ms"), "{load}");
    assert!((2..=8).contains(&number("peak_connections")), "{load}");
    let (read, all) = (number("blocks_read"), number("table_blocks"));
    assert!((all..=all + all / 5).contains(&read), "{load}");
    assert_eq!(number("temporary_bytes"), 0);
}

#[test]
fn what_mysql_and_sqlite_do_not_tell_is_missing() {
    for (dialect, connections) in [(Dialect::Mysql, true), (Dialect::Sqlite, false)] {
        let orders = Orders::new(dialect, ROWS);
        let (job, _) = extracted(&orders);
        let load = job.manifest["source_load"].as_object().expect("an object");
        let has = |name: &str| load.contains_key(name);
        assert!(has("wire_bytes") && has("longest_statement_ms") && has("longest_transaction_ms"));
        assert_eq!(has("peak_connections"), connections, "{dialect:?}");
        assert!(
            !has("blocks_read") && !has("table_blocks") && !has("temporary_bytes"),
            "{load:?}"
        );
    }
}

#[test]
fn the_summary_for_people_has_a_line_of_it() {
    let orders = Orders::new(Dialect::Postgres, 1000);
    let (scenario, url) = (Scenario::new(), orders.database.url());
    let output = scenario.output();
    let output = output.to_str().expect("a path of tests is text");
    let run = scenario.run(&["extract", "--source", &url, "--table", "orders", "--output", output]);
    let line = run
        .stdout
        .lines()
        .find(|line| line.starts_with("  source: "))
        .unwrap_or_default();
    for part in [
        "longest statement ",
        "snapshot ",
        "blocks read ",
        "temporary 0",
        "connections",
        "off the wire",
    ] {
        assert!(
            line.contains(part),
            "`{part}` is missing in `{line}` of\n{}",
            run.stdout
        );
    }
}
