//! The bytes of one COPY, as they arrive.

use std::task::{Context, Poll, ready};

use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::frames::Frame;
use super::{Connection, answer, unexpected};
use crate::postgres::errors::DatabaseError;

/// What comes next.
pub(crate) enum Slice<'a> {
    /// Bytes of a message, which is one row; the first brings the stream's head as well. Use them, in part or all.
    Bytes(&'a [u8]),
    /// A large message begins, of so many bytes.
    LargeBegins(usize),
    /// All of the large message was used.
    LargeEnded,
}

/// A COPY that is under way.
///
/// Unless it is polled to its end, the connection still has answers to come and must not be used again; the session
/// sees to that, since only `Session::end` keeps a connection.
pub(crate) struct CopyOut<'c> {
    connection: &'c mut Connection,
    large_bytes: usize,
    within_large: bool,
}

impl<'c> CopyOut<'c> {
    /// `select` was described before, so that it is one statement; the line break ends a comment that it ends with.
    /// Messages of more than `large_bytes` are announced.
    pub(crate) async fn start(
        connection: &'c mut Connection,
        select: &str,
        large_bytes: usize,
    ) -> Result<Self, DatabaseError> {
        frontend::query(
            &format!("COPY ({select}\n) TO STDOUT (FORMAT binary)"),
            &mut connection.out,
        )?;
        connection.send().await?;
        match connection.message().await? {
            Message::CopyOutResponse(_) => Ok(Self {
                connection,
                large_bytes,
                within_large: false,
            }),
            _ => Err(unexpected("to a COPY")),
        }
    }

    /// `None` at the end of the COPY.
    pub(crate) fn poll_slice(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Slice<'_>, DatabaseError>>> {
        loop {
            if self.connection.frames.within_rows() {
                if self.connection.frames.rows().is_empty() {
                    ready!(self.connection.poll_receive(context))?;
                    continue;
                }
                return Poll::Ready(Some(Ok(Slice::Bytes(self.connection.frames.rows()))));
            }
            if std::mem::take(&mut self.within_large) {
                return Poll::Ready(Some(Ok(Slice::LargeEnded)));
            }
            match self.connection.frames.next()? {
                Frame::Incomplete => ready!(self.connection.poll_receive(context))?,
                Frame::Rows(bytes) if bytes > self.large_bytes => {
                    self.within_large = true;
                    return Poll::Ready(Some(Ok(Slice::LargeBegins(bytes))));
                }
                Frame::Rows(_) => {}
                Frame::Message(message) => match answer(message).transpose()? {
                    None | Some(Message::CopyDone | Message::CommandComplete(_)) => {}
                    Some(Message::ReadyForQuery(_)) => return Poll::Ready(None),
                    Some(_) => return Poll::Ready(Some(Err(unexpected("during a COPY")))),
                },
            }
        }
    }

    /// What was received and begins with a message; empty within one.
    pub(crate) fn messages(&self) -> &[u8] {
        match self.within_large {
            true => &[],
            false => self.connection.frames.messages(),
        }
    }

    /// So many bytes of [`CopyOut::messages`], which are whole messages with rows, were used.
    pub(crate) fn pass(&mut self, count: usize) {
        self.connection.frames.pass(count);
    }

    /// So many of the bytes of the last slice were used.
    pub(crate) fn used(&mut self, count: usize) {
        self.connection.frames.used(count);
    }
}
