//! Uploads with a limit of bytes per second, by the clock.

use std::num::NonZeroU64;
use std::time::Instant;

use bytes::Bytes;
use sqlextract_storage::{LocalStorage, S3Settings, S3Storage, Storage};
use tempfile::TempDir;

use crate::s3::{serve, settings};

const LIMIT: NonZeroU64 = NonZeroU64::new(6_000_000).unwrap();
/// Each with so many bytes, at once: one goes in one request and in three parts.
const UPLOADS: [usize; 2] = [5_000_000, 13_000_000];

/// Bytes per second of uploads beside each other.
async fn rate(storage: &dyn Storage) -> f64 {
    let upload = |name: &'static str, size: usize| async move {
        let mut upload = storage.upload(name).await.unwrap();
        let body = Bytes::from(vec![7; size]);
        for piece in 0..10 {
            let piece = body.slice(size / 10 * piece..size / 10 * (piece + 1));
            upload.write(piece).await.unwrap();
        }
        assert_eq!(upload.finish().await.unwrap().bytes, size as u64);
    };
    let begun = Instant::now();
    tokio::join!(upload("one", UPLOADS[0]), upload("other", UPLOADS[1]));
    (UPLOADS[0] + UPLOADS[1]) as f64 / begun.elapsed().as_secs_f64()
}

fn is_within_five_percent(rate: f64) {
    let part = rate / LIMIT.get() as f64;
    assert!((0.95..=1.05).contains(&part), "{part} of the limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_to_a_bucket_keep_their_limit_within_five_percent() {
    let served = serve().await;
    let limited = S3Settings {
        upload_bytes_per_second: Some(LIMIT),
        ..settings(&served.server.url())
    };
    let storage = S3Storage::open(limited).await.unwrap();
    is_within_five_percent(rate(&storage).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_to_a_folder_keep_their_limit_within_five_percent() {
    let folder = TempDir::new().unwrap();
    let storage = LocalStorage::open(folder.path()).await.unwrap().limited_to(LIMIT);
    is_within_five_percent(rate(&storage).await);
}
