//! S3 and its compatibles as storage.
//!
//! Every body is sent from memory: its checksum then travels as a plain header, which all stores understand, and a
//! failed attempt can be sent again. Create-only writes carry `If-None-Match: *`; whether the store honours it is
//! proven when it is opened.

mod bucket;
mod connect;
mod examine;
mod failure;
mod paced;
mod probe;
mod settings;
mod stale;
mod upload;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlextract_model::{Code, Failure, Result};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::key::{check_key, check_prefix};
use crate::{Created, ObjectInfo, Storage, Upload};

use bucket::{Bucket, Put};
pub use examine::{Expiring, Lifecycle, S3Facts};
pub use settings::{Checksum, S3Credentials, S3Settings};
use upload::S3Upload;

/// Deletes on their way at once: enough to hide the round trip, too few to be told to slow down.
const DELETES_AT_ONCE: usize = 8;

/// Storage in an S3 bucket, under a prefix. Cheap to clone.
#[derive(Clone)]
pub struct S3Storage {
    bucket: Arc<Bucket>,
    /// Taken for create-only writes where the store cannot decide them.
    one_at_a_time: Arc<Mutex<()>>,
}

impl fmt::Debug for S3Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Storage").field(&self.bucket.location).finish()
    }
}

impl S3Storage {
    /// Finds credentials and region, and proves with a few small requests that the bucket is there, may be written
    /// to, and decides create-only writes.
    ///
    /// A store that ignores `If-None-Match` is refused, unless the settings say that there is a single writer.
    pub async fn open(settings: S3Settings) -> Result<Self> {
        settings.check()?;
        let mut bucket = connect::connect(&settings).await?;
        bucket.creates_only = probe::honours_create_only(&bucket).await?;
        if !bucket.creates_only && !settings.single_writer {
            let message = format!("{} ignores If-None-Match", bucket.location);
            return Err(Failure::new(Code::StoreNotCreateOnly, message));
        }
        Ok(Self {
            bucket: Arc::new(bucket),
            one_at_a_time: Arc::default(),
        })
    }

    /// Whether the store itself decides create-only writes. If not, only this process's own writers are kept apart,
    /// and whatever is written here says so.
    pub fn creates_only(&self) -> bool {
        self.bucket.creates_only
    }

    /// Tries uploads in parts, and reads what the bucket's rules remove below the prefix. Leaves nothing behind.
    pub async fn examine(&self) -> Result<S3Facts> {
        examine::examine(&self.bucket).await
    }

    /// Aborts multipart uploads under a prefix that were begun at least so long ago, and answers how many. The prefix
    /// is never empty: the bucket may hold other people's uploads.
    pub async fn abort_stale_uploads(&self, prefix: &str, older_than: Duration) -> Result<u64> {
        check_prefix(prefix)?;
        if prefix.is_empty() {
            let message = "stale uploads are aborted below a job's prefix, never in the whole bucket";
            return Err(Failure::new(Code::StorageRejected, message));
        }
        stale::abort(&self.bucket, prefix, older_than).await
    }
}

#[async_trait]
impl Storage for S3Storage {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        check_key(key)?;
        if self.bucket.creates_only {
            return self.bucket.put(key, body, Put::Create).await;
        }
        // The store cannot decide; the one writer that was promised keeps its own tasks apart.
        let _alone = self.one_at_a_time.lock().await;
        if self.bucket.head(key).await?.is_some() {
            return Ok(Created::Exists);
        }
        self.bucket.put(key, body, Put::Replace).await
    }

    async fn replace(&self, key: &str, body: Bytes) -> Result<()> {
        check_key(key)?;
        self.bucket.put(key, body, Put::Replace).await.map(drop)
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        check_key(key)?;
        Ok(Box::new(S3Upload::new(Arc::clone(&self.bucket), key)?))
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        check_key(key)?;
        match range {
            None => self.bucket.get(key, None).await,
            Some(Range { start, end }) if start < end => self.bucket.get(key, Some(start..end)).await,
            Some(Range { start, end }) => match self.bucket.head(key).await? {
                None => Ok(None),
                Some(head) if start == end && end <= head.bytes => Ok(Some(Bytes::new())),
                Some(head) => Err(self.bucket.out_of_range(key, start..end, head.bytes)),
            },
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix)?;
        self.bucket.list(prefix).await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        for key in keys {
            check_key(key)?;
        }
        let mut running = JoinSet::new();
        for key in keys {
            if running.len() >= DELETES_AT_ONCE {
                join_one(&mut running).await?;
            }
            let (bucket, key) = (Arc::clone(&self.bucket), key.clone());
            running.spawn(async move { bucket.delete(&key).await });
        }
        while !running.is_empty() {
            join_one(&mut running).await?;
        }
        Ok(())
    }

    async fn end_uploads(&self, prefix: &str) -> Result<u64> {
        self.abort_stale_uploads(prefix, Duration::ZERO).await
    }

    fn location(&self) -> &str {
        &self.bucket.location
    }
}

/// The next task's result; its panic goes on here.
async fn join_one<T: 'static>(running: &mut JoinSet<Result<T>>) -> Result<Option<T>> {
    match running.join_next().await {
        None => Ok(None),
        Some(Ok(result)) => result.map(Some),
        Some(Err(ended)) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Some(Err(_)) => Err(Failure::new(
            Code::Interrupted,
            "the process is ending before storage answered",
        )),
    }
}
