//! A statement that answers with rows of a table, and where things stand in them.

use sqlextract_model::Result;

use super::decode::printed;
use super::select::{Guard, KeyCell, SelectList};
use super::sql::{MARK, Statement, from, matching};
use super::wire::WireRow;
use crate::ReadRequest;

/// A statement, and where things stand in its rows.
pub(super) struct Selected {
    pub(super) statement: Statement,
    key: Vec<KeyCell>,
    pub(super) guard: Option<Guard>,
}

impl Selected {
    pub(super) fn new(request: &ReadRequest<'_>, most: usize, further: Option<&str>) -> Result<Self> {
        let list = SelectList::new(request.columns, request.row_key, most)?;
        let mut statement = Statement::new(format!("SELECT {MARK} {} FROM {}", list.text, from(request.relation)));
        let condition = matching(request.range, request.filter)?;
        let joined = if condition.text.is_empty() { "WHERE" } else { "AND" };
        statement.push(&condition.text);
        statement.parameters = condition.parameters;
        if let Some(further) = further {
            statement.push(&format!(" {joined} {further}"));
        }
        Ok(Self {
            statement,
            key: list.key,
            guard: list.guard,
        })
    }

    /// The row by its key's values, or by its position in this read where there is no key.
    pub(super) fn row_name(&self, row: &WireRow<'_>, position: u64) -> String {
        let parts = self.key.iter().map(|key| {
            let value = row
                .cell(key.index)
                .map_or_else(|| "NULL".to_owned(), |raw| printed(&key.wire, raw));
            format!("{}={value}", key.name)
        });
        let parts: Vec<_> = parts.collect();
        if parts.is_empty() {
            format!("{} of the read", position + 1)
        } else {
            parts.join(", ")
        }
    }
}
