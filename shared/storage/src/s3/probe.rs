//! Proof, before any work is done, that the store is there and decides create-only writes.

use aws_sdk_s3::config::Config;
use aws_sdk_s3::primitives::ByteStream;
use sqlextract_model::{Failure, Result};

use super::bucket::Bucket;
use super::connect::retries;
use super::failure::{Failed, Intent};
use super::upload::random_token;
use crate::key::OWN_SEGMENT;

/// Fewer than in work: somebody is waiting for an answer, and nothing is lost yet.
const ATTEMPTS: u32 = 3;

/// Creates one random key twice. The second write must be refused.
pub(super) async fn honours_create_only(bucket: &Bucket) -> Result<bool> {
    let key = format!("{OWN_SEGMENT}/probe-{}", random_token()?);
    let honoured = match create(bucket, &key).await {
        Ok(()) => match create(bucket, &key).await {
            Ok(()) => false,
            Err(failed) => refused(failed)?,
        },
        // Nobody else has this key: it is ours, and only its answer was lost.
        Err(failed) => refused(failed)?,
    };
    if let Err(failure) = bucket.delete(&key).await {
        tracing::debug!(%key, %failure, "the probe stays, for want of permission to delete");
    }
    Ok(honoured)
}

fn refused(failed: Failed) -> Result<bool> {
    match failed.status() {
        Some(412 | 409) => Ok(true),
        // The header itself is not implemented.
        Some(501) => Ok(false),
        _ => Err(Failure::from(failed)),
    }
}

async fn create(bucket: &Bucket, key: &str) -> std::result::Result<(), Failed> {
    let request = bucket
        .client
        .put_object()
        .bucket(&bucket.name)
        .key(bucket.full_key(key))
        .if_none_match("*")
        .body(ByteStream::from_static(b"probe"))
        .customize()
        .config_override(Config::builder().retry_config(retries(ATTEMPTS, bucket.first_backoff)));
    let message = || format!("cannot write to {}", bucket.location);
    let sent = request.send().await;
    sent.map(drop)
        .map_err(|error| Failed::new(Intent::Write, message(), error))
}
