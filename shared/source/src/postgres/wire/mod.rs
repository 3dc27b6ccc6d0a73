//! Our own connection to PostgreSQL, for reading rows.
//!
//! The driver reads 8 KiB at a time, makes a value of every row's message, and buffers a row whole. Here a row's bytes go
//! from the buffer of the socket to the decoder where they lie, and its length is known before its bytes are taken.
//! Rows come as a statement's answer and not by COPY: for that the server works less, and each column has the format that
//! costs it least. Messages other than rows are `postgres-protocol`'s. A connection that has seen an error is not used again.

mod frames;
mod row_stream;
mod start;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

pub(crate) use frames::{Frame, Frames};
pub(crate) use row_stream::{Format, RowStream, Slice};
pub(crate) use start::Endpoint;

use super::describe::Described;
use super::errors::DatabaseError;
use crate::tls::Stream;

/// A session of the database.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    frames: Frames,
    /// What is to be sent.
    out: BytesMut,
}

impl Connection {
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, DatabaseError> {
        start::open(endpoint).await
    }

    fn over(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            frames: Frames::new(),
            out: BytesMut::new(),
        }
    }

    /// Says goodbye, which frees the session's slot at once.
    pub(crate) async fn close(mut self) -> Result<(), DatabaseError> {
        frontend::terminate(&mut self.out);
        self.send().await?;
        Ok(self.stream.shutdown().await?)
    }

    /// Runs statements: their rows, each value as the server writes it.
    pub(crate) async fn texts(&mut self, statements: &str) -> Result<Vec<Vec<Option<String>>>, DatabaseError> {
        frontend::query(statements, &mut self.out)?;
        self.send().await?;
        let mut rows = Vec::new();
        loop {
            match self.message().await? {
                Message::DataRow(row) => rows.push(texts_of(&row)?),
                Message::RowDescription(_) | Message::CommandComplete(_) | Message::EmptyQueryResponse => {}
                Message::ReadyForQuery(_) => return Ok(rows),
                _ => return Err(unexpected("to a statement")),
            }
        }
    }

    /// The columns of a statement's answer. It is not run; that it is a single one is proven by that.
    pub(crate) async fn describe(&mut self, statement: &str) -> Result<Vec<Described>, DatabaseError> {
        frontend::parse("", statement, [], &mut self.out)?;
        frontend::describe(b'S', "", &mut self.out)?;
        frontend::sync(&mut self.out);
        self.send().await?;
        let mut columns = Vec::new();
        loop {
            match self.message().await? {
                Message::ParseComplete | Message::ParameterDescription(_) | Message::NoData => {}
                Message::RowDescription(body) => columns = described(&body)?,
                Message::ReadyForQuery(_) => return Ok(columns),
                _ => return Err(unexpected("to the description of a statement")),
            }
        }
    }

    async fn send(&mut self) -> Result<(), DatabaseError> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        Ok(self.stream.flush().await?)
    }

    /// The next message that is an answer.
    async fn message(&mut self) -> Result<Message, DatabaseError> {
        std::future::poll_fn(|context| self.poll_message(context)).await
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Result<Message, DatabaseError>> {
        loop {
            match self.frames.next_whole()? {
                None => ready!(self.poll_receive(context))?,
                Some(message) => {
                    if let Some(answer) = answer(message) {
                        return Poll::Ready(answer);
                    }
                }
            }
        }
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<(), DatabaseError>> {
        let mut room = ReadBuf::new(self.frames.room());
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
        let count = room.filled().len();
        if count == 0 {
            let closed = io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection");
            return Poll::Ready(Err(closed.into()));
        }
        self.frames.received(count);
        Poll::Ready(Ok(()))
    }
}

/// `None` for what the server says by the way.
fn answer(message: Message) -> Option<Result<Message, DatabaseError>> {
    match message {
        Message::ErrorResponse(body) => Some(Err(DatabaseError::of(&body))),
        Message::NoticeResponse(_) | Message::ParameterStatus(_) | Message::NotificationResponse(_) => None,
        message => Some(Ok(message)),
    }
}

fn unexpected(when: &str) -> DatabaseError {
    DatabaseError::Protocol(format!("an answer that the protocol does not know {when}"))
}

fn texts_of(row: &DataRowBody) -> Result<Vec<Option<String>>, DatabaseError> {
    let text = |range: Option<std::ops::Range<usize>>| {
        let bytes = range.map(|range| row.buffer().get(range).unwrap_or_default().to_vec());
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a value is no UTF-8"))
    };
    Ok(row.ranges().map(text).collect()?)
}

fn described(body: &RowDescriptionBody) -> Result<Vec<Described>, DatabaseError> {
    let column = |field: postgres_protocol::message::backend::Field<'_>| {
        Ok(Described {
            name: field.name().to_owned(),
            type_oid: field.type_oid(),
            origin: (field.table_oid() != 0 && field.column_id() != 0).then(|| (field.table_oid(), field.column_id())),
        })
    };
    Ok(body.fields().map(column).collect()?)
}
