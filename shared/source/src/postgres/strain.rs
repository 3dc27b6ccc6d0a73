//! What others feel of the load on the server.

use sqlextract_model::{Result, Strain};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::{PostgresSource, errors, sql};
use crate::strain::Seen;

/// Ours are all sessions with the name of this one's application, whichever process has them. Where a pooler gives its
/// own name to everybody, nobody is a stranger and nothing is counted.
///
/// Working sessions and lag are seen by those who may see the statistics of others, and are missing for the rest. Locks
/// are seen by everybody, and matter in this database alone. Sessions without a user are the server's own work. How far
/// a standby that we read from is behind is left out: our own snapshot may hold it up, and fewer workers would not help.
const SEEN: &str = "\
    SELECT \
        (SELECT count(*) FROM pg_stat_activity AS a \
            WHERE a.backend_type = 'client backend' AND a.state = 'active' \
            AND a.application_name IS DISTINCT FROM current_setting('application_name'))::float8, \
        current_setting('max_connections')::float8, \
        (SELECT count(DISTINCT l.pid) FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid \
            WHERE NOT l.granted AND a.datname = current_database() AND a.usesysid IS NOT NULL \
            AND a.application_name IS DISTINCT FROM current_setting('application_name'))::float8, \
        (SELECT max(extract(epoch FROM r.replay_lag)) FROM pg_stat_replication AS r \
            WHERE r.state = 'streaming')::float8";

pub(super) async fn strain(source: &PostgresSource) -> Result<Option<Strain>> {
    let doing = "cannot see what other sessions do";
    let mut session = source.connections.begin::<PgConnection>(None).await?;
    let row = sql::query(SEEN.to_owned())
        .fetch_one(session.connection())
        .await
        .map_err(errors::in_use(doing))?;
    session.end().await;
    let number = |index: usize| row.try_get::<Option<f64>, _>(index).map_err(errors::in_use(doing));
    let seen = Seen {
        sessions: number(0)?.zip(number(1)?),
        lock_waits: number(2)?,
        replica_lag_seconds: number(3)?,
    };
    Ok(seen.strain())
}
