//! Settings that every transaction pins, so that a value's bytes never depend on the server's defaults.

use std::time::Duration;

use super::sql;

/// The limits of a session, and what depends on the server.
pub(crate) struct Pins {
    pub(crate) lock_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    /// As `server_version_num` has it: 150018.
    pub(crate) version: u32,
    /// The schemas that the user's own sessions search.
    pub(crate) search_path: Vec<String>,
}

impl Pins {
    /// `BEGIN` with every pinned setting.
    pub(crate) fn opening(&self) -> String {
        let mut settings = vec![
            ("TimeZone", "UTC".to_owned()),
            // A date with its year last is an error in a filter, not a guess.
            ("DateStyle", "ISO, YMD".to_owned()),
            ("IntervalStyle", "iso_8601".to_owned()),
            ("bytea_output", "hex".to_owned()),
            ("xmlbinary", "base64".to_owned()),
            ("extra_float_digits", "3".to_owned()),
            ("client_encoding", "UTF8".to_owned()),
            ("standard_conforming_strings", "on".to_owned()),
            ("transform_null_equals", "off".to_owned()),
            ("quote_all_identifiers", "off".to_owned()),
            ("synchronize_seqscans", "off".to_owned()),
            // Reads are made parallel by us; a reader has one process on the server.
            ("max_parallel_workers_per_gather", "0".to_owned()),
            // Rows that a policy would hide are an error instead of missing.
            ("row_security", "off".to_owned()),
            ("lock_timeout", milliseconds(self.lock_timeout)),
            ("statement_timeout", milliseconds(self.statement_timeout)),
            ("idle_in_transaction_session_timeout", "0".to_owned()),
        ];
        if self.version >= 110_000 {
            settings.push(("jit", "off".to_owned()));
        }
        if self.version >= 140_000 {
            // A reader that left is noticed while its statement still computes.
            settings.push(("client_connection_check_interval", "10s".to_owned()));
        }
        if self.version >= 170_000 {
            settings.push(("transaction_timeout", "0".to_owned()));
        }
        let mut text = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned();
        for (name, value) in settings {
            text.push_str(&format!("; SET LOCAL {name} = {}", sql::literal(&value)));
        }
        // Our own operators and functions come first; names of the user are found as before.
        text.push_str("; SET LOCAL search_path = pg_catalog");
        for schema in self.search_path.iter().filter(|name| *name != "pg_catalog") {
            text.push_str(", ");
            text.push_str(&sql::identifier(schema));
        }
        text
    }
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().clamp(1, i32::MAX as u128).to_string()
}
