//! What a process takes from outside beside its ports: wall time, for people and records, and chance. No decision
//! compares the clocks of two hosts.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use sqlextract_model::{Code, Failure, Result};

/// Wall time and chance. Services ask these for both, so that a run can be repeated exactly where both are given.
pub trait Surroundings: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970, in UTC.
    fn now_millis(&self) -> i64;

    /// 64 random bits that are not 0.
    fn random(&self) -> Result<u64>;

    /// Now, as RFC 3339 in UTC with milliseconds.
    fn utc_now(&self) -> String {
        let now = DateTime::<Utc>::from_timestamp_millis(self.now_millis()).unwrap_or(DateTime::UNIX_EPOCH);
        now.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Seconds from a time that [`utc_now`](Self::utc_now) wrote until now; negative where the writer's clock is ahead
    /// of ours. `None` where the text is no time.
    fn seconds_since(&self, time: &str) -> Option<f64> {
        let then = DateTime::parse_from_rfc3339(time).ok()?;
        Some((self.now_millis() - then.timestamp_millis()) as f64 / 1000.0)
    }
}

/// The clock and the random numbers of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OperatingSystem;

impl Surroundings for OperatingSystem {
    fn now_millis(&self) -> i64 {
        Utc::now().timestamp_millis()
    }

    fn random(&self) -> Result<u64> {
        let bits = getrandom::u64().map_err(|e| {
            let text = "the system gives no random bytes";
            Failure::new(Code::PreflightFailed, text).because(e)
        })?;
        Ok(bits.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_were_written_here_can_be_told_from_now() {
        let here = OperatingSystem;
        assert!(
            here.seconds_since(&here.utc_now())
                .is_some_and(|age| (-1.0..60.0).contains(&age))
        );
        assert!(
            here.seconds_since("2026-01-01T00:00:00.000Z")
                .is_some_and(|age| age.abs() > 1.0)
        );
        assert_eq!(here.seconds_since("yesterday"), None);
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(OperatingSystem.random(), OperatingSystem.random());
    }
}
