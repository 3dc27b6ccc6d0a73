//! Connections, each used inside one transaction at a time, and never again after anything went wrong.
//!
//! Settings are pinned with `SET LOCAL` in the statement that opens the transaction. That outranks the settings of
//! roles and databases, and leaves nothing behind in a session that a pooler lends to somebody else afterwards.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlextract_model::{Code, Failure, Result, SnapshotToken};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errors::{self, Phase};
use super::sql;

/// Opens connections and keeps those at rest. At most as many exist as there are permits.
pub(crate) struct Connections {
    options: PgConnectOptions,
    location: String,
    limit: u32,
    connect_timeout: Duration,
    /// `BEGIN` with every pinned setting.
    opening: String,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<PgConnection>>,
    /// Snapshots of ours that have ended. The server may take a moment to notice.
    ended: Mutex<HashSet<SnapshotToken>>,
}

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
    fn opening(&self) -> String {
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

impl Connections {
    pub(crate) fn new(
        address: super::address::Address,
        limit: u32,
        connect_timeout: Duration,
        pins: &Pins,
    ) -> Arc<Self> {
        Arc::new(Self {
            options: address.options,
            location: address.location,
            limit: limit.max(1),
            connect_timeout,
            opening: pins.opening(),
            permits: Arc::new(Semaphore::new(limit.max(1) as usize)),
            idle: Mutex::default(),
            ended: Mutex::default(),
        })
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// A transaction on a connection at rest or a new one.
    pub(crate) async fn begin(self: &Arc<Self>, snapshot: Option<&SnapshotToken>) -> Result<Session> {
        let permit = self.permit().await?;
        // A connection at rest may have been closed by the server meanwhile; a new one then takes its place.
        while let Some(connection) = self.take_idle() {
            let mut session = self.session(connection);
            match session.open(snapshot).await {
                Ok(()) => return Ok(session.with(permit)),
                Err(failure) if failure.code == Code::SourceConnectionLost => {}
                Err(failure) => return Err(failure),
            }
        }
        self.begin_new(permit, snapshot).await
    }

    /// A transaction on a connection that nobody has used before.
    pub(crate) async fn begin_fresh(self: &Arc<Self>, snapshot: Option<&SnapshotToken>) -> Result<Session> {
        let permit = self.permit().await?;
        if let Some(connection) = self.take_idle() {
            close(connection, self.connect_timeout).await;
        }
        self.begin_new(permit, snapshot).await
    }

    async fn begin_new(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        snapshot: Option<&SnapshotToken>,
    ) -> Result<Session> {
        let mut session = self.session(connect(&self.options, &self.location, self.connect_timeout).await?);
        session.open(snapshot).await?;
        Ok(session.with(permit))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permit = self.permits.clone().acquire_owned().await;
        permit.map_err(|_| Failure::new(Code::Defect, "the permits for connections were closed"))
    }

    fn session(self: &Arc<Self>, connection: PgConnection) -> Session {
        Session {
            connections: self.clone(),
            connection,
            permit: None,
        }
    }

    /// From now on nobody joins the snapshot.
    pub(crate) fn end_snapshot(&self, token: &SnapshotToken) {
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token.clone());
    }

    /// A server that was restarted may give a name again.
    pub(crate) fn begin_snapshot(&self, token: &SnapshotToken) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
    }

    fn has_ended(&self, token: &SnapshotToken) -> bool {
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(token)
    }

    fn take_idle(&self) -> Option<PgConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(crate) fn rest(&self, connection: PgConnection) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
    }
}

/// A new connection, as the settings of its user make it.
pub(crate) async fn connect(options: &PgConnectOptions, location: &str, limit: Duration) -> Result<PgConnection> {
    let doing = || format!("cannot connect to PostgreSQL at {location}");
    match tokio::time::timeout(limit, PgConnection::connect_with(options)).await {
        Ok(connection) => connection.map_err(|error| errors::failure(&error, Phase::Connecting, doing())),
        Err(_) => {
            let late = format!("no answer within {} s", limit.as_secs_f32());
            Err(Failure::new(Code::SourceUnreachable, doing()).because(late))
        }
    }
}

/// Says goodbye to the server, which frees the connection's slot at once.
pub(crate) async fn close(connection: PgConnection, limit: Duration) {
    // A server that does not take the goodbye notices the closed socket.
    let _ = tokio::time::timeout(limit, connection.close()).await;
}

/// A connection inside its transaction. Dropping it closes the connection: only [`Session::end`] keeps it for others.
pub(crate) struct Session {
    connections: Arc<Connections>,
    connection: PgConnection,
    permit: Option<OwnedSemaphorePermit>,
}

impl Session {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    fn with(mut self, permit: OwnedSemaphorePermit) -> Self {
        self.permit = Some(permit);
        self
    }

    async fn open(&mut self, snapshot: Option<&SnapshotToken>) -> Result<()> {
        let opening = sql::statements(self.connections.opening.clone()).execute(&mut self.connection);
        let opened = tokio::time::timeout(self.connections.connect_timeout, opening).await;
        let doing = "cannot begin a transaction with the settings that reading needs";
        match opened {
            Err(_) => {
                return Err(Failure::new(Code::SourceTimeout, doing).because("the server did not answer in time"));
            }
            Ok(Err(error)) if errors::sqlstate(&error) == Some("08P01") => {
                return Err(errors::failure(&error, Phase::Connecting, doing));
            }
            Ok(opened) => opened.map_err(errors::in_use(doing))?,
        };
        let Some(shared) = snapshot else {
            return Ok(());
        };
        if self.connections.has_ended(shared) {
            return Err(Failure::new(Code::SnapshotLost, "the shared snapshot has ended"));
        }
        let SnapshotToken(token) = shared;
        // The server takes the name for that of a file; an odd one would be an odd error.
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return Err(Failure::new(
                Code::SnapshotLost,
                "what should name the shared snapshot is no such name",
            ));
        }
        let import = format!("SET TRANSACTION SNAPSHOT {}", sql::literal(token));
        sql::statements(import)
            .execute(&mut self.connection)
            .await
            .map_err(|error| import_failure(&error))?;
        Ok(())
    }

    /// Ends the transaction and keeps the connection. What fails here lost nothing: the connection is closed then.
    pub(crate) async fn end(mut self) {
        let end = sql::statements("COMMIT".to_owned()).execute(&mut self.connection);
        if let Ok(Ok(_)) = tokio::time::timeout(self.connections.connect_timeout, end).await {
            let Self {
                connections,
                connection,
                permit,
            } = self;
            connections.rest(connection);
            drop(permit);
        }
    }
}

/// 22023 and 42704: no such snapshot; 55000: its transaction has ended; 0A000: it is of another database.
fn import_failure(error: &sqlx::Error) -> Failure {
    let failure = errors::failure(error, Phase::InUse, "the shared snapshot cannot be joined");
    match errors::sqlstate(error) {
        Some("22023" | "42704" | "55000" | "0A000") => Failure {
            code: Code::SnapshotLost,
            message: "the shared snapshot is gone".to_owned(),
            ..failure
        },
        _ => failure,
    }
}
