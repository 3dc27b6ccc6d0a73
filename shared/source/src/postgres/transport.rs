//! The bytes of one COPY, off the wire. Whatever else could carry them would be put here.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlextract_model::Result;

use super::errors;
use super::session::Session;

/// A COPY that is under way. The driver hands out one message, which is one row, at a time.
///
/// Unless it is polled to its end, the connection still has answers to come and must not be used again; the session
/// sees to that, since only `Session::end` keeps a connection.
pub(crate) struct CopyOut<'c> {
    messages: BoxStream<'c, sqlx::Result<Bytes>>,
}

impl<'c> CopyOut<'c> {
    /// `select` was prepared before, so that it is one statement; the line break ends a comment that it ends with.
    pub(crate) async fn start(session: &'c mut Session, select: &str, doing: &str) -> Result<Self> {
        let text = format!("COPY ({select}\n) TO STDOUT (FORMAT binary)");
        let messages = session
            .connection()
            .copy_out_raw(&text)
            .await
            .map_err(errors::in_use(doing))?;
        Ok(Self { messages })
    }

    pub(crate) fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<sqlx::Result<Bytes>>> {
        self.messages.poll_next_unpin(context)
    }
}
