//! `Ports::open`: the only place where adapters are chosen.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlextract_checkpoint::{Checkpoint, RedisCheckpoint, RedisSettings, SqliteCheckpoint};
use sqlextract_model::{Code, Dialect, Digest, Failure, Result};
use sqlextract_queue::{InProcessQueue, RabbitmqQueue, RabbitmqSettings};
use sqlextract_runtime::{MeteredCheckpoint, MeteredQueue, MeteredStorage, Metrics, OperatingSystem, Ports};
use sqlextract_source::{MysqlSource, PostgresSource, Source, SourceSettings, SqliteSource};
use sqlextract_storage::{LocalStorage, S3Facts, S3Settings, S3Storage, Storage};

use crate::lazy_source::LazySource;
use crate::service_settings::{CheckpointEntry, QueueEntry};
use crate::settings::{DestinationChoice, Place, SettingsFile, SourceChoice, choose_destination, choose_source};

/// Messages that a queue of this process holds at most.
const QUEUE_MESSAGES: usize = 4096;

/// Shorter than what most firewalls and poolers take for dead, and longer than a pause between batches.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn open_source(choice: &SourceChoice, max_connections: u32) -> Result<Arc<dyn Source>> {
    let settings = SourceSettings {
        url: choice.url.expose().to_owned(),
        allow_plaintext: choice.allow_plaintext,
        max_connections,
        connect_timeout: Duration::from_secs(15),
        idle_timeout: IDLE_TIMEOUT,
        lock_timeout: Duration::from_secs(30),
        statement_timeout: match choice.allow_long_batches {
            true => Duration::from_secs(24 * 3600),
            false => Duration::from_secs(3600),
        },
    };
    let scheme = settings.url.split(':').next().unwrap_or_default().to_owned();
    Ok(match scheme.as_str() {
        "postgres" | "postgresql" => Arc::new(PostgresSource::open(settings).await?),
        "mysql" | "mariadb" => Arc::new(MysqlSource::open(settings).await?),
        "sqlite" => Arc::new(SqliteSource::open(settings).await?),
        _ => return Err(no_source(&scheme)),
    })
}

/// How an upload to a destination may use memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UploadMemory {
    pub(crate) part_bytes: usize,
    pub(crate) threshold_bytes: usize,
}

impl UploadMemory {
    /// What a reader needs who uploads nothing but records.
    pub(crate) const SMALL: Self = Self {
        part_bytes: 8 << 20,
        threshold_bytes: 8 << 20,
    };
}

pub(crate) async fn open_storage(choice: &DestinationChoice, memory: UploadMemory) -> Result<Arc<dyn Storage>> {
    match &choice.place {
        Place::Folder(folder) => {
            let storage = LocalStorage::open(folder).await?;
            Ok(Arc::new(match choice.upload_bandwidth {
                Some(limit) => storage.limited_to(limit),
                None => storage,
            }))
        }
        Place::S3 { bucket, prefix } => {
            let settings = s3_settings(choice, (bucket, prefix), memory);
            Ok(Arc::new(S3Storage::open(settings).await?))
        }
    }
}

fn s3_settings(choice: &DestinationChoice, (bucket, prefix): (&str, &str), memory: UploadMemory) -> S3Settings {
    let mut settings = S3Settings::new(bucket, prefix);
    settings.part_bytes = memory.part_bytes;
    settings.multipart_threshold_bytes = memory.threshold_bytes;
    settings.allow_plaintext = choice.allow_plaintext;
    settings.single_writer = choice.single_writer;
    settings.upload_bytes_per_second = choice.upload_bandwidth;
    settings
}

/// What a bucket does with uploads and by its rules; `None` for a folder.
pub(crate) async fn examine_bucket(choice: &DestinationChoice) -> Result<Option<S3Facts>> {
    let Place::S3 { bucket, prefix } = &choice.place else {
        return Ok(None);
    };
    let settings = s3_settings(choice, (bucket, prefix), UploadMemory::SMALL);
    Ok(Some(S3Storage::open(settings).await?.examine().await?))
}

/// Where the embedded checkpoint of a destination is: beside local chunks, in the user's state folder for S3.
pub(crate) fn checkpoint_path(
    choice: &DestinationChoice,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<PathBuf> {
    if let Some(path) = variable("SQLEXTRACT_STATE") {
        return Ok(PathBuf::from(path));
    }
    match &choice.place {
        Place::Folder(folder) => Ok(folder.join(".sqlextract").join("checkpoints.db")),
        Place::S3 { .. } => {
            let state = variable("XDG_STATE_HOME").map(PathBuf::from);
            let home = || variable("HOME").map(|home| Path::new(&home).join(".local").join("state"));
            let folder = state.or_else(home).ok_or_else(|| {
                Failure::new(Code::PreflightFailed, "there is no folder for the checkpoint")
                    .remedy("Set SQLEXTRACT_STATE to a file's path.")
            })?;
            let name = format!(
                "checkpoints-{}.db",
                &Digest::of(choice.name.as_bytes()).to_string()[..12]
            );
            Ok(folder.join("sqlextract").join(name))
        }
    }
}

pub(crate) async fn open_checkpoint(path: &Path) -> Result<Arc<dyn Checkpoint>> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || SqliteCheckpoint::open(&path)).await;
    let opened = opened.map_err(|error| Failure::new(Code::Defect, "the checkpoint panicked").because(error))?;
    Ok(Arc::new(opened?))
}

