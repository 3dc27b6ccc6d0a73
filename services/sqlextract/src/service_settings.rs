//! The sections of the settings file that services read: broker, checkpoint store, roles, telemetry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sqlextract_ingest_sql::TargetOptions;
use sqlextract_model::{ByteSize, Code, Failure, Platform, Result, parse_duration};

use crate::settings::{Secret, parsed};

/// `[queue]`: the broker.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueEntry {
    /// `amqp://…` or `amqps://…`, or `env:NAME` to take it from a variable.
    pub(crate) url: Option<Secret>,
    pub(crate) url_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) allow_plaintext: bool,
    pub(crate) prefix: Option<String>,
}

/// `[checkpoint]`: the store that the services share.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckpointEntry {
    /// `redis://…` or `rediss://…`, or `env:NAME` to take it from a variable.
    pub(crate) url: Option<Secret>,
    pub(crate) url_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) allow_plaintext: bool,
    #[serde(default)]
    pub(crate) allow_eviction: bool,
    pub(crate) prefix: Option<String>,
    pub(crate) retention: Option<String>,
}

/// `[planner]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlannerEntry {
    pub(crate) job_window: Option<u64>,
    pub(crate) publish_page: Option<u64>,
    pub(crate) tick_delay: Option<String>,
    pub(crate) sweep_interval: Option<String>,
    pub(crate) stall_after: Option<String>,
    pub(crate) max_blocked: Option<String>,
    pub(crate) lease: Option<String>,
    pub(crate) linger: Option<String>,
}

/// `[extractor]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtractorEntry {
    pub(crate) sources: Option<Vec<String>>,
    pub(crate) workers: Option<u16>,
    pub(crate) buffer_size: Option<String>,
    #[serde(default)]
    pub(crate) pin_encoding: bool,
    pub(crate) batch_deadline: Option<String>,
    pub(crate) max_attempts: Option<u32>,
}

/// `[scripter]`: what scripts need to know about their targets.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScripterEntry {
    /// `[scripter.targets.PLATFORM]`.
    #[serde(default)]
    pub(crate) targets: BTreeMap<Platform, TargetOptions>,
}

/// `[telemetry]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TelemetryEntry {
    /// Where `/healthz`, `/readyz` and `/metrics` are served; left out, nowhere.
    pub(crate) listen: Option<String>,
    pub(crate) grace: Option<String>,
}

impl QueueEntry {
    pub(crate) fn is_there(&self) -> bool {
        self.url.is_some() || self.url_file.is_some()
    }

    pub(crate) fn url(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Secret> {
        let url = service_url("queue", self.url.as_ref(), self.url_file.as_deref(), variable)?;
        if url.expose().starts_with("amqp://") || url.expose().starts_with("amqps://") {
            return Ok(url);
        }
        Err(config("queue.url is no amqp:// or amqps:// URL").remedy(
            "Services are several processes and need a broker; the queue of one process serves `extract` alone.",
        ))
    }
}

impl CheckpointEntry {
    pub(crate) fn url(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Secret> {
        let url = service_url("checkpoint", self.url.as_ref(), self.url_file.as_deref(), variable)?;
        if url.expose().starts_with("redis://") || url.expose().starts_with("rediss://") {
            return Ok(url);
        }
        Err(config("checkpoint.url is no redis:// or rediss:// URL")
            .remedy("Services share their checkpoints in Redis; the file of one process serves `extract` alone."))
    }

    pub(crate) fn retention(&self) -> Result<Option<Duration>> {
        duration("checkpoint.retention", self.retention.as_deref())
    }
}

impl ExtractorEntry {
    pub(crate) fn buffer_size(&self) -> Result<Option<ByteSize>> {
        parsed("extractor.buffer_size", self.buffer_size.as_deref())
    }
}

/// The section's URL, from itself, a variable or a file.
fn service_url(
    section: &str,
    url: Option<&Secret>,
    file: Option<&Path>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Secret> {
    match (url, file) {
        (Some(url), None) => match url.expose().strip_prefix("env:") {
            None => Ok(url.clone()),
            Some(key) => variable(key)
                .map(Secret::new)
                .ok_or_else(|| config(format!("{section}.url: variable {key} is not set"))),
        },
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Secret::new(text.trim())),
            Err(cause) => Err(config(format!("{section}.url_file: {} cannot be read", path.display())).because(cause)),
        },
        (None, None) => Err(config(format!("the settings have no `[{section}]` with a `url`"))
            .remedy("Services need a settings file with `[queue]` and `[checkpoint]`; see config/distributed.toml.")),
        (Some(_), Some(_)) => Err(config(format!("[{section}]: give either `url` or `url_file`"))),
    }
}

/// Reads `250ms`, `10s`, `5m`, `2h`, `7d`.
pub(crate) fn duration(key: &str, text: Option<&str>) -> Result<Option<Duration>> {
    text.map(|text| {
        parse_duration(text).ok_or_else(|| {
            config(format!(
                "{key}: `{text}` is no time; write for example 250ms, 10s, 5m or 2h"
            ))
        })
    })
    .transpose()
}

pub(crate) fn config(text: impl Into<String>) -> Failure {
    Failure::new(Code::ConfigInvalid, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(text: &str) -> Result<Secret> {
        let entry: QueueEntry = toml::from_str(text).unwrap();
        entry.url(|key| (key == "BROKER").then(|| "amqp://u:secret@b/%2f".to_owned()))
    }

    #[test]
    fn a_broker_comes_from_the_file_or_a_variable_and_nothing_else_will_do() {
        assert_eq!(queue("url = \"env:BROKER\"").unwrap().expose(), "amqp://u:secret@b/%2f");
        for text in [
            "",
            "url = \"env:NONE\"",
            "url = \"memory://\"",
            "url_file = \"/nonexistent\"",
        ] {
            assert_eq!(queue(text).unwrap_err().code, Code::ConfigInvalid, "{text}");
        }
    }

    #[test]
    fn the_settings_files_of_the_project_are_right_with_every_key() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for name in [
            "config/embedded.toml",
            "config/distributed.toml",
            "config/reference.toml",
            "deploy/compose/sqlextract.toml",
            "deploy/kubernetes/sqlextract.toml",
        ] {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            // A key that is only shown is held to the same as one that is set.
            let shown = |line: &str| {
                let key = line
                    .strip_prefix("# ")
                    .filter(|rest| rest.contains(" = ") && !rest.starts_with(char::is_uppercase));
                key.unwrap_or(line).to_owned()
            };
            let text: Vec<String> = text.lines().map(shown).collect();
            if let Err(cause) = toml::from_str::<crate::settings::SettingsFile>(&text.join("\n")) {
                panic!("{name}: {cause}");
            }
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("k", Some("250ms")), Ok(Some(Duration::from_millis(250))));
        assert!(duration("k", Some("soon")).unwrap_err().message.contains("k: `soon`"));
    }
}
