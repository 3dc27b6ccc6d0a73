//! Rows that must not arrive with the others: which they are, and how the server sends them.
//!
//! The driver buffers a whole message of COPY, which is a whole row, before it hands it out. So a row beyond
//! `alone_bytes` is left out of the COPY of its range, which notes that there was one. Such rows are then read in pieces:
//! the server puts each together as COPY would send it and sends it as many short rows, the first of which tells its
//! size. Both statements run in one transaction that sees one state.

use sqlextract_model::{Cast, Code, ColumnMapping, Failure, KeyColumn, Relation, Result, Wire};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::checks::Subject;
use super::{errors, sql};

/// The transaction's own setting in which a statement notes that it left out a row.
const NOTE: &str = "sqlextract.large_rows";
/// Compressed values grow by less than this, and so does the text of nearly everything else that is stored.
const STORED_GROWS: usize = 256;
/// Characters of a key's value in an error.
const SHOWN_KEY: usize = 80;

/// Whether a tree of tables can hold a row that is larger than a page once it is unpacked. Values beyond a page are
/// stored aside; foreign tables and views can hold anything.
const STORED_ASIDE: &str = "\
    WITH RECURSIVE tree(oid) AS ( \
        SELECT $1::regclass::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid \
    ) \
    SELECT EXISTS (SELECT 1 FROM tree JOIN pg_class c ON c.oid = tree.oid \
        WHERE c.relkind NOT IN ('r', 'm', 'p') OR pg_relation_size(NULLIF(c.reltoastrelid, 0)) > 0)";

/// Tells large rows from others, in SQL.
#[derive(Debug)]
pub(super) struct Guard {
    /// Positions of the columns that can make a row large, each with the bytes of its value.
    weighed: Vec<(usize, String)>,
    alone_bytes: usize,
}

impl Guard {
    /// `None` for columns that make no row large, whatever they hold.
    pub(super) fn of(columns: &[ColumnMapping], alone_bytes: usize) -> Option<Self> {
        let bounded: usize = columns.iter().filter_map(longest).sum();
        let ignores_bounded = bounded <= alone_bytes / 2;
        let weighed: Vec<_> = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| !(ignores_bounded && longest(column).is_some()))
            .filter_map(|(at, column)| Some((at, weight(column, alone_bytes)?)))
            .collect();
        (!weighed.is_empty()).then_some(Self { weighed, alone_bytes })
    }

    /// The column behind the largest of the lengths that the first piece of a row tells.
    pub(super) fn largest(&self, lengths: &str) -> Option<usize> {
        let lengths = lengths.split(',').map(|length| length.parse::<u64>().unwrap_or(0));
        let largest = self.weighed.iter().zip(lengths).max_by_key(|(_, length)| *length);
        largest.map(|((at, _), _)| *at)
    }

    fn total(&self) -> String {
        let weights: Vec<_> = self.weighed.iter().map(|(_, weight)| weight.as_str()).collect();
        format!("('0'::pg_catalog.int8 + {})", weights.join(" + "))
    }

    /// The condition that leaves large rows out, and notes that with the number of the statement. The size is looked at
    /// first; the database asks the second half for large rows only.
    pub(super) fn leaves_out_large(&self, statement: usize) -> String {
        format!(
            "({} <= {} OR pg_catalog.set_config('{NOTE}', '{statement}', true) IS NULL)",
            self.total(),
            self.alone_bytes
        )
    }

    /// Whether the statement left out a row.
    pub(super) async fn has_left_out(&self, connection: &mut PgConnection, statement: usize) -> Result<bool> {
        let doing = "cannot find out whether large rows were left out";
        let text = format!("SELECT pg_catalog.current_setting('{NOTE}', true)");
        let row = sql::query(text)
            .fetch_one(connection)
            .await
            .map_err(errors::in_use(doing))?;
        let note: Option<String> = row.try_get(0).map_err(errors::in_use(doing))?;
        Ok(note.as_deref() == Some(statement.to_string().as_str()))
    }

    /// Selects the large rows in pieces of `piece_bytes`: the piece's number, the row's bytes (NULL for a row beyond
    /// `row_bytes`, which is not put together), the piece, and with the first one the row's name and its lengths.
    ///
    /// Without OFFSET, the optimizer would put a row together again for each of its pieces.
    pub(super) fn select_pieces(
        &self,
        subject: Subject<'_>,
        columns: &[ColumnMapping],
        row_key: &[KeyColumn],
        conditions: &[String],
        (piece_bytes, row_bytes): (usize, usize),
    ) -> String {
        let total = self.total();
        let lengths: Vec<_> = self.weighed.iter().map(|(_, weight)| weight.as_str()).collect();
        let mut conditions = conditions.to_vec();
        conditions.push(format!("{total} > {}", self.alone_bytes));
        format!(
            "SELECT p.i, pg_catalog.octet_length(r.body), \
                pg_catalog.substring(r.body, p.i * {piece_bytes} + 1, {piece_bytes}), \
                CASE WHEN p.i = 0 THEN r.name END, CASE WHEN p.i = 0 THEN r.lengths END \
             FROM (SELECT CASE WHEN {total} <= {row_bytes} THEN pg_catalog.record_send(ROW({})) END AS body, \
                {} AS name, pg_catalog.concat_ws(',', {}) AS lengths \
             FROM {}{} OFFSET 0) AS r, \
             pg_catalog.generate_series(0, COALESCE((pg_catalog.octet_length(r.body) - 1) / {piece_bytes}, 0)) AS p(i)",
            sql::select_list(columns),
            name_of(row_key),
            lengths.join(", "),
            subject.from(),
            sql::where_clause(&conditions)
        )
    }
}

