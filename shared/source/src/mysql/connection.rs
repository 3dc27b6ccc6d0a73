//! Connections: never more than allowed, each pinned and verified, none reused unless its last answer was read to the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlextract_model::{Code, Failure, Result};
use sqlx::mysql::{MySqlRow, MySqlStatement};
use sqlx::{Executor, MySqlConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::address::Address;
use super::client::Client;
use super::errors::{DatabaseError, During, failure};
use super::session::{self, Server};
use super::sql::Statement;
use super::wire;
use crate::SourceSettings;
use crate::resting::{self, Keeper, close_old};

/// An answer may come this much later than the server's own limit for the statement.
const ANSWER_MARGIN: Duration = Duration::from_secs(15);

/// Hands out connections and takes clean ones back. At most as many exist as there are permits, of both kinds together: the
/// driver's, for questions, and our own, for reading.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) address: Address,
    pub(super) settings: SourceSettings,
    permits: Arc<Semaphore>,
    /// Open and unused; never more than there are free permits.
    idle: Mutex<Idle>,
}

pub(super) type Idle = resting::Idle<Session<MySqlConnection>, Session<wire::Connection>>;

#[derive(Debug)]
pub(super) struct Session<C> {
    connection: C,
    server: Server,
}

/// A connection's number at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionId(pub(super) u64);

/// A connection in use. It is closed when dropped; only [`Lease::release`] keeps it.
///
/// A future that is dropped in the middle of an answer leaves the connection behind in it: whatever ends early must end the
/// connection too.
#[derive(Debug)]
pub(super) struct Lease<C: Client = MySqlConnection> {
    session: Session<C>,
    owner: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(address: Address, settings: SourceSettings) -> Self {
        let permits = Arc::new(Semaphore::new(settings.max_connections.max(1) as usize));
        Self {
            address,
            settings,
            permits,
            idle: Mutex::default(),
        }
    }

    /// A connection, as soon as one is free.
    pub(super) async fn lease<C: Client>(self: &Arc<Self>) -> Result<Lease<C>> {
        let permit = self.permit().await?;
        while let Some(mut session) = self.take_idle::<C>() {
            // The server may have closed it meanwhile; what fails here was not used.
            let answer = timeout(self.settings.connect_timeout, session.connection.ping()).await;
            if matches!(answer, Ok(Ok(()))) {
                return Ok(self.leased(session, permit));
            }
        }
        self.make_room().await;
        Ok(self.leased(self.open().await?, permit))
    }

    /// A connection that was never used before.
    pub(super) async fn fresh<C: Client>(self: &Arc<Self>) -> Result<Lease<C>> {
        let permit = self.permit().await?;
        if let Some(session) = self.take_idle::<C>() {
            close(session).await;
        }
        self.make_room().await;
        Ok(self.leased(self.open().await?, permit))
    }

    fn leased<C: Client>(self: &Arc<Self>, session: Session<C>, permit: OwnedSemaphorePermit) -> Lease<C> {
        Lease {
            session,
            owner: Arc::clone(self),
            _permit: permit,
        }
    }

