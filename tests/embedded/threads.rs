//! Where threads run, as the system lists them: encoding pinned by choice, and background work behind others.

use std::collections::BTreeSet;
use std::process::Command;

use sqlextract_system_tests::{Dialect, Running, Scenario, eventually, variable};

use crate::fingerprint::Orders;

/// Slow enough for its threads to be seen.
const SLOW: [&str; 8] = [
    "--table",
    "orders",
    "--batch-size",
    "20000",
    "--workers",
    "2",
    "--rate-limit",
    "bytes=1MB",
];

fn value(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default().trim().to_owned()
}

/// The processors of the threads that encode, and of the others.
fn processors(running: &Running) -> (Vec<String>, BTreeSet<String>) {
    let (mut encoding, mut others) = (Vec::new(), BTreeSet::new());
    for status in running.threads() {
        let list = value(&status, "Cpus_allowed_list:");
        match value(&status, "Name:") == "encode" {
            true => encoding.push(list),
            false => {
                others.insert(list);
            }
        }
    }
    (encoding, others)
}

#[test]
fn encoding_threads_stay_on_one_processor_each_only_where_that_is_asked_for() {
    let orders = Orders::new(Dialect::Sqlite, 80_000);
    for pinned in [false, true] {
        let scenario = Scenario::new();
        let more: &[&str] = if pinned { &["--pin-encoding"] } else { &[] };
        let mut running = scenario.start_extract(&orders.database.url(), &[&SLOW, more].concat());
        let mut seen = (Vec::new(), BTreeSet::new());
        eventually("two threads encode", || {
            assert!(!running.ended(), "{}", running.said());
            seen = processors(&running);
            // One that has just begun is not in its place yet.
            seen.0.len() == 2 && (!pinned || seen.0.iter().all(|list| list.parse::<usize>().is_ok()))
        });
        let (encoding, others) = seen;
        let everywhere = others.first().cloned().unwrap_or_default();
        assert_eq!(others.len(), 1, "only encoding is pinned: {others:?}");
        if pinned {
            let distinct: BTreeSet<&String> = encoding.iter().collect();
            let several = everywhere.parse::<usize>().is_err();
            assert!(distinct.len() == 2 || !several, "both on {distinct:?} of {everywhere}");
        } else {
            assert_eq!(encoding, [everywhere.clone(), everywhere]);
        }
        running.wait().exits(0).outcome("completed");
    }
}

#[test]
fn verifying_lets_others_have_the_processors_first_and_extracting_does_not() {
    let orders = Orders::new(Dialect::Sqlite, 80_000);
    let scenario = Scenario::new();
    let mut extracting = scenario.start_extract(&orders.database.url(), &SLOW);
    let mut own = Vec::new();
    eventually("the extraction has threads", || {
        own = extracting.niceness();
        assert!(!extracting.ended(), "{}", extracting.said());
        own.len() > 3
    });
    let usual = own[0];
    assert!(own.iter().all(|niceness| *niceness == usual), "{own:?}");
    let run = extracting.wait().exits(0);
    let manifest = run.json["manifest"].as_str().expect("the run has a manifest");
    let mut verifying = scenario.start(scenario.command(&["verify", "--manifest", manifest]));
    let expected = usual.max(15);
    let mut seen = Vec::new();
    eventually("all threads of verify are behind", || {
        let now = verifying.niceness();
        let ended = verifying.ended();
        if now.len() > 1 {
            seen = now;
        }
        assert!(!ended || !seen.is_empty(), "it ended before it was seen");
        seen.contains(&expected)
    });
    assert!(seen.iter().all(|niceness| *niceness == expected), "{seen:?}");
    verifying.wait().exits(0);
}

#[test]
fn verifying_takes_a_small_part_of_a_processor_that_others_need() {
    let orders = Orders::new(Dialect::Sqlite, 2_000_000);
    let scenario = Scenario::new();
    let run = scenario
        .extract(&orders.database.url(), &["--table", "orders"])
        .exits(0);
    let manifest = run.json["manifest"].as_str().expect("the run has a manifest");
    let own = std::fs::read_to_string("/proc/self/status").expect("the system tells about this process");
    let allowed = value(&own, "Cpus_allowed_list:");
    let processor = allowed.split(['-', ',']).next().unwrap_or_default();
    let on_it = |arguments: &[&str]| {
        let mut command = Command::new("taskset");
        command.args(["-c", processor]).args(arguments);
        scenario.start(command)
    };
    let mut verifying = on_it(&[&variable("SQLEXTRACT_BINARY"), "verify", "--manifest", manifest]);
    eventually("verify is behind others", || {
        let niceness = verifying.niceness();
        assert!(!verifying.ended(), "it ended before it was seen: {}", verifying.said());
        niceness.len() > 1 && niceness.iter().all(|niceness| *niceness >= 15)
    });
    let other = on_it(&["sh", "-c", "while :; do :; done"]);
    let before = verifying.processor_time().unwrap_or_default();
    let (mut verified, mut worked) = (0, 0);
    eventually("both have shared the processor", || {
        let ended = verifying.ended();
        if let (false, Some(of_verify), Some(of_other)) = (ended, verifying.processor_time(), other.processor_time()) {
            (verified, worked) = (of_verify - before, of_other);
        }
        ended || worked >= 100
    });
    other.kill();
    assert!(
        worked >= 50,
        "verify ended too early to compare: {verified} beside {worked}"
    );
    assert!(worked >= 3 * verified, "verify took {verified} beside {worked}");
    verifying.wait().exits(0);
}
