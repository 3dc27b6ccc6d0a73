//! What an error of the client or the server means for a call.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use sqlextract_model::{Code, Failure};

/// What to do about an error. Every call may be repeated, whether it has happened or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The connection is of no use any more: again on a new one.
    Reconnect,
    /// The server is busy with itself: again a little later.
    Wait,
    /// The server takes no writes until somebody makes room.
    Full,
    /// User, password or permissions.
    Refused,
    /// The server is one node of several that share the keys.
    Elsewhere,
    /// Something at our keys that we did not write.
    Foreign,
}

pub(super) fn meaning(error: &RedisError) -> Meaning {
    match error.kind() {
        ErrorKind::AuthenticationFailed => Meaning::Refused,
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::NoPerm => Meaning::Refused,
            ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain | ServerErrorKind::ClusterDown => Meaning::Wait,
            // Another server may have taken over under the same name.
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown => Meaning::Reconnect,
            ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot => Meaning::Elsewhere,
            _ => by_code(error.code()),
        },
        ErrorKind::Extension => by_code(error.code()),
        _ => Meaning::Reconnect,
    }
}

fn by_code(code: Option<&str>) -> Meaning {
    match code {
        Some("OOM" | "MISCONF") => Meaning::Full,
        Some("NOAUTH" | "WRONGPASS") => Meaning::Refused,
        Some("BUSY" | "NOREPLICAS") => Meaning::Wait,
        _ => Meaning::Foreign,
    }
}

/// The failure of a call that is given up. The location holds no secret, nor do the server's words.
pub(super) fn failure(error: &RedisError, location: &str) -> Failure {
    match meaning(error) {
        Meaning::Reconnect | Meaning::Wait => unavailable(location).because(error),
        Meaning::Full => Failure::new(
            Code::CheckpointUnavailable,
            format!("the checkpoint at {location} takes no writes"),
        )
        .because(error)
        .remedy("Give the server room (`maxmemory`, or the disk that it persists to); work goes on by itself."),
        Meaning::Refused => refused(location).because(error),
        Meaning::Elsewhere => Failure::new(
            Code::ConfigInvalid,
            format!("the checkpoint at {location} holds only a part of the keys: it is a cluster of several nodes"),
        )
        .because(error)
        .remedy("Use a server that holds all slots, or a proxy before the cluster."),
        Meaning::Foreign => corrupt(location).because(error),
    }
}

pub(super) fn unavailable(location: &str) -> Failure {
    Failure::new(
        Code::CheckpointUnavailable,
        format!("the checkpoint at {location} does not answer"),
    )
}

fn refused(location: &str) -> Failure {
    Failure::new(
        Code::CheckpointRefused,
        format!("the checkpoint at {location} refuses us"),
    )
}

/// Readable, and not as this version writes it.
pub(super) fn corrupt(location: &str) -> Failure {
    Failure::new(
        Code::CheckpointCorrupt,
        format!("the checkpoint at {location} holds something else under our keys"),
    )
    .remedy("Delete the job's keys, or choose another `prefix` in `[checkpoint]`: they are rebuilt from storage.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_server_have_a_meaning() {
        let cases = [
            (Some("OOM"), Meaning::Full),
            (Some("MISCONF"), Meaning::Full),
            (Some("NOAUTH"), Meaning::Refused),
            (Some("WRONGPASS"), Meaning::Refused),
            (Some("BUSY"), Meaning::Wait),
            (Some("NOREPLICAS"), Meaning::Wait),
            (Some("WRONGTYPE"), Meaning::Foreign),
            (Some("ERR"), Meaning::Foreign),
            (None, Meaning::Foreign),
        ];
        for (code, expected) in cases {
            assert_eq!(by_code(code), expected, "{code:?}");
        }
    }

    #[test]
    fn what_happens_on_the_way_is_tried_again() {
        let lost = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(meaning(&lost), Meaning::Reconnect);
        assert_eq!(failure(&lost, "h:1/0").code, Code::CheckpointUnavailable);
        let refused = RedisError::from((ErrorKind::AuthenticationFailed, "no"));
        assert_eq!(failure(&refused, "h:1/0").code, Code::CheckpointRefused);
    }
}
