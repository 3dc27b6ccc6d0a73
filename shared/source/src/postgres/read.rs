//! Reads the rows of a range: checks, COPY, decoding, large rows one by one, and the proof of emptiness.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use bytes::{Buf, Bytes};
use sqlextract_model::{Code, Failure, Range, Result, SnapshotToken};
use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::checks::{self, Subject};
use super::copy::{CopyDecoder, Progress};
use super::large::{self, Guard};
use super::pieces::{self, Gathered, Piece, Pieces};
use super::session::Session;
use super::transport::CopyOut;
use super::{PostgresSource, errors, sql};
use crate::{ReadLimits, ReadRequest, ReadSummary, RowSink};

/// Messages that are decoded before cancellation is looked at again.
const MESSAGES_PER_TURN: usize = 4096;
/// Beyond the statement's own limit, a server that says nothing at all is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Bytes of a piece of a large row.
const LEAST_PIECE: usize = 16 << 10;
const MOST_PIECE: usize = 1 << 20;
/// The name of a row and the lengths of its values.
const BESIDE_PIECE: usize = 256 << 10;

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
    let decoder = |limits| CopyDecoder::new(request.table, request.columns, request.row_key, limits);
    let one_row = ReadLimits {
        record_batch_rows: 1,
        ..request.limits
    };
    let mut reader = Reader {
        stream: Stream::of(decoder(request.limits)?),
        pieces: Pieces::new(
            request.table.to_string(),
            decoder(one_row)?,
            request.columns.len(),
            request.limits.row_bytes,
        )?,
        guard: Guard::of(request.columns, request.limits.alone_bytes),
        request,
        bytes: 0,
        silence: source.statement_timeout.saturating_add(SILENCE),
    };
    let mut session = unless_cancelled(request.cancel, source.connections.begin(request.snapshot))
        .await
        .map_err(named)?;
    for (i, statement) in statements.iter().enumerate() {
        if i > 0 {
            reader.stream.decoder.restart()?;
        }
        let copied = async {
            check(&mut session, request, statement).await?;
            reader.copy(&mut session, i, statement, sink).await
        };
        copied.await.map_err(named)?;
    }
    if !statements.is_empty() {
        reader.stream.decoder.finish_stream()?;
    }
    reader.push_pending(sink).await?;
    session.end().await;
    let summary = ReadSummary {
        rows: reader.stream.decoder.rows() + reader.pieces.rows(),
        bytes: reader.bytes + reader.stream.bytes,
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
    stream: Stream,
    pieces: Pieces,
    /// `None` where no row can be large.
    guard: Option<Guard>,
    request: &'a ReadRequest<'a>,
    /// Of statements whose stream is gone.
    bytes: u64,
    silence: Duration,
}

/// Messages on their way into a decoder.
struct Stream {
    decoder: CopyDecoder,
    /// What follows a full batch in the message at hand.
    unread: Bytes,
    bytes: u64,
}

enum Turn {
    BatchFull,
    Paused,
    End,
}

