//! The requests, one method each.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::client::customize::CustomizableOperation;
use aws_sdk_s3::config::Config;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use sqlextract_model::{Code, Failure, Result};

use super::connect::timeouts;
use super::failure::{Failed, Intent};
use super::paced::PacedBodies;
use crate::key::OWN_SEGMENT;
use crate::pace::{Pace, Turn};
use crate::{Created, ObjectInfo};

/// A body is read anew when it breaks off or fails its checksum; the client itself repeats only requests.
const READS: u32 = 3;
/// The slowest network that is not yet a stalled one.
const SLOWEST_BYTES_PER_SECOND: u64 = 1 << 20;
/// Proof that an object is from one particular upload.
pub(super) const UPLOAD_METADATA: &str = "sqlextract-upload";

/// A bucket and a prefix in it, and how to talk to it.
pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) name: String,
    /// Empty, or with a slash at its end.
    pub(super) prefix: String,
    pub(super) location: String,
    pub(super) request_timeout: Duration,
    pub(super) first_backoff: Duration,
    pub(super) part_bytes: usize,
    pub(super) threshold_bytes: usize,
    pub(super) creates_only: bool,
    /// Whether a body's SHA-256 is in its request's signature: where others could change what is on its way, or no
    /// checksum tells what the network changed. Elsewhere hashing it once more tells nothing.
    pub(super) signs_bodies: bool,
    /// Where the bytes of bodies have a limit per second.
    pub(super) pace: Option<Arc<Pace>>,
}

/// What a whole-object write does about an object of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put<'a> {
    Create,
    Replace,
    /// Create-only where the store can, and marked with the upload's token.
    Upload(&'a str),
}

#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) bytes: u64,
    pub(super) token: Option<String>,
}

impl Bucket {
    pub(super) fn full_key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Names an object in a message.
    pub(super) fn shown(&self, key: &str) -> String {
        format!("s3://{}/{}{key}", self.name, self.prefix)
    }

    /// Gives a request that carries a body more time for more bytes, and a pace. Where it needs neither, the client's own
    /// configuration stays, which costs less to follow.
    pub(super) fn for_body<T, E, B>(
        &self,
        request: CustomizableOperation<T, E, B>,
        bytes: u64,
    ) -> CustomizableOperation<T, E, B> {
        let time = self.time_for(bytes);
        let config = Config::builder().timeout_config(timeouts(time));
        match &self.pace {
            // Given with the request, it comes after what the request itself does with its body.
            Some(pace) => request.config_override(config.interceptor(PacedBodies::new(Arc::clone(pace)))),
            None if time > self.request_timeout => request.config_override(config),
            None => request,
        }
    }

