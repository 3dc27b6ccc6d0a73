use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sqlextract_model::Code;
use sqlextract_storage::{Created, LocalStorage, Storage};
use tempfile::TempDir;

async fn fresh() -> (Arc<dyn Storage>, TempDir) {
    let folder = TempDir::new().unwrap();
    let storage = LocalStorage::open(&folder.path().join("out")).await.unwrap();
    (Arc::new(storage), folder)
}

sqlextract_storage::storage_suite!(fresh);

fn temporaries(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.join(".sqlextract/tmp")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false if path.extension().is_some_and(|e| e == "part") => found.push(path),
                false => {}
            }
        }
    }
    found
}

#[tokio::test]
async fn the_location_is_absolute() {
    let (storage, folder) = fresh().await;
    let root = folder.path().canonicalize().unwrap().join("out");
    assert_eq!(storage.location(), root.to_str().unwrap());
}

#[tokio::test]
async fn nothing_temporary_stays_after_writes() {
    let (storage, _folder) = fresh().await;
    let root = PathBuf::from(storage.location());
    storage.create("a/b", Bytes::from_static(b"1")).await.unwrap();
    storage.create("a/b", Bytes::from_static(b"2")).await.unwrap();
    storage.replace("a/c", Bytes::from_static(b"3")).await.unwrap();
    let mut upload = storage.upload("a/d").await.unwrap();
    upload.write(Bytes::from_static(b"4")).await.unwrap();
    assert_eq!(temporaries(&root).len(), 1);
    upload.finish().await.unwrap();
    assert_eq!(temporaries(&root), Vec::<PathBuf>::new());
    drop(storage);
    assert_eq!(fs::read_dir(root.join(".sqlextract/tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn opening_removes_what_dead_processes_left_and_nothing_else() {
    let (living, _folder) = fresh().await;
    let root = PathBuf::from(living.location());
    let mut upload = living.upload("kept").await.unwrap();
    upload.write(Bytes::from_static(b"half ")).await.unwrap();
    // What a killed process leaves: a folder with files, and its lock, which nobody holds.
    let dead = root.join(".sqlextract/tmp/00000000deadbeef");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("0.part"), "left over").unwrap();
    fs::write(dead.with_extension("lock"), "").unwrap();
    fs::write(root.join(".sqlextract/checkpoints.db"), "not ours").unwrap();

    let second = LocalStorage::open(&root).await.unwrap();
    assert!(!dead.exists() && !dead.with_extension("lock").exists());
    assert!(root.join(".sqlextract/checkpoints.db").exists());
    upload.write(Bytes::from_static(b"whole")).await.unwrap();
    upload.finish().await.unwrap();
    let read = second.read("kept", None).await.unwrap();
    assert_eq!(read.as_deref(), Some(&b"half whole"[..]));
}

#[tokio::test]
async fn links_below_the_root_are_not_followed() {
    let (storage, folder) = fresh().await;
    let root = PathBuf::from(storage.location());
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, root.join("way-out")).unwrap();
    symlink(outside.join("secret"), root.join("file")).unwrap();

    let body = || Bytes::from_static(b"x");
    let refused = [
        storage.create("way-out/new", body()).await.map(drop),
        storage.replace("way-out/secret", body()).await,
        storage.upload("way-out/new").await.map(drop),
        storage.read("way-out/secret", None).await.map(drop),
        storage.delete(&["way-out/secret".to_owned()]).await,
        storage.list("way-out/").await.map(drop),
        storage.create("file", body()).await.map(drop),
        storage.replace("file", body()).await,
        storage.read("file", None).await.map(drop),
    ];
    for (i, result) in refused.into_iter().enumerate() {
        assert_eq!(result.unwrap_err().code, Code::StorageForeign, "{i}");
    }
    assert_eq!(storage.list("").await.unwrap(), []);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
}

#[tokio::test]
async fn a_folder_in_an_objects_place_is_refused_by_name() {
    let (storage, _folder) = fresh().await;
    storage.create("a/b", Bytes::new()).await.unwrap();
    for result in [
        storage.create("a", Bytes::new()).await.map(drop),
        storage.replace("a", Bytes::new()).await,
        storage.create("a/b/c", Bytes::new()).await.map(drop),
    ] {
        let failure = result.unwrap_err();
        assert_eq!(failure.code, Code::StorageForeign);
        assert!(failure.message.contains("/a"), "{failure}");
    }
}

#[tokio::test]
async fn a_root_that_cannot_be_a_folder_fails_with_its_path() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let failure = LocalStorage::open(&file.join("out")).await.unwrap_err();
    assert_eq!(failure.code, Code::StorageRejected);
    assert!(failure.message.contains(file.to_str().unwrap()), "{failure}");
    // The kernel's own file system takes no files, not even from root.
    let failure = LocalStorage::open(Path::new("/proc/sqlextract-out")).await.unwrap_err();
    assert!(failure.message.contains("/proc/sqlextract-out"), "{failure}");
}

#[tokio::test]
async fn a_name_that_the_file_system_refuses_is_a_coded_failure() {
    let (storage, _folder) = fresh().await;
    let failure = storage.create(&"x".repeat(300), Bytes::new()).await.unwrap_err();
    assert_eq!(failure.code, Code::StorageRejected);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_on_one_folder_are_two_writers() {
    let (first, _folder) = fresh().await;
    let second = LocalStorage::open(Path::new(first.location())).await.unwrap();
    assert_eq!(first.create("k", Bytes::from_static(b"1")).await.unwrap(), Created::New);
    assert_eq!(
        second.create("k", Bytes::from_static(b"2")).await.unwrap(),
        Created::Exists
    );
    assert_eq!(second.read("k", None).await.unwrap().as_deref(), Some(&b"1"[..]));
}
