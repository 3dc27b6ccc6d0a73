//! The rows of one statement, as they arrive.

use std::task::{Context, Poll, ready};

use postgres_protocol::IsNull;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend::{self, BindError};

use super::frames::Frame;
use super::{Connection, answer, unexpected};
use crate::postgres::errors::DatabaseError;

/// How the server writes the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

/// What comes next.
pub(crate) enum Slice<'a> {
    /// Bytes of a message, which is one row. Use them, in part or all.
    Bytes(&'a [u8]),
    /// A large message begins, of so many bytes.
    LargeBegins(usize),
    /// All of the large message was used.
    LargeEnded,
    /// All rows were sent; by the server's count there were so many.
    End(u64),
}

/// A statement that is under way.
///
/// Unless it is polled to its end, the connection still has answers to come and must not be used again; the session
/// sees to that, since only `Session::end` keeps a connection.
pub(crate) struct RowStream<'c> {
    connection: &'c mut Connection,
    large_bytes: usize,
    within_large: bool,
    /// What the server counted, once it has told.
    counted: Option<u64>,
}

impl<'c> RowStream<'c> {
    /// The server sends all rows of one statement, their values in the formats of the columns. Messages of more than
    /// `large_bytes` are announced.
    pub(crate) async fn start(
        connection: &'c mut Connection,
        select: &str,
        formats: &[Format],
        large_bytes: usize,
    ) -> Result<Self, DatabaseError> {
        let out = &mut connection.out;
        frontend::parse("", select, [], out)?;
        let codes = formats.iter().map(|format| match format {
            Format::Text => 0,
            Format::Binary => 1,
        });
        let no_values = std::iter::empty::<()>();
        frontend::bind("", "", [], no_values, |(), _| Ok(IsNull::Yes), codes, out).map_err(|error| match error {
            BindError::Conversion(error) => DatabaseError::Protocol(error.to_string()),
            BindError::Serialization(error) => error.into(),
        })?;
        frontend::execute("", 0, out)?;
        frontend::sync(out);
        connection.send().await?;
        Ok(Self {
            connection,
            large_bytes,
            within_large: false,
            counted: None,
        })
    }

    pub(crate) fn poll_slice(&mut self, context: &mut Context<'_>) -> Poll<Result<Slice<'_>, DatabaseError>> {
        loop {
            if self.connection.frames.within_rows() {
                if self.connection.frames.rows().is_empty() {
                    ready!(self.connection.poll_receive(context))?;
                    continue;
                }
                return Poll::Ready(Ok(Slice::Bytes(self.connection.frames.rows())));
            }
            if std::mem::take(&mut self.within_large) {
                return Poll::Ready(Ok(Slice::LargeEnded));
            }
            match self.connection.frames.next()? {
                Frame::Incomplete => ready!(self.connection.poll_receive(context))?,
                Frame::Row(bytes) if bytes > self.large_bytes => {
                    self.within_large = true;
                    return Poll::Ready(Ok(Slice::LargeBegins(bytes)));
                }
                Frame::Row(_) => {}
                Frame::Message(message) => {
                    if let Some(rows) = self.follow(message)? {
                        return Poll::Ready(Ok(Slice::End(rows)));
                    }
                }
            }
        }
    }

    /// The server's count when the last message has come.
    fn follow(&mut self, message: Message) -> Result<Option<u64>, DatabaseError> {
        match answer(message).transpose()? {
            None | Some(Message::ParseComplete | Message::BindComplete) => Ok(None),
            Some(Message::CommandComplete(body)) => {
                self.counted = body.tag()?.rsplit(' ').next().and_then(|count| count.parse().ok());
                Ok(None)
            }
            Some(Message::ReadyForQuery(_)) => match self.counted {
                Some(rows) => Ok(Some(rows)),
                None => Err(unexpected("at the end of rows")),
            },
            Some(_) => Err(unexpected("among rows")),
        }
    }

    /// What was received and begins with a message; empty within one.
    pub(crate) fn messages(&self) -> &[u8] {
        match self.within_large {
            true => &[],
            false => self.connection.frames.messages(),
        }
    }

    /// So many bytes of [`RowStream::messages`], which are whole messages with rows, were used.
    pub(crate) fn pass(&mut self, count: usize) {
        self.connection.frames.pass(count);
    }

    /// So many of the bytes of the last slice were used.
    pub(crate) fn used(&mut self, count: usize) {
        self.connection.frames.used(count);
    }
}