    /// Opens a connection that rests until somebody needs one, where none of its kind does and there is room. What fails
    /// here fails again where the connection is needed.
    pub(super) async fn open_ahead<C: Client>(self: Arc<Self>) {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return;
        };
        let full = {
            let mut idle = self.idle();
            C::at_rest(&mut idle).len() > 0 || idle.len() > self.permits.available_permits()
        };
        if full {
            return;
        }
        if let Ok(session) = self.open::<C>().await {
            self.leased(session, permit).release();
        }
    }

    /// Closes the connections at rest: the server logs those that end without a goodbye.
    pub(super) async fn leave(&self) {
        while let Some(session) = self.take_idle::<MySqlConnection>() {
            close(session).await;
        }
        while let Some(session) = self.take_idle::<wire::Connection>() {
            close(session).await;
        }
    }

    /// Closes a connection at rest where those of the other kind would make one too many.
    async fn make_room(&self) {
        let (driver, own) = self.idle().take_surplus(self.permits.available_permits());
        if let Some(driver) = driver {
            close(driver).await;
        }
        if let Some(own) = own {
            close(own).await;
        }
    }

    /// Ends a connection that was cut while its statement may still run. Whether that succeeds does not matter: the
    /// statement's own limit ends it at last.
    pub(super) async fn kill(self: &Arc<Self>, connection: ConnectionId) {
        let kill = Statement::new(format!("KILL {}", connection.0));
        let killing = async {
            let mut lease = self.fresh::<wire::Connection>().await?;
            lease.run(&kill.text).await
        };
        let _ = timeout(Duration::from_secs(5), killing).await;
    }

    /// Connections that are open, in use or at rest.
    pub(super) fn open_now(&self) -> u32 {
        let most = self.settings.max_connections.max(1) as usize + self.idle().len();
        u32::try_from(most.saturating_sub(self.permits.available_permits())).unwrap_or(u32::MAX)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map_err(|_| Failure::new(Code::Defect, "the semaphore of connections was closed"))
    }

    fn take_idle<C: Client>(&self) -> Option<Session<C>> {
        C::at_rest(&mut self.idle()).pop()
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open<C: Client>(&self) -> Result<Session<C>> {
        let what = format!("cannot connect to `{}`", self.address.location);
        let connecting = async {
            let connection = C::connect(&self.address).await;
            let mut connection = connection.map_err(|e| failure(e, During::Connecting, &what))?;
            let server = session::pin(&mut connection, &self.settings).await?;
            Ok(Session { connection, server })
        };
        let limit = self.settings.connect_timeout;
        let timed_out = || {
            let waited = format!("no answer within {} s", limit.as_secs_f64());
            Err(Failure::new(Code::SourceUnreachable, &what).because(waited))
        };
        timeout(limit, connecting).await.unwrap_or_else(|_| timed_out())
    }

    /// Closes a connection of this kind that is old, if there is one.
    async fn close_old_of<C: Client>(&self) -> bool {
        // No permit left: none is at rest.
        let Ok(_permit) = self.permits.try_acquire() else {
            return false;
        };
        let old = C::at_rest(&mut self.idle()).take_due(self.settings.idle_timeout);
        let Some(old) = old else { return false };
        tracing::debug!("a connection to {} that nobody needs is closed", self.address.location);
        close(old).await;
        true
    }
}

impl Keeper for Connections {
    fn next_old(&self) -> Option<Instant> {
        self.idle().next_old(self.settings.idle_timeout)
    }

    async fn close_one(&self) -> bool {
        self.close_old_of::<MySqlConnection>().await || self.close_old_of::<wire::Connection>().await
    }
}

/// Whether the goodbye succeeds does not matter.
async fn close<C: Client>(session: Session<C>) {
    let _ = timeout(Duration::from_secs(1), session.connection.goodbye()).await;
}

impl<C: Client> Lease<C> {
    /// Gives the connection back. Only for one whose last answer was read to its clean end.
    pub(super) fn release(self) {
        let Self {
            session,
            owner,
            _permit: permit,
        } = self;
        let mut idle = owner.idle();
        C::at_rest(&mut idle).push(session);
        let unwatched = idle.begin_to_watch();
        drop(idle);
        if unwatched {
            tokio::spawn(close_old(Arc::downgrade(&owner)));
        }
        drop(permit);
    }

    /// Ends the connection in good manners.
    pub(super) async fn close(self) {
        close(self.session).await;
    }

    pub(super) fn connection(&mut self) -> &mut C {
        &mut self.session.connection
    }

    pub(super) fn open_now(&self) -> u32 {
        self.owner.open_now()
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.session.server.connection
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        self.owner.settings.statement_timeout
    }

    pub(super) fn server(&self) -> &Server {
        &self.session.server
    }

    /// Runs a statement that answers with no rows. After a failure the lease must be dropped.
    pub(super) async fn run(&mut self, statement: &str) -> Result<()> {
        self.catalogue(&Statement::new(statement), statement).await.map(drop)
    }
}

