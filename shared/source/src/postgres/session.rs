//! Connections, each used inside one transaction at a time, and never again after anything went wrong.
//!
//! Settings are pinned with `SET LOCAL` in the statement that opens the transaction. That outranks the settings of
//! roles and databases, and leaves nothing behind in a session that a pooler lends to somebody else afterwards.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlextract_model::{Code, Failure, Result, SnapshotToken};
use sqlx::postgres::PgConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::address::Address;
use super::client::{Client, close, connect};
use super::errors::{self, DatabaseError, Phase};
use super::pins::Pins;
use super::{sql, wire};
use crate::SourceSettings;
use crate::resting::{self, Keeper, close_old};

/// Opens connections and keeps those at rest. At most as many exist as there are permits, of both kinds together: the
/// driver's, for questions, and our own, for reading.
pub(crate) struct Connections {
    address: Address,
    limit: u32,
    connect_timeout: Duration,
    idle_timeout: Duration,
    /// `BEGIN` with every pinned setting.
    opening: String,
    permits: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// Snapshots of ours that have ended. The server may take a moment to notice.
    ended: Mutex<HashSet<SnapshotToken>>,
}

pub(crate) type Idle = resting::Idle<PgConnection, wire::Connection>;

impl Connections {
    pub(crate) fn new(address: Address, settings: &SourceSettings, pins: &Pins) -> Arc<Self> {
        let limit = settings.max_connections.max(1);
        Arc::new(Self {
            address,
            limit,
            connect_timeout: settings.connect_timeout,
            idle_timeout: settings.idle_timeout,
            opening: pins.opening(),
            permits: Arc::new(Semaphore::new(limit as usize)),
            idle: Mutex::default(),
            ended: Mutex::default(),
        })
    }

    pub(crate) fn location(&self) -> &str {
        &self.address.location
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Connections that are open, in use or at rest.
    pub(crate) fn open_now(&self) -> u32 {
        let resting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        let free = self.permits.available_permits();
        u32::try_from((self.limit as usize + resting).saturating_sub(free)).unwrap_or(u32::MAX)
    }

    /// A transaction on a connection at rest or a new one.
    pub(crate) async fn begin<C: Client>(self: &Arc<Self>, snapshot: Option<&SnapshotToken>) -> Result<Session<C>> {
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
    pub(crate) async fn begin_fresh<C: Client>(
        self: &Arc<Self>,
        snapshot: Option<&SnapshotToken>,
    ) -> Result<Session<C>> {
        let permit = self.permit().await?;
        if let Some(connection) = self.take_idle::<C>() {
            close(connection, self.connect_timeout).await;
        }
        self.begin_new(permit, snapshot).await
    }

    async fn begin_new<C: Client>(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        snapshot: Option<&SnapshotToken>,
    ) -> Result<Session<C>> {
        self.make_room().await;
        let mut session = self.session(connect(&self.address, self.connect_timeout).await?);
        session.open(snapshot).await?;
        Ok(session.with(permit))
    }

    /// Opens a connection that rests until somebody needs one, where none of its kind does and there is room. What fails
    /// here fails again where the connection is needed.
    pub(crate) async fn open_ahead<C: Client>(self: Arc<Self>) {
        let Ok(_permit) = self.permits.clone().try_acquire_owned() else {
            return;
        };
        let full = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            C::at_rest(&mut idle).len() > 0 || idle.len() > self.permits.available_permits()
        };
        if full {
            return;
        }
        if let Ok(connection) = connect::<C>(&self.address, self.connect_timeout).await {
            self.rest(connection);
        }
    }

    /// Leaves the connections at rest to the end of the process. The server takes a closed connection for a goodbye outside
    /// a transaction; on this machine it then takes the processor for a while, which nobody has to wait for.
    pub(crate) fn leave(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        std::mem::forget(idle);
    }

    /// Closes a connection at rest where those of the other kind would make one too many.
    async fn make_room(&self) {
        let most = self.permits.available_permits();
        let (driver, own) = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_surplus(most);
        if let Some(driver) = driver {
            close(driver, self.connect_timeout).await;
        }
        if let Some(own) = own {
            close(own, self.connect_timeout).await;
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permit = self.permits.clone().acquire_owned().await;
        permit.map_err(|_| Failure::new(Code::Defect, "the permits for connections were closed"))
    }

    fn session<C: Client>(self: &Arc<Self>, connection: C) -> Session<C> {
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

    fn take_idle<C: Client>(&self) -> Option<C> {
        C::at_rest(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner)).pop()
    }

    /// Keeps a connection for whoever needs one next, for a while.
    pub(crate) fn rest<C: Client>(self: &Arc<Self>, connection: C) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        C::at_rest(&mut idle).push(connection);
        if idle.begin_to_watch() {
            tokio::spawn(close_old(Arc::downgrade(self)));
        }
    }

    /// Closes a connection of this kind that is old, if there is one.
    async fn close_old_of<C: Client>(&self) -> bool {
        // No permit left: none is at rest.
        let Ok(_permit) = self.permits.try_acquire() else {
            return false;
        };
        let old = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            C::at_rest(&mut idle).take_due(self.idle_timeout)
        };
        let Some(old) = old else { return false };
        tracing::debug!("a connection to {} that nobody needs is closed", self.location());
        close(old, self.connect_timeout).await;
        true
    }
}

