//! The cases that every adapter passes. [`storage_suite!`](crate::storage_suite) makes a test of each, so that an
//! adapter cannot leave one out.

use std::sync::Arc;

use bytes::Bytes;
use sqlextract_model::{Code, Digest};
use tokio::task::JoinSet;

use crate::{Created, Storage};

/// Makes a test of every case. The expression is an async function that answers a fresh storage as
/// `Arc<dyn Storage>` and something to keep alive meanwhile; uploads of 20 MiB should take several of its parts.
#[macro_export]
macro_rules! storage_suite {
    ($open:path) => {
        $crate::storage_suite!($open;
            one_of_many_racing_writers_creates
            what_was_created_exists_and_reads_back
            replacing_shows_the_old_object_or_the_new
            an_upload_appears_only_when_it_is_finished
            aborted_and_dropped_uploads_leave_nothing
            a_large_upload_keeps_every_byte
            an_upload_never_overwrites
            empty_objects_are_objects
            ranges_are_half_open_and_whole
            listings_tell_a_name_from_one_that_begins_with_it
            deleting_takes_full_names
            what_is_missing_reads_as_none
            names_come_back_as_they_were_given
            keys_that_leave_the_root_are_refused
            preparing_makes_no_object_appear
        );
    };
    ($open:path; $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (storage, _kept) = $open().await;
                $crate::suite::$case(&storage).await;
            }
        )*
    };
}

type Shared = Arc<dyn Storage>;

const WRITERS: usize = 64;
const LARGE_BYTES: usize = (20 << 20) + 12_345;

async fn read(storage: &Shared, key: &str) -> Option<Bytes> {
    storage.read(key, None).await.expect("a read of a plain key succeeds")
}

async fn create(storage: &Shared, key: &str, body: &'static str) -> Created {
    let created = storage.create(key, Bytes::from_static(body.as_bytes())).await;
    created.expect("a create of a plain key succeeds")
}

/// All keys below a prefix, sorted.
async fn keys(storage: &Shared, prefix: &str) -> Vec<String> {
    let listed = storage
        .list(prefix)
        .await
        .expect("a listing of a plain prefix succeeds");
    let mut keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
    keys.sort();
    keys
}

pub async fn one_of_many_racing_writers_creates(storage: &Shared) {
    for round in 0..4 {
        let key = format!("race/{round}.json");
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (storage, key) = (Arc::clone(storage), key.clone());
            writers.spawn(async move {
                let body = Bytes::from(format!("writer {writer}"));
                let created = storage
                    .create(&key, body.clone())
                    .await
                    .expect("a racing create has an answer");
                // Whoever is told that an object is there can read it at once.
                let seen = storage.read(&key, None).await.expect("a read after a create succeeds");
                (created, body, seen.expect("a created object is there"))
            });
        }
        let results = writers.join_all().await;
        let winners: Vec<&Bytes> = results.iter().filter(|r| r.0 == Created::New).map(|r| &r.1).collect();
        assert_eq!(winners.len(), 1, "exactly one writer of {key} wins");
        assert!(
            results.iter().all(|r| r.2 == winners[0]),
            "all read what the winner wrote"
        );
    }
}

pub async fn what_was_created_exists_and_reads_back(storage: &Shared) {
    assert_eq!(create(storage, "a/b/c.json", "first").await, Created::New);
    assert_eq!(create(storage, "a/b/c.json", "second").await, Created::Exists);
    assert_eq!(read(storage, "a/b/c.json").await.as_deref(), Some(&b"first"[..]));
    let listed = storage.list("a/").await.expect("a listing succeeds");
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].key.as_str(), listed[0].bytes), ("a/b/c.json", 5));
}

pub async fn replacing_shows_the_old_object_or_the_new(storage: &Shared) {
    const KEY: &str = "latest.json";
    let body = |digit: u8| Bytes::from(vec![digit; 200_000]);
    storage
        .replace(KEY, body(0))
        .await
        .expect("a replace makes what is missing");
    let writer = {
        let storage = Arc::clone(storage);
        tokio::spawn(async move {
            for digit in 1..20 {
                storage.replace(KEY, body(digit)).await.expect("a replace succeeds");
            }
        })
    };
    let mut seen = 0;
    while !writer.is_finished() {
        let bytes = read(storage, KEY).await.expect("the object never goes away");
        assert_eq!(bytes.len(), 200_000);
        assert!(bytes.iter().all(|b| *b == bytes[0]), "a mixture of two objects");
        assert!(bytes[0] >= seen, "an older object came back");
        seen = bytes[0];
    }
    writer.await.expect("the writer does not panic");
    assert_eq!(read(storage, KEY).await, Some(body(19)), "the last writer wins");
}

