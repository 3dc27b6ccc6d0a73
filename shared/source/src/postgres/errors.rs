//! What PostgreSQL's errors mean here, by SQLSTATE alone.

use sqlextract_model::{Code, Failure};
use sqlx::postgres::PgDatabaseError;

/// What was being done when the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    InUse,
}

/// SQLSTATE prefixes and their codes; the longest match wins.
const CODES: &[(&str, Code)] = &[
    ("08", Code::SourceConnectionLost),
    ("08001", Code::SourceUnreachable),
    ("0A", Code::SourceQueryInvalid),
    ("20", Code::SourceQueryInvalid),
    ("21", Code::SourceQueryInvalid),
    ("22", Code::SourceQueryInvalid),
    ("25006", Code::SourceQueryInvalid),
    ("25P03", Code::SourceConnectionLost),
    ("25P04", Code::SourceTimeout),
    // A prepared statement that is gone: somebody shares our session.
    ("26000", Code::SourcePooler),
    ("28", Code::SourceAuthentication),
    ("38", Code::SourceQueryInvalid),
    ("39", Code::SourceQueryInvalid),
    ("3D000", Code::SourceObjectMissing),
    ("3F000", Code::SourceObjectMissing),
    // Deadlocks, and a standby that cancels a query for its recovery.
    ("40", Code::SourceTimeout),
    ("42", Code::SourceQueryInvalid),
    ("42501", Code::SourcePermission),
    ("42703", Code::SourceObjectMissing),
    ("42704", Code::SourceObjectMissing),
    ("42P01", Code::SourceObjectMissing),
    // Memory, disk or other resources of the server.
    ("53", Code::SourceTimeout),
    ("53300", Code::SourceConnectionLimit),
    ("54", Code::SourceQueryInvalid),
    ("55P03", Code::SourceTimeout),
    ("57014", Code::SourceTimeout),
    ("57P01", Code::SourceConnectionLost),
    ("57P02", Code::SourceConnectionLost),
    ("57P03", Code::SourceUnreachable),
    ("57P04", Code::SourceObjectMissing),
    ("57P05", Code::SourceConnectionLost),
    ("58", Code::SourceCorrupt),
    ("72", Code::SnapshotLost),
    ("HV", Code::SourceQueryInvalid),
    ("HV00N", Code::SourceUnreachable),
    ("P0", Code::SourceQueryInvalid),
    ("XX", Code::SourceCorrupt),
];

/// The code of a SQLSTATE.
pub(crate) fn code_of(sqlstate: &str, phase: Phase) -> Code {
    if phase == Phase::Connecting && sqlstate == "08P01" {
        // A server does not say this to a well-formed start; poolers say it about what they do not pass on.
        return Code::SourcePooler;
    }
    CODES
        .iter()
        .filter(|(prefix, _)| sqlstate.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map_or(Code::SourceProtocol, |(_, code)| *code)
}

/// The SQLSTATE of an error that the server sent.
pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    match error {
        sqlx::Error::Database(error) => error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::code),
        _ => None,
    }
}

/// The failure of `doing`, a sentence without credentials.
pub(crate) fn failure(error: &sqlx::Error, phase: Phase, doing: impl Into<String>) -> Failure {
    let code = match error {
        sqlx::Error::Database(_) => sqlstate(error).map_or(Code::SourceProtocol, |state| code_of(state, phase)),
        sqlx::Error::Io(_) if phase == Phase::Connecting => Code::SourceUnreachable,
        sqlx::Error::Io(_) => Code::SourceConnectionLost,
        sqlx::Error::Tls(_) => Code::PreflightFailed,
        _ => Code::SourceProtocol,
    };
    let failure = Failure::new(code, doing);
    let failure = match code {
        Code::PreflightFailed => failure.remedy(
            "TLS could not be set up: check `sslmode`, and name the server's certificate authority with `sslrootcert`.",
        ),
        _ => failure,
    };
    failure.because(words(error))
}

/// In use: a statement that failed.
pub(crate) fn in_use(doing: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Failure {
    move |error| failure(&error, Phase::InUse, doing)
}

/// The database's own words, on one line.
fn words(error: &sqlx::Error) -> String {
    let sqlx::Error::Database(database) = error else {
        return error.to_string();
    };
    let Some(database) = database.try_downcast_ref::<PgDatabaseError>() else {
        return error.to_string();
    };
    let mut words = format!("SQLSTATE {}: {}", database.code(), database.message());
    for more in [database.detail(), database.hint()].into_iter().flatten() {
        words.push_str("; ");
        words.push_str(more);
    }
    words.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_of_a_sqlstate_gives_its_code() {
        let cases = [
            ("28P01", Code::SourceAuthentication),
            ("42501", Code::SourcePermission),
            ("42P01", Code::SourceObjectMissing),
            ("42703", Code::SourceObjectMissing),
            ("3F000", Code::SourceObjectMissing),
            ("3D000", Code::SourceObjectMissing),
            ("42601", Code::SourceQueryInvalid),
            ("22012", Code::SourceQueryInvalid),
            ("25006", Code::SourceQueryInvalid),
            ("57014", Code::SourceTimeout),
            ("55P03", Code::SourceTimeout),
            ("53300", Code::SourceConnectionLimit),
            ("08006", Code::SourceConnectionLost),
            ("57P01", Code::SourceConnectionLost),
            ("57P03", Code::SourceUnreachable),
            ("XX001", Code::SourceCorrupt),
            ("72000", Code::SnapshotLost),
            ("ZZZZZ", Code::SourceProtocol),
        ];
        for (state, code) in cases {
            assert_eq!(code_of(state, Phase::InUse), code, "{state}");
        }
        assert_eq!(code_of("08P01", Phase::Connecting), Code::SourcePooler);
    }
}