impl Keeper for Connections {
    fn next_old(&self) -> Option<Instant> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.next_old(self.idle_timeout)
    }

    async fn close_one(&self) -> bool {
        self.close_old_of::<PgConnection>().await || self.close_old_of::<wire::Connection>().await
    }
}

/// A connection inside its transaction. Dropping it closes the connection: only [`Session::end`] keeps it for others.
pub(crate) struct Session<C = PgConnection> {
    connections: Arc<Connections>,
    connection: C,
    permit: Option<OwnedSemaphorePermit>,
}

impl<C: Client> Session<C> {
    pub(crate) fn connection(&mut self) -> &mut C {
        &mut self.connection
    }

    fn with(mut self, permit: OwnedSemaphorePermit) -> Self {
        self.permit = Some(permit);
        self
    }

    async fn open(&mut self, snapshot: Option<&SnapshotToken>) -> Result<()> {
        let opening = self.connection.run(&self.connections.opening);
        let opened = tokio::time::timeout(self.connections.connect_timeout, opening).await;
        let doing = "cannot begin a transaction with the settings that reading needs";
        match opened {
            Err(_) => {
                return Err(Failure::new(Code::SourceTimeout, doing).because("the server did not answer in time"));
            }
            Ok(Err(error)) if error.sqlstate() == Some("08P01") => {
                return Err(errors::failure(error, Phase::Connecting, doing));
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
        self.connection.run(&import).await.map_err(import_failure)
    }

    /// Ends the transaction and keeps the connection. What fails here lost nothing: the connection is closed then.
    pub(crate) async fn end(self) {
        self.end_by("COMMIT").await;
    }

    /// The same, and what was read is in the server's statistics when this returns. A server that does not know how to
    /// be asked for that tells within a second by itself.
    pub(crate) async fn end_counted(self, server_version: u32) {
        let end = match server_version >= 150_000 {
            true => "SELECT pg_catalog.pg_stat_force_next_flush(); COMMIT",
            false => "COMMIT",
        };
        self.end_by(end).await;
    }

    async fn end_by(mut self, statements: &str) {
        let end = self.connection.run(statements);
        if let Ok(Ok(())) = tokio::time::timeout(self.connections.connect_timeout, end).await {
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
fn import_failure(error: DatabaseError) -> Failure {
    let gone = matches!(error.sqlstate(), Some("22023" | "42704" | "55000" | "0A000"));
    let failure = errors::failure(error, Phase::InUse, "the shared snapshot cannot be joined");
    if gone {
        return Failure {
            code: Code::SnapshotLost,
            message: "the shared snapshot is gone".to_owned(),
            ..failure
        };
    }
    failure
}