/// `id=7`, as the decoder names rows.
fn name_of(row_key: &[KeyColumn]) -> String {
    if row_key.is_empty() {
        return "NULL::pg_catalog.text".to_owned();
    }
    let parts: Vec<_> = row_key
        .iter()
        .map(|key| {
            let name = sql::identifier(&key.name);
            let label = sql::literal(&format!("{}=", key.name));
            format!("{label} || pg_catalog.left(COALESCE({name}::pg_catalog.text, 'NULL'), {SHOWN_KEY})")
        })
        .collect();
    format!("pg_catalog.concat_ws(', ', {})", parts.join(", "))
}

/// Bytes of the longest text of a type with a declared length.
fn longest(column: &ColumnMapping) -> Option<usize> {
    let declared = column.length.filter(|_| is_native(column))?;
    Some(4 * declared as usize)
}

/// What is sent is what is stored.
fn is_native(column: &ColumnMapping) -> bool {
    column.cast == Cast::None && matches!(column.wire, Wire::Text | Wire::Bytes)
}

/// The bytes of the column's value as it is sent, never NULL; `None` for types whose values are all short. Where a
/// length needs the value itself, only one that may be long is looked at.
fn weight(column: &ColumnMapping, alone_bytes: usize) -> Option<String> {
    let length = |of: String| format!("pg_catalog.octet_length({of})");
    let sent = sql::select_expression(column);
    let exact = match &column.wire {
        Wire::Bytes => length(sent),
        Wire::Text if is_native(column) => length(sent),
        Wire::Text | Wire::Json | Wire::Jsonb | Wire::Array(_) => length(format!("({sent})::pg_catalog.text")),
        _ => return None,
    };
    if is_native(column) {
        return Some(format!("COALESCE({exact}, 0)"));
    }
    let stored = format!("pg_catalog.pg_column_size({})", sql::identifier(&column.name));
    let short = alone_bytes / STORED_GROWS;
    Some(format!("COALESCE(CASE WHEN {stored} > {short} THEN {exact} END, 0)"))
}

/// Whether the statement can meet a large row at all. Where none can be, the COPY needs no guard, which costs a look at
/// every row.
pub(super) async fn are_possible(connection: &mut PgConnection, subject: Subject<'_>) -> Result<bool> {
    let name = match subject {
        Subject::Leaf(_, name) | Subject::Relation(Relation::Table(name)) => name,
        Subject::Relation(Relation::Query(_)) => return Ok(true),
    };
    let doing = "cannot find out whether the table has large values";
    let query = sql::query(STORED_ASIDE.to_owned()).bind(sql::table(name));
    let row = query.fetch_one(connection).await.map_err(errors::in_use(doing))?;
    let possible: Option<bool> = row.try_get(0).map_err(errors::in_use(doing))?;
    possible.ok_or_else(|| Failure::new(Code::SourceProtocol, "whether the table has large values has no answer"))
}
