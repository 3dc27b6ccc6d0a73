//! Wall time, for people and records. No decision compares the clocks of two hosts.

use chrono::{SecondsFormat, Utc};

/// Now, as RFC 3339 in UTC with milliseconds.
pub fn utc_now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}
