//! Multipart uploads that nobody will complete any more.

use std::time::{Duration, SystemTime};

use sqlextract_model::Result;

use super::bucket::Bucket;
use super::failure::{Failed, Intent};

/// Aborts uploads below the prefix that were begun before the age given; answers how many.
pub(super) async fn abort(bucket: &Bucket, prefix: &str, older_than: Duration) -> Result<u64> {
    let mut aborted = 0;
    let (mut key_marker, mut id_marker) = (None, None);
    loop {
        let request = bucket
            .client
            .list_multipart_uploads()
            .bucket(&bucket.name)
            .prefix(bucket.full_key(prefix))
            .set_key_marker(key_marker)
            .set_upload_id_marker(id_marker);
        let page = request.send().await.map_err(|error| {
            let message = format!("cannot list uploads below {}", bucket.shown(prefix));
            Failed::new(Intent::Read, message, error)
        })?;
        for upload in page.uploads.unwrap_or_default() {
            let begun = upload.initiated.and_then(|t| SystemTime::try_from(t).ok());
            // The store's clock may be ahead of ours, which matters only where an age is asked for.
            let old = older_than.is_zero() || begun.is_some_and(|t| t.elapsed().is_ok_and(|age| age >= older_than));
            if let (true, Some(key), Some(id)) = (old, upload.key, upload.upload_id) {
                abort_one(bucket, &key, &id).await?;
                aborted += 1;
            }
        }
        if page.is_truncated != Some(true) {
            return Ok(aborted);
        }
        key_marker = page.next_key_marker;
        id_marker = page.next_upload_id_marker;
    }
}

/// Aborts one upload by its full key; one that is gone counts as aborted.
pub(super) async fn abort_one(bucket: &Bucket, full_key: &str, id: &str) -> Result<()> {
    let request = bucket.client.abort_multipart_upload();
    let sent = request.bucket(&bucket.name).key(full_key).upload_id(id).send().await;
    let Err(error) = sent else {
        return Ok(());
    };
    let message = format!("cannot abort the upload of s3://{}/{full_key}", bucket.name);
    let failed = Failed::new(Intent::Write, message, error);
    if failed.is("NoSuchUpload") {
        Ok(())
    } else {
        Err(failed.into())
    }
}
