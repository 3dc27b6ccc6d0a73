//! What the operating system's errors mean for a run.

use std::io::{Error, ErrorKind};
use std::path::Path;

use sqlextract_model::{Code, Failure};

/// EMFILE and ENFILE have no kind of their own; the numbers are those of every Unix.
const TOO_MANY_OPEN_FILES: [i32; 2] = [24, 23];

/// A failure that names what was tried and on which file.
pub(super) fn failed(tried: &str, path: &Path, error: &Error) -> Failure {
    let code = code(error);
    let failure = Failure::new(code, format!("cannot {tried} {}", path.display())).because(error);
    match code {
        Code::StorageAuthentication => {
            failure.remedy("Give the user who runs sqlextract permission to write there, or choose another `--output`.")
        }
        Code::PreflightFailed => failure.remedy("Raise the limit of open files (`ulimit -n`), or lower `--workers`."),
        _ => failure,
    }
}

pub(super) fn code(error: &Error) -> Code {
    if error.raw_os_error().is_some_and(|n| TOO_MANY_OPEN_FILES.contains(&n)) {
        return Code::PreflightFailed;
    }
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Code::StorageFull,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Code::StorageAuthentication,
        ErrorKind::NotFound => Code::StorageMissing,
        ErrorKind::StaleNetworkFileHandle | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            Code::StorageUnreachable
        }
        ErrorKind::TimedOut => Code::StorageTimeout,
        _ => Code::StorageRejected,
    }
}
