//! Reads the rows of a range: checks, COPY, decoding, and the proof of emptiness.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use sqlextract_model::{Code, Failure, Range, Result, SnapshotToken};
use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::checks::{self, Subject};
use super::copy::{CopyDecoder, Progress};
use super::session::Session;
use super::transport::CopyOut;
use super::{PostgresSource, errors, sql};
use crate::{ReadRequest, ReadSummary, RowSink};

/// Messages that are decoded before cancellation is looked at again.
const MESSAGES_PER_TURN: usize = 4096;
/// Beyond the statement's own limit, a server that says nothing at all is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// One COPY of a range.
struct Statement<'a> {
    subject: Subject<'a>,
    conditions: Vec<String>,
}

pub(super) async fn read(
    source: &PostgresSource,
    request: &ReadRequest<'_>,
    sink: &mut dyn RowSink,
) -> Result<ReadSummary> {
    let named = |failure: Failure| failure.table(request.table);
    let statements = statements(request).map_err(named)?;
    let mut reader = Reader {
        decoder: CopyDecoder::new(request.table, request.columns, request.row_key, request.limits)?,
        request,
        unread: Bytes::new(),
        bytes: 0,
        silence: source.statement_timeout.saturating_add(SILENCE),
    };
    let mut session = unless_cancelled(request.cancel, source.connections.begin(request.snapshot))
        .await
        .map_err(named)?;
    for (i, statement) in statements.iter().enumerate() {
        if i > 0 {
            reader.decoder.restart()?;
        }
        let copied = async {
            check(&mut session, request, statement).await?;
            reader.copy(&mut session, statement, sink).await
        };
        copied.await.map_err(named)?;
    }
    if !statements.is_empty() {
        reader.decoder.finish_stream()?;
    }
    if let Some(batch) = reader.decoder.take_batch()? {
        unless_cancelled(request.cancel, sink.push(batch)).await?;
    }
    session.end().await;
    let summary = ReadSummary {
        rows: reader.decoder.rows(),
        bytes: reader.bytes,
    };
    if summary.rows == 0 {
        let proof = prove_empty(source, &statements, request.snapshot);
        unless_cancelled(request.cancel, proof).await.map_err(named)?;
    }
    Ok(summary)
}

fn statements<'a>(request: &ReadRequest<'a>) -> Result<Vec<Statement<'a>>> {
    let filter = || request.filter.map(sql::filter);
    if let Range::Blocks(ranges) = request.range {
        let of_leaf = |range: &'a sqlextract_model::BlockRange| Statement {
            subject: Subject::Leaf(range.oid, &range.name),
            conditions: sql::block_conditions(range).into_iter().chain(filter()).collect(),
        };
        return Ok(ranges.iter().map(of_leaf).collect());
    }
    let mut conditions = sql::range_conditions(request.range)?;
    conditions.extend(filter());
    Ok(vec![Statement {
        subject: Subject::Relation(request.relation),
        conditions,
    }])
}

async fn check(session: &mut Session, request: &ReadRequest<'_>, statement: &Statement<'_>) -> Result<()> {
    let connection = session.connection();
    checks::unchanged(
        connection,
        statement.subject,
        request.columns,
        request.snapshot.is_some(),
    )
    .await?;
    match request.filter {
        Some(filter) => checks::filter_is_one_expression(connection, statement.subject, filter).await,
        None => Ok(()),
    }
}

struct Reader<'a> {
    decoder: CopyDecoder,
    request: &'a ReadRequest<'a>,
    /// What follows a full batch in the message at hand.
    unread: Bytes,
    bytes: u64,
    silence: Duration,
}

enum Turn {
    BatchFull,
    Paused,
    End,
}

impl Reader<'_> {
    async fn copy(&mut self, session: &mut Session, statement: &Statement<'_>, sink: &mut dyn RowSink) -> Result<()> {
        let cancel = self.request.cancel;
        let select = format!(
            "SELECT {} FROM {}{}",
            sql::select_list(self.request.columns),
            statement.subject.from(),
            sql::where_clause(&statement.conditions)
        );
        let doing = format!("cannot read {}", self.request.table);
        let mut rows = unless_cancelled(cancel, CopyOut::start(session, &select, &doing)).await?;
        loop {
            let turn = tokio::time::timeout(self.silence, poll_fn(|context| self.turn(&mut rows, &doing, context)));
            let turn = async {
                turn.await.unwrap_or_else(|_| {
                    Err(Failure::new(Code::SourceConnectionLost, &doing).because("the server has fallen silent"))
                })
            };
            match unless_cancelled(cancel, turn).await? {
                Turn::End => return Ok(()),
                Turn::Paused => {}
                Turn::BatchFull => {
                    if let Some(batch) = self.decoder.take_batch()? {
                        unless_cancelled(cancel, sink.push(batch)).await?;
                    }
                }
            }
        }
    }

    /// Decodes messages as long as they are there, up to a full batch.
    fn turn(&mut self, rows: &mut CopyOut<'_>, doing: &str, context: &mut Context<'_>) -> Poll<Result<Turn>> {
        for _ in 0..MESSAGES_PER_TURN {
            if self.unread.is_empty() {
                match rows.poll_bytes(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => return Poll::Ready(Ok(Turn::End)),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(errors::in_use(doing)(error))),
                    Poll::Ready(Some(Ok(message))) => self.unread = message,
                }
                self.bytes += self.unread.len() as u64;
            }
            let mut rest: &[u8] = &self.unread;
            let progress = self.decoder.feed(&mut rest)?;
            let used = self.unread.len() - rest.len();
            self.unread.advance(used);
            if progress == Progress::BatchFull {
                return Poll::Ready(Ok(Turn::BatchFull));
            }
        }
        Poll::Ready(Ok(Turn::Paused))
    }
}

/// No rows is also what a connection that lags one answer behind would say. So a connection that has never been used
/// is asked, in the same snapshot.
async fn prove_empty(
    source: &PostgresSource,
    statements: &[Statement<'_>],
    snapshot: Option<&SnapshotToken>,
) -> Result<()> {
    let doing = "cannot prove that the range is empty";
    let mut session = source.connections.begin_fresh(snapshot).await?;
    for statement in statements {
        let conditions = sql::where_clause(&statement.conditions);
        let text = format!("SELECT EXISTS (SELECT 1 FROM {}{conditions})", statement.subject.from());
        let row = sql::query(text)
            .fetch_one(session.connection())
            .await
            .map_err(errors::in_use(doing))?;
        if row.try_get(0).map_err(errors::in_use(doing))? {
            return Err(Failure::new(
                Code::RowsUnproven,
                "a range was read without a row, and a second look found some",
            ));
        }
    }
    session.end().await;
    Ok(())
}

async fn unless_cancelled<T>(cancel: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Failure::new(Code::Interrupted, "reading was cancelled")),
        done = work => done,
    }
}
