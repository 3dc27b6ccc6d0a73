//! What PostgreSQL's errors mean here, by SQLSTATE alone.

use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;
use sqlextract_model::{Code, Failure};
use sqlx::postgres::PgDatabaseError;

/// What went wrong, whichever client it came through.
#[derive(Debug)]
pub(crate) enum DatabaseError {
    /// The server's own error.
    Server {
        sqlstate: String,
        /// On one line.
        words: String,
    },
    Io(io::Error),
    Tls(String),
    Protocol(String),
}

impl DatabaseError {
    /// As if the server had said so.
    pub(crate) fn refused(sqlstate: &str, words: impl Into<String>) -> Self {
        Self::Server {
            sqlstate: sqlstate.to_owned(),
            words: words.into(),
        }
    }

    pub(crate) fn of(body: &ErrorResponseBody) -> Self {
        let mut parts = [const { String::new() }; 4];
        let mut fields = body.fields();
        // A field that cannot be read ends the list; what was read stays.
        while let Ok(Some(field)) = fields.next() {
            let part = match field.type_() {
                b'C' => 0,
                b'M' => 1,
                b'D' => 2,
                b'H' => 3,
                _ => continue,
            };
            parts[part] = String::from_utf8_lossy(field.value_bytes()).into_owned();
        }
        let [sqlstate, message, detail, hint] = parts;
        let more = [detail, hint].into_iter().filter(|part| !part.is_empty());
        Self::Server {
            words: words(&sqlstate, message, more),
            sqlstate,
        }
    }

    /// The SQLSTATE of an error that the server sent.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server { sqlstate, .. } => Some(sqlstate),
            _ => None,
        }
    }
}

impl From<io::Error> for DatabaseError {
    fn from(error: io::Error) -> Self {
        // A certificate that is refused comes out of the socket.
        if error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) {
            return Self::Tls(error.to_string());
        }
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Self::Protocol(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => Self::Server {
                    sqlstate: error.code().to_owned(),
                    words: words(
                        error.code(),
                        error.message().to_owned(),
                        [error.detail(), error.hint()].into_iter().flatten().map(str::to_owned),
                    ),
                },
                None => Self::Protocol(database.to_string()),
            },
            sqlx::Error::Io(error) => error.into(),
            sqlx::Error::Tls(error) => Self::Tls(error.to_string()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// The database's own words, on one line.
fn words(sqlstate: &str, message: String, more: impl Iterator<Item = String>) -> String {
    let said: Vec<String> = std::iter::once(format!("SQLSTATE {sqlstate}: {message}"))
        .chain(more)
        .collect();
    said.join("; ").replace('\n', " ")
}

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

/// The failure of `doing`, a sentence without credentials.
pub(crate) fn failure(error: impl Into<DatabaseError>, phase: Phase, doing: impl Into<String>) -> Failure {
    let error = error.into();
    let code = match &error {
        DatabaseError::Server { sqlstate, .. } => code_of(sqlstate, phase),
        DatabaseError::Io(_) if phase == Phase::Connecting => Code::SourceUnreachable,
        DatabaseError::Io(_) => Code::SourceConnectionLost,
        DatabaseError::Tls(_) => Code::PreflightFailed,
        DatabaseError::Protocol(_) => Code::SourceProtocol,
    };
    let failure = Failure::new(code, doing);
    let failure = match code {
        Code::PreflightFailed => failure.remedy(
            "TLS could not be set up: check `sslmode`, and name the server's certificate authority with `sslrootcert`.",
        ),
        _ => failure,
    };
    failure.because(match error {
        DatabaseError::Server { words, .. } | DatabaseError::Tls(words) | DatabaseError::Protocol(words) => words,
        DatabaseError::Io(error) => error.to_string(),
    })
}

/// In use: a statement that failed.
pub(crate) fn in_use<E: Into<DatabaseError>>(doing: impl Into<String>) -> impl FnOnce(E) -> Failure {
    move |error| failure(error, Phase::InUse, doing)
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