    fn time_for(&self, bytes: u64) -> Duration {
        let paced = self.pace.as_ref().map_or(Duration::ZERO, |pace| pace.longest(bytes));
        self.request_timeout + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND) + paced
    }

    /// Waits until a body may be begun to be sent, where there is a limit: those on their way share it, and each has only
    /// so much time.
    pub(super) async fn turn(&self, bytes: u64) -> Option<Turn<'_>> {
        match &self.pace {
            Some(pace) => pace.turn(bytes).await,
            None => None,
        }
    }

    /// Writes a whole object. `Exists` only where the store was asked to decide.
    pub(super) async fn put(&self, key: &str, body: Bytes, put: Put<'_>) -> Result<Created> {
        let length = body.len() as u64;
        let mut request = self.client.put_object().bucket(&self.name).key(self.full_key(key));
        if let Put::Upload(token) = put {
            request = request.metadata(UPLOAD_METADATA, token);
        }
        if put != Put::Replace && self.creates_only {
            request = request.if_none_match("*");
        }
        let mut sending = self.for_body(request.body(ByteStream::from(body)).customize(), length);
        if !self.signs_bodies {
            sending = sending.disable_payload_signing();
        }
        let turn = self.turn(length).await;
        let sent = sending.send().await;
        drop(turn);
        let Err(error) = sent else {
            return Ok(Created::New);
        };
        let failed = Failed::new(Intent::Write, format!("cannot write {}", self.shown(key)), error);
        let decided =
            put != Put::Replace && (failed.status() == Some(412) || self.conflict_was_lost(&failed, key).await?);
        if decided {
            Ok(Created::Exists)
        } else {
            Err(failed.into())
        }
    }

    /// Two writers met again and again; if one of them has made it, that decides.
    async fn conflict_was_lost(&self, failed: &Failed, key: &str) -> Result<bool> {
        Ok(failed.status() == Some(409) && self.head(key).await?.is_some())
    }

    pub(super) async fn head(&self, key: &str) -> Result<Option<Head>> {
        let request = self.client.head_object().bucket(&self.name).key(self.full_key(key));
        match request.send().await {
            Ok(head) => Ok(Some(Head {
                bytes: head
                    .content_length
                    .and_then(|n| u64::try_from(n).ok())
                    .unwrap_or_default(),
                token: head.metadata.and_then(|mut m| m.remove(UPLOAD_METADATA)),
            })),
            Err(error) => {
                let failed = Failed::new(Intent::Read, format!("cannot look at {}", self.shown(key)), error);
                if failed.is_missing_object() {
                    Ok(None)
                } else {
                    Err(failed.into())
                }
            }
        }
    }

    /// Reads an object, or a part of it that is not empty.
    pub(super) async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let mut broken = (Code::StorageUnreachable, String::new());
        for _ in 0..READS {
            let mut request = self.client.get_object().bucket(&self.name).key(self.full_key(key));
            if let Some(Range { start, end }) = range {
                request = request.range(format!("bytes={start}-{}", end - 1));
            }
            let found = match request.send().await {
                Ok(found) => found,
                Err(error) => {
                    let failed = Failed::new(Intent::Read, format!("cannot read {}", self.shown(key)), error);
                    return if failed.is_missing_object() {
                        Ok(None)
                    } else {
                        Err(failed.into())
                    };
                }
            };
            let promised = found
                .content_length
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or_default();
            let collecting = tokio::time::timeout(self.time_for(promised), found.body.collect());
            let bytes = match collecting.await {
                Ok(Ok(whole)) => whole.into_bytes(),
                Ok(Err(error)) => {
                    broken = broken_body(&error);
                    continue;
                }
                Err(_) => {
                    broken = (Code::StorageUnreachable, "the body took too long".to_owned());
                    continue;
                }
            };
            let length = bytes.len() as u64;
            return match range {
                Some(range) if length != range.end - range.start => Err(self.out_of_range(key, range, length)),
                _ => Ok(Some(bytes)),
            };
        }
        let message = format!("cannot read {} whole", self.shown(key));
        let (code, reason) = broken;
        Err(Failure::new(code, message).because(reason))
    }

    pub(super) fn out_of_range(&self, key: &str, range: Range<u64>, bytes: u64) -> Failure {
        let Range { start, end } = range;
        let message = format!(
            "bytes {start} to {end} of {} are asked for, but there are {bytes}",
            self.shown(key)
        );
        Failure::new(Code::StorageRejected, message)
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(self.full_key(prefix))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| Failed::new(Intent::Read, format!("cannot list {}", self.shown(prefix)), error))?;
            for object in page.contents.unwrap_or_default() {
                let full = object.key.unwrap_or_default();
                let key = full.strip_prefix(&self.prefix).unwrap_or(&full).to_owned();
                let own = key.split('/').next() == Some(OWN_SEGMENT);
                if !own {
                    let bytes = object.size.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
                    found.push(ObjectInfo { key, bytes });
                }
            }
        }
        Ok(found)
    }

    pub(super) async fn delete(&self, key: &str) -> Result<()> {
        let request = self.client.delete_object().bucket(&self.name).key(self.full_key(key));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let failed = Failed::new(Intent::Write, format!("cannot delete {}", self.shown(key)), error);
                if failed.is_missing_object() {
                    Ok(())
                } else {
                    Err(failed.into())
                }
            }
        }
    }
}

/// Why a body did not arrive whole: it broke off, or it is not what was stored.
fn broken_body(error: &(dyn std::error::Error + 'static)) -> (Code, String) {
    let mismatch = std::iter::successors(Some(error), |cause| cause.source())
        .find_map(|cause| cause.downcast_ref::<aws_smithy_checksums::body::validate::Error>());
    match mismatch {
        Some(mismatch) => (Code::StorageCorrupt, mismatch.to_string()),
        None => (Code::StorageUnreachable, error.to_string()),
    }
}