pub(crate) fn dialect_of(choice: &SourceChoice) -> Result<Dialect> {
    match choice.url.expose().split(':').next().unwrap_or_default() {
        "postgres" | "postgresql" => Ok(Dialect::Postgres),
        "mysql" | "mariadb" => Ok(Dialect::Mysql),
        "sqlite" => Ok(Dialect::Sqlite),
        scheme => Err(no_source(scheme)),
    }
}

fn no_source(scheme: &str) -> Failure {
    Failure::new(Code::UsageInvalid, format!("`{scheme}` is no kind of source"))
        .remedy("Sources are postgres://…, mysql://… and sqlite://PATH.")
}

pub(crate) fn broker_settings(file: &SettingsFile, client_name: &str) -> Result<RabbitmqSettings> {
    let entry: &QueueEntry = &file.queue;
    let mut settings = RabbitmqSettings::new(entry.url(variable)?.expose());
    settings.allow_plaintext = entry.allow_plaintext;
    settings.ca_file.clone_from(&entry.ca_file);
    settings.sources = file.sources.keys().cloned().collect();
    client_name.clone_into(&mut settings.client_name);
    if let Some(prefix) = &entry.prefix {
        settings.prefix.clone_from(prefix);
    }
    Ok(settings)
}

pub(crate) fn checkpoint_settings(file: &SettingsFile) -> Result<RedisSettings> {
    let entry: &CheckpointEntry = &file.checkpoint;
    let mut settings = RedisSettings::new(entry.url(variable)?.expose());
    settings.allow_plaintext = entry.allow_plaintext;
    settings.allow_eviction = entry.allow_eviction;
    settings.ca_file.clone_from(&entry.ca_file);
    if let Some(prefix) = &entry.prefix {
        settings.prefix.clone_from(prefix);
    }
    if let Some(retention) = entry.retention()? {
        settings.retention = retention;
    }
    Ok(settings)
}

/// Every configured destination, by its name.
pub(crate) async fn open_destinations(
    file: &SettingsFile,
    memory: UploadMemory,
) -> Result<BTreeMap<String, Arc<dyn Storage>>> {
    let mut opened = BTreeMap::new();
    for name in file.destinations.keys() {
        let choice = choose_destination(file, Some(name), false, false)?;
        if choice.single_writer {
            let text = format!("destination `{name}` takes one writer alone, and services are several");
            return Err(Failure::new(Code::StoreNotCreateOnly, text)
                .remedy("Use a store that honours If-None-Match, and leave `single_writer` out."));
        }
        opened.insert(name.clone(), open_storage(&choice, memory).await?);
    }
    if opened.is_empty() {
        return Err(Failure::new(
            Code::ConfigInvalid,
            "the settings have no `[destinations.NAME]`",
        ));
    }
    Ok(opened)
}

/// The destinations that have a limit of bytes per second.
pub(crate) fn upload_limits(file: &SettingsFile) -> Result<Vec<(String, NonZeroU64)>> {
    let mut limits = Vec::new();
    for name in file.destinations.keys() {
        let choice = choose_destination(file, Some(name), false, false)?;
        limits.extend(choice.upload_bandwidth.map(|limit| (name.clone(), limit)));
    }
    Ok(limits)
}

/// A configured source, opened once it is asked.
pub(crate) fn lazy_source(file: &SettingsFile, name: &str, max_connections: u32) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(LazySource::new(source_choice(file, name)?, max_connections)?))
}

pub(crate) fn source_choice(file: &SettingsFile, name: &str) -> Result<SourceChoice> {
    choose_source(file, Some(name), false, variable)
}

fn variable(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// The distributed set: a broker and a store that several processes share.
pub(crate) struct Shared {
    pub(crate) broker: RabbitmqQueue,
    pub(crate) checkpoint: RedisCheckpoint,
}

impl Shared {
    pub(crate) async fn open(file: &SettingsFile, client_name: &str) -> Result<Self> {
        Ok(Self {
            broker: RabbitmqQueue::connect(broker_settings(file, client_name)?).await?,
            checkpoint: RedisCheckpoint::open(checkpoint_settings(file)?).await?,
        })
    }

    /// The ports of a role, each counted.
    pub(crate) fn ports(
        &self,
        sources: BTreeMap<String, Arc<dyn Source>>,
        destinations: &BTreeMap<String, Arc<dyn Storage>>,
        metrics: &Metrics,
    ) -> Ports {
        let metered = |storage: &Arc<dyn Storage>| -> Arc<dyn Storage> {
            Arc::new(MeteredStorage::new(Arc::clone(storage), metrics.clone()))
        };
        let destinations = destinations
            .iter()
            .map(|(name, storage)| (name.clone(), metered(storage)));
        Ports {
            queue: Arc::new(MeteredQueue::new(Arc::new(self.broker.clone()), metrics.clone())),
            checkpoint: Arc::new(MeteredCheckpoint::new(
                Arc::new(self.checkpoint.clone()),
                metrics.clone(),
            )),
            sources,
            destinations: destinations.collect(),
            surroundings: Arc::new(OperatingSystem),
        }
    }
}

/// The embedded set: queue in this process, checkpoint in a file.
pub(crate) fn embedded(
    source: (String, Arc<dyn Source>),
    destination: (String, Arc<dyn Storage>),
    checkpoint: Arc<dyn Checkpoint>,
) -> Ports {
    Ports {
        queue: Arc::new(InProcessQueue::new(QUEUE_MESSAGES)),
        checkpoint,
        sources: BTreeMap::from([source]),
        destinations: BTreeMap::from([destination]),
        surroundings: Arc::new(OperatingSystem),
    }
}
