//! From SQLite's result codes to the project's. The words of a message decide nothing.

use rusqlite::{Error, ErrorCode, ffi};
use sqlextract_model::{Code, Failure};

/// A transaction of somebody who died must be rolled back first, which a reader may not do.
const READONLY_ROLLBACK: i32 = 776;
const IOERR_SHORT_READ: i32 = 522;
const IOERR_CORRUPT_FILE_SYSTEM: i32 = 8458;

/// `otherwise` is the code of SQLite's general error (a name that does not resolve, a syntax error), whose cause only
/// the caller knows. `doing` completes "SQLite could not …".
pub(super) fn failure(error: &Error, otherwise: Code, doing: &str) -> Failure {
    let (code, remedy) = classify(error, otherwise);
    let failure = Failure::new(code, format!("SQLite could not {doing}")).because(words(error));
    match remedy {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

/// For statements of our own over SQLite's catalogue, which cannot be wrong in themselves.
pub(super) fn unexpected(error: &Error, doing: &str) -> Failure {
    failure(error, Code::SourceProtocol, doing)
}

fn classify(error: &Error, otherwise: Code) -> (Code, Option<&'static str>) {
    let Some(inner) = inner(error) else {
        return match error {
            Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..) | Error::Utf8Error(..) => {
                (Code::SourceCorrupt, None)
            }
            _ => (otherwise, None),
        };
    };
    match (inner.extended_code, inner.code) {
        (READONLY_ROLLBACK, _) => (
            Code::SourceCorrupt,
            Some(
                "Open the database once with a program that may write: SQLite then rolls an interrupted transaction back.",
            ),
        ),
        (IOERR_SHORT_READ | IOERR_CORRUPT_FILE_SYSTEM, _) => (Code::SourceCorrupt, None),
        (_, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (Code::SourceCorrupt, None),
        (_, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed) => (
            Code::SourceTimeout,
            Some("Wait until the other program has ended its transaction, then run the same command again."),
        ),
        (_, ErrorCode::CannotOpen) => (
            Code::SourcePermission,
            Some(
                "Check that this user may read the file (in WAL mode also write beside it), and that the process may open more files.",
            ),
        ),
        (_, ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => (Code::SourcePermission, None),
        (_, ErrorCode::ReadOnly) => (Code::SourcePermission, None),
        (_, ErrorCode::OperationInterrupted | ErrorCode::OperationAborted) => (Code::Interrupted, None),
        (_, ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => (Code::SourceConnectionLost, None),
        (_, ErrorCode::DiskFull) => (
            Code::PreflightFailed,
            Some("Free some space for SQLite's temporary files."),
        ),
        (_, ErrorCode::TooBig) => (Code::ValueTooLarge, None),
        (_, ErrorCode::SchemaChanged) => (Code::SchemaChanged, None),
        _ => (otherwise, None),
    }
}

/// Whether a connection may not be used again after this error.
pub(super) fn breaks_connection(failure: &Failure) -> bool {
    matches!(failure.code, Code::SourceConnectionLost | Code::SourceCorrupt)
}

fn inner(error: &Error) -> Option<&ffi::Error> {
    match error {
        Error::SqliteFailure(inner, _) | Error::SqlInputError { error: inner, .. } => Some(inner),
        _ => None,
    }
}

/// Without the statement, which may be long and repeats what the failure already names.
fn words(error: &Error) -> String {
    match error {
        Error::SqlInputError { msg, .. } => msg.clone(),
        Error::SqliteFailure(inner, Some(words)) => format!("{words} (result code {})", inner.extended_code),
        other => other.to_string(),
    }
}
