//! Questions about a key's values: each is a look-up in its index.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sqlextract_model::{Code, Failure, KeyColumn, KeyKind, KeyRange, KeyValue, Range, Relation, Result};

use super::failure::failure;
use super::sql::{Rows, Statement, check_foreign_sql};
use crate::{Probe, ProbeAnswer};

/// Answers in the order of the questions. A filter is left out of the look-ups, which it would turn into scans: bounds
/// of more rows are bounds of fewer.
pub(super) fn answers(
    connection: &Connection,
    relation: &Relation,
    filter: Option<&str>,
    probes: &[Probe],
) -> Result<Vec<ProbeAnswer>> {
    check_foreign_sql(connection, relation, filter)?;
    let filtered = Rows::new(relation, filter);
    let rows = filtered.unfiltered();
    let answer = |probe: &Probe| match probe {
        Probe::Bounds { columns } => bounds(connection, &rows, columns).map(ProbeAnswer::Bounds),
        Probe::NextKey { within, at_least } => next_key(connection, &rows, within, at_least).map(ProbeAnswer::NextKey),
        // SQLite estimates the cost of a plan, never the rows of a range.
        Probe::EstimateRows { .. } => Ok(ProbeAnswer::Rows(None)),
        Probe::Explain { range } => explain(connection, &filtered, range).map(ProbeAnswer::Explain),
    };
    probes.iter().map(answer).collect()
}

/// Of a single integer key the ends of its numbers: texts and bytes that are in the column against its type lie behind
/// them all, in the last range. A key column with nothing but such values has the bounds 0 and 0.
fn bounds(
    connection: &Connection,
    rows: &Rows,
    columns: &[KeyColumn],
) -> Result<Option<(Vec<KeyValue>, Vec<KeyValue>)>> {
    let range = open_range(columns);
    let first = Range::Keys(range.clone());
    let Some(least) = look_up(connection, &ends(rows, columns, &first, "ASC")?, rows, columns)? else {
        return Ok(None);
    };
    let [
        KeyColumn {
            kind: KeyKind::Integer, ..
        },
    ] = columns
    else {
        let most = look_up(connection, &ends(rows, columns, &first, "DESC")?, rows, columns)?;
        return Ok(Some((least.clone(), most.unwrap_or(least))));
    };
    // The empty text is the smallest of all values that are not numbers.
    let numbers = Range::Keys(KeyRange {
        upper: Some(vec![KeyValue::Text(String::new())]),
        ..range
    });
    let most = look_up(connection, &ends(rows, columns, &numbers, "DESC")?, rows, columns)?;
    Ok(Some(match most {
        Some(most) => (least, most),
        None => (vec![KeyValue::Integer(0)], vec![KeyValue::Integer(0)]),
    }))
}

/// One look-up from `at_least` on. Where the range begins elsewhere, the database compares: two lower bounds in one
/// statement would be one seek and a walk, and the order of texts is not ours to know.
fn next_key(
    connection: &Connection,
    rows: &Rows,
    within: &KeyRange,
    at_least: &[KeyValue],
) -> Result<Option<Vec<KeyValue>>> {
    let columns = &within.columns;
    let first = |lower: Option<Vec<KeyValue>>, upper: Option<Vec<KeyValue>>| {
        let range = Range::Keys(KeyRange {
            columns: columns.clone(),
            lower,
            upper,
        });
        look_up(connection, &ends(rows, columns, &range, "ASC")?, rows, columns)
    };
    let lower = within.lower.as_ref().filter(|lower| !lower.is_empty());
    let at_least = Some(at_least.to_vec()).filter(|key| !key.is_empty());
    let (Some(lower), Some(at_least)) = (lower, &at_least) else {
        return first(lower.cloned().or(at_least), within.upper.clone());
    };
    let above = first(Some(at_least.clone()), within.upper.clone())?;
    if lower == at_least {
        return Ok(above);
    }
    let inside = first(Some(lower.clone()), within.upper.clone())?;
    let (Some(above), Some(inside)) = (above, inside) else {
        return Ok(None);
    };
    let between = first(Some(inside.clone()), Some(above.clone()))?;
    Ok(Some(if between.is_some() { above } else { inside }))
}

fn open_range(columns: &[KeyColumn]) -> KeyRange {
    KeyRange {
        columns: columns.to_vec(),
        lower: None,
        upper: None,
    }
}

/// The key at one end of a range.
fn ends(rows: &Rows, columns: &[KeyColumn], range: &Range, direction: &str) -> Result<Statement> {
    let names: Vec<_> = columns.iter().map(|column| rows.column(&column.name)).collect();
    let order: Vec<_> = names.iter().map(|name| format!("{name} {direction}")).collect();
    rows.select(
        &names.join(", "),
        range,
        &format!(" ORDER BY {} LIMIT 1", order.join(", ")),
    )
}

fn look_up(
    connection: &Connection,
    statement: &Statement,
    rows: &Rows,
    columns: &[KeyColumn],
) -> Result<Option<Vec<KeyValue>>> {
    let refused = |error: rusqlite::Error| failure(&error, rows.blame(), "look a key up");
    let mut prepared = connection.prepare(&statement.sql).map_err(refused)?;
    let mut found = prepared.query(statement.parameters().as_slice()).map_err(refused)?;
    match found.next().map_err(refused)? {
        Some(row) => columns
            .iter()
            .enumerate()
            .map(|(at, column)| key_value(row, at, column))
            .collect::<Result<_>>()
            .map(Some),
        None => Ok(None),
    }
}

/// A real becomes the integer below it: a boundary may lie anywhere between two keys, and there is none between these.
fn key_value(row: &Row<'_>, at: usize, column: &KeyColumn) -> Result<KeyValue> {
    let unreadable = |what: &str| {
        let message = format!("the key column {:?} holds {what}, which cannot be a bound", column.name);
        Failure::new(Code::ValueRefused, message).column(&column.name)
    };
    let value = row
        .get_ref(at)
        .map_err(|error| failure(&error, Code::SourceProtocol, "read a key"))?;
    match value {
        ValueRef::Integer(value) => Ok(KeyValue::Integer(i128::from(value))),
        // The conversion saturates, and 64 bits hold every integer key.
        ValueRef::Real(value) => Ok(KeyValue::Integer(i128::from(value.floor() as i64))),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(KeyValue::Text(text.to_owned())),
            Err(_) => Err(unreadable("a text that is not UTF-8")),
        },
        ValueRef::Blob(bytes) => Ok(KeyValue::Bytes(bytes.to_vec())),
        ValueRef::Null => Err(unreadable("NULL")),
    }
}

/// The first step of SQLite's plan that reads more than the range or sorts it. Reading everything is what a range
/// without bounds asks for.
fn explain(connection: &Connection, rows: &Rows, range: &Range) -> Result<Option<String>> {
    let bounded = match range {
        Range::Keys(keys) => keys.lower.is_some() || keys.upper.is_some(),
        Range::KeyIsNull(_) => true,
        Range::All | Range::Blocks(_) => false,
    };
    let statement = rows.select("*", range, "")?;
    let refused = |error: rusqlite::Error| failure(&error, rows.blame(), "explain a range");
    let mut prepared = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql))
        .map_err(refused)?;
    let steps = prepared
        .query_map(statement.parameters().as_slice(), |row| row.get::<_, String>(3))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
        .map_err(refused)?;
    let offends = |step: &String| {
        step.contains("USE TEMP B-TREE") || (bounded && (step.starts_with("SCAN") || step.contains("AUTOMATIC")))
    };
    Ok(steps.into_iter().find(offends))
}
