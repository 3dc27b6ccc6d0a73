//! Rules about packages and their dependencies.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Package name to (kind, dependency) pairs.
fn packages() -> BTreeMap<String, Vec<(String, String)>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let list = metadata["packages"].as_array().expect("there are packages").clone();
    list.iter()
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .expect("dependencies are a list")
                .iter()
                .map(|d| {
                    let kind = d["kind"].as_str().unwrap_or("normal").to_owned();
                    (kind, d["name"].as_str().expect("a dependency has a name").to_owned())
                });
            (
                package["name"].as_str().expect("a package has a name").to_owned(),
                dependencies.collect(),
            )
        })
        .collect()
}

fn normal(dependencies: &[(String, String)]) -> Vec<&str> {
    dependencies
        .iter()
        .filter(|(kind, _)| kind == "normal")
        .map(|(_, name)| name.as_str())
        .collect()
}

#[test]
fn pure_crates_depend_on_nothing_that_acts() {
    let allowed = [
        "sqlextract-model",
        "arrow-schema",
        "percent-encoding",
        // Schemas of messages, behind a feature that only the test of them turns on.
        "schemars",
        "serde",
        "serde_json",
        "sha2",
    ];
    let packages = packages();
    for pure in ["model", "planning", "type-mapping", "ingest-sql"] {
        let name = format!("sqlextract-{pure}");
        for dependency in normal(&packages[&name]) {
            assert!(
                allowed.contains(&dependency),
                "{name} is pure and must not depend on {dependency}"
            );
        }
    }
    let acting = ["tokio", "async-trait", "sqlx", "rusqlite", "aws-sdk-s3"];
    for dependency in normal(&packages["sqlextract-encoding"]) {
        assert!(
            !acting.contains(&dependency),
            "sqlextract-encoding is synchronous and does no I/O: {dependency}"
        );
    }
}

#[test]
fn each_client_library_has_one_home() {
    let homes: [(&str, &[&str]); 13] = [
        ("lapin", &["sqlextract-queue"]),
        ("sqlx", &["sqlextract-source"]),
        ("postgres-protocol", &["sqlextract-source"]),
        (
            "rusqlite",
            &["sqlextract-source", "sqlextract-checkpoint", "sqlextract"],
        ),
        ("redis", &["sqlextract-checkpoint"]),
        ("aws-sdk-s3", &["sqlextract-storage"]),
        ("aws-config", &["sqlextract-storage"]),
        ("parquet", &["sqlextract-encoding"]),
        ("governor", &["sqlextract-runtime"]),
        ("backoff", &["sqlextract-runtime"]),
        ("opentelemetry", &["sqlextract-runtime"]),
        ("tracing-opentelemetry", &["sqlextract-runtime"]),
        ("clap", &["sqlextract", "sqlextract-s3-server"]),
    ];
    for (name, dependencies) in &packages() {
        for (client, allowed) in homes {
            let used = normal(dependencies).contains(&client);
            assert!(
                !used || allowed.contains(&name.as_str()),
                "{client} belongs to {allowed:?}, and {name} uses it"
            );
        }
    }
}

#[test]
fn dependencies_point_inwards() {
    let services = ["sqlextract-planner", "sqlextract-extractor", "sqlextract-scripter"];
    let ports = [
        "sqlextract-queue",
        "sqlextract-checkpoint",
        "sqlextract-storage",
        "sqlextract-source",
    ];
    for (name, dependencies) in &packages() {
        for dependency in normal(dependencies) {
            if services.contains(&dependency) {
                // The simulation starts them as the executable does, on ports that misbehave.
                assert!(
                    ["sqlextract", "sqlextract-simulation"].contains(&name.as_str()),
                    "a service is used by the executable alone, not by {name}"
                );
            }
            if ports.contains(&name.as_str()) {
                assert!(
                    !dependency.starts_with("sqlextract-") || dependency == "sqlextract-model",
                    "the port {name} knows the model alone, not {dependency}"
                );
            }
        }
    }
}

#[test]
fn every_package_inherits_the_lints_and_the_versions() {
    for manifest in super::sources::files("Cargo.toml") {
        let text = std::fs::read_to_string(&manifest).unwrap();
        if text.contains("[workspace]") {
            continue;
        }
        assert!(
            text.contains("[lints]\nworkspace = true"),
            "{} does not inherit the lint table",
            manifest.display()
        );
        let pinned = text
            .lines()
            .find(|l| l.contains("version = \"") && !l.contains("workspace"));
        assert!(
            pinned.is_none(),
            "{} pins a version of its own: {pinned:?}",
            manifest.display()
        );
    }
}
