//! What others feel of the load on the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlextract_model::{Class, Code, Failure, Result, Strain};

use super::catalogue::CatalogueRow;
use super::connection::{Connections, Lease};
use super::sql::{MARK, Statement};
use crate::strain::Seen;

const WHAT: &str = "cannot see what other sessions do";

/// What this user may not ask; it is asked once.
#[derive(Debug, Default)]
pub(super) struct Refused {
    transactions: AtomicBool,
    replica: AtomicBool,
}

pub(super) async fn strain(connections: &Arc<Connections>, refused: &Refused) -> Result<Option<Strain>> {
    let mut lease = connections.lease().await?;
    let mut seen = sessions(&mut lease).await?;
    let row_waits = Statement::new("SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'");
    // A consistent read takes no row lock, so whoever waits for one is somebody else.
    let rows = where_allowed(&mut lease, &row_waits, &refused.transactions).await?;
    let row_waits = rows.first().map(|row| row.number(0)).transpose()?.flatten();
    if let (Some(waits), Some(more)) = (&mut seen.lock_waits, row_waits) {
        *waits += more as f64;
    }
    let server = lease.server();
    let status = if server.is_mysql_since(8, 0, 22) {
        "SHOW REPLICA STATUS"
    } else {
        "SHOW SLAVE STATUS"
    };
    let rows = where_allowed(&mut lease, &Statement::new(status), &refused.replica).await?;
    seen.replica_lag_seconds = rows.first().map(lag).transpose()?.flatten();
    lease.release();
    Ok(seen.strain())
}

/// Running threads less our own and the server's. Without the right to see others' threads, their number is still told;
/// which of them wait is not.
async fn sessions(lease: &mut Lease) -> Result<Seen> {
    let running = Statement::new("SHOW GLOBAL STATUS LIKE 'Threads_running'");
    let running = lease.catalogue(&running, WHAT).await?;
    let ours = format!("ID = CONNECTION_ID() OR INFO LIKE '%{MARK}%'");
    let look = Statement::new(format!(
        "SELECT COUNT(CASE WHEN {ours} THEN 1 END), \
         COUNT(CASE WHEN USER IN ('system user', 'event_scheduler') \
             OR COMMAND IN ('Daemon', 'Binlog Dump', 'Binlog Dump GTID') THEN 1 END), \
         COUNT(CASE WHEN STATE LIKE 'Waiting for%lock' AND NOT ({ours}) THEN 1 END), \
         @@max_connections \
         FROM information_schema.PROCESSLIST WHERE COMMAND <> 'Sleep'"
    ));
    let listed = lease.catalogue(&look, WHAT).await?;
    let (Some(running), Some(listed)) = (running.first(), listed.first()) else {
        return Ok(Seen::default());
    };
    let number = |index: usize| listed.number(index);
    let known = number(0)?.unwrap_or(0) + number(1)?.unwrap_or(0);
    let working = running.number(1)?.map(|all| all.saturating_sub(known) as f64);
    Ok(Seen {
        sessions: working.zip(number(3)?.map(|limit| limit as f64)),
        lock_waits: number(2)?.map(|waits| waits as f64),
        replica_lag_seconds: None,
    })
}

/// No rows where the user may not ask or the server does not know the question.
async fn where_allowed(lease: &mut Lease, statement: &Statement, refused: &AtomicBool) -> Result<Vec<CatalogueRow>> {
    if refused.load(Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    match lease.catalogue(statement, WHAT).await {
        Err(failure) if is_refusal(&failure) => {
            refused.store(true, Ordering::Relaxed);
            Ok(Vec::new())
        }
        answer => answer,
    }
}

/// The server's own no, after which the connection is as good as before.
fn is_refusal(failure: &Failure) -> bool {
    matches!(failure.class(), Class::Permanent) && failure.code != Code::SourceProtocol
}

/// Of a server that is a replica itself. NULL means that replication rests.
fn lag(row: &CatalogueRow) -> Result<Option<f64>> {
    let named = |name: &str| name == "Seconds_Behind_Master" || name == "Seconds_Behind_Source";
    let seconds = row
        .position(named)
        .map(|index| row.number(index))
        .transpose()?
        .flatten();
    Ok(seconds.map(|seconds| seconds as f64))
}
