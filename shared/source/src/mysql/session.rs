//! A session's settings: set in one statement, read back in another.

use std::time::Duration;

use sqlextract_model::{Code, Failure, Result};

use super::client::Client;
use super::connection::ConnectionId;
use super::errors::{DatabaseError, During, failure};
use super::sql::Statement;
use crate::SourceSettings;

/// Which server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) mariadb: bool,
    /// Of this session.
    pub(super) connection: ConnectionId,
    numbers: (u32, u32, u32),
}

impl Server {
    fn of(version: String, connection: ConnectionId) -> Self {
        let mut numbers = version
            .split(|c: char| !c.is_ascii_digit())
            .map(|n| n.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        let numbers = (next(), next(), next());
        Self {
            mariadb: version.to_ascii_lowercase().contains("mariadb"),
            version,
            connection,
            numbers,
        }
    }

    pub(super) fn is_mysql_since(&self, major: u32, minor: u32, patch: u32) -> bool {
        !self.mariadb && self.numbers >= (major, minor, patch)
    }

    pub(super) fn is_mariadb_since(&self, major: u32, minor: u32) -> bool {
        self.mariadb && self.numbers >= (major, minor, 0)
    }
}

/// A variable, the value that it is set to, and whether it must read back as that.
struct Setting {
    name: &'static str,
    value: String,
    verified: bool,
}

fn settings(server: &Server, wanted: &SourceSettings) -> Vec<Setting> {
    let verified = |name, value: &str| Setting {
        name,
        value: value.to_owned(),
        verified: true,
    };
    let set = |name, value: String| Setting {
        name,
        value,
        verified: false,
    };
    let lock_seconds = whole_seconds(wanted.lock_timeout).max(1).to_string();
    let mut settings = vec![
        // No mode that changes what a text, a name or an operator means; literals of dates that the table holds are taken.
        verified("sql_mode", "ALLOW_INVALID_DATES"),
        verified("time_zone", "+00:00"),
        // One statement sees one instant, and none sees an earlier statement's.
        verified("autocommit", "1"),
        verified("sql_select_limit", "18446744073709551615"),
        verified("sql_big_selects", "1"),
        // With it, `k IS NULL` would mean the row inserted last.
        verified("sql_auto_is_null", "0"),
        // A reader whose buffers are full lets the server wait; its default gives up after a minute.
        verified("net_write_timeout", "1800"),
        set("net_read_timeout", "600".to_owned()),
        set("wait_timeout", "3600".to_owned()),
        set("lock_wait_timeout", lock_seconds.clone()),
        set("innodb_lock_wait_timeout", lock_seconds),
    ];
    let statement = wanted.statement_timeout;
    if server.mariadb {
        settings.push(set("max_statement_time", statement.as_secs_f64().to_string()));
    } else if server.is_mysql_since(5, 7, 8) {
        settings.push(set(
            "max_execution_time",
            u32::try_from(statement.as_millis()).unwrap_or(u32::MAX).to_string(),
        ));
    }
    if server.is_mysql_since(8, 0, 3) {
        // Statistics of now, not of yesterday.
        settings.push(set("information_schema_stats_expiry", "0".to_owned()));
    }
    settings
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// Pins the session and verifies that the settings hold, which a pooler between may break.
pub(super) async fn pin<C: Client>(connection: &mut C, wanted: &SourceSettings) -> Result<Server> {
    let what = "cannot set up the session";
    let failed = |e: DatabaseError| failure(e, During::Statement, what);
    let silent = || Failure::new(Code::SourceProtocol, what).because("the server answers with no row");
    let look = Statement::new("SELECT VERSION(), CONNECTION_ID()");
    let rows = connection.texts(&look).await.map_err(failed)?;
    let row = rows.first().ok_or_else(silent)?;
    let connection_id = ConnectionId(row.number(1)?.unwrap_or_default());
    let server = Server::of(row.text(0)?.unwrap_or_default(), connection_id);
    let settings = settings(&server, wanted);

    let assignments: Vec<_> = settings
        .iter()
        .map(|s| format!(", SESSION {} = {}", s.name, literal(&s.value)))
        .collect();
    let pinned = format!("SET NAMES utf8mb4{}", assignments.concat());
    let read_only = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
    for statement in [&pinned, read_only] {
        connection.texts(&Statement::new(statement)).await.map_err(failed)?;
    }

    let access = if server.mariadb && !server.is_mariadb_since(11, 1) {
        "tx_read_only"
    } else {
        "transaction_read_only"
    };
    let mut expected: Vec<(&str, &str)> = settings
        .iter()
        .filter(|s| s.verified)
        .map(|s| (s.name, s.value.as_str()))
        .collect();
    expected.extend([
        ("character_set_client", "utf8mb4"),
        ("character_set_results", "utf8mb4"),
        (access, "1"),
    ]);
    let names: Vec<_> = expected.iter().map(|(name, _)| format!("@@SESSION.{name}")).collect();
    let look = Statement::new(format!("SELECT {}", names.join(", ")));
    let rows = connection.texts(&look).await.map_err(failed)?;
    let row = rows.first().ok_or_else(silent)?;
    for (i, (name, value)) in expected.into_iter().enumerate() {
        let found = row.text(i)?.unwrap_or_default();
        // A switch reads back as a number or as a word.
        let same = found == value || matches!((found.as_str(), value), ("ON", "1") | ("OFF", "0"));
        if !same {
            let message = format!("the session's `{name}` is `{found}` although it was set to `{value}`");
            return Err(Failure::new(Code::SourcePooler, message));
        }
    }
    Ok(server)
}

/// Numbers bare, everything else in quotes; all values are our own.
fn literal(value: &str) -> String {
    if value.parse::<f64>().is_ok() {
        value.to_owned()
    } else {
        format!("'{value}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(version: &str) -> Server {
        Server::of(version.to_owned(), ConnectionId(1))
    }

    #[test]
    fn versions_are_told_apart() {
        let mariadb = server("10.11.6-MariaDB-0+deb12u1");
        assert!(
            mariadb.is_mariadb_since(10, 6) && !mariadb.is_mariadb_since(11, 1) && !mariadb.is_mysql_since(5, 7, 8)
        );
        let mysql = server("8.0.36-log");
        assert!(mysql.is_mysql_since(8, 0, 13) && !mysql.is_mysql_since(8, 4, 0) && !mysql.is_mariadb_since(5, 5));
        assert!(!server("5.7.44").is_mysql_since(8, 0, 3));
    }
}
