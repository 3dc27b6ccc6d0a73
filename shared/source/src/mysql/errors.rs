//! Classes of the server's and the clients' errors, by error number and type, never by words.

use std::io;

use sqlextract_model::{Code, Failure};
use sqlx::mysql::MySqlDatabaseError;

use super::wire::Refusal;

/// What went wrong, whichever client it came through.
#[derive(Debug)]
pub(super) enum DatabaseError {
    /// The server's own error.
    Server {
        number: u16,
        state: Option<String>,
        message: String,
    },
    Io(io::Error),
    Tls(String),
    Configuration(String),
    Protocol(String),
}

impl From<Refusal> for DatabaseError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { number, state, message } = refusal;
        Self::Server { number, state, message }
    }
}

impl From<io::Error> for DatabaseError {
    fn from(error: io::Error) -> Self {
        // A certificate that is refused comes out of the socket.
        if error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) {
            return Self::Tls(error.to_string());
        }
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Protocol(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => match database.try_downcast_ref::<MySqlDatabaseError>() {
                Some(error) => Self::Server {
                    number: error.number(),
                    state: error.code().map(str::to_owned),
                    message: error.message().to_owned(),
                },
                None => Self::Protocol(database.message().to_owned()),
            },
            sqlx::Error::Io(error) => error.into(),
            sqlx::Error::Tls(error) => Self::Tls(error.to_string()),
            sqlx::Error::Configuration(error) => Self::Configuration(error.to_string()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// What was tried when the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum During {
    Connecting,
    Statement,
}

/// The failure to do `what`.
pub(super) fn failure(error: impl Into<DatabaseError>, during: During, what: &str) -> Failure {
    match error.into() {
        DatabaseError::Server { number, state, message } => {
            Failure::new(code_of(number, state.as_deref()), what).because(format!("server error {number}: {message}"))
        }
        DatabaseError::Io(error) if during == During::Connecting => {
            Failure::new(Code::SourceUnreachable, what).because(error)
        }
        DatabaseError::Io(error) => Failure::new(Code::SourceConnectionLost, what).because(error),
        DatabaseError::Tls(words) => Failure::new(Code::PreflightFailed, what)
            .because(words)
            .remedy("Name the server's authority with `ssl-ca=FILE` in the URL, or choose another `ssl-mode`."),
        DatabaseError::Configuration(words) => Failure::new(Code::ConfigInvalid, what).because(words),
        DatabaseError::Protocol(words) => Failure::new(Code::SourceProtocol, what).because(words),
    }
}

/// Numbers of MySQL and of MariaDB, which differ above 1900 only; then the class of the SQLSTATE.
fn code_of(number: u16, state: Option<&str>) -> Code {
    match number {
        // Access denied, to the server or the database; expired passwords; locked accounts; hosts that may not connect.
        1044 | 1045 | 1130 | 1251 | 1275 | 1698 | 1820 | 1862 | 3118 | 3159 | 4151 => Code::SourceAuthentication,
        // Of a table, a column, a routine; missing privileges; EXPLAIN of somebody's view; a view's missing definer.
        1142 | 1143 | 1227 | 1345 | 1370 | 1449 => Code::SourcePermission,
        // Databases, tables, columns, and views whose tables are gone.
        1049 | 1051 | 1054 | 1109 | 1146 | 1356 => Code::SourceObjectMissing,
        1040 | 1135 | 1203 | 1226 => Code::SourceConnectionLimit,
        // Waiting for a lock, deadlock, interrupted, out of time (MariaDB, MySQL), prepared again too often.
        1205 | 1213 | 1317 | 1615 | 1969 | 3024 => Code::SourceTimeout,
        // Shutdown, killed, network errors, idle for too long; numbers above 2000 are the client library's.
        1053 | 1129 | 1152 | 1153..=1161 | 1184 | 1927 | 2006 | 2013 | 4031 => Code::SourceConnectionLost,
        126 | 127 | 144 | 145 | 1030 | 1033..=1035 | 1194 | 1195 | 1459 | 1712 | 1877 => Code::SourceCorrupt,
        // The definition changed while it was in use.
        1412 => Code::SchemaChanged,
        _ => match state.and_then(|s| s.get(..2)) {
            Some("08") => Code::SourceConnectionLost,
            Some("28") => Code::SourceAuthentication,
            Some("40") => Code::SourceTimeout,
            // What is left is the statement's own: syntax, functions, arguments, overflow.
            _ => Code::SourceQueryInvalid,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlextract_model::Class;

    #[test]
    fn error_numbers_have_their_codes() {
        let cases = [
            (1045, "28000", Code::SourceAuthentication),
            (1698, "28000", Code::SourceAuthentication),
            (1142, "42000", Code::SourcePermission),
            (1146, "42S02", Code::SourceObjectMissing),
            (1064, "42000", Code::SourceQueryInvalid),
            (1060, "42S21", Code::SourceQueryInvalid),
            (1213, "40001", Code::SourceTimeout),
            (1969, "70100", Code::SourceTimeout),
            (3024, "HY000", Code::SourceTimeout),
            (1226, "42000", Code::SourceConnectionLimit),
            (1927, "70100", Code::SourceConnectionLost),
            (1194, "HY000", Code::SourceCorrupt),
            (1412, "HY000", Code::SchemaChanged),
            (1792, "25006", Code::SourceQueryInvalid),
        ];
        for (number, state, expected) in cases {
            assert_eq!(code_of(number, Some(state)), expected, "{number}");
        }
    }

    #[test]
    fn only_what_can_pass_is_tried_again() {
        for number in [1040, 1205, 1213, 2013, 1969] {
            assert_eq!(code_of(number, None).class(), Class::Retryable, "{number}");
        }
        for number in [1045, 1064, 1142, 1146, 1194, 1690] {
            assert_eq!(code_of(number, None).class(), Class::Permanent, "{number}");
        }
    }
}
