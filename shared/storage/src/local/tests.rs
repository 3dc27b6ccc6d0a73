use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};

use sqlextract_model::Code;

use super::failure::{code, failed};
use super::session::Temporary;
use super::{Tally, Writing, append};

#[test]
fn a_full_disk_is_storage_full_in_the_systems_own_words() {
    // The device on which every write fails as on a full disk, for root too.
    let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let writing = Writing {
        temporary: Temporary::new(PathBuf::from("/nonexistent/0.part"), file),
        tally: Tally::default(),
    };
    let error = append(writing, b"does not fit").err().unwrap();
    let failure = failed("write", Path::new("/out/chunk.parquet"), &error);
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