pub async fn an_upload_appears_only_when_it_is_finished(storage: &Shared) {
    const KEY: &str = "job/data/chunk.parquet";
    let mut upload = storage.upload(KEY).await.expect("an upload begins");
    for piece in ["hello, ", "", "world"] {
        let written = upload.write(Bytes::from_static(piece.as_bytes())).await;
        written.expect("a write succeeds");
        assert_eq!(read(storage, KEY).await, None);
        assert_eq!(keys(storage, "").await, Vec::<String>::new());
    }
    let uploaded = upload.finish().await.expect("an upload finishes");
    assert_eq!(uploaded.bytes, 12);
    assert_eq!(uploaded.crc32c, crc32c::crc32c(b"hello, world"));
    assert_eq!(uploaded.sha256, Digest::of(b"hello, world"));
    assert_eq!(read(storage, KEY).await.as_deref(), Some(&b"hello, world"[..]));
    assert_eq!(keys(storage, "job/").await, [KEY]);
}

pub async fn aborted_and_dropped_uploads_leave_nothing(storage: &Shared) {
    for bytes in [1000, LARGE_BYTES] {
        for key in ["gone/aborted", "gone/dropped"] {
            let mut upload = storage.upload(key).await.expect("an upload begins");
            upload
                .write(Bytes::from(vec![7; bytes]))
                .await
                .expect("a write succeeds");
            match key {
                "gone/aborted" => upload.abort().await.expect("an abort succeeds"),
                _ => drop(upload),
            }
            assert_eq!(read(storage, key).await, None);
        }
    }
    assert_eq!(keys(storage, "").await, Vec::<String>::new());
    // The names are free again.
    assert_eq!(create(storage, "gone/dropped", "x").await, Created::New);
}

pub async fn a_large_upload_keeps_every_byte(storage: &Shared) {
    let body: Vec<u8> = (0..LARGE_BYTES as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8)
        .collect();
    let mut upload = storage.upload("large.parquet").await.expect("an upload begins");
    // Pieces that fit no part size.
    for piece in body.chunks(777_777) {
        upload
            .write(Bytes::copy_from_slice(piece))
            .await
            .expect("a write succeeds");
    }
    let uploaded = upload.finish().await.expect("an upload finishes");
    assert_eq!(uploaded.bytes, LARGE_BYTES as u64);
    assert_eq!(uploaded.crc32c, crc32c::crc32c(&body));
    assert_eq!(uploaded.sha256, Digest::of(&body));
    let stored = read(storage, "large.parquet").await.expect("the object is there");
    assert_eq!(Digest::of(&stored), uploaded.sha256);
    let middle = 10_485_700..10_485_800;
    let range = storage.read("large.parquet", Some(middle.clone())).await;
    let span = middle.start as usize..middle.end as usize;
    assert_eq!(range.expect("a range reads").as_deref(), Some(&body[span]));
}

pub async fn an_upload_never_overwrites(storage: &Shared) {
    assert_eq!(create(storage, "taken", "first").await, Created::New);
    for bytes in [1000, LARGE_BYTES] {
        let mut upload = storage.upload("taken").await.expect("an upload begins");
        upload
            .write(Bytes::from(vec![7; bytes]))
            .await
            .expect("a write succeeds");
        let failure = upload.finish().await.expect_err("the name is taken");
        assert_eq!(failure.code, Code::StorageForeign, "{failure:?}");
        assert_eq!(read(storage, "taken").await.as_deref(), Some(&b"first"[..]));
    }
}

pub async fn empty_objects_are_objects(storage: &Shared) {
    assert_eq!(create(storage, "created", "").await, Created::New);
    let upload = storage.upload("uploaded").await.expect("an upload begins");
    let uploaded = upload.finish().await.expect("an empty upload finishes");
    assert_eq!((uploaded.bytes, uploaded.sha256), (0, Digest::of(b"")));
    for key in ["created", "uploaded"] {
        assert_eq!(read(storage, key).await, Some(Bytes::new()));
        let nothing = storage.read(key, Some(0..0)).await.expect("an empty range reads");
        assert_eq!(nothing, Some(Bytes::new()));
    }
}

pub async fn ranges_are_half_open_and_whole(storage: &Shared) {
    create(storage, "digits", "0123456789").await;
    for (range, expected) in [
        (0..10, "0123456789"),
        (0..1, "0"),
        (3..7, "3456"),
        (9..10, "9"),
        (5..5, ""),
    ] {
        let bytes = storage
            .read("digits", Some(range.clone()))
            .await
            .expect("a range reads");
        assert_eq!(bytes.as_deref(), Some(expected.as_bytes()), "{range:?}");
    }
    #[allow(clippy::reversed_empty_ranges, reason = "a range that no caller should ask for")]
    for range in [0..11, 9..20, 10..11, 11..12, 7..3] {
        let failure = storage.read("digits", Some(range.clone())).await;
        let failure = failure.expect_err("a read is whole or an error");
        assert_eq!(failure.code, Code::StorageRejected, "{range:?} {failure:?}");
    }
    let missing = storage.read("none", Some(0..1)).await;
    assert_eq!(missing.expect("a missing object is no error"), None);
}

