//! What the store does wrong, and what must hold all the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sqlextract_model::{Class, Code, Digest};
use sqlextract_s3_server::{Dose, Faults};
use sqlextract_storage::{Checksum, Created, S3Credentials, S3Settings, S3Storage, Storage};

use super::s3::{BUCKET, Served, eventually, serve, settings};

async fn open(served: &Served) -> S3Storage {
    S3Storage::open(settings(&served.server.url())).await.unwrap()
}

async fn upload(storage: &S3Storage, key: &str, body: &[u8]) {
    let mut upload = storage.upload(key).await.unwrap();
    upload.write(Bytes::copy_from_slice(body)).await.unwrap();
    let uploaded = upload.finish().await.unwrap();
    assert_eq!(uploaded.sha256, Digest::of(body));
}

async fn stored(storage: &S3Storage, key: &str) -> Option<Bytes> {
    storage.read(key, None).await.unwrap()
}

/// Tries again as the callers of storage do: one request in 1,400 is told to slow down six times in a row.
async fn patiently<T, F: Future<Output = sqlextract_model::Result<T>>>(attempt: impl Fn() -> F) -> T {
    for _ in 0..10 {
        match attempt().await {
            Ok(done) => return done,
            Err(failure) => assert_eq!(failure.class(), Class::Retryable, "{failure:?}"),
        }
    }
    panic!("ten attempts of six requests each were told to slow down");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_objects_are_present_though_a_third_of_the_requests_is_told_to_slow_down() {
    let served = serve().await;
    let storage = open(&served).await;
    served.server.set_faults(Faults {
        seed: 11,
        slow_down: Dose::share(30),
        ..Faults::default()
    });
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..16 {
        let storage = storage.clone();
        writers.spawn(async move {
            for i in 0..10 {
                let (key, body) = (format!("o/{writer}/{i}"), Bytes::from(format!("{writer}-{i}")));
                let attempt = || {
                    let (storage, key, body) = (storage.clone(), key.clone(), body.clone());
                    async move { storage.create(&key, body).await }
                };
                patiently(attempt).await;
            }
        });
    }
    let large = vec![3; 12 << 20];
    let uploaded = patiently(|| async {
        let mut upload = storage.upload("large").await?;
        upload.write(Bytes::from(large.clone())).await?;
        upload.finish().await
    });
    assert_eq!(uploaded.await.sha256, Digest::of(&large));
    writers.join_all().await;
    served.server.set_faults(Faults::default());
    assert_eq!(storage.list("o/").await.unwrap().len(), 160);
    assert_eq!(stored(&storage, "o/7/3").await.as_deref(), Some(&b"7-3"[..]));
    assert_eq!(stored(&storage, "large").await.as_deref(), Some(&large[..]));
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_there_once() {
    let served = serve().await;
    let storage = open(&served).await;
    let lose_next = || {
        served.server.set_faults(Faults {
            lose_answer: Dose::next(1),
            ..Faults::default()
        });
    };
    lose_next();
    // The second try of the same request finds the object of the first.
    let created = storage.create("created", Bytes::from_static(b"mine")).await.unwrap();
    assert_eq!(created, Created::Exists);
    assert_eq!(stored(&storage, "created").await.as_deref(), Some(&b"mine"[..]));

    lose_next();
    upload(&storage, "small", b"small body").await;
    assert_eq!(stored(&storage, "small").await.as_deref(), Some(&b"small body"[..]));

    let large = vec![9; 11 << 20];
    let mut parts = storage.upload("large").await.unwrap();
    parts.write(Bytes::from(large.clone())).await.unwrap();
    eventually("both parts have arrived", || served.server.parts_received() >= 2).await;
    // The next writes are the last part and the completion: both lose their answers.
    served.server.set_faults(Faults {
        lose_answer: Dose::next(1),
        lose_completions: Dose::next(1),
        ..Faults::default()
    });
    parts.finish().await.unwrap();
    assert_eq!(served.server.faults().lose_completions.times, Some(0));
    assert_eq!(stored(&storage, "large").await.as_deref(), Some(&large[..]));
    assert_eq!(served.server.open_uploads(BUCKET), 0);
}

#[tokio::test]
async fn a_writer_that_never_hears_an_answer_is_told_that_it_may_have_written() {
    let served = serve().await;
    let storage = open(&served).await;
    served.server.set_faults(Faults {
        lose_answer: Dose::share(100),
        ..Faults::default()
    });
    let failure = storage.replace("pointer", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(
        (failure.code, failure.class()),
        (Code::StorageTimeout, Class::Indeterminate)
    );
    served.server.set_faults(Faults::default());
    assert_eq!(stored(&storage, "pointer").await.as_deref(), Some(&b"x"[..]));
}

#[tokio::test]
async fn two_writers_at_the_same_moment_are_told_apart_in_the_end() {
    let served = serve().await;
    let storage = open(&served).await;
    served.server.set_faults(Faults {
        conflict: Dose::next(3),
        ..Faults::default()
    });
    let created = storage.create("k", Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(created, Created::New);
    served.server.set_faults(Faults {
        conflict: Dose::share(100),
        ..Faults::default()
    });
    assert_eq!(
        storage.create("k", Bytes::from_static(b"2")).await.unwrap(),
        Created::Exists
    );
    assert_eq!(served.server.faults().conflict, Dose::share(100));
}

#[tokio::test]
async fn a_store_that_ignores_create_only_writes_is_refused_unless_there_is_one_writer() {
    let served = serve().await;
    served.server.set_faults(Faults {
        ignore_if_none_match: true,
        ..Faults::default()
    });
    let failure = S3Storage::open(settings(&served.server.url())).await.unwrap_err();
    assert_eq!(failure.code, Code::StoreNotCreateOnly);
    assert_eq!(failure.code.exit_code(), 3);

    let alone = S3Settings {
        single_writer: true,
        ..settings(&served.server.url())
    };
    let storage = S3Storage::open(alone).await.unwrap();
    assert!(!storage.creates_only());
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    sqlextract_storage::suite::one_of_many_racing_writers_creates(&shared).await;
    upload(&storage, "u", b"body").await;
    assert!(storage.list(".").await.unwrap().is_empty(), "the probe is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_notices_a_store_that_lets_two_writers_win() {
    let served = serve().await;
    let storage: Arc<dyn Storage> = Arc::new(open(&served).await);
    // Honest while it was probed.
    served.server.set_faults(Faults {
        ignore_if_none_match: true,
        ..Faults::default()
    });
    let case = async move { sqlextract_storage::suite::one_of_many_racing_writers_creates(&storage).await };
    let ended = tokio::spawn(case).await;
    assert!(ended.is_err_and(|e| e.is_panic()));
}

#[tokio::test]
async fn wrong_secrets_and_missing_buckets_are_named_at_once() {
    let served = serve().await;
    let wrong = S3Settings {
        credentials: Some(S3Credentials {
            access_key: "AKIATEST".to_owned(),
            secret_key: "not-the-secret".to_owned(),
            session_token: None,
        }),
        ..settings(&served.server.url())
    };
    let unknown = S3Settings {
        credentials: Some(S3Credentials {
            access_key: "NOBODY".to_owned(),
            secret_key: "not-the-secret".to_owned(),
            session_token: None,
        }),
        ..settings(&served.server.url())
    };
    let missing = S3Settings {
        bucket: "no-such-bucket".to_owned(),
        ..settings(&served.server.url())
    };
    let begun = Instant::now();
    for (settings, code) in [
        (wrong, Code::StorageAuthentication),
        (unknown, Code::StorageAuthentication),
        (missing, Code::StorageMissing),
    ] {
        let failure = S3Storage::open(settings).await.unwrap_err();
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.contains("s3://"), "{failure}");
        assert!(!format!("{failure:?}").contains("not-the-secret"));
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "permanent failures are not tried again"
    );
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_fails_soon() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for endpoint in [closed.as_str(), "http://no-such-host.invalid:9000"] {
        // As in real use, with its waits.
        let settings = S3Settings {
            allow_plaintext: true,
            first_backoff: S3Settings::new("", "").first_backoff,
            ..settings(endpoint)
        };
        let begun = Instant::now();
        let failure = S3Storage::open(settings).await.unwrap_err();
        let told = (failure.code, failure.class());
        assert_eq!(told, (Code::StorageUnreachable, Class::Retryable), "{failure:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{endpoint}: {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn a_store_that_goes_away_is_unreachable_and_one_that_comes_back_is_used() {
    let served = serve().await;
    let storage = open(&served).await;
    served.server.set_faults(Faults {
        slow_down: Dose::next(4),
        ..Faults::default()
    });
    assert_eq!(storage.create("k", Bytes::new()).await.unwrap(), Created::New);
    drop(served);
    let failure = storage.read("k", None).await.unwrap_err();
    assert_eq!(failure.code, Code::StorageUnreachable, "{failure:?}");
}

#[tokio::test]
async fn a_stalled_request_is_given_up_and_tried_again() {
    let served = serve().await;
    let storage = S3Storage::open(S3Settings {
        request_timeout: Duration::from_millis(500),
        ..settings(&served.server.url())
    });
    let storage = storage.await.unwrap();
    let stall = |times| {
        served.server.set_faults(Faults {
            stall: times,
            stall_ms: 60_000,
            ..Faults::default()
        });
    };
    stall(Dose::next(1));
    assert_eq!(
        storage.create("once", Bytes::from_static(b"x")).await.unwrap(),
        Created::New
    );
    stall(Dose::share(100));
    let begun = Instant::now();
    let failure = storage.create("never", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(
        (failure.code, failure.class()),
        (Code::StorageTimeout, Class::Indeterminate)
    );
    let failure = storage.read("once", None).await.unwrap_err();
    assert_eq!(failure.code, Code::StorageUnreachable, "a read changes nothing");
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn flipped_bits_are_noticed_and_never_stored_or_handed_out() {
    let served = serve().await;
    let storage = open(&served).await;
    served.server.set_faults(Faults {
        corrupt_upload: Dose::next(1),
        ..Faults::default()
    });
    assert_eq!(
        storage.create("sent", Bytes::from_static(b"right")).await.unwrap(),
        Created::New
    );
    assert_eq!(stored(&storage, "sent").await.as_deref(), Some(&b"right"[..]));
    served.server.set_faults(Faults {
        corrupt_download: Dose::next(1),
        ..Faults::default()
    });
    assert_eq!(stored(&storage, "sent").await.as_deref(), Some(&b"right"[..]));
    assert_eq!(served.server.faults().corrupt_download.times, Some(0));

    served.server.set_faults(Faults {
        corrupt_upload: Dose::share(100),
        corrupt_download: Dose::share(100),
        ..Faults::default()
    });
    storage.create("never", Bytes::from_static(b"right")).await.unwrap_err();
    let failure = storage.read("sent", None).await.unwrap_err();
    assert_eq!(failure.code, Code::StorageCorrupt, "{failure:?}");
    served.server.set_faults(Faults::default());
    assert_eq!(stored(&storage, "never").await, None);
}

/// By its checksum, or where a store takes none by the signature.
#[tokio::test]
async fn a_flipped_bit_of_a_body_or_a_part_is_noticed_with_and_without_checksums() {
    let served = serve().await;
    for checksum in [Checksum::WhenSupported, Checksum::WhenRequired] {
        let settings = S3Settings {
            checksum,
            ..settings(&served.server.url())
        };
        let storage = S3Storage::open(settings).await.unwrap();
        for bytes in [5, 12 << 20] {
            let (key, body) = (format!("{checksum:?}/{bytes}"), vec![7; bytes]);
            served.server.set_faults(Faults {
                corrupt_upload: Dose::next(1),
                ..Faults::default()
            });
            upload(&storage, &key, &body).await;
            assert_eq!(served.server.faults().corrupt_upload.times, Some(0));
            assert!(
                stored(&storage, &key).await.unwrap() == body,
                "{key} is stored as it was sent"
            );
        }
    }
}

#[tokio::test]
async fn a_full_store_says_so_at_once() {
    let served = serve().await;
    let storage = open(&served).await;
    served.server.set_faults(Faults {
        full: Dose::share(100),
        ..Faults::default()
    });
    let failure = storage.create("k", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(failure.code, Code::StorageFull, "{failure:?}");
    let mut large = storage.upload("large").await.unwrap();
    let written = large.write(Bytes::from(vec![1; 17 << 20])).await;
    let failure = match written {
        Err(failure) => failure,
        Ok(()) => large.finish().await.unwrap_err(),
    };
    assert_eq!(failure.code, Code::StorageFull, "{failure:?}");
    eventually("the failed upload is closed", || {
        served.server.open_uploads(BUCKET) == 0
    })
    .await;
}

#[tokio::test]
async fn a_listing_may_lag_but_reads_do_not() {
    let served = serve().await;
    let storage = open(&served).await;
    served.server.set_faults(Faults {
        listing_lag_ms: 3_600_000,
        ..Faults::default()
    });
    storage.create("new", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(storage.list("").await.unwrap(), []);
    assert_eq!(stored(&storage, "new").await.as_deref(), Some(&b"x"[..]));
    served.server.set_faults(Faults::default());
    assert_eq!(storage.list("").await.unwrap().len(), 1);
}
