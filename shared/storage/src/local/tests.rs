use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use sqlextract_model::Code;

use super::LocalStorage;
use super::failure::code;
use super::session::Temporary;
use super::space::Space;
use super::upload::Writing;
use crate::Storage;

#[test]
fn a_full_disk_is_storage_full_in_the_systems_own_words() {
    // The device on which every write fails as on a full disk, for root too.
    let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let target = Path::new("/out/chunk.parquet");
    // The folder is not there and tells nothing about its room, as some file systems.
    let claim = Space::of(Path::new("/nonexistent")).claim(target).unwrap();
    let mut writing = Writing::new(Temporary::new(PathBuf::from("/nonexistent/0.part"), file), claim);
    let failure = writing.append(b"does not fit", target, None).unwrap_err();
    assert_eq!((failure.code, failure.code.exit_code()), (Code::StorageFull, 5));
    assert_eq!(failure.message, "cannot write /out/chunk.parquet");
    assert_eq!(failure.causes.len(), 1);
}

#[test]
fn the_systems_errors_have_codes_that_say_what_to_do() {
    let by_number = [
        (28, Code::StorageFull),           // ENOSPC
        (122, Code::StorageFull),          // EDQUOT
        (13, Code::StorageAuthentication), // EACCES
        (1, Code::StorageAuthentication),  // EPERM
        (30, Code::StorageAuthentication), // EROFS
        (24, Code::PreflightFailed),       // EMFILE
        (23, Code::PreflightFailed),       // ENFILE
        (2, Code::StorageMissing),         // ENOENT
        (116, Code::StorageUnreachable),   // ESTALE
        (5, Code::StorageRejected),        // EIO
        (36, Code::StorageRejected),       // ENAMETOOLONG
    ];
    for (number, expected) in by_number {
        assert_eq!(code(&Error::from_raw_os_error(number)), expected, "{number}");
    }
    // The code comes from the kind, whatever the words say.
    let misleading = Error::new(ErrorKind::PermissionDenied, "no space left, timeout, EMFILE");
    assert_eq!(code(&misleading), Code::StorageAuthentication);
}

#[test]
fn a_temporary_file_goes_with_its_owner() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("0.part");
    let file = OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
    let mut temporary = Temporary::new(path.clone(), file);
    temporary.file().write_all(b"x").unwrap();
    assert!(path.exists());
    drop(temporary);
    assert!(!path.exists());
}

/// A folder that Linux says is on a rotational disk, or on one that is not.
fn opened(rotational: &str) -> (LocalStorage, tempfile::TempDir) {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::TempDir::new().unwrap();
    let device = folder.path().metadata().unwrap().dev();
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let sys = folder.path().join("sys");
    let queue = sys.join("dev/block").join(number).join("queue");
    std::fs::create_dir_all(&queue).unwrap();
    std::fs::write(queue.join("rotational"), rotational).unwrap();
    let device = queue.parent().unwrap().join("device");
    std::fs::create_dir(&device).unwrap();
    std::fs::write(device.join("model"), "ST4000NM0035-1V4\n").unwrap();
    let storage = LocalStorage::open_now(&folder.path().join("out"), &sys).unwrap();
    (storage, folder)
}

#[tokio::test]
async fn one_file_is_written_at_a_time_on_a_disk_that_rotates_and_all_on_others() {
    for (rotational, alone) in [("1", true), ("0", false)] {
        let (storage, folder) = opened(rotational);
        let turns = storage.place.turns.clone();
        assert_eq!(turns.is_some(), alone);
        let mut upload = storage.upload("one").await.unwrap();
        upload.write(Bytes::from_static(b"begun")).await.unwrap();
        // Somebody else writes.
        let writer = match &turns {
            Some(turns) => Some(turns.acquire().await.unwrap()),
            None => None,
        };
        let finishing = upload.finish();
        tokio::pin!(finishing);
        if alone {
            let early = tokio::time::timeout(Duration::from_millis(100), &mut finishing).await;
            assert!(early.is_err(), "it does not wait for its turn");
            assert!(!folder.path().join("out/one").exists());
        }
        drop(writer);
        assert_eq!(finishing.await.unwrap().bytes, 5);
        assert!(folder.path().join("out/one").exists());
    }
}

#[tokio::test]
async fn uploads_beside_each_other_come_whole_through_one_writer() {
    let (storage, folder) = opened("1");
    let mut uploads = tokio::task::JoinSet::new();
    for number in 0..8 {
        let storage = storage.clone();
        uploads.spawn(async move {
            let mut upload = storage.upload(&format!("chunk-{number}")).await.unwrap();
            for _ in 0..10 {
                upload.write(Bytes::from(vec![number; 1000])).await.unwrap();
            }
            upload.finish().await.unwrap();
        });
    }
    uploads.join_all().await;
    for number in 0..8 {
        let read = std::fs::read(folder.path().join(format!("out/chunk-{number}"))).unwrap();
        assert_eq!(read, vec![number; 10_000]);
    }
}
