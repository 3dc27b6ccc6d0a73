//! The settings file, and what flags, variables, file and defaults come to together. Parsed once, strictly, before
//! anything is opened.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sqlextract_ingest_sql::TargetOptions;
use sqlextract_model::{ByteSize, Code, Compression, Failure, Format, ParquetVersion, Platform, Result};

use crate::schedule::WindowEntry;
use crate::service_settings::{
    CheckpointEntry, ExtractorEntry, PlannerEntry, QueueEntry, ScripterEntry, TelemetryEntry,
};
use crate::tuning::bandwidth;

/// A secret that does not print.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The whole settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsFile {
    #[serde(default)]
    pub(crate) sources: BTreeMap<String, SourceEntry>,
    #[serde(default)]
    pub(crate) destinations: BTreeMap<String, DestinationEntry>,
    #[serde(default)]
    pub(crate) extract: ExtractEntry,
    #[serde(default)]
    pub(crate) queue: QueueEntry,
    #[serde(default)]
    pub(crate) checkpoint: CheckpointEntry,
    #[serde(default)]
    pub(crate) planner: PlannerEntry,
    #[serde(default)]
    pub(crate) extractor: ExtractorEntry,
    #[serde(default)]
    pub(crate) scripter: ScripterEntry,
    #[serde(default)]
    pub(crate) telemetry: TelemetryEntry,
}

/// `[sources.NAME]`: one of `url` and `url_file`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceEntry {
    /// The URL, or `env:NAME` to take it from a variable.
    pub(crate) url: Option<Secret>,
    /// A file that holds the URL.
    pub(crate) url_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) allow_plaintext: bool,
    /// Of each process.
    pub(crate) max_connections: Option<u32>,
    /// What requests may ask for: `schema.table`, `schema.*` or `*`.
    #[serde(default)]
    pub(crate) tables: Vec<String>,
    /// The CloudEvents `source` of those who may ask; empty for everybody who may publish.
    #[serde(default)]
    pub(crate) senders: Vec<String>,
    /// Batches of this source that one extractor works at once.
    pub(crate) workers: Option<u16>,
    /// `rows=N,bytes=SIZE,queries=N` per second, all extractors together.
    pub(crate) rate_limit: Option<String>,
    /// Connections for batches, all extractors together.
    pub(crate) fleet_connections: Option<u32>,
    /// Take tables that are one batch for longer than the batch deadline.
    #[serde(default)]
    pub(crate) allow_long_batches: bool,
    /// Times with other limits, the first that holds first.
    #[serde(default)]
    pub(crate) windows: Vec<WindowEntry>,
}

/// `[destinations.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DestinationEntry {
    /// A folder or `s3://BUCKET/PREFIX`.
    pub(crate) location: String,
    #[serde(default)]
    pub(crate) allow_plaintext: bool,
    #[serde(default)]
    pub(crate) single_writer: bool,
    /// Bytes per second, of each process.
    pub(crate) upload_bandwidth: Option<String>,
}

/// `[extract]`: defaults for the flags of the same name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtractEntry {
    pub(crate) source: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) format: Option<String>,
    pub(crate) compression: Option<String>,
    pub(crate) compression_level: Option<i32>,
    pub(crate) parquet_version: Option<String>,
    pub(crate) workers: Option<u16>,
    pub(crate) batch_size: Option<u64>,
    pub(crate) chunk_size: Option<String>,
    pub(crate) buffer_size: Option<String>,
    pub(crate) rate_limit: Option<String>,
    #[serde(default)]
    pub(crate) pin_encoding: bool,
    pub(crate) upload_bandwidth: Option<String>,
    pub(crate) max_connections: Option<u32>,
}

impl ExtractEntry {
    pub(crate) fn format(&self) -> Result<Option<Format>> {
        parsed("extract.format", self.format.as_deref())
    }

    pub(crate) fn compression(&self) -> Result<Option<Compression>> {
        parsed("extract.compression", self.compression.as_deref())
    }

    pub(crate) fn parquet_version(&self) -> Result<Option<ParquetVersion>> {
        parsed("extract.parquet_version", self.parquet_version.as_deref())
    }

    pub(crate) fn chunk_size(&self) -> Result<Option<ByteSize>> {
        parsed("extract.chunk_size", self.chunk_size.as_deref())
    }

    pub(crate) fn buffer_size(&self) -> Result<Option<ByteSize>> {
        parsed("extract.buffer_size", self.buffer_size.as_deref())
    }

    pub(crate) fn upload_bandwidth(&self) -> Result<Option<ByteSize>> {
        parsed("extract.upload_bandwidth", self.upload_bandwidth.as_deref())
    }
}

pub(crate) fn parsed<T: std::str::FromStr<Err = String>>(key: &str, text: Option<&str>) -> Result<Option<T>> {
    text.map(|text| {
        text.parse()
            .map_err(|e: String| Failure::new(Code::ConfigInvalid, format!("{key}: {e}")))
    })
    .transpose()
}

