//! Statements: names quoted, values bound, filters and queries wrapped.
//!
//! A column is always written behind its table: SQLite takes a lone `"name"` that does not resolve for a text literal,
//! so that a column that was dropped would turn into rows of its name.

use rusqlite::types::Value;
use rusqlite::{Connection, ToSql};
use sqlextract_model::{Code, Failure, KeyColumn, KeyRange, KeyValue, Range, Relation, Result};

use super::failure::failure;

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What rows are taken from.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// Behind `FROM`.
    from: String,
    /// Before a column's dot.
    qualifier: String,
    filter: Option<String>,
    is_query: bool,
}

/// A statement and its parameters.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Statement {
    pub(super) fn parameters(&self) -> Vec<&dyn ToSql> {
        self.values.iter().map(|value| value as &dyn ToSql).collect()
    }
}

impl Rows {
    pub(super) fn new(relation: &Relation, filter: Option<&str>) -> Self {
        let (from, qualifier) = match relation {
            Relation::Table(table) => (
                format!("{}.{}", quoted(&table.schema), quoted(&table.name)),
                quoted(&table.name),
            ),
            // The line breaks keep a comment at the end from swallowing the parenthesis.
            Relation::Query(sql) => (format!("(\n{sql}\n) AS \"query\""), quoted("query")),
        };
        Self {
            from,
            qualifier,
            filter: filter.map(str::to_owned),
            is_query: matches!(relation, Relation::Query(_)),
        }
    }

    pub(super) fn column(&self, name: &str) -> String {
        format!("{}.{}", self.qualifier, quoted(name))
    }

    /// Without the filter, for look-ups in an index that must not turn into scans.
    pub(super) fn unfiltered(&self) -> Self {
        Self {
            filter: None,
            ..self.clone()
        }
    }

    /// What a statement that SQLite does not accept is due to.
    pub(super) fn blame(&self) -> Code {
        if self.is_query || self.filter.is_some() {
            Code::SourceQueryInvalid
        } else {
            Code::SchemaChanged
        }
    }

    /// `SELECT list FROM rows WHERE range AND filter tail`.
    pub(super) fn select(&self, list: &str, range: &Range, tail: &str) -> Result<Statement> {
        let mut statement = Statement {
            sql: format!("SELECT {list} FROM {}", self.from),
            values: Vec::new(),
        };
        let mut conditions = self.conditions(range, &mut statement.values)?;
        conditions.extend(self.filter.as_ref().map(|filter| format!("(\n{filter}\n)")));
        if !conditions.is_empty() {
            statement.sql.push_str(" WHERE ");
            statement.sql.push_str(&conditions.join(" AND "));
        }
        statement.sql.push_str(tail);
        Ok(statement)
    }

    fn conditions(&self, range: &Range, values: &mut Vec<Value>) -> Result<Vec<String>> {
        match range {
            Range::All => Ok(Vec::new()),
            Range::Blocks(_) => Err(Failure::new(Code::PlanUnsound, "SQLite has no block ranges")),
            Range::KeyIsNull(column) => Ok(vec![format!("{} IS NULL", self.column(&column.name))]),
            Range::Keys(keys) => self.key_conditions(keys, values),
        }
    }

    fn key_conditions(&self, keys: &KeyRange, values: &mut Vec<Value>) -> Result<Vec<String>> {
        let mut conditions = Vec::new();
        for (bound, operator) in [(&keys.lower, ">="), (&keys.upper, "<")] {
            let Some(bound) = bound.as_ref().filter(|bound| !bound.is_empty()) else {
                continue;
            };
            conditions.push(self.compare(&keys.columns, bound, operator, values)?);
        }
        if conditions.is_empty() {
            let nullable = keys.columns.iter().filter(|column| column.nullable);
            conditions.extend(nullable.map(|column| format!("{} IS NOT NULL", self.column(&column.name))));
        }
        Ok(conditions)
    }

    /// `(a, b) >= (?1, ?2)`, column by column in the columns' own collations, over as many columns as there are values.
    fn compare(
        &self,
        columns: &[KeyColumn],
        bound: &[KeyValue],
        operator: &str,
        values: &mut Vec<Value>,
    ) -> Result<String> {
        if bound.len() > columns.len() {
            return Err(Failure::new(
                Code::PlanUnsound,
                "a key range has more values than columns",
            ));
        }
        let names: Vec<_> = columns[..bound.len()]
            .iter()
            .map(|column| self.column(&column.name))
            .collect();
        let mut marks = Vec::with_capacity(bound.len());
        for value in bound {
            values.push(parameter(value));
            marks.push(format!("?{}", values.len()));
        }
        Ok(match bound.len() {
            1 => format!("{} {operator} {}", names[0], marks[0]),
            _ => format!("({}) {operator} ({})", names.join(", "), marks.join(", ")),
        })
    }
}

/// An integer beyond 64 bits becomes a real, which SQLite compares with integers exactly: it lies beyond all of them.
fn parameter(value: &KeyValue) -> Value {
    match value {
        KeyValue::Integer(value) => i64::try_from(*value).map_or(Value::Real(*value as f64), Value::Integer),
        KeyValue::Text(text) => Value::Text(text.clone()),
        KeyValue::Bytes(bytes) => Value::Blob(bytes.clone()),
    }
}

/// Proves that a filter is an expression and a query a statement by themselves: inside the parentheses that wrap them,
/// `a) OR (b` would change what the rest of the statement means.
pub(super) fn check_foreign_sql(connection: &Connection, relation: &Relation, filter: Option<&str>) -> Result<()> {
    let alone = |sql: &str, what: &str| {
        let refused = |cause: &str| Failure::new(Code::SourceQueryInvalid, format!("the {what} {cause}"));
        let statement = connection
            .prepare(sql)
            .map_err(|error| failure(&error, Code::SourceQueryInvalid, &format!("take the {what}")))?;
        if !statement.readonly() || statement.column_count() == 0 {
            return Err(refused("does more than read rows"));
        }
        if statement.parameter_count() > 0 {
            return Err(refused("has parameters, for which there are no values"));
        }
        Ok(())
    };
    if let Relation::Query(sql) = relation {
        alone(sql, "query")?;
    }
    if let Some(filter) = filter {
        let rows = Rows::new(relation, None).select("1", &Range::All, &format!(" WHERE {filter}"))?;
        alone(&rows.sql, "filter")?;
    }
    Ok(())
}
