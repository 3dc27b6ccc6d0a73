//! One read: a prepared statement whose rows are decoded by a task of their own.
//!
//! A row is buffered before it is handed out. So the server keeps the long values of a large row back and tells
//! their lengths instead; a second statement in the same snapshot then reads such rows, each when it is admitted.

use std::sync::Arc;
use std::time::Duration;

use sqlextract_model::{Code, Failure, Result};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::cell;
use super::connection::{Connections, answered};
use super::pending::Sent;
use super::reader::Reader;
use super::sql::{Statement, from, matching};
use super::wire;
use crate::{ReadRequest, ReadSummary, RowSink, milliseconds};

/// How long a reader may go on after it was told to stop, before its connection is cut.
const GRACE: Duration = Duration::from_secs(2);

pub(super) async fn read(
    connections: &Arc<Connections>,
    request: ReadRequest<'_>,
    sink: &mut dyn RowSink,
) -> Result<ReadSummary> {
    let table = request.table;
    let at_table = |f: Failure| f.table(table);
    if request.snapshot.is_some() {
        return Err(Failure::new(Code::Defect, "MySQL has no snapshot to read from").table(table));
    }
    let reader = Reader::new(&request).map_err(at_table)?;
    let lease = tokio::select! {
        () = request.cancel.cancelled() => return Err(stopped().table(table)),
        lease = connections.lease::<wire::Connection>() => lease.map_err(at_table)?,
    };
    let connection = lease.id();
    let (batches, mut received) = mpsc::channel(1);
    let (acknowledge, acknowledged) = mpsc::channel(1);
    let mut task = AbortOnDropHandle::new(tokio::spawn(reader.run(lease, batches, acknowledged)));
    let limit = connections.settings.statement_timeout;
    loop {
        let next = async {
            match answered(received.recv(), limit, "the rows do not arrive").await? {
                Some(Sent::Received(bytes)) => {
                    sink.received(bytes).await?;
                    return Ok(true);
                }
                Some(Sent::Rows(batch)) => sink.push(batch).await?,
                Some(Sent::Large(bytes)) => sink.admit(bytes).await?,
                None => return Ok(false),
            }
            // A reader that has failed meanwhile takes no word; its failure is found below.
            let _ = acknowledge.send(()).await;
            Ok(true)
        };
        let more: Result<bool> = tokio::select! {
            biased;
            () = request.cancel.cancelled() => {
                received.close();
                if tokio::time::timeout(GRACE, &mut task).await.is_err() {
                    drop(task);
                    connections.kill(connection).await;
                }
                return Err(stopped().table(table));
            }
            more = next => more,
        };
        if !more.map_err(at_table)? {
            break;
        }
    }
    let joined = task
        .await
        .map_err(|e| Failure::new(Code::Defect, "reading panicked").because(e));
    let mut summary = joined.and_then(|result| result).map_err(at_table)?;
    if summary.rows == 0 {
        let began = Instant::now();
        prove_empty(connections, &request).await.map_err(at_table)?;
        summary.load.add_statement(milliseconds(began.elapsed()));
    }
    Ok(summary)
}

pub(super) fn moved() -> Failure {
    Failure::new(
        Code::RowsUnproven,
        "the table changed while its large rows were read, and its engine has no snapshots",
    )
}

pub(super) fn stopped() -> Failure {
    Failure::new(Code::Interrupted, "the read was stopped")
}

/// Asks on a connection that was never used: an answer that belonged to another statement would look empty as well.
async fn prove_empty(connections: &Arc<Connections>, request: &ReadRequest<'_>) -> Result<()> {
    let mut look = Statement::new(format!("SELECT EXISTS(SELECT 1 FROM {}", from(request.relation)));
    let condition = matching(request.range, request.filter)?;
    look.push(&condition.text);
    look.push(")");
    look.parameters = condition.parameters;
    let mut lease = connections.fresh::<wire::Connection>().await?;
    let found = lease.cell(&look, "cannot prove that the range is empty").await?;
    lease.release();
    match found.and_then(|raw| cell::signed(&raw)) {
        Some(0) => Ok(()),
        _ => Err(Failure::new(
            Code::RowsUnproven,
            "the range answered with no rows, and a second look found some",
        )),
    }
}
