//! PostgreSQL.
//!
//! Every statement runs inside a read-only transaction whose settings are pinned as it opens (`session`). Rows are
//! read (`read`) over a connection of our own (`wire`), each column in the format that costs the server least, and decoded
//! straight into Arrow builders (`rows`). Everything else is asked through the driver.
//! Row-level security is never applied without a word: where a policy would hide rows from this user, inspecting or
//! reading the table fails with `source_permission`.

mod address;
mod aggregate;
mod checks;
mod client;
mod counters;
mod describe;
mod errors;
mod explain;
#[doc(hidden)]
pub mod fuzzing;
mod inspect;
mod pins;
mod pooler;
mod probe;
mod read;
mod rows;
mod session;
mod snapshot;
mod sql;
mod strain;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlextract_model::{
    Code, ColumnAggregate, ColumnMapping, Dialect, Failure, Relation, Result, Selection, SnapshotToken, SourceCounters,
    SourceFacts, Strain,
};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::{Probe, ProbeAnswer, ReadRequest, ReadSummary, RowSink, Snapshot, Source, SourceSettings};
use pins::Pins;
use session::Connections;

/// The oldest server whose catalogue the statements here know.
const OLDEST_VERSION: i32 = 110_000;

/// A PostgreSQL database.
pub struct PostgresSource {
    connections: Arc<Connections>,
    server: Server,
    statement_timeout: Duration,
}

/// What does not change while the source is open.
struct Server {
    version: u32,
    version_text: String,
    /// The schemas that the user's own sessions search, without those that do not exist.
    search_path: Vec<String>,
    /// Equal only for the same database cluster; empty where the user may not ask.
    system: String,
    control_readable: bool,
    /// Sessions of the database are shared behind our backs.
    pooler: bool,
}

impl fmt::Debug for PostgresSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSource")
            .field("location", &self.connections.location())
            .finish_non_exhaustive()
    }
}

impl PostgresSource {
    /// Connects, and learns what kind of server it is.
    ///
    /// - `config_invalid`, `plaintext_refused`: the URL is wrong, or would allow plain text to another host;
    /// - `source_unreachable`, `source_authentication`, `source_connection_limit`, `source_object_missing`: no connection;
    /// - `source_pooler`: a pooler that allows no transactions.
    pub async fn open(settings: SourceSettings) -> Result<Self> {
        let address = address::parse(&settings.url, settings.allow_plaintext)?;
        let connect = || client::connect::<PgConnection>(&address, settings.connect_timeout);
        let mut first = connect().await?;
        let mut server = server(&mut first).await?;
        // Without a place for a second connection, the first one alone has to tell.
        let mut second = if settings.max_connections > 1 {
            connect().await.ok()
        } else {
            None
        };
        let shared = pooler::shares_sessions(&mut first, second.as_mut()).await;
        server.pooler = shared.map_err(|error| {
            errors::failure(
                error,
                errors::Phase::Connecting,
                "cannot find out whether a pooler is in between",
            )
        })?;
        let pins = Pins {
            lock_timeout: settings.lock_timeout,
            statement_timeout: settings.statement_timeout,
            version: server.version,
            search_path: server.search_path.clone(),
        };
        let connections = Connections::new(address, &settings, &pins);
        connections.rest(first);
        second.into_iter().for_each(|second| connections.rest(second));
        let source = Self {
            connections,
            server,
            statement_timeout: settings.statement_timeout,
        };
        source.check_pins().await?;
        Ok(source)
    }

    /// A transaction has the settings that it was opened with, or something in between does not pass them on.
    async fn check_pins(&self) -> Result<()> {
        let mut session = self.connections.begin::<PgConnection>(None).await?;
        let doing = "cannot read the settings of a session";
        let text = "SELECT concat_ws(' ', current_setting('TimeZone'), current_setting('IntervalStyle'), \
            current_setting('bytea_output'), current_setting('client_encoding'), \
            current_setting('standard_conforming_strings'), current_setting('transaction_read_only'), \
            current_setting('transaction_isolation'))";
        let row = sql::query(text.to_owned())
            .fetch_one(session.connection())
            .await
            .map_err(errors::in_use(doing))?;
        let settings: String = row.try_get(0).map_err(errors::in_use(doing))?;
        if settings != "UTC iso_8601 hex UTF8 on on repeatable read" {
            return Err(Failure::new(
                Code::SourcePooler,
                "the settings of a session do not reach the database",
            )
            .because(format!("they are: {settings}")));
        }
        session.end().await;
        Ok(())
    }
}

async fn server(connection: &mut PgConnection) -> Result<Server> {
    let doing = "cannot find out which server this is";
    let text = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
        pg_catalog.current_setting('server_version'), pg_catalog.current_schemas(false)::pg_catalog.text[], \
        pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AND \
        pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE')";
    let row = sql::statements(text.to_owned())
        .fetch_one(&mut *connection)
        .await
        .map_err(errors::in_use(doing))?;
    let read = || -> sqlx::Result<_> {
        let version: i32 = row.try_get(0)?;
        let text: String = row.try_get(1)?;
        Ok((
            version,
            text,
            row.try_get::<Vec<String>, _>(2)?,
            row.try_get::<bool, _>(3)?,
        ))
    };
    let (version, version_text, search_path, control_readable) = read().map_err(errors::in_use(doing))?;
    if version < OLDEST_VERSION {
        return Err(Failure::new(
            Code::PreflightFailed,
            format!("PostgreSQL {version_text} is older than the oldest version that is supported, 11"),
        ));
    }
    let mut system = String::new();
    if control_readable {
        let text = "SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()".to_owned();
        let row = sql::statements(text)
            .fetch_one(connection)
            .await
            .map_err(errors::in_use(doing))?;
        system = row.try_get(0).map_err(errors::in_use(doing))?;
    }
    Ok(Server {
        version: version.unsigned_abs(),
        version_text: version_text.split_whitespace().next().unwrap_or_default().to_owned(),
        search_path,
        system,
        control_readable,
        pooler: false,
    })
}

#[async_trait]
impl Source for PostgresSource {
    async fn inspect(&self, selections: &[Selection]) -> Result<SourceFacts> {
        inspect::inspect(self, selections).await
    }

    async fn probe(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        probes: &[Probe],
        snapshot: Option<&SnapshotToken>,
    ) -> Result<Vec<ProbeAnswer>> {
        probe::probe(self, relation, filter, probes, snapshot).await
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        let keeper = snapshot::keep(self).await?;
        Ok(Some(Box::new(keeper)))
    }

    async fn read(&self, request: ReadRequest<'_>, sink: &mut dyn RowSink) -> Result<ReadSummary> {
        read::read(self, &request, sink).await
    }

    async fn aggregate(
        &self,
        relation: &Relation,
        filter: Option<&str>,
        columns: &[ColumnMapping],
    ) -> Result<(u64, Vec<ColumnAggregate>)> {
        aggregate::aggregate(self, relation, filter, columns).await
    }

    async fn strain(&self) -> Result<Option<Strain>> {
        strain::strain(self).await
    }

    async fn counters(&self, relations: &[Relation]) -> Result<SourceCounters> {
        counters::counters(self, relations).await
    }

    fn before_reads(&self) {
        tokio::spawn(self.connections.clone().open_ahead::<wire::Connection>());
    }

    async fn leave(&self) {
        self.connections.leave();
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }
}
