//! What is tolerated of each signal of strain, and the strongest of those that were seen.

use sqlextract_model::Strain;

/// Sessions of others that wait for a lock. One is everyday; it takes two at once to say that something is held up.
const LOCK_WAITS: f64 = 2.0;
const REPLICA_LAG_SECONDS: f64 = 10.0;
/// Part of the connections that the server allows, which may be at work for others. The limit is what the operator made
/// of the server's size, and the only word about it that every server gives.
const SESSIONS_OF_LIMIT: f64 = 0.1;
const LEAST_SESSIONS: f64 = 4.0;

/// What could be seen, none of it of our own sessions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Sessions of others that work now, and the server's limit of connections.
    pub(crate) sessions: Option<(f64, f64)>,
    /// Sessions of others that wait for a lock.
    pub(crate) lock_waits: Option<f64>,
    pub(crate) replica_lag_seconds: Option<f64>,
}

impl Seen {
    pub(crate) fn strain(self) -> Option<Strain> {
        let sessions = self.sessions.map(|(working, limit)| {
            let tolerated = (limit * SESSIONS_OF_LIMIT).max(LEAST_SESSIONS);
            Strain::of("other sessions at work", working, tolerated)
        });
        let waits = self
            .lock_waits
            .map(|n| Strain::of("lock waits of others", n, LOCK_WAITS));
        let lag = self
            .replica_lag_seconds
            .map(|seconds| Strain::of("replica lag", seconds, REPLICA_LAG_SECONDS));
        Strain::strongest([sessions, waits, lag].into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_signal_counts_and_what_is_not_seen_says_nothing() {
        let level = |seen: Seen| seen.strain().map(|s| (s.signal, s.level));
        assert_eq!(level(Seen::default()), None);
        let busy = Seen {
            sessions: Some((10.0, 100.0)),
            ..Seen::default()
        };
        assert_eq!(level(busy), Some(("other sessions at work", 1.0)));
        let small = Seen {
            sessions: Some((2.0, 10.0)),
            lock_waits: Some(0.0),
            ..Seen::default()
        };
        assert_eq!(level(small), Some(("other sessions at work", 0.5)));
        let waiting = Seen {
            lock_waits: Some(3.0),
            replica_lag_seconds: Some(14.0),
            ..busy
        };
        assert_eq!(level(waiting), Some(("lock waits of others", 1.5)));
        let behind = Seen {
            replica_lag_seconds: Some(20.0),
            ..waiting
        };
        assert_eq!(level(behind), Some(("replica lag", 2.0)));
    }
}