impl SettingsFile {
    /// What the file says about a target.
    pub(crate) fn target(&self, platform: Platform) -> TargetOptions {
        self.scripter.targets.get(&platform).cloned().unwrap_or_default()
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let unreadable = |e: std::io::Error| {
            Failure::new(Code::ConfigInvalid, format!("{} cannot be read", path.display())).because(e)
        };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let mut settings: Self = toml::from_str(&text).map_err(|e| {
            Failure::new(Code::ConfigInvalid, format!("{} is not right", path.display())).because(e.to_string().trim())
        })?;
        // Paths in a file are relative to that file.
        let folder = path.parent().unwrap_or(Path::new("."));
        for source in settings.sources.values_mut() {
            source.url_file = source.url_file.take().map(|file| folder.join(file));
            source.url = source.url.take().map(|url| Secret(sqlite_beside(folder, url.0)));
        }
        for file in [
            &mut settings.queue.url_file,
            &mut settings.queue.ca_file,
            &mut settings.checkpoint.url_file,
            &mut settings.checkpoint.ca_file,
        ] {
            *file = file.take().map(|file| folder.join(file));
        }
        for destination in settings.destinations.values_mut() {
            destination.location = folder_beside(folder, &destination.location);
        }
        let extract = &mut settings.extract;
        extract.source = extract.source.take().map(|source| sqlite_beside(folder, source));
        if let Some(output) = &mut extract.output
            && !settings.destinations.contains_key(output)
        {
            *output = folder_beside(folder, output);
        }
        Ok(settings)
    }
}

/// A folder that a settings file names; a bucket stays as it is.
fn folder_beside(file: &Path, location: &str) -> String {
    match location.contains("://") {
        true => location.to_owned(),
        false => file.join(location).to_string_lossy().into_owned(),
    }
}

/// A database file that a settings file names; other sources stay as they are.
fn sqlite_beside(file: &Path, source: String) -> String {
    match source.strip_prefix("sqlite://") {
        Some(path) => format!("sqlite://{}", file.join(path).display()),
        None => source,
    }
}

/// A source as the run uses it.
#[derive(Debug, Clone)]
pub(crate) struct SourceChoice {
    /// Its name in the settings, or its address without the password: part of the job's identity.
    pub(crate) name: String,
    pub(crate) url: Secret,
    pub(crate) allow_plaintext: bool,
    pub(crate) max_connections: Option<u32>,
    /// Statements may last as long as a long batch may.
    pub(crate) allow_long_batches: bool,
}

/// Takes a name or URL, then `[extract] source`, then `DATABASE_URL`.
pub(crate) fn choose_source(
    file: &SettingsFile,
    asked: Option<&str>,
    allow_plaintext: bool,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<SourceChoice> {
    let asked = asked
        .map(str::to_owned)
        .or_else(|| file.extract.source.clone())
        .or_else(|| variable("DATABASE_URL"));
    let Some(asked) = asked else {
        return Err(Failure::new(Code::UsageInvalid, "no source is given")
            .remedy("Add `--source postgres://USER@HOST/DB` (or mysql://…, sqlite://PATH), or set SQLEXTRACT_SOURCE or DATABASE_URL."));
    };
    if let Some(entry) = file.sources.get(&asked) {
        let url = source_url(&asked, entry, variable)?;
        return Ok(SourceChoice {
            name: asked,
            url,
            allow_plaintext: allow_plaintext || entry.allow_plaintext,
            max_connections: entry.max_connections,
            allow_long_batches: entry.allow_long_batches,
        });
    }
    if !asked.contains(':') {
        let known: Vec<_> = file.sources.keys().cloned().collect();
        let failure = Failure::new(
            Code::ConfigInvalid,
            format!("there is no source `{asked}` in the settings"),
        );
        return Err(match known.is_empty() {
            true => failure.remedy("Give a URL, or a settings file with `--config` that has the source."),
            false => failure.remedy(format!("Known sources: {}.", known.join(", "))),
        });
    }
    Ok(SourceChoice {
        name: address(&asked)?,
        url: Secret::new(asked),
        allow_plaintext,
        max_connections: None,
        allow_long_batches: false,
    })
}

pub(crate) fn source_url(name: &str, entry: &SourceEntry, variable: impl Fn(&str) -> Option<String>) -> Result<Secret> {
    let missing = |what: String| Failure::new(Code::ConfigInvalid, format!("source `{name}`: {what}"));
    match (&entry.url, &entry.url_file) {
        (Some(url), None) => match url.expose().strip_prefix("env:") {
            Some(key) => variable(key)
                .map(Secret::new)
                .ok_or_else(|| missing(format!("variable {key} is not set"))),
            None => Ok(url.clone()),
        },
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Secret::new(text.trim())),
            Err(cause) => Err(missing(format!("{} cannot be read", path.display())).because(cause)),
        },
        _ => Err(missing("give either `url` or `url_file`".to_owned())),
    }
}

