//! One instant for all readers: a transaction that exports its snapshot and is kept open.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sqlextract_model::{Code, Failure, Result, SnapshotEvidence, SnapshotToken};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::session::{Connections, Session};
use super::{PostgresSource, errors, sql};
use crate::Snapshot;

/// The keeper of a snapshot, which ends with the transaction. A connection that is closed within one would be a line in the
/// server's log.
pub(super) struct Keeper {
    connections: Arc<Connections>,
    /// `None` once it has ended.
    session: Mutex<Option<Session>>,
    token: SnapshotToken,
    evidence: SnapshotEvidence,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("token", &self.token)
            .field("evidence", &self.evidence)
            .finish_non_exhaustive()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.connections.end_snapshot(&self.token);
        if let (Some(session), Ok(runtime)) = (self.session.get_mut().take(), Handle::try_current()) {
            runtime.spawn(session.end());
        }
    }
}

/// What stays equal only while nothing is committed. Field order is the order of the JSON.
#[derive(serde::Serialize)]
struct Evidence {
    /// Transactions that are visible: two equal texts of one run of a primary see the same rows.
    snapshot: String,
    system: String,
    timeline: Option<i64>,
    started: String,
    in_recovery: bool,
    /// A standby lists running transactions imprecisely: there, only an equal position of replay is proof.
    replayed: Option<String>,
}

pub(super) async fn keep(source: &PostgresSource) -> Result<Keeper> {
    if source.server.pooler {
        return Err(Failure::new(
            Code::SourcePooler,
            format!(
                "{} stands between us and PostgreSQL, so that no snapshot can be kept",
                super::pooler::SHARED_SESSIONS
            ),
        ));
    }
    if source.connections.limit() < 2 {
        return Err(Failure::new(
            Code::ConfigInvalid,
            "a snapshot takes a connection of its own beside the readers'",
        )
        .remedy("Allow two connections or more with `--max-connections`, or use `--consistency batch`."));
    }
    let mut session = source.connections.begin::<PgConnection>(None).await?;
    let connection = session.connection();
    let doing = "cannot export a snapshot";
    let row = sql::query("SELECT pg_export_snapshot()".to_owned())
        .fetch_one(&mut *connection)
        .await
        .map_err(errors::in_use(doing))?;
    let token = SnapshotToken(row.try_get(0).map_err(errors::in_use(doing))?);
    let evidence = evidence(source, connection).await?;
    source.connections.begin_snapshot(&token);
    Ok(Keeper {
        connections: source.connections.clone(),
        session: Mutex::new(Some(session)),
        token,
        evidence,
    })
}

async fn evidence(source: &PostgresSource, connection: &mut PgConnection) -> Result<SnapshotEvidence> {
    let doing = "cannot read what identifies the snapshot";
    let current = if source.server.version >= 130_000 {
        "pg_current_snapshot"
    } else {
        "txid_current_snapshot"
    };
    let text = format!(
        "SELECT {current}()::text, extract(epoch FROM pg_postmaster_start_time())::text, pg_is_in_recovery(), \
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text END"
    );
    let row = sql::query(text)
        .fetch_one(&mut *connection)
        .await
        .map_err(errors::in_use(doing))?;
    let read = || -> sqlx::Result<_> {
        Ok(Evidence {
            snapshot: row.try_get(0)?,
            system: source.server.system.clone(),
            timeline: None,
            started: row.try_get(1)?,
            in_recovery: row.try_get(2)?,
            replayed: row.try_get(3)?,
        })
    };
    let mut evidence: Evidence = read().map_err(errors::in_use(doing))?;
    if source.server.control_readable {
        let text = "SELECT timeline_id::int8 FROM pg_control_checkpoint()".to_owned();
        let row = sql::query(text)
            .fetch_one(connection)
            .await
            .map_err(errors::in_use(doing))?;
        evidence.timeline = row.try_get(0).map_err(errors::in_use(doing))?;
    }
    let json = serde_json::to_string(&evidence)
        .map_err(|error| Failure::new(Code::Defect, "the evidence of a snapshot cannot be written").because(error))?;
    Ok(SnapshotEvidence(json))
}

#[async_trait]
impl Snapshot for Keeper {
    fn token(&self) -> &SnapshotToken {
        &self.token
    }

    fn evidence(&self) -> &SnapshotEvidence {
        &self.evidence
    }

    async fn check(&self) -> Result<()> {
        let mut session = self.session.lock().await;
        let Some(session) = session.as_mut() else {
            return Err(Failure::new(Code::SnapshotLost, "the shared snapshot has ended"));
        };
        // A transaction that had failed would answer with an error, a closed connection with none at all.
        match sql::statements("SELECT 1".to_owned())
            .execute(session.connection())
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => {
                let cause = errors::failure(error, errors::Phase::InUse, "");
                let mut lost = Failure::new(
                    Code::SnapshotLost,
                    "the connection that held the shared snapshot is gone",
                );
                lost.causes = cause.causes;
                Err(lost)
            }
        }
    }

    async fn end(&self) {
        self.connections.end_snapshot(&self.token);
        if let Some(session) = self.session.lock().await.take() {
            session.end().await;
        }
    }
}
