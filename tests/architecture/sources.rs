//! Rules about source files.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is in the workspace")
        .to_owned()
}

/// Every file of the project with this ending, build outputs and hidden folders left out.
pub(crate) fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the project can be listed") {
            let path = entry.expect("an entry of the project can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "there are files ending in {ending}");
    found
}

#[test]
fn no_rust_file_passes_500_lines() {
    let long: Vec<_> = files(".rs")
        .into_iter()
        .map(|path| (std::fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > 500)
        .collect();
    assert!(long.is_empty(), "split these: {long:?}");
}

#[test]
fn nothing_is_called_core_common_or_utils() {
    let refused = [
        "core", "common", "util", "utils", "helper", "helpers", "misc", "manager",
    ];
    for path in files(".rs") {
        let relative = path.strip_prefix(root()).unwrap().with_extension("");
        for part in relative.iter() {
            assert!(
                !refused.contains(&part.to_string_lossy().as_ref()),
                "{} has a name that says nothing",
                relative.display()
            );
        }
    }
}

#[test]
fn services_see_ports_and_never_an_adapter() {
    let adapters = [
        "InProcessQueue",
        "RabbitmqQueue",
        "SqliteCheckpoint",
        "RedisCheckpoint",
        "LocalStorage",
        "S3Storage",
        "PostgresSource",
        "MysqlSource",
        "SqliteSource",
    ];
    for service in ["planner", "extractor", "scripter"] {
        for path in files(".rs")
            .into_iter()
            .filter(|p| p.starts_with(root().join("services").join(service).join("src")))
        {
            let text = std::fs::read_to_string(&path).unwrap();
            let named = adapters.iter().find(|a| text.contains(*a));
            assert!(named.is_none(), "{} names the adapter {named:?}", path.display());
        }
    }
}

#[test]
fn a_commit_record_is_written_in_one_place() {
    let callers: Vec<_> = files(".rs")
        .into_iter()
        .filter(|p| !p.ends_with("architecture/sources.rs") && !p.ends_with("storage/src/records.rs"))
        .filter(|p| std::fs::read_to_string(p).unwrap().contains(".create_commit("))
        .collect();
    let only = root().join("services/extractor/src/commit.rs");
    assert_eq!(callers, [only], "every batch commits through the same function");
}

#[test]
fn unbounded_channels_and_exits_stay_out() {
    let banned = ["unbounded_channel(", "mpsc::channel()", "process::exit("];
    for path in files(".rs") {
        if path.ends_with("architecture/sources.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let found = banned.iter().find(|b| text.contains(*b));
        assert!(found.is_none(), "{} uses {found:?}", path.display());
    }
}