/// A URL without its password and parameters; a SQLite path made absolute.
fn address(url: &str) -> Result<String> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            let path = path.split('?').next().unwrap_or(path);
            let absolute = std::path::absolute(path)
                .map_err(|e| Failure::new(Code::ConfigInvalid, format!("{path} is no path")).because(e))?;
            Ok(format!("sqlite://{}", absolute.display()))
        }
        "postgres" | "postgresql" | "mysql" | "mariadb" => {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            let rest = rest.split(['?', '#']).next().unwrap_or(rest);
            let rest = match rest.rsplit_once('@') {
                Some((login, place)) => format!("{}@{place}", login.split(':').next().unwrap_or_default()),
                None => rest.to_owned(),
            };
            Ok(format!("{scheme}://{rest}"))
        }
        _ => Err(
            Failure::new(Code::UsageInvalid, format!("`{scheme}` is no kind of source"))
                .remedy("Sources are postgres://…, mysql://… and sqlite://PATH."),
        ),
    }
}

/// A destination as the run uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DestinationChoice {
    /// Its name in the settings, or its location: part of the job's identity.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) allow_plaintext: bool,
    pub(crate) single_writer: bool,
    /// Bytes per second, of this process.
    pub(crate) upload_bandwidth: Option<NonZeroU64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Folder(PathBuf),
    S3 { bucket: String, prefix: String },
}

pub(crate) fn choose_destination(
    file: &SettingsFile,
    asked: Option<&str>,
    allow_plaintext: bool,
    single_writer: bool,
) -> Result<DestinationChoice> {
    let asked = asked.or(file.extract.output.as_deref()).unwrap_or("./sqlextract-out");
    if let Some(entry) = file.destinations.get(asked) {
        return Ok(DestinationChoice {
            name: asked.to_owned(),
            place: place(&entry.location)?,
            allow_plaintext: allow_plaintext || entry.allow_plaintext,
            single_writer: single_writer || entry.single_writer,
            upload_bandwidth: bandwidth(parsed(
                &format!("destinations.{asked}.upload_bandwidth"),
                entry.upload_bandwidth.as_deref(),
            )?)?,
        });
    }
    let place = place(asked)?;
    let name = match &place {
        Place::Folder(folder) => folder.display().to_string(),
        Place::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned(),
    };
    Ok(DestinationChoice {
        name,
        place,
        allow_plaintext,
        single_writer,
        upload_bandwidth: None,
    })
}

pub(crate) fn place(location: &str) -> Result<Place> {
    let Some(rest) = location.strip_prefix("s3://") else {
        if location.contains("://") {
            let failure = Failure::new(Code::UsageInvalid, format!("`{location}` is no destination"));
            return Err(failure.remedy("Destinations are folders and s3://BUCKET/PREFIX."));
        }
        let folder = std::path::absolute(location)
            .map_err(|e| Failure::new(Code::ConfigInvalid, format!("{location} is no path")).because(e))?;
        return Ok(Place::Folder(folder));
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(Failure::new(
            Code::UsageInvalid,
            format!("`{location}` names no bucket"),
        ));
    }
    Ok(Place::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_name_and_no_debug_text() {
        let file = SettingsFile::default();
        let url = "postgres://me:hunter2@db:5432/shop?sslmode=require";
        let chosen = choose_source(&file, Some(url), false, |_| None).unwrap();
        assert_eq!(chosen.name, "postgres://me@db:5432/shop");
        assert!(!format!("{chosen:?}").contains("hunter2"));
        assert_eq!(chosen.url.expose(), url);
    }

    #[test]
    fn a_name_is_looked_up_and_an_unknown_one_is_named() {
        let file: SettingsFile = toml::from_str("[sources.shop]\nurl = \"env:SHOP_URL\"").unwrap();
        let variable = |key: &str| (key == "SHOP_URL").then(|| "mysql://a@b/c".to_owned());
        assert_eq!(
            choose_source(&file, Some("shop"), false, variable)
                .unwrap()
                .url
                .expose(),
            "mysql://a@b/c"
        );
        let failure = choose_source(&file, Some("store"), false, |_| None).unwrap_err();
        assert!(failure.action().contains("shop"), "{}", failure.action());
    }

    #[test]
    fn unknown_keys_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        std::fs::write(&path, "[extract]\nworker = 3\n").unwrap();
        let failure = SettingsFile::read(&path).unwrap_err();
        assert_eq!(failure.code, Code::ConfigInvalid);
        assert!(failure.causes.join(" ").contains("worker"), "{failure:?}");
    }

    #[test]
    fn destinations_are_folders_or_buckets() {
        let file = SettingsFile::default();
        let s3 = choose_destination(&file, Some("s3://lake/a/b/"), false, false).unwrap();
        assert_eq!(
            s3.place,
            Place::S3 {
                bucket: "lake".to_owned(),
                prefix: "a/b".to_owned()
            }
        );
        assert_eq!(s3.name, "s3://lake/a/b");
        let folder = choose_destination(&file, None, false, false).unwrap();
        assert!(matches!(&folder.place, Place::Folder(path) if path.is_absolute()));
        assert!(choose_destination(&file, Some("gs://x/y"), false, false).is_err());
    }
}
