//! Wall time, for people and records. No decision compares the clocks of two hosts.

use chrono::{DateTime, SecondsFormat, Utc};

/// Now, as RFC 3339 in UTC with milliseconds.
pub fn utc_now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Seconds from a time that [`utc_now`] wrote until now; negative where the writer's clock is ahead of ours. `None` where
/// the text is no time.
pub fn seconds_since(time: &str) -> Option<f64> {
    let then = DateTime::parse_from_rfc3339(time).ok()?;
    Some((Utc::now() - then.with_timezone(&Utc)).num_milliseconds() as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_were_written_here_can_be_told_from_now() {
        assert!(seconds_since(&utc_now()).is_some_and(|age| (-1.0..60.0).contains(&age)));
        assert!(seconds_since("2026-01-01T00:00:00.000Z").is_some_and(|age| age.abs() > 1.0));
        assert_eq!(seconds_since("yesterday"), None);
    }
}
