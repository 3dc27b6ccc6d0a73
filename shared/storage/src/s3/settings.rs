//! How an S3 destination is opened.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use sqlextract_model::{Code, Failure, Result};

/// What S3 demands of every part but the last.
const SMALLEST_PART_BYTES: usize = 5 << 20;

/// Where and how to store. Credentials and region come from the usual AWS chain (variables, profile, web identity,
/// container, instance) unless they are given here.
#[derive(Clone)]
pub struct S3Settings {
    pub bucket: String,
    /// Segments before every key; empty for the bucket's root.
    pub prefix: String,
    /// `https://HOST[:PORT]`; without it `AWS_ENDPOINT_URL` and then AWS itself.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub credentials: Option<S3Credentials>,
    /// The bucket in the path instead of the host name; by default where an endpoint is set.
    pub path_style: Option<bool>,
    /// Size of a part of a large upload, at least 5 MiB. An object has at most 10,000 of them.
    pub part_bytes: usize,
    /// Objects up to this size go in one request.
    pub multipart_threshold_bytes: usize,
    /// Plain HTTP to another host than this one.
    pub allow_plaintext: bool,
    /// Nobody else writes under the prefix, so that a store without create-only writes will do.
    pub single_writer: bool,
    /// For each attempt at a small request; bodies have a second more for every MiB.
    pub request_timeout: Duration,
    /// Before the second of six attempts, then twice as long each time, up to 20 seconds, less a random share.
    pub first_backoff: Duration,
    pub checksum: Checksum,
    /// Bytes of bodies that may be sent per second, all uploads together; `None` sends as fast as the network takes them.
    pub upload_bytes_per_second: Option<NonZeroU64>,
}

/// Whether requests carry a checksum of their body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checksum {
    /// On every request that can carry one.
    #[default]
    WhenSupported,
    /// Only where S3 demands it: for stores that refuse the headers.
    WhenRequired,
}

/// Static keys. The secret parts are not printed.
#[derive(Clone)]
pub struct S3Credentials {
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials").finish_non_exhaustive()
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("part_bytes", &self.part_bytes)
            .field("multipart_threshold_bytes", &self.multipart_threshold_bytes)
            .field("single_writer", &self.single_writer)
            .finish_non_exhaustive()
    }
}

impl S3Settings {
    /// Settings for a bucket with all else at its default: parts of 16 MiB, one request up to 64 MiB, 30 seconds.
    pub fn new(bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: prefix.into(),
            endpoint: None,
            region: None,
            credentials: None,
            path_style: None,
            part_bytes: 16 << 20,
            multipart_threshold_bytes: 64 << 20,
            allow_plaintext: false,
            single_writer: false,
            request_timeout: Duration::from_secs(30),
            first_backoff: Duration::from_millis(500),
            checksum: Checksum::default(),
            upload_bytes_per_second: None,
        }
    }

    /// The most bytes that one upload holds at any time: what is collected, and two parts on their way.
    pub fn upload_memory_bytes(&self) -> usize {
        self.multipart_threshold_bytes.max(self.part_bytes) + 2 * self.part_bytes
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.bucket.is_empty() || self.bucket.contains('/') {
            return Err(invalid(format!("{:?} is no name of a bucket", self.bucket)));
        }
        if self.part_bytes < SMALLEST_PART_BYTES {
            return Err(invalid("a part of an S3 upload has at least 5 MiB"));
        }
        let prefix = self.prefix.trim_matches('/');
        if !prefix.is_empty() {
            crate::key::check_key(prefix)?;
        }
        Ok(())
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Code::ConfigInvalid, message)
}
