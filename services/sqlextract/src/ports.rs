//! `Ports::open`: the only place where adapters are chosen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlextract_checkpoint::{Checkpoint, SqliteCheckpoint};
use sqlextract_model::{Code, Digest, Failure, Result};
use sqlextract_queue::InProcessQueue;
use sqlextract_runtime::Ports;
use sqlextract_source::{MysqlSource, PostgresSource, Source, SourceSettings, SqliteSource};
use sqlextract_storage::{LocalStorage, S3Settings, S3Storage, Storage};

use crate::settings::{DestinationChoice, Place, SourceChoice};

/// Messages that a queue of this process holds at most.
const QUEUE_MESSAGES: usize = 4096;

pub(crate) async fn open_source(choice: &SourceChoice, max_connections: u32) -> Result<Arc<dyn Source>> {
    let settings = SourceSettings {
        url: choice.url.expose().to_owned(),
        allow_plaintext: choice.allow_plaintext,
        max_connections,
        connect_timeout: Duration::from_secs(15),
        lock_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(3600),
    };
    let scheme = settings.url.split(':').next().unwrap_or_default().to_owned();
    Ok(match scheme.as_str() {
        "postgres" | "postgresql" => Arc::new(PostgresSource::open(settings).await?),
        "mysql" | "mariadb" => Arc::new(MysqlSource::open(settings).await?),
        "sqlite" => Arc::new(SqliteSource::open(settings).await?),
        _ => {
            return Err(
                Failure::new(Code::UsageInvalid, format!("`{scheme}` is no kind of source"))
                    .remedy("Sources are postgres://…, mysql://… and sqlite://PATH."),
            );
        }
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
        Place::Folder(folder) => Ok(Arc::new(LocalStorage::open(folder).await?)),
        Place::S3 { bucket, prefix } => {
            let mut settings = S3Settings::new(bucket, prefix);
            settings.part_bytes = memory.part_bytes;
            settings.multipart_threshold_bytes = memory.threshold_bytes;
            settings.allow_plaintext = choice.allow_plaintext;
            settings.single_writer = choice.single_writer;
            Ok(Arc::new(S3Storage::open(settings).await?))
        }
    }
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
    Ok(Arc::new(SqliteCheckpoint::open(path)?))
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
    }
}
