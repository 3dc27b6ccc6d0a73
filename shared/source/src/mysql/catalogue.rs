//! Questions about the server itself: its catalogue, its status, its sessions.
//!
//! They go as plain text, never prepared. MariaDB answers a prepared question about its status or catalogue anew only when
//! it is prepared anew; and to close what was prepared costs 40 ms, since the server does not answer that and what is sent
//! next waits until it acknowledges.

use std::sync::Arc;

use sqlextract_model::Result;

use super::cell;
use super::client::Client;
use super::connection::{Lease, answered};
use super::errors::{During, failure};
use super::sql::Statement;

/// A row of such an answer: texts, whatever the types.
#[derive(Debug)]
pub(super) struct CatalogueRow {
    names: Arc<[String]>,
    cells: Vec<Option<Vec<u8>>>,
}

impl CatalogueRow {
    pub(super) fn new(names: Arc<[String]>, cells: Vec<Option<Vec<u8>>>) -> Self {
        Self { names, cells }
    }

    pub(super) fn text(&self, index: usize) -> Result<Option<String>> {
        let cell = self.cells.get(index).cloned().flatten();
        let text = cell.map(String::from_utf8).transpose();
        text.map_err(|e| cell::unreadable(index).because(e))
    }

    /// A number from 0; NULL and anything else is `None`.
    pub(super) fn number(&self, index: usize) -> Result<Option<u64>> {
        Ok(self.text(index)?.and_then(|t| t.parse().ok()))
    }

    /// The place of the first column whose name passes.
    pub(super) fn position(&self, passes: impl Fn(&str) -> bool) -> Option<usize> {
        self.names.iter().position(|name| passes(name))
    }
}

impl<C: Client> Lease<C> {
    /// All rows of the answer to a question about the server. After a failure that is not the question's own the lease
    /// must be dropped.
    pub(super) async fn catalogue(&mut self, question: &Statement, what: &str) -> Result<Vec<CatalogueRow>> {
        let limit = self.statement_timeout();
        let rows = answered(self.connection().texts(question), limit, what).await?;
        rows.map_err(|e| failure(e, During::Statement, what))
    }
}
