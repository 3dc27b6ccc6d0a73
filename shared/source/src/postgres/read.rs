//! Reads the rows of a range: checks, one statement, decoding, large rows alone, and the proof that no row is missing.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sqlextract_model::{Code, Failure, Range, ReadLoad, Result, SnapshotToken};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checks::{self, Subject};
use super::rows::{Progress, RowDecoder};
use super::session::Session;
use super::wire::{self, Format, RowStream, Slice};
use super::{PostgresSource, errors, sql};
use crate::{RECEIVED_AT_ONCE, ReadRequest, ReadSummary, RowSink, milliseconds};

/// Of each row's message, its tag and its length.
const MESSAGE_HEADER_BYTES: u64 = 5;
/// Slices that are decoded before cancellation is looked at again.
const SLICES_PER_TURN: usize = 4096;
/// Beyond the statement's own limit, a server that says nothing at all is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// What is read of a range at once.
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
    let decoder = RowDecoder::new(request.table, request.columns, request.row_key, request.limits)?;
    let mut reader = Reader {
        formats: decoder.formats(),
        decoder,
        request,
        doing: format!("cannot read {}", request.table),
        bytes: 0,
        told: 0,
        longest: Duration::ZERO,
        silence: source.statement_timeout.saturating_add(SILENCE),
    };
    let mut session = unless_cancelled(
        request.cancel,
        source.connections.begin::<wire::Connection>(request.snapshot),
    )
    .await
    .map_err(named)?;
    let began = Instant::now();
    for statement in &statements {
        let read = async {
            check(&mut session, request, statement).await?;
            reader.rows_of(&mut session, statement, sink).await
        };
        read.await.map_err(named)?;
    }
    reader.push_pending(sink).await?;
    let connections = source.connections.open_now();
    session.end_counted(source.server.version).await;
    let mut summary = ReadSummary {
        rows: reader.decoder.rows(),
        load: ReadLoad {
            statement_ms: milliseconds(reader.longest),
            transaction_ms: milliseconds(began.elapsed()),
            wire_bytes: reader.bytes,
            connections: Some(connections),
        },
    };
    if summary.rows == 0 {
        let proof = prove_empty(source, &statements, request.snapshot);
        let began = Instant::now();
        unless_cancelled(request.cancel, proof).await.map_err(named)?;
        summary.load.add_statement(milliseconds(began.elapsed()));
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

async fn check(
    session: &mut Session<wire::Connection>,
    request: &ReadRequest<'_>,
    statement: &Statement<'_>,
) -> Result<()> {
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
    decoder: RowDecoder,
    formats: Vec<Format>,
    request: &'a ReadRequest<'a>,
    doing: String,
    /// Of rows, off the wire.
    bytes: u64,
    /// How many of them the sink was told.
    told: u64,
    /// Time of the longest statement.
    longest: Duration,
    silence: Duration,
}

/// What was done, or is to be done next.
enum Turn {
    BatchFull,
    /// A row begins that is to be read alone; its message has so many bytes.
    Large(usize),
    Paused,
    /// By the server's count there were so many rows.
    End(u64),
}

impl Reader<'_> {
    /// Reads the rows of a statement.
    async fn rows_of(
        &mut self,
        session: &mut Session<wire::Connection>,
        statement: &Statement<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        let request = self.request;
        let select = format!(
            "SELECT {} FROM {}{}",
            sql::select_list(request.columns),
            statement.subject.from(),
            sql::where_clause(&statement.conditions)
        );
        let begun = async {
            let alone = request.limits.alone_bytes;
            let begun = RowStream::start(session.connection(), &select, &self.formats, alone).await;
            begun.map_err(errors::in_use(&self.doing))
        };
        let before = self.decoder.rows();
        let began = Instant::now();
        let mut rows = unless_cancelled(request.cancel, begun).await?;
        loop {
            let turn = self.next(&mut rows).await?;
            let more = self.bytes - std::mem::replace(&mut self.told, self.bytes);
            if more > 0 {
                unless_cancelled(request.cancel, sink.received(more)).await?;
            }
            match turn {
                Turn::End(counted) => {
                    self.longest = self.longest.max(began.elapsed());
                    self.decoder.finish_rows()?;
                    return all_are_here(counted, self.decoder.rows() - before);
                }
                Turn::Paused => {}
                Turn::BatchFull => self.push_pending(sink).await?,
                Turn::Large(bytes) => {
                    self.push_pending(sink).await?;
                    let bytes = bytes.saturating_sub(self.decoder.bytes_beside_values());
                    if bytes > request.limits.row_bytes {
                        return Err(self.too_large(&mut rows).await?);
                    }
                    unless_cancelled(request.cancel, sink.admit(bytes)).await?;
                }
            }
        }
    }

    async fn push_pending(&mut self, sink: &mut dyn RowSink) -> Result<()> {
        match self.decoder.take_batch()? {
            Some(batch) => unless_cancelled(self.request.cancel, sink.push(batch)).await,
            None => Ok(()),
        }
    }

    /// Decodes what arrives, up to a full batch or a large row.
    async fn next(&mut self, rows: &mut RowStream<'_>) -> Result<Turn> {
        let (cancel, silence) = (self.request.cancel, self.silence);
        let turn = tokio::time::timeout(silence, poll_fn(|context| self.turn(rows, context)));
        match unless_cancelled(cancel, async { Ok(turn.await) }).await? {
            Ok(turn) => turn,
            Err(_) => {
                let silent = Failure::new(Code::SourceConnectionLost, self.doing.as_str());
                Err(silent.because("the server has fallen silent"))
            }
        }
    }

    /// Decodes slices as long as they are there.
    fn turn(&mut self, rows: &mut RowStream<'_>, context: &mut Context<'_>) -> Poll<Result<Turn>> {
        for _ in 0..SLICES_PER_TURN {
            let decoded = self.decoder.rows();
            let (used, progress) = self.decoder.feed_messages(rows.messages())?;
            rows.pass(used);
            self.bytes += used as u64 - MESSAGE_HEADER_BYTES * (self.decoder.rows() - decoded);
            if progress == Progress::BatchFull {
                return Poll::Ready(Ok(Turn::BatchFull));
            }
            if self.bytes - self.told >= RECEIVED_AT_ONCE {
                return Poll::Ready(Ok(Turn::Paused));
            }
            let slice = match ready!(rows.poll_slice(context)).map_err(errors::in_use(&self.doing))? {
                Slice::End(counted) => return Poll::Ready(Ok(Turn::End(counted))),
                Slice::Bytes(slice) => slice,
                Slice::LargeBegins(bytes) => return Poll::Ready(Ok(Turn::Large(bytes))),
                Slice::LargeEnded => return Poll::Ready(Ok(Turn::BatchFull)),
            };
            let mut rest = slice;
            let progress = self.decoder.feed(&mut rest)?;
            let used = slice.len() - rest.len();
            rows.used(used);
            self.bytes += used as u64;
            if progress == Progress::BatchFull {
                return Poll::Ready(Ok(Turn::BatchFull));
            }
        }
        Poll::Ready(Ok(Turn::Paused))
    }

    /// Lets a row pass that cannot be decoded, to name it.
    async fn too_large(&self, rows: &mut RowStream<'_>) -> Result<Failure> {
        let mut row = self.decoder.oversized();
        let pass = poll_fn(|context| {
            loop {
                match ready!(rows.poll_slice(context)) {
                    Ok(Slice::Bytes(slice)) => {
                        row.feed(slice);
                        let used = slice.len();
                        rows.used(used);
                    }
                    Err(error) => return Poll::Ready(Err(errors::in_use(&self.doing)(error))),
                    Ok(_) => return Poll::Ready(Ok(())),
                }
            }
        });
        unless_cancelled(self.request.cancel, pass).await?;
        Ok(self.decoder.oversized_failure(&row))
    }
}

fn all_are_here(counted: u64, read: u64) -> Result<()> {
    match counted == read {
        true => Ok(()),
        false => Err(Failure::new(
            Code::RowsUnproven,
            format!("the server sent {counted} rows by its own count, and {read} were read"),
        )),
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
    let mut session = source.connections.begin_fresh::<PgConnection>(snapshot).await?;
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
