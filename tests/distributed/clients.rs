//! Upstream and downstream in another language, with an ordinary client library.

use std::path::Path;
use std::process::{Command, Stdio};

use sqlextract_system_tests::{Database, Dialect, Fleet, eventually, variable};

use crate::fingerprint::Orders;

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/examples")
        .join(name)
}

pub(crate) fn python(fleet: &Fleet, script: &Path) -> Command {
    let mut command = Command::new(variable("SQLEXTRACT_TEST_PYTHON"));
    command.arg(script).envs(fleet.variables());
    command.env("AMQP_URL", fleet.queue());
    command.env("PREFIX", fleet.name());
    command
}

/// Publishes bytes as they are to an exchange of the fleet.
pub(crate) fn publish(fleet: &Fleet, exchange: &str, body: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("distributed/publish.py");
    let mut child = python(fleet, &script)
        .arg(exchange)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("SQLEXTRACT_TEST_PYTHON starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    std::io::Write::write_all(&mut stdin, body.as_bytes()).expect("the publisher reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the publisher can be waited for");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_upstream_asks_and_a_downstream_loads_with_ordinary_clients() {
    let orders = Orders::new(Dialect::Postgres, 3000);
    let warehouse = Database::new(Dialect::Postgres);
    let fleet = Fleet::of(&orders.database.url());
    let _services = fleet.serve_all(1);
    // The script reads chunks through the executable.
    let binary = variable("SQLEXTRACT_BINARY");
    let folder = Path::new(&binary).parent().expect("the executable is in a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mut loader = python(&fleet, &example("downstream.py"));
    let said = fleet.scenario().path("loader.out");
    let written = std::fs::File::create(&said).expect("the temporary folder takes files");
    loader
        .env("PATH", path)
        .env("WAREHOUSE_URL", warehouse.url())
        .env("JOBS", "1")
        .stdout(written);
    let mut loader = loader.stderr(Stdio::inherit()).spawn().expect("the loader starts");
    eventually("the loader's subscription", || {
        std::fs::read_to_string(&said).is_ok_and(|text| text.contains("listening"))
    });
    let asked = python(&fleet, &example("upstream.py"))
        .args(["shop", "lake", "public.orders", "postgres"])
        .output()
        .expect("the upstream starts");
    let answer = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(
        asked.status.success(),
        "{answer}{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    assert!(answer.contains("accepted") && answer.contains("completed"), "{answer}");
    let mut ended = None;
    eventually("the end of the loader", || {
        ended = loader.try_wait().expect("a child can be waited for");
        ended.is_some()
    });
    let told = std::fs::read_to_string(&said).unwrap_or_default();
    assert!(ended.is_some_and(|status| status.success()), "{told}");
    let sum = "SELECT count(*), sum(cents) FROM orders";
    assert_eq!(warehouse.rows(sum), orders.database.rows(sum), "{told}");
}

/// Idle services have the outcome of a one-row table within moments; a busy machine and a debug build get room.
#[test]
fn a_small_request_to_an_idle_fleet_is_done_at_once() {
    let orders = Orders::new(Dialect::Postgres, 1);
    let fleet = Fleet::of(&orders.database.url());
    let _services = fleet.serve_all(1);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("distributed/latency.py");
    let asked = python(&fleet, &script)
        .args(["shop", "lake", "public.orders", "15"])
        .output();
    let asked = asked.expect("SQLEXTRACT_TEST_PYTHON starts");
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let mut seconds: Vec<f64> = serde_json::from_slice(&asked.stdout).expect("seconds are numbers");
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    assert!(median <= 2.0, "{seconds:?}");
}
