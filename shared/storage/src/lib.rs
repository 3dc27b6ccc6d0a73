//! The storage port: objects under a destination.
//!
//! Storage carries the facts: plans, chunks, commit records and the outcome. "First writer wins" is its property.

mod key;
mod local;
mod pace;
mod records;
mod s3;
#[cfg(feature = "suite")]
pub mod suite;
mod tally;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use sqlextract_model::{Digest, Result};

pub use key::{check_key, check_prefix};
pub use local::LocalStorage;
pub use records::{JobRecords, RequestClaim, Stored};
pub use s3::{Checksum, Expiring, Lifecycle, S3Credentials, S3Facts, S3Settings, S3Storage};

/// The answer to a create-only write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is ours, whole and durable.
    New,
    /// An object was there before, or another writer was first. Read it to learn whose it is: after a lost answer
    /// it may be our own.
    Exists,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    pub key: String,
    pub bytes: u64,
}

/// What an upload left in storage, counted and digested on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    pub bytes: u64,
    pub crc32c: u32,
    pub sha256: Digest,
}

/// Objects under a destination's root. Keys are relative, `/`-separated and made by `ObjectKey`.
///
/// # Contract
///
/// - A name appears only when the object is whole and durable. A writer that dies leaves no name behind (local: maybe
///   a temporary file that no listing shows; S3: maybe an open multipart upload that the sweep aborts).
/// - `create` writes only if the name is free, decided by the store itself: of any number of racing writers one gets
///   `New`. Read-after-write holds: whoever gets `Exists` can read the object.
/// - `replace` is for pointers and scripts that no target loads; the last writer wins, and readers see an old or a new
///   object, never a mixture.
/// - `prepare` is a hint that objects of these names will come soon, for stores that can do something ahead of that. It
///   makes no name appear, promises nothing, and has no error: what cannot be done then is told when an object comes.
/// - `upload` streams an object of any size under a name that nobody else writes (names hold an attempt's id). Bytes
///   are held in memory up to the part size that the destination was opened with, and no further.
/// - `read` answers `None` where no such object is. A read is whole or an error. `range` is a half-open byte range.
/// - `list` returns every object whose key starts with the prefix, in no promised order; it is for repair and checks.
///   Objects that are not whole are never listed.
/// - `delete` removes objects by their full names, never by a prefix; what is not there counts as removed.
/// - `end_uploads` ends what writers that died have left open under a prefix, and answers how many; a writer that is at
///   work there after all fails, and leaves no object.
/// - A method that answers with an error of class indeterminate may have been applied.
#[async_trait]
pub trait Storage: Send + Sync + fmt::Debug {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created>;

    async fn replace(&self, key: &str, body: Bytes) -> Result<()>;

    async fn prepare(&self, _keys: &[String]) {}

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>>;

    async fn read(&self, key: &str, range: Option<std::ops::Range<u64>>) -> Result<Option<Bytes>>;

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>>;

    async fn delete(&self, keys: &[String]) -> Result<()>;

    async fn end_uploads(&self, prefix: &str) -> Result<u64>;

    /// Where this is, for people and scripts: an absolute folder or `s3://BUCKET/PREFIX`. Never a credential.
    fn location(&self) -> &str;
}

/// An object on its way in. Dropped unfinished, nothing appears under its name.
#[async_trait]
pub trait Upload: Send + fmt::Debug {
    /// Takes more bytes; waits while earlier parts are still on their way.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the object appear.
    async fn finish(self: Box<Self>) -> Result<Uploaded>;

    /// Removes what was sent.
    async fn abort(self: Box<Self>) -> Result<()>;
}
