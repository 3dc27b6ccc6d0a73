//! Finds a pooler that lends one session of the database to several of ours, by its behaviour.

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::sql;

/// What `SourceFacts::pooler` says of one.
pub(crate) const SHARED_SESSIONS: &str = "a pooler in transaction mode";

/// Whether two connections, open at once, were seen to share the database's processes.
///
/// One connection whose process changes between two statements, or a process that answers to two connections, has a
/// pooler in between. The second connection holds a transaction open, so that the first must get another process.
pub(crate) async fn shares_sessions(first: &mut PgConnection, second: Option<&mut PgConnection>) -> sqlx::Result<bool> {
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(process(first).await?);
    }
    let mut shared = false;
    if let Some(second) = second {
        sql::statements("BEGIN READ ONLY".to_owned())
            .execute(&mut *second)
            .await?;
        let other = process(second).await?;
        own.push(process(first).await?);
        sql::statements("COMMIT".to_owned()).execute(&mut *second).await?;
        shared = own.contains(&other);
    }
    Ok(shared || own.iter().any(|process| *process != own[0]))
}

async fn process(connection: &mut PgConnection) -> sqlx::Result<i32> {
    let row = sql::statements("SELECT pg_catalog.pg_backend_pid()".to_owned())
        .fetch_one(connection)
        .await?;
    row.try_get(0)
}
