//! `config show`: every setting of `extract` with its value, and where it comes from.

use std::fmt::Write as _;

use sqlextract_ingest_sql::TargetOptions;

use crate::settings::SettingsFile;

/// A key, its default as text, and whether its value is secret.
const KEYS: [(&str, &str, bool); 15] = [
    ("source", "", true),
    ("output", "./sqlextract-out", false),
    ("format", "parquet", false),
    ("compression", "zstd for parquet, none for csv", false),
    ("compression_level", "", false),
    ("parquet_version", "v1", false),
    ("workers", "auto", false),
    ("batch_size", "auto", false),
    ("chunk_size", "128MB", false),
    ("buffer_size", "a quarter of the memory, at most 1GB", false),
    ("rate_limit", "none", false),
    ("pin_encoding", "false", false),
    ("upload_bandwidth", "none", false),
    ("max_connections", "from the source", false),
    ("consistency", "snapshot where the source can", false),
];

pub(crate) fn text(file: &SettingsFile, origin: bool, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::new();
    for (key, default, secret) in KEYS {
        let name = format!("SQLEXTRACT_{}", key.to_uppercase());
        let (value, from) = match (variable(&name), in_file(file, key)) {
            (Some(value), _) => (value, format!("variable {name}")),
            (None, Some(value)) => (value, "file".to_owned()),
            (None, None) => (default.to_owned(), "default".to_owned()),
        };
        let value = if secret && value.contains("://") {
            "(a URL, not shown)".to_owned()
        } else {
            value
        };
        let _ = match origin {
            true => writeln!(text, "{key} = {value}  # {from}"),
            false => writeln!(text, "{key} = {value}"),
        };
    }
    for name in file.sources.keys() {
        let _ = writeln!(text, "[sources.{name}]");
    }
    for (platform, target) in &file.scripter.targets {
        let _ = writeln!(text, "[scripter.targets.{platform}]{}", chosen(target));
    }
    for (name, destination) in &file.destinations {
        let _ = writeln!(text, "[destinations.{name}] {}", destination.location);
    }
    text
}

/// The keys of a target that are not as they are by default.
fn chosen(target: &TargetOptions) -> String {
    let (told, default) = (
        serde_json::to_value(target).unwrap_or_default(),
        serde_json::to_value(TargetOptions::default()).unwrap_or_default(),
    );
    let keys = told.as_object().into_iter().flatten();
    keys.filter(|(key, value)| default[key.as_str()] != **value)
        .map(|(key, value)| format!(" {key} = {value}"))
        .collect()
}

fn in_file(file: &SettingsFile, key: &str) -> Option<String> {
    let entry = &file.extract;
    match key {
        "source" => entry.source.clone(),
        "output" => entry.output.clone(),
        "format" => entry.format.clone(),
        "compression" => entry.compression.clone(),
        "compression_level" => entry.compression_level.map(|n| n.to_string()),
        "parquet_version" => entry.parquet_version.clone(),
        "workers" => entry.workers.map(|n| n.to_string()),
        "batch_size" => entry.batch_size.map(|n| n.to_string()),
        "chunk_size" => entry.chunk_size.clone(),
        "buffer_size" => entry.buffer_size.clone(),
        "rate_limit" => entry.rate_limit.clone(),
        "pin_encoding" => entry.pin_encoding.then(|| "true".to_owned()),
        "upload_bandwidth" => entry.upload_bandwidth.clone(),
        "max_connections" => entry.max_connections.map(|n| n.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_told_and_a_url_is_not() {
        let file: SettingsFile = toml::from_str("[extract]\nworkers = 3").unwrap();
        let url = "postgres://a:secret@b/c".to_owned();
        let shown = text(&file, true, |key| (key == "SQLEXTRACT_SOURCE").then(|| url.clone()));
        assert!(shown.contains("workers = 3  # file"), "{shown}");
        assert!(
            shown.contains("# variable SQLEXTRACT_SOURCE") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