impl Lease {
    /// All rows of a small answer. After a failure that is not the statement's own the lease must be dropped.
    pub(super) async fn rows(&mut self, statement: &Statement, what: &str) -> Result<Vec<MySqlRow>> {
        let limit = self.statement_timeout();
        let rows = statement.query()?.fetch(self.connection()).try_collect::<Vec<_>>();
        let rows = answered(rows, limit, what).await?;
        rows.map_err(|e| failure(e, During::Statement, what))
    }

    /// Lets the server parse a statement and tell its columns, and checks that no `?` of the user's SQL slipped in.
    pub(super) async fn prepare(&mut self, statement: &Statement, what: &str) -> Result<MySqlStatement> {
        let limit = self.statement_timeout();
        let preparing = self.session.connection.prepare(statement.sql());
        let prepared = answered(preparing, limit, what).await?;
        let prepared = prepared.map_err(|e| failure(e, During::Statement, what))?;
        let placeholders = match sqlx::Statement::parameters(&prepared) {
            Some(sqlx::Either::Right(count)) => count,
            Some(sqlx::Either::Left(types)) => types.len(),
            None => statement.parameters.len(),
        };
        no_more_placeholders(placeholders, statement, what)?;
        Ok(prepared)
    }
}

impl Lease<wire::Connection> {
    /// Lets the server parse a statement, and checks that no `?` of the user's SQL slipped in.
    pub(super) async fn prepare(&mut self, statement: &Statement, what: &str) -> Result<wire::Prepared> {
        let limit = self.statement_timeout();
        let preparing = self.session.connection.prepare(&statement.text);
        let prepared = answered(preparing, limit, what).await?;
        let prepared = prepared.map_err(|e| failure(e, During::Statement, what))?;
        no_more_placeholders(prepared.parameters, statement, what)?;
        Ok(prepared)
    }

    /// The first cell of an answer's first row, as it comes. The statement's values are bound, so that it may hold text of
    /// the user.
    pub(super) async fn cell(&mut self, statement: &Statement, what: &str) -> Result<Option<Vec<u8>>> {
        let prepared = self.prepare(statement, what).await?;
        let limit = self.statement_timeout();
        let asking = async {
            let mut rows = self
                .session
                .connection
                .execute(&prepared, &statement.parameters)
                .await?;
            let first = rows.next(1, 0).await?;
            let cell = first.row(0).cell(0).map(<[u8]>::to_vec);
            while rows.next(usize::MAX, usize::MAX).await?.rows() > 0 {}
            Ok(cell)
        };
        let cell = answered(asking, limit, what).await?;
        let cell = cell.map_err(|e: DatabaseError| failure(e, During::Statement, what))?;
        self.forget(prepared).await?;
        Ok(cell)
    }

    /// Lets go of a prepared statement.
    pub(super) async fn forget(&mut self, statement: wire::Prepared) -> Result<()> {
        let forgotten = self.session.connection.forget(statement).await;
        forgotten.map_err(|e| failure(e, During::Statement, "cannot let go of a statement"))
    }
}

fn no_more_placeholders(found: usize, statement: &Statement, what: &str) -> Result<()> {
    if found == statement.parameters.len() {
        return Ok(());
    }
    let message = format!("{what}: the filter or the query holds a bare `?`, which is a parameter without a value");
    Err(Failure::new(Code::SourceQueryInvalid, message))
}

/// Waits for an answer a little longer than the server may work on it: a network that swallows packets tells nothing.
pub(super) async fn answered<T>(answer: impl Future<Output = T>, limit: Duration, what: &str) -> Result<T> {
    if limit.is_zero() {
        return Ok(answer.await);
    }
    let waited = limit + ANSWER_MARGIN;
    timeout(waited, answer).await.map_err(|_| {
        let cause = format!("no answer within {} s", waited.as_secs());
        Failure::new(Code::SourceConnectionLost, what).because(cause)
    })
}
