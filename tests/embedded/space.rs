//! A disk that is really full, and one that cannot be written.

use std::process::Command;

use sqlextract_system_tests::{Dialect, Job, Scenario, all_files, variable};

use crate::fingerprint::Orders;

/// Runs a script where a small file system of its own is mounted on the scenario's output: `$1` is the folder, the
/// rest is the command. What is left on it is copied to `kept`.
fn on_a_small_disk(scenario: &Scenario, script: &str, command: &[&str]) -> String {
    let folder = scenario.output();
    std::fs::create_dir_all(&folder).expect("the temporary folder takes folders");
    let mut shell = Command::new("unshare");
    // A mount namespace of its own, and the right to mount in it: no other process sees the file system.
    shell
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(&folder);
    shell
        .arg(scenario.path("kept"))
        .arg(variable("SQLEXTRACT_BINARY"))
        .args(command);
    shell.current_dir(scenario.path(""));
    let done = shell.output().expect("unshare is in the PATH");
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{told}");
    format!("{told}{}", String::from_utf8_lossy(&done.stdout))
}

/// The exit codes of both runs are told on standard output; the disk grows between them.
const FILL_THEN_GROW: &str = r#"
set -u
disk=$1 kept=$2
shift 2
mount -t tmpfs -o size=1m none "$disk" || exit 9
timeout 120 "$@"; echo "first=$?"
find "$disk" -name manifest.json | sed 's/^/early=/'
find "$disk" -name '*.parquet' -size 0 | sed 's/^/empty=/'
mount -o remount,size=200m "$disk" || exit 9
timeout 120 "$@" >summary.json; echo "second=$?"
cp -r "$disk" "$kept"
"#;

#[test]
fn a_full_disk_is_named_and_the_same_command_goes_on_once_there_is_room() {
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let scenario = Scenario::new();
        let orders = Orders::alone(dialect, 120_000);
        let output = scenario.output();
        let output = output.to_str().expect("temporary paths are text");
        let url = orders.database.url();
        let state = scenario.path("state.db");
        let state = state.to_str().expect("temporary paths are text");
        let script = format!("export SQLEXTRACT_STATE='{state}'\n{FILL_THEN_GROW}");
        let told = on_a_small_disk(
            &scenario,
            &script,
            &[
                "extract",
                "--json",
                "--progress",
                "none",
                "--source",
                &url,
                "--output",
                output,
                "--table",
                "orders",
                "--batch-size",
                "5000",
                "--compression",
                "none",
            ],
        );
        assert!(told.contains("first=5\n"), "{told}");
        assert!(told.contains("[storage_full]") && told.contains("hint: "), "{told}");
        assert!(told.contains(output), "the file is named: {told}");
        let room = told.contains(" bytes) free, and ") && told.contains(" bytes) are needed to write ");
        assert!(
            room,
            "what is free and what is needed is told, before the disk is full: {told}"
        );
        assert!(
            !told.contains("early=") && !told.contains("empty="),
            "something half-made: {told}"
        );
        assert!(told.contains("second=0\n"), "{told}");
        let summary = std::fs::read_to_string(scenario.path("summary.json")).expect("the second run wrote it");
        let summary: serde_json::Value = serde_json::from_str(&summary).expect("a summary is JSON");
        assert_eq!(summary["outcome"], "completed");
        let job = summary["job"].as_str().expect("the job has a name");
        orders.is_in(&Job::at(&scenario.path("kept").join(job)));
    }
}

#[test]
fn a_disk_that_cannot_be_written_is_named() {
    let scenario = Scenario::new();
    let orders = Orders::new(Dialect::Sqlite, 10);
    let output = scenario.output();
    let output = output.to_str().expect("temporary paths are text");
    let url = orders.database.url();
    let script = "disk=$1; shift 2; mount -t tmpfs -o ro none \"$disk\" || exit 9; \"$@\"; echo \"first=$?\"";
    let told = on_a_small_disk(
        &scenario,
        script,
        &["extract", "--source", &url, "--output", output, "--table", "orders"],
    );
    assert!(
        told.contains("first=5\n") && told.contains("[storage_authentication]"),
        "{told}"
    );
    assert!(told.contains(output) && told.contains("hint: "), "{told}");
}

#[test]
fn a_disk_that_is_full_for_the_checkpoint_too_is_named() {
    let scenario = Scenario::new();
    let orders = Orders::alone(Dialect::Postgres, 120_000);
    let output = scenario.output();
    let output = output.to_str().expect("temporary paths are text");
    let url = orders.database.url();
    let told = on_a_small_disk(
        &scenario,
        FILL_THEN_GROW,
        &[
            "extract",
            "--json",
            "--progress",
            "none",
            "--source",
            &url,
            "--output",
            output,
            "--table",
            "orders",
            "--batch-size",
            "5000",
            "--compression",
            "none",
        ],
    );
    assert!(told.contains("first=5\n") || told.contains("first=6\n"), "{told}");
    assert!(told.contains("hint: ") && !told.contains("early="), "{told}");
    assert!(told.contains("second=0\n"), "{told}");
    let kept = scenario.path("kept");
    let folder = all_files(&kept)
        .into_iter()
        .find(|f| f.ends_with("manifest.json"))
        .expect("the second run left a manifest");
    orders.is_in(&Job::at(kept.join(folder).parent().expect("a manifest is in a folder")));
}
