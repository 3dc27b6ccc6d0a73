//! What must be true of a job whatever happened on its way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;
use sqlextract_system_tests::{Fleet, Running, Watch, all_files, eventually};

use crate::clients::python;
use crate::fingerprint::Orders;
use crate::operation::metric;

const QUEUES: [&str; 10] = [
    "requests",
    "ticks",
    "batches.shop",
    "long-batches.shop",
    "retry.10s",
    "retry.1m",
    "retry.10m",
    "scripter",
    "parked",
    "dead",
];

/// Messages that wait, by queue, those in nobody's hands.
pub(crate) fn waiting(fleet: &Fleet) -> BTreeMap<String, u64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("distributed/queues.py");
    let asked = python(fleet, &script).args(QUEUES).output();
    let asked = asked.expect("SQLEXTRACT_TEST_PYTHON starts");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    serde_json::from_slice(&asked.stdout).expect("queues have numbers")
}

/// Ends the services as an operator does, and no queue holds anything: what is in a service's hands is not seen before,
/// and where it was handed back, another service finishes it first.
#[track_caller]
pub(crate) fn leave_empty_queues(fleet: &Fleet, mut services: Vec<Running>) {
    let mut left = BTreeMap::new();
    for service in &services {
        metric(service, "");
    }
    for _ in 0..3 {
        eventually("queues without a message", || {
            left = waiting(fleet);
            left.values().all(|count| *count == 0)
        });
        for service in &services {
            service.signal("-TERM");
        }
        for service in services {
            service.wait().exits(0);
        }
        left = waiting(fleet).into_iter().filter(|(_, count)| *count > 0).collect();
        if left.is_empty() {
            return;
        }
        services = vec![fleet.serve("all")];
    }
    panic!("messages are left: {left:?}");
}

/// Waits until the planner has swept after the outcomes: nothing may be left then that no manifest names.
pub(crate) fn swept(fleet: &Fleet) {
    eventually("the last sweep", || fleet.open_jobs() == 0);
}

/// The outcome and every row of the source once, told under one id.
#[track_caller]
pub(crate) fn completed_once(fleet: &Fleet, watch: &Watch, orders: &Orders, job: &str, case: &str) {
    assert_eq!(fleet.outcome(job), "completed", "{case}");
    let told = watch.heard(job, "extraction.completed");
    one_id(&told, case);
    for other in ["extraction.failed", "extraction.cancelled"] {
        assert!(watch.about(job, other).is_empty(), "{case}: {other} was told too");
    }
    let whole = fleet.job(job);
    let totals = &told[0]["data"]["totals"]["rows"];
    assert_eq!(totals, &whole.manifest["totals"]["rows"], "{case}: what was told");
    assert_eq!(Orders::in_chunks(&whole), orders.in_database(), "{case}: count and sum");
}

/// However often it was told, whoever listens takes it for one.
#[track_caller]
pub(crate) fn one_id(told: &[Value], case: &str) {
    assert!(
        told.iter().all(|event| event["id"] == told[0]["id"]),
        "{case}: {told:?}"
    );
}

/// What is committed at a moment: the records and the chunks that they name, with size and time of each.
#[derive(Debug, PartialEq)]
pub(crate) struct Committed {
    objects: BTreeMap<PathBuf, Option<(u64, SystemTime)>>,
    pub(crate) rows: u64,
}

impl Committed {
    pub(crate) fn of(fleet: &Fleet, job: &str) -> Self {
        let folder = fleet.folder().join(job);
        let records = all_files(&folder.join("commits"));
        let records: Vec<PathBuf> = records.iter().map(|name| folder.join("commits").join(name)).collect();
        let mut committed = Self {
            objects: BTreeMap::new(),
            rows: 0,
        };
        for path in records {
            let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let record: Value = serde_json::from_slice(&text).expect("a commit record is JSON");
            committed.rows += record["rows"].as_u64().expect("a commit record has rows");
            for chunk in record["chunks"].as_array().expect("a commit record has chunks") {
                let chunk = folder.join(chunk["key"].as_str().expect("a chunk has a key"));
                committed.objects.insert(chunk.clone(), state(&chunk));
            }
            committed.objects.insert(path.clone(), state(&path));
        }
        committed
    }

    /// What was committed then is so now, and was never written again.
    #[track_caller]
    pub(crate) fn is_untouched(&self, case: &str) {
        for (path, before) in &self.objects {
            assert!(
                before.is_some() && *before == state(path),
                "{case}: {} was {before:?} and is {:?}",
                path.display(),
                state(path)
            );
        }
    }
}

fn state(path: &Path) -> Option<(u64, SystemTime)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.len(), found.modified().ok()?))
}