pub async fn listings_tell_a_name_from_one_that_begins_with_it(storage: &Shared) {
    let all = ["job-1/a", "job-1/b/c", "job-10/a", "job-1x", "job/a", "zob"];
    for key in all {
        create(storage, key, "x").await;
    }
    assert_eq!(keys(storage, "").await, all);
    assert_eq!(keys(storage, "job-1/").await, ["job-1/a", "job-1/b/c"]);
    assert_eq!(
        keys(storage, "job-1").await,
        ["job-1/a", "job-1/b/c", "job-10/a", "job-1x"]
    );
    assert_eq!(keys(storage, "job-1/b").await, ["job-1/b/c"]);
    assert_eq!(keys(storage, "job-1/b/").await, ["job-1/b/c"]);
    assert_eq!(keys(storage, "job-1/b/c").await, ["job-1/b/c"]);
    for nothing in ["job-1/b/c/", "nope", "nope/", "job-1/a/b"] {
        assert_eq!(keys(storage, nothing).await, Vec::<String>::new(), "{nothing}");
    }
}

pub async fn deleting_takes_full_names(storage: &Shared) {
    let all = ["job-1/a", "job-1/ab", "job-1/b/c", "job-10"];
    for key in all {
        create(storage, key, "x").await;
    }
    let gone = ["job-1/a", "job-1", "job-1/b", "never/was"].map(str::to_owned);
    storage
        .delete(&gone)
        .await
        .expect("what is not there counts as removed");
    assert_eq!(keys(storage, "").await, ["job-1/ab", "job-1/b/c", "job-10"]);
    storage.delete(&[]).await.expect("nothing is easily deleted");
    assert_eq!(create(storage, "job-1/a", "again").await, Created::New);
    let many: Vec<String> = (0..30).map(|i| format!("many/{i}")).collect();
    for key in &many {
        create(storage, key, "x").await;
    }
    storage.delete(&many).await.expect("many are deleted");
    assert_eq!(keys(storage, "many/").await, Vec::<String>::new());
}

pub async fn what_is_missing_reads_as_none(storage: &Shared) {
    create(storage, "folder/object", "x").await;
    for key in ["none", "none/at/all", "folder", "folder/objec", "folder/object/below"] {
        assert_eq!(read(storage, key).await, None, "{key}");
    }
}

pub async fn names_come_back_as_they_were_given(storage: &Shared) {
    let names = [
        "job/data/a%20b.c%2Fd~0a1b/x",
        "job/data/a b.c+d/x",
        "job/data/h\u{e9}llo.\u{65e5}\u{672c}/x",
        "job/data/q?x=1&y#z/x",
        "job/data/a'b\"c*|<>;$/x",
        "job/..data/...x",
    ];
    for name in names {
        let body = Bytes::copy_from_slice(name.as_bytes());
        let created = storage.create(name, body.clone()).await.expect("the key is plain");
        assert_eq!(created, Created::New, "{name}");
        assert_eq!(read(storage, name).await, Some(body), "{name}");
    }
    let mut sorted = names.map(str::to_owned);
    sorted.sort();
    assert_eq!(keys(storage, "job/").await, sorted);
    // An escaped name and what it stands for are two names.
    assert_eq!(read(storage, "job/data/a b.c%2Fd~0a1b/x").await, None);
    storage.delete(&sorted).await.expect("each is deleted by its name");
    assert_eq!(keys(storage, "").await, Vec::<String>::new());
}

pub async fn keys_that_leave_the_root_are_refused(storage: &Shared) {
    for key in [
        "",
        "../x",
        "/abs",
        "a//b",
        "a/",
        "a/../b",
        "./a",
        "a\nb",
        "a\0b",
        ".sqlextract/tmp/x",
    ] {
        let refused = [
            storage.create(key, Bytes::new()).await.map(drop),
            storage.replace(key, Bytes::new()).await,
            storage.upload(key).await.map(drop),
            storage.read(key, None).await.map(drop),
            storage.delete(&["fine".to_owned(), key.to_owned()]).await,
        ];
        for result in refused {
            assert_eq!(result.expect_err("refused").code, Code::StorageRejected, "{key:?}");
        }
    }
    for prefix in ["/", "../", "a//", "a/../b"] {
        let failure = storage.list(prefix).await.expect_err("refused");
        assert_eq!(failure.code, Code::StorageRejected, "{prefix:?}");
    }
}

pub async fn preparing_makes_no_object_appear(storage: &Shared) {
    let names = ["job/data/t/a", "job/data/t/b", "job/commits/t/a", "job/a", "../x", ""].map(str::to_owned);
    for _ in 0..2 {
        storage.prepare(&names).await;
        assert_eq!(keys(storage, "").await, Vec::<String>::new());
        assert_eq!(read(storage, "job/data/t/a").await, None);
    }
    assert_eq!(create(storage, "job/data/t/a", "one").await, Created::New);
    storage.prepare(&names).await;
    assert_eq!(read(storage, "job/data/t/a").await, Some(Bytes::from_static(b"one")));
    assert_eq!(keys(storage, "").await, ["job/data/t/a"]);
}
