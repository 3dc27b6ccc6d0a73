use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sqlextract_model::Code;
use sqlextract_s3_server::{S3Server, ServerSettings};
use sqlextract_storage::{Created, S3Credentials, S3Settings, S3Storage, Storage};
use tempfile::TempDir;

pub(crate) const BUCKET: &str = "lake";
const SECRET: &str = "wJalrXUtnFEMI-marker";

/// A server with a folder of its own.
pub(crate) struct Served {
    pub(crate) server: S3Server,
    _folder: TempDir,
}

pub(crate) async fn serve() -> Served {
    let folder = TempDir::new().unwrap();
    let server = S3Server::start(ServerSettings {
        root: folder.path(),
        address: "127.0.0.1:0",
        access_key: "AKIATEST",
        secret_key: SECRET,
        buckets: &[BUCKET],
    });
    Served {
        server: server.await.unwrap(),
        _folder: folder,
    }
}

/// Parts as small as S3 allows.
pub(crate) fn settings(url: &str) -> S3Settings {
    S3Settings {
        endpoint: Some(url.to_owned()),
        region: Some("eu-central-1".to_owned()),
        credentials: Some(S3Credentials {
            access_key: "AKIATEST".to_owned(),
            secret_key: SECRET.to_owned(),
            session_token: None,
        }),
        part_bytes: 5 << 20,
        multipart_threshold_bytes: 6 << 20,
        first_backoff: Duration::from_millis(20),
        ..S3Settings::new(BUCKET, "some/prefix")
    }
}

async fn fresh() -> (Arc<dyn Storage>, Served) {
    let served = serve().await;
    let storage = S3Storage::open(settings(&served.server.url())).await.unwrap();
    (Arc::new(storage), served)
}

sqlextract_storage::storage_suite!(fresh);

/// Waits for a condition that another task brings about.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "in 30 seconds not true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn locations_name_bucket_and_prefix_and_nothing_secret_is_printed() {
    let served = serve().await;
    for (prefix, location) in [("", "s3://lake"), ("a", "s3://lake/a"), ("/a/b/", "s3://lake/a/b")] {
        let settings = S3Settings {
            prefix: prefix.to_owned(),
            ..settings(&served.server.url())
        };
        let printed = format!("{settings:?}");
        let storage = S3Storage::open(settings).await.unwrap();
        assert_eq!(storage.location(), location);
        assert!(storage.creates_only());
        let upload = storage.upload("k").await.unwrap();
        let printed = format!("{printed}{storage:?}{upload:?}");
        assert!(!printed.contains(SECRET) && !printed.contains("AKIATEST"), "{printed}");
    }
}

#[tokio::test]
async fn two_prefixes_of_one_bucket_do_not_see_each_other() {
    let served = serve().await;
    let mut storages = Vec::new();
    for prefix in ["job", "job/inner", "job2"] {
        let settings = S3Settings {
            prefix: prefix.to_owned(),
            ..settings(&served.server.url())
        };
        storages.push(S3Storage::open(settings).await.unwrap());
    }
    for storage in &storages {
        assert_eq!(storage.create("k", Bytes::new()).await.unwrap(), Created::New);
    }
    let listed: Vec<usize> = {
        let mut counts = Vec::new();
        for storage in &storages {
            counts.push(storage.list("").await.unwrap().len());
        }
        counts
    };
    // The first prefix holds the second as a folder, and the third not at all.
    assert_eq!(listed, [2, 1, 1]);
}

