//! What the client library's errors mean to us.

use lapin::ErrorKind;
use sqlextract_model::{Code, Failure};

/// AMQP reply codes.
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// Why the broker or the connection said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// User, password, virtual host or permission.
    Denied,
    Missing,
    Differs,
    /// The connection, or anything that may pass.
    Trouble,
}

pub(super) fn refusal_of(error: &lapin::Error) -> Refusal {
    let ErrorKind::ProtocolError(reply) = error.kind() else {
        return Refusal::Trouble;
    };
    refusal_of_code(reply.get_id())
}

fn refusal_of_code(code: u16) -> Refusal {
    match code {
        ACCESS_REFUSED | NOT_ALLOWED => Refusal::Denied,
        NOT_FOUND => Refusal::Missing,
        PRECONDITION_FAILED => Refusal::Differs,
        _ => Refusal::Trouble,
    }
}

/// A failure of something that either did not happen or may be done twice.
pub(super) fn failure(what: &str, error: &lapin::Error) -> Failure {
    let code = match refusal_of(error) {
        Refusal::Denied => Code::QueueAuthentication,
        Refusal::Missing => Code::QueueMissing,
        Refusal::Differs => Code::QueueMismatch,
        Refusal::Trouble => Code::QueueUnavailable,
    };
    Failure::new(code, what).because(error)
}

pub(super) fn timed_out(what: &str) -> Failure {
    Failure::new(
        Code::QueueUnavailable,
        format!("{what}: the broker did not answer in time"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_codes_tell_who_can_put_it_right() {
        let expected = [
            (403, Refusal::Denied),
            (530, Refusal::Denied),
            (404, Refusal::Missing),
            (406, Refusal::Differs),
            (320, Refusal::Trouble),
            (541, Refusal::Trouble),
        ];
        for (code, refusal) in expected {
            assert_eq!(refusal_of_code(code), refusal, "{code}");
        }
    }
}