impl Reader<'_> {
    /// Reads the rows of a statement, the large ones after the others.
    async fn copy(
        &mut self,
        session: &mut Session,
        number: usize,
        statement: &Statement<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        let guarded = match &self.guard {
            Some(_) => large::are_possible(session.connection(), statement.subject).await?,
            None => false,
        };
        let guard = self.guard.as_ref().filter(|_| guarded);
        let mut conditions = statement.conditions.clone();
        conditions.extend(guard.map(|guard| guard.leaves_out_large(number)));
        let select = format!(
            "SELECT {} FROM {}{}",
            sql::select_list(self.request.columns),
            statement.subject.from(),
            sql::where_clause(&conditions)
        );
        let doing = format!("cannot read {}", self.request.table);
        let cancel = self.request.cancel;
        let mut rows = unless_cancelled(cancel, CopyOut::start(session, &select, &doing)).await?;
        while let Some(batch) = self.stream.next(&mut rows, cancel, self.silence, &doing).await? {
            unless_cancelled(cancel, sink.push(batch)).await?;
        }
        drop(rows);
        match guard {
            Some(guard) if guard.has_left_out(session.connection(), number).await? => {
                self.push_pending(sink).await?;
                self.copy_large(session, statement, sink).await
            }
            _ => Ok(()),
        }
    }

    /// Reads the large rows of a statement one by one: each is admitted before more than its first piece is here.
    async fn copy_large(
        &mut self,
        session: &mut Session,
        statement: &Statement<'_>,
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        let Some(guard) = &self.guard else {
            return Ok(());
        };
        let request = self.request;
        let limits = request.limits;
        let piece_bytes = (limits.alone_bytes / 4).clamp(LEAST_PIECE, MOST_PIECE);
        let select = guard.select_pieces(
            statement.subject,
            request.columns,
            request.row_key,
            &statement.conditions,
            (piece_bytes, limits.row_bytes),
        );
        let limits = ReadLimits {
            record_batch_bytes: piece_bytes,
            record_batch_rows: 1,
            alone_bytes: usize::MAX,
            row_bytes: piece_bytes + BESIDE_PIECE,
        };
        let mut stream = Stream::of(CopyDecoder::new(request.table, &pieces::columns(), &[], limits)?);
        let doing = format!("cannot read the large rows of {}", request.table);
        let mut rows = unless_cancelled(request.cancel, CopyOut::start(session, &select, &doing)).await?;
        while let Some(batch) = stream.next(&mut rows, request.cancel, self.silence, &doing).await? {
            let piece = Piece::of(&batch, 0);
            let mut gathered = self.pieces.add(&piece)?;
            if let Gathered::Begins(bytes) = gathered {
                unless_cancelled(request.cancel, sink.admit(bytes)).await?;
                self.pieces.admit(bytes, &piece);
                gathered = self.pieces.add(&piece)?;
            }
            match gathered {
                Gathered::Whole(row) => unless_cancelled(request.cancel, sink.push(row)).await?,
                Gathered::TooLarge => return Err(too_large(request, guard, &piece)),
                Gathered::Begins(_) | Gathered::Part => {}
            }
        }
        stream.decoder.finish_stream()?;
        self.pieces.finish()?;
        self.bytes += stream.bytes;
        Ok(())
    }

    async fn push_pending(&mut self, sink: &mut dyn RowSink) -> Result<()> {
        match self.stream.decoder.take_batch()? {
            Some(batch) => unless_cancelled(self.request.cancel, sink.push(batch)).await,
            None => Ok(()),
        }
    }
}

impl Stream {
    fn of(decoder: CopyDecoder) -> Self {
        Self {
            decoder,
            unread: Bytes::new(),
            bytes: 0,
        }
    }

    /// The next full batch, or `None` at the end, where rows may be left that fill none.
    async fn next(
        &mut self,
        rows: &mut CopyOut<'_>,
        cancel: &CancellationToken,
        silence: Duration,
        doing: &str,
    ) -> Result<Option<RecordBatch>> {
        loop {
            let turn = tokio::time::timeout(silence, poll_fn(|context| self.turn(rows, doing, context)));
            let turn = async {
                turn.await.unwrap_or_else(|_| {
                    Err(Failure::new(Code::SourceConnectionLost, doing).because("the server has fallen silent"))
                })
            };
            match unless_cancelled(cancel, turn).await? {
                Turn::End => return Ok(None),
                Turn::Paused => {}
                Turn::BatchFull => {
                    let batch = self.decoder.take_batch()?;
                    if batch.is_some() {
                        return Ok(batch);
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
                if self.unread.is_empty() {
                    // Lets the driver's buffer go while the batch is on its way.
                    self.unread = Bytes::new();
                }
                return Poll::Ready(Ok(Turn::BatchFull));
            }
        }
        Poll::Ready(Ok(Turn::Paused))
    }
}

fn too_large(request: &ReadRequest<'_>, guard: &Guard, piece: &Piece<'_>) -> Failure {
    let column = piece.lengths.and_then(|lengths| guard.largest(lengths)).unwrap_or(0);
    let column = &request.columns[column].name;
    let name = piece.name.unwrap_or("without a key");
    let text = format!(
        "{}, column {column}, row {name}: the values are {} bytes long, over the {} of a row",
        request.table,
        piece.lengths.unwrap_or("too many"),
        request.limits.row_bytes
    );
    Failure::new(Code::ValueTooLarge, text)
        .table(request.table)
        .column(column)
        .row(name)
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