#[tokio::test]
async fn a_listing_goes_on_over_pages() {
    let (storage, _served) = fresh().await;
    let keys: Vec<String> = (0..1100).map(|i| format!("many/{i:05}")).collect();
    let mut writers = tokio::task::JoinSet::new();
    for chunk in keys.chunks(100) {
        let (storage, chunk) = (Arc::clone(&storage), chunk.to_vec());
        writers.spawn(async move {
            for key in chunk {
                storage.create(&key, Bytes::from_static(b"12")).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let listed = storage.list("many/").await.unwrap();
    assert!(listed.iter().all(|object| object.bytes == 2));
    let mut listed: Vec<String> = listed.into_iter().map(|object| object.key).collect();
    listed.sort();
    assert_eq!(listed, keys);
}

#[tokio::test]
async fn aborted_and_dropped_uploads_are_closed_in_the_store() {
    let (storage, served) = fresh().await;
    for dropped in [false, true] {
        let mut upload = storage.upload("k").await.unwrap();
        upload.write(Bytes::from(vec![1; 13 << 20])).await.unwrap();
        assert_eq!(served.server.open_uploads(BUCKET), 1);
        match dropped {
            true => drop(upload),
            false => upload.abort().await.unwrap(),
        }
        eventually("no upload is open", || served.server.open_uploads(BUCKET) == 0).await;
    }
}

#[tokio::test]
async fn stale_uploads_are_aborted_below_their_prefix_only() {
    let served = serve().await;
    let storage = S3Storage::open(settings(&served.server.url())).await.unwrap();
    let mut uploads = Vec::new();
    for key in ["job-1/a", "job-1/b", "job-10/a"] {
        let mut upload = storage.upload(key).await.unwrap();
        upload.write(Bytes::from(vec![1; 7 << 20])).await.unwrap();
        uploads.push(upload);
    }
    let day = Duration::from_secs(86_400);
    assert_eq!(storage.abort_stale_uploads("job-1/", day).await.unwrap(), 0);
    assert_eq!(storage.abort_stale_uploads("job-1/", Duration::ZERO).await.unwrap(), 2);
    assert_eq!(served.server.open_uploads(BUCKET), 1);
    let failure = storage.abort_stale_uploads("", Duration::ZERO).await.unwrap_err();
    assert_eq!(failure.code, Code::StorageRejected);
    // An upload that the sweep has ended fails and leaves no object; the other one lives.
    let survivor = uploads.pop().unwrap();
    let swept = uploads.pop().unwrap();
    assert_eq!(swept.finish().await.unwrap_err().code, Code::StorageUnreachable);
    survivor.finish().await.unwrap();
    assert_eq!(storage.list("").await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_upload_needs_no_more_memory_than_its_settings_say() {
    let settings = S3Settings::new("b", "");
    assert_eq!(settings.upload_memory_bytes(), (64 + 2 * 16) << 20);
}

#[tokio::test]
async fn endpoints_and_settings_that_cannot_be_are_refused_before_any_request() {
    let cases = [
        ("http://s3.example.com", Code::PlaintextRefused),
        ("http://10.0.0.1:9000", Code::PlaintextRefused),
        ("http://localhost.example.com", Code::PlaintextRefused),
        ("http://127.0.0.1.example.com", Code::PlaintextRefused),
        ("s3.example.com", Code::ConfigInvalid),
        ("ftp://s3.example.com", Code::ConfigInvalid),
        ("https://user:hunter2@s3.example.com", Code::ConfigInvalid),
        ("http://127.0.0.1:1@s3.example.com", Code::ConfigInvalid),
        ("https://", Code::ConfigInvalid),
    ];
    for (endpoint, code) in cases {
        let failure = S3Storage::open(settings(endpoint)).await.unwrap_err();
        assert_eq!(failure.code, code, "{endpoint}");
        assert!(!format!("{failure:?}").contains("hunter2"));
    }
    let good = settings("https://s3.example.com");
    for bad in [
        S3Settings {
            part_bytes: 1 << 20,
            ..good.clone()
        },
        S3Settings {
            bucket: String::new(),
            ..good.clone()
        },
        S3Settings {
            bucket: "a/b".to_owned(),
            ..good.clone()
        },
    ] {
        assert_eq!(S3Storage::open(bad).await.unwrap_err().code, Code::ConfigInvalid);
    }
}
