//! SQL text: every statement that is put together from names and values is put together here.
//!
//! Names are quoted, values are literals without a type, so that the database takes them in the type of the column
//! that they are compared with. The one place that asserts safety to the driver is [`query`].

use sqlextract_model::{
    BlockRange, Cast, ChunkType, Code, ColumnMapping, Failure, KeyColumn, KeyKind, KeyRange, KeyValue, Range, Relation,
    Result, TableName, Wire,
};
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, raw_sql};

/// A statement with parameters. It is never kept prepared under a name: poolers that share sessions break such names.
pub(crate) fn query(text: String) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(text)).persistent(false)
}

/// Statements without parameters, sent as they are.
pub(crate) fn statements(text: String) -> sqlx::RawSql {
    raw_sql(AssertSqlSafe(text))
}

/// `"a ""quoted"" name"`.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string literal that reads the same whatever `standard_conforming_strings` says.
pub(crate) fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

pub(crate) fn table(name: &TableName) -> String {
    format!("{}.{}", identifier(&name.schema), identifier(&name.name))
}

/// What stands behind FROM. A query is closed on a line of its own, so that a comment at its end cannot swallow the
/// parenthesis.
pub(crate) fn relation(relation: &Relation) -> String {
    match relation {
        Relation::Table(name) => table(name),
        Relation::Query(text) => format!("({text}\n) AS \"query\""),
    }
}

/// The leaf itself, without the tables that inherit from it.
pub(crate) fn leaf(name: &TableName) -> String {
    format!("ONLY {}", table(name))
}

/// `WHERE …`, or nothing.
pub(crate) fn where_clause(conditions: &[String]) -> String {
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    }
}

pub(crate) fn filter(text: &str) -> String {
    format!("({text}\n)")
}

/// The column as the decoder expects it.
pub(crate) fn select_expression(column: &ColumnMapping) -> String {
    let name = identifier(&column.name);
    match column.cast {
        Cast::None if text_is_made_by_the_database(column) => format!("{name}::pg_catalog.text"),
        Cast::None => name,
        Cast::Text => format!("{name}::pg_catalog.text"),
        Cast::Json => format!("pg_catalog.to_json({name})"),
        Cast::Decimal { precision, scale } => format!("{name}::pg_catalog.numeric({precision},{scale})"),
        Cast::WellKnownBinary => format!("ST_AsBinary({name})"),
    }
}

/// A text chunk of a type whose binary form is no text: the database's own text is the exact one.
pub(crate) fn text_is_made_by_the_database(column: &ColumnMapping) -> bool {
    let native = matches!(
        column.wire,
        Wire::Text | Wire::Bytes | Wire::Json | Wire::Jsonb | Wire::Uuid
    );
    column.chunk == ChunkType::Text && !native
}

pub(crate) fn select_list(columns: &[ColumnMapping]) -> String {
    let expressions: Vec<_> = columns.iter().map(select_expression).collect();
    expressions.join(", ")
}

/// The conditions of a range over its relation. Block ranges have none here: each belongs to a leaf of its own.
pub(crate) fn range_conditions(range: &Range) -> Result<Vec<String>> {
    match range {
        Range::All | Range::Blocks(_) => Ok(Vec::new()),
        Range::KeyIsNull(column) => Ok(vec![format!("{} IS NULL", identifier(&column.name))]),
        Range::Keys(keys) => key_conditions(keys),
    }
}

pub(crate) fn block_conditions(range: &BlockRange) -> Vec<String> {
    let mut conditions = Vec::new();
    if range.from > 0 {
        conditions.push(format!("ctid >= '({},0)'::pg_catalog.tid", range.from));
    }
    if let Some(to) = range.to {
        conditions.push(format!("ctid < '({to},0)'::pg_catalog.tid"));
    }
    conditions
}

fn key_conditions(range: &KeyRange) -> Result<Vec<String>> {
    let mut conditions: Vec<_> = range
        .columns
        .iter()
        .filter(|c| c.nullable)
        .map(|c| format!("{} IS NOT NULL", identifier(&c.name)))
        .collect();
    if let Some(values) = &range.lower {
        conditions.push(comparison(&range.columns, ">=", values)?);
    }
    if let Some(values) = &range.upper {
        conditions.push(comparison(&range.columns, "<", values)?);
    }
    Ok(conditions)
}

/// `("a", "b") >= ('x', '5'::bigint)`, over as many columns as there are values.
pub(crate) fn comparison(columns: &[KeyColumn], operator: &str, values: &[KeyValue]) -> Result<String> {
    if values.is_empty() || values.len() > columns.len() {
        return Err(Failure::new(
            Code::PlanUnsound,
            format!("a bound has {} values for {} key columns", values.len(), columns.len()),
        ));
    }
    let names: Vec<_> = columns[..values.len()].iter().map(|c| identifier(&c.name)).collect();
    let literals: Vec<_> = columns
        .iter()
        .zip(values)
        .map(|(c, v)| key_literal(c, v))
        .collect::<Result<_>>()?;
    if let ([name], [value]) = (names.as_slice(), literals.as_slice()) {
        return Ok(format!("{name} {operator} {value}"));
    }
    Ok(format!("({}) {operator} ({})", names.join(", "), literals.join(", ")))
}

fn key_literal(column: &KeyColumn, value: &KeyValue) -> Result<String> {
    match (column.kind, value) {
        // Wider than any key, so that a bound beyond an `integer` is no error; beyond `bigint` all keys compare alike.
        (KeyKind::Integer, KeyValue::Integer(value)) if i64::try_from(*value).is_ok() => {
            Ok(format!("'{value}'::pg_catalog.int8"))
        }
        (KeyKind::Integer, KeyValue::Integer(value)) => Ok(format!("'{value}'::pg_catalog.numeric")),
        (KeyKind::Uuid | KeyKind::Text | KeyKind::Literal, KeyValue::Text(text)) if !text.contains('\0') => {
            Ok(literal(text))
        }
        (KeyKind::Bytes, KeyValue::Bytes(bytes)) => {
            let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            Ok(format!("'\\x{digits}'::pg_catalog.bytea"))
        }
        _ => Err(Failure::new(
            Code::PlanUnsound,
            format!("a bound of the key column {} is not of the column's kind", column.name),
        )
        .column(&column.name)),
    }
}

/// `"t"."a", "t"."b"`, for ORDER BY. A bare name would be taken for the answer's column of that name, which is text.
pub(crate) fn key_order(relation: &Relation, columns: &[KeyColumn], suffix: &str) -> String {
    let qualifier = match relation {
        Relation::Table(name) => identifier(&name.name),
        Relation::Query(_) => identifier("query"),
    };
    let names: Vec<_> = columns
        .iter()
        .map(|c| format!("{qualifier}.{}{suffix}", identifier(&c.name)))
        .collect();
    names.join(", ")
}
